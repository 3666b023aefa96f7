"""Weights of other code bases in our names and shapes, which are TransformerLens's."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal, get_args

import torch
from torch import Tensor

from grokstudy.spec.errors import BadInput, nearest
from grokstudy.spec.interfaces import Model, Shape

Layout = Literal["nanda", "transformer_lens", "grokstudy"]
"""`nanda`: the progress-measures paper's code; `grokstudy`: a model's own names, as `export` writes those that
TransformerLens does not know."""
LAYOUTS: tuple[Layout, ...] = get_args(Layout)

BUFFERS = ("mask", "IGNORE")
"""Constants that a state dict holds beside the weights."""
ADDED = ("b_Q", "b_K", "b_V", "b_O", "b_U", "b_in", "b_out", "W_pos")
"""What is only ever added: if it is zero, a model without it computes the same."""
UNTURNED = ("W_pos", "W_U")
"""The two matrices that the paper's code does not transpose."""


def in_our_layout(tensors: Mapping[str, Tensor], layout: Layout, where: str) -> dict[str, Tensor]:
    """Float64 tensors in our orientation, without buffers.

    `nanda` has embed.W_E [d_model, d_vocab], blocks.i.attn.W_Q/K/V [heads, d_head, d_model], W_O [d_model, heads *
    d_head], mlp.W_in [d_mlp, d_model], W_out [d_model, d_mlp]; pos_embed.W_pos and unembed.W_U are as ours.

    Args:
        tensors: by the file's names.
        layout: whose shapes they have.
        where: the file, for messages.

    Raises:
        BadInput: an attention matrix is not there or has another layout's shape.
    """
    params = {n: tensor.double() for n, tensor in tensors.items() if n.rpartition(".")[2] not in BUFFERS}
    if layout == "grokstudy":
        return params
    _check_attention(params, layout, where)
    if layout == "transformer_lens":
        return params
    return {name: _turned(name, tensor, params) for name, tensor in params.items()}


def transformer_sizes(params: Mapping[str, Tensor]) -> dict[str, Any]:
    """Model settings that the shapes of a transformer say, in our layout."""
    heads, d_model, d_head = params["blocks.0.attn.W_Q"].shape
    layers = {name.split(".")[1] for name in params if name.startswith("blocks.")}
    sizes = {"n_layers": len(layers), "n_heads": heads, "d_model": d_model, "d_head": d_head}
    if "blocks.0.mlp.W_in" not in params:
        return {**sizes, "attn_only": True}
    return {**sizes, "d_mlp": params["blocks.0.mlp.W_in"].shape[-1]}


def fitted(params: Mapping[str, Tensor], model: Model, shape: Shape, where: str) -> dict[str, Tensor]:
    """The tensors that `model` reads, after checking that these are its weights and nothing is left over.

    An unembedding without a column for "=" gets one of zeros (TransformerLens's d_vocab_out = p): measures read the p
    answers only. The tied model's copy of its embedding, and biases of zero, are left out.

    Raises:
        BadInput: a tensor is missing, has a shape that the task or the model does not, or is not part of the model.
    """
    expected = {name: tuple(tensor.shape) for name, tensor in model.init(shape, seed=0).items()}
    for name, size in expected.items():
        if name not in params:
            raise BadInput(
                f"{where}: has no tensor {name} {list(size)}{nearest(name, params)} Found: {_listed(params)}."
            )
    whole = dict(params)
    U = "unembed.W_U"
    if U in expected and (*params[U].shape[:-1], params[U].shape[-1] + 1) == expected[U]:
        whole[U] = torch.nn.functional.pad(params[U], (0, 1))
    for name, size in expected.items():
        _check_shape(name, tuple(whole[name].shape), size, shape, where)
    for name in params.keys() - expected.keys():
        _check_left_over(name, params, where)
    return {name: whole[name] for name in expected}


def _check_attention(params: Mapping[str, Tensor], layout: Layout, where: str) -> None:
    """Raises BadInput unless block 0 has attention in this layout: the shape of W_O tells the two apart."""
    for name, axes in {"W_Q": 3, "W_O": 3 if layout == "transformer_lens" else 2}.items():
        full = f"blocks.0.attn.{name}"
        if full not in params:
            raise BadInput(
                f"{where}: has no tensor {full}{nearest(full, params)} Layout {layout} needs it; found: "
                f"{_listed(params)}."
            )
        if params[full].ndim != axes:
            other = "nanda" if layout == "transformer_lens" else "transformer_lens"
            raise BadInput(
                f"{where}: {full} has {params[full].ndim} axes {list(params[full].shape)}, in layout {layout} it has "
                f"{axes}. Try --layout {other}."
            )


def _turned(name: str, tensor: Tensor, params: Mapping[str, Tensor]) -> Tensor:
    leaf = name.rpartition(".")[2]
    if leaf in UNTURNED or tensor.ndim < 2:
        return tensor
    turned = tensor.transpose(-1, -2).contiguous()
    return turned.unflatten(0, (params["blocks.0.attn.W_Q"].shape[0], -1)) if leaf == "W_O" else turned


def _check_shape(name: str, found: tuple[int, ...], expected: tuple[int, ...], shape: Shape, where: str) -> None:
    if found == expected:
        return
    if name == "embed.W_E" and found[1:] == expected[1:]:
        raise BadInput(
            f"{where}: embeds {found[0]} tokens, a task with {shape.vocab} of its own needs {expected[0]}; give the "
            f"file's task (task.p={found[0] - (expected[0] - shape.vocab)} for a modular one)."
        )
    raise BadInput(f"{where}: {name} has shape {list(found)}, this model and task need {list(expected)}.")


def _check_left_over(name: str, params: Mapping[str, Tensor], where: str) -> None:
    """Raises BadInput for a tensor that the model does not read but that would change what it computes."""
    tensor, leaf = params[name], name.rpartition(".")[2]
    if leaf in ADDED and not bool(tensor.any()):
        return
    if name == "unembed.W_U" and torch.equal(tensor, params["embed.W_E"].T):
        return
    raise BadInput(
        f"{where}: {name} {list(tensor.shape)} is not part of the model that is measured"
        f"{' and is not zero' if leaf in ADDED else ''}. If it is a norm or another setting of the model, say so "
        "(model.norm_site=pre model.norm_affine=true ...)."
    )


def _listed(names: Mapping[str, object]) -> str:
    shown = sorted(names)[:12]
    return ", ".join(shown) + (f" and {len(names) - len(shown)} more" if len(names) > len(shown) else "")
