"""Where a transformer normalises its residual stream, and how.

Names of the gains and biases as in TransformerLens: `ln1` and `ln2` of a block belong to its attention and its MLP,
`ln1_post` and `ln2_post` to what they return, `ln_final` to the unembedding.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float

if TYPE_CHECKING:
    from torch import Tensor

Site = Literal[
    "off", "attn_pre", "attn_pre_qk", "attn_pre_v", "mlp_pre", "attn_mlp_pre", "pre", "post", "peri", "final"
]  # fmt: skip
Kind = Literal["layernorm", "rmsnorm"]

EPS = 1e-5
"""Added to the variance, as in torch.nn.LayerNorm."""

QUERIES_AND_KEYS = ("attn_pre", "attn_pre_qk", "attn_mlp_pre", "pre", "peri")
VALUES = ("attn_pre", "attn_pre_v", "attn_mlp_pre", "pre", "peri")
MLP_INPUT = ("mlp_pre", "attn_mlp_pre", "pre", "peri")
AFTER_SUM = ("post",)
AFTER_BRANCH = ("peri",)
BEFORE_UNEMBEDDING = ("final", "pre", "peri")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Norms:
    """All norms of one network."""

    site: Site
    kind: Kind
    affine: bool
    attn_only: bool

    def names_in_block(self) -> list[str]:
        """Norms of every block."""
        attention = (*QUERIES_AND_KEYS, *VALUES, *AFTER_SUM)
        mlp = () if self.attn_only else (*MLP_INPUT, *AFTER_SUM)
        after_mlp = () if self.attn_only else AFTER_BRANCH
        sites = {"ln1": attention, "ln1_post": AFTER_BRANCH, "ln2": mlp, "ln2_post": after_mlp}
        return [name for name, where in sites.items() if self.site in where]

    def shapes(self, names: list[str], width: int) -> dict[str, tuple[int, ...]]:
        """Learned gains `w` and biases `b` of the norms named; RMSNorm has no bias."""
        if not self.affine:
            return {}
        parts = ("w", "b") if self.kind == "layernorm" else ("w",)
        return {f"{name}.{part}": (width,) for name in names for part in parts}

    def at(
        self,
        sites: tuple[str, ...],
        name: str,
        params: Mapping[str, Tensor],
        x: Float[Tensor, "*batch width"],
    ) -> Float[Tensor, "*batch width"]:
        """x normalised if this network has a norm at any of `sites`, else x itself."""
        if self.site not in sites:
            return x
        gain, bias = params.get(f"{name}.w"), params.get(f"{name}.b")
        return layer_norm(x, gain, bias) if self.kind == "layernorm" else rms_norm(x, gain)


def layer_norm(
    x: Float[Tensor, "*batch width"], gain: Float[Tensor, " width"] | None, bias: Float[Tensor, " width"] | None
) -> Float[Tensor, "*batch width"]:
    """(x - mean) / sqrt(variance + EPS) * gain + bias. Source: Ba et al. 2016 (arXiv 1607.06450), section 3."""
    import torch

    return torch.nn.functional.layer_norm(x, x.shape[-1:], gain, bias, EPS)


def rms_norm(x: Float[Tensor, "*batch width"], gain: Float[Tensor, " width"] | None) -> Float[Tensor, "*batch width"]:
    """x / sqrt(mean of squares + EPS) * gain. Source: Zhang & Sennrich 2019 (arXiv 1910.07467), equation 4."""
    normed = x * (x.square().mean(-1, keepdim=True) + EPS).rsqrt()
    return normed if gain is None else normed * gain
