"""How a transformer knows where a token stands."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

from jaxtyping import Float, Int

if TYPE_CHECKING:
    from torch import Tensor

Positions = Literal["none", "learned", "sinusoidal", "rotary"]

BASE = 10_000.0
"""Wavelengths grow from 2 pi to 2 pi BASE along the width, in both fixed schemes."""


def position_vectors(
    kind: Positions, params: Mapping[str, Tensor], positions: int
) -> Float[Tensor, "positions d_model"] | None:
    """What is added to the embeddings; None = nothing."""
    if kind == "learned":
        return params["pos_embed.W_pos"]
    return sinusoids(positions, params["embed.W_E"]) if kind == "sinusoidal" else None


def sinusoids(positions: int, W_E: Float[Tensor, "vocab width"]) -> Float[Tensor, "positions width"]:
    """sin and cos of position / BASE^(2i / width) side by side, each position's vector scaled to length 1.

    Length 1 is that of a token's embedding at the start, where the scheme's own sqrt(width / 2) would drown it.
    Source: Vaswani et al. 2017 (arXiv 1706.03762), section 3.5.
    """
    import torch

    width = W_E.shape[1]
    angles = _angles(torch.arange(positions, device=W_E.device), width)
    return torch.stack([angles.sin(), angles.cos()], 2).flatten(1).mul((2 / width) ** 0.5).to(W_E.dtype)


def rotated(
    x: Float[Tensor, "*batch positions heads d_head"], at: Int[Tensor, " positions"]
) -> Float[Tensor, "*batch positions heads d_head"]:
    """Every pair (x_2i, x_2i+1) turned by the angle position / BASE^(2i / d_head).

    Source: Su et al. 2021 (arXiv 2104.09864), section 3.2.2.
    """
    import torch

    angles = _angles(at, x.shape[-1])[:, None]
    cos, sin = angles.cos().to(x.dtype), angles.sin().to(x.dtype)
    even, odd = x.unflatten(-1, (-1, 2)).unbind(-1)
    return torch.stack([even * cos - odd * sin, even * sin + odd * cos], -1).flatten(-2)


def _angles(at: Int[Tensor, " positions"], width: int) -> Float[Tensor, "positions pairs"]:
    import torch

    pairs = torch.arange(width // 2, dtype=torch.float64, device=at.device)
    return at[:, None] * BASE ** (-2 * pairs / width)
