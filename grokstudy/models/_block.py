"""One block of a transformer: attention and MLP, each added to the residual stream."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float

from grokstudy.models._activation import Activation, activate
from grokstudy.models._attention import Attention, Source, stacked
from grokstudy.models._norm import AFTER_BRANCH, AFTER_SUM, MLP_INPUT, Norms
from grokstudy.models._patch import replaced

if TYPE_CHECKING:
    from torch import Tensor


HEADS, MID, MLP, POST = "attn.hook_z", "hook_resid_mid", "mlp.hook_post", "hook_resid_post"
"""Activations of a block that can be replaced, by their names within it."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Seen:
    """What a block computed at the positions asked for: [rows, ...] at the last one, [rows, count, ...] at several."""

    pattern: Tensor
    mixed: Float[Tensor, "rows *count width"]
    """Values mixed by the pattern, heads side by side."""
    mid: Float[Tensor, "rows *count d_model"]
    """Residual stream after attention."""
    neurons: Float[Tensor, "rows *count d_mlp"]
    """After the non-linearity; `mixed` in a block without MLP."""
    post: Float[Tensor, "rows *count d_model"]
    """Residual stream after the block."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Block:
    """`w` holds a block's tensors by their names within it, `keep` its dropout masks by `attn` and `mlp`, `patch`
    activations to be replaced, by the names above."""

    attention: Attention
    norms: Norms
    activation: Activation

    def at_last(
        self,
        w: Mapping[str, Tensor],
        sources: Sequence[Source],
        keep: Mapping[str, Tensor],
        patch: Mapping[str, Tensor],
    ) -> Seen:
        """The block at the last position alone."""
        mixed, pattern = self.attention.at_last(w, sources)
        if HEADS in patch:
            mixed = replaced(patch, HEADS, mixed.unflatten(1, w["attn.W_O"].shape[:2])).flatten(1)
        out = mixed @ w["attn.W_O"].flatten(0, 1)
        return self._after_attention(w, sources[-1].rows(), mixed, out, pattern, keep, patch)

    def at_end(
        self,
        w: Mapping[str, Tensor],
        sources: Sequence[Source],
        count: int,
        keep: Mapping[str, Tensor],
        patch: Mapping[str, Tensor],
    ) -> Seen:
        """The block at the last `count` positions."""
        import torch

        x = stacked(sources)
        mixed, pattern = self.attention.at_end(w, x, count)
        mixed = replaced(patch, HEADS, mixed)
        out = torch.einsum("nqhe,hed->nqd", mixed, w["attn.W_O"])
        first = x.shape[1] - count
        return self._after_attention(w, x[:, first:] if first else x, mixed.flatten(2), out, pattern, keep, patch)

    def _after_attention(
        self,
        w: Mapping[str, Tensor],
        x: Tensor,
        mixed: Tensor,
        out: Tensor,
        pattern: Tensor,
        keep: Mapping[str, Tensor],
        patch: Mapping[str, Tensor],
    ) -> Seen:
        """The rest of a block whose attention returned `out`."""
        if "attn" in keep:
            out = out * keep["attn"]
        mid = self.norms.at(AFTER_SUM, "ln1", w, x + self.norms.at(AFTER_BRANCH, "ln1_post", w, out))
        mid = replaced(patch, MID, mid)
        if "mlp.W_in" not in w:
            post = replaced(patch, POST, mid)
            return Seen(pattern=pattern, mixed=mixed, mid=mid, neurons=mixed, post=post)
        neurons = replaced(patch, MLP, self._neurons(w, self.norms.at(MLP_INPUT, "ln2", w, mid)))
        kept = neurons * keep["mlp"] if "mlp" in keep else neurons
        post = replaced(patch, POST, self.norms.at(AFTER_SUM, "ln2", w, self._plus_mlp(w, mid, kept)))
        return Seen(pattern=pattern, mixed=mixed, mid=mid, neurons=neurons, post=post)

    def _neurons(self, w: Mapping[str, Tensor], x: Float[Tensor, "*batch d_model"]) -> Float[Tensor, "*batch d_mlp"]:
        pre = x @ w["mlp.W_in"]
        if "mlp.b_in" in w:
            pre = pre + w["mlp.b_in"]
        if "mlp.W_gate" in w:
            return activate(self.activation, x @ w["mlp.W_gate"]) * pre
        return activate(self.activation, pre)

    def _plus_mlp(
        self, w: Mapping[str, Tensor], x: Float[Tensor, "*batch d_model"], neurons: Float[Tensor, "*batch d_mlp"]
    ) -> Float[Tensor, "*batch d_model"]:
        bias = w.get("mlp.b_out")
        out = neurons @ w["mlp.W_out"]
        if self.norms.site in AFTER_BRANCH:
            return x + self.norms.at(AFTER_BRANCH, "ln2_post", w, out if bias is None else out + bias)
        return x + out if bias is None else x + out + bias


def of_block(tensors: Mapping[str, Tensor], layer: int) -> dict[str, Tensor]:
    """A block's parameters, or activations, by their names within it."""
    prefix = f"blocks.{layer}."
    return {name.removeprefix(prefix): tensor for name, tensor in tensors.items() if name.startswith(prefix)}
