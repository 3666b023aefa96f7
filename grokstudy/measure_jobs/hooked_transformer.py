"""Our transformer as TransformerLens's HookedTransformer: its config and its state dict, where it has such a model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from grokstudy.models._norm import EPS
from grokstudy.models.transformer import Transformer
from grokstudy.spec.interfaces import Model
from grokstudy.spec.trial import plugin_name


def unless_hooked(model: Model) -> str | None:
    """None if a HookedTransformer computes the same logits, else why not."""
    if not isinstance(model, Transformer):
        return f"a HookedTransformer is a transformer, this model is {plugin_name(model)}"
    if model.activation == "quad":
        return "a HookedTransformer has no activation x^2"
    if model.gated and model.mlp_bias:
        return "a HookedTransformer adds b_in after the product with the gate, this model before it"
    if model.attn_rate < 1:
        return f"a HookedTransformer has a softmax alone, this model attn_rate={model.attn_rate}"
    if model.positions not in ("learned", "none"):
        return f"positions={model.positions} differ from a HookedTransformer's"
    if model.norm_site not in ("off", "pre"):
        return f"a HookedTransformer has no norm_site={model.norm_site}"
    return None


def hooked_config(model: Transformer, params: Mapping[str, Tensor]) -> dict[str, Any]:
    """Arguments of HookedTransformerConfig.

    Args:
        model: one that `unless_hooked` lets pass.
        params: its state dict as `hooked_state` gives it.
    """
    norm = {"layernorm": "LN", "rmsnorm": "RMS"}[model.norm_kind] + ("" if model.norm_affine else "Pre")
    tokens, outputs = params["embed.W_E"].shape[0], params["unembed.W_U"].shape[1]
    return {
        "n_layers": model.n_layers,
        "n_heads": model.n_heads,
        "d_model": model.d_model,
        "d_head": model.d_head,
        "d_mlp": None if model.attn_only else model.d_mlp,
        "n_ctx": params["pos_embed.W_pos"].shape[0],
        "d_vocab": tokens,
        "d_vocab_out": outputs,
        "act_fn": None if model.attn_only else model.activation,
        "gated_mlp": model.gated,
        "attn_only": model.attn_only,
        "attention_dir": "causal" if model.causal else "bidirectional",
        "use_attn_scale": True,
        "positional_embedding_type": "standard",
        "normalization_type": None if model.norm_site == "off" else norm,
        "eps": EPS,
        "default_prepend_bos": False,
        "init_weights": False,
    }


def hooked_state(model: Transformer, params: Mapping[str, Tensor], positions: int) -> dict[str, Tensor]:
    """The tensors by TransformerLens's names, in their own precision; biases that the model does not have are zero.

    Args:
        positions: tokens of a row, "=" included.
    """
    W_E, d = params["embed.W_E"], model.d_model
    W_U = W_E.T.contiguous() if model.tied else params["unembed.W_U"]
    assert model.d_head is not None
    zeros: dict[str, tuple[int, ...]] = {"unembed.b_U": (W_U.shape[1],)}
    if model.positions == "none":
        zeros["pos_embed.W_pos"] = (positions, d)
    for layer in range(model.n_layers):
        block = f"blocks.{layer}"
        zeros |= {f"{block}.attn.b_{part}": (model.n_heads, model.d_head) for part in "QKV"}
        zeros[f"{block}.attn.b_O"] = (d,)
        if not model.attn_only and not model.mlp_bias:
            zeros |= {f"{block}.mlp.b_in": (model.d_mlp,), f"{block}.mlp.b_out": (d,)}
    added = {name: torch.zeros(size, dtype=W_E.dtype) for name, size in zeros.items()}
    return {**params, "unembed.W_U": W_U, **added}
