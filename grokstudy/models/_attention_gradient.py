"""Attention, forwards and backwards.

Positions come first: a position's rows lie side by side, and the positions that ask are the last ones.
"""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

from jaxtyping import Float

if TYPE_CHECKING:
    from torch import Tensor

FEW = 64
"""Pairs of positions up to which they are compared element by element: so small a matrix product costs more."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Attended:
    """z_i = sum over j of pattern_ij v_j, with pattern_i = softmax over j of q_i k_j / sqrt(d_head)."""

    q: Float[Tensor, "count rows heads d_head"]
    k: Float[Tensor, "positions rows heads d_head"]
    v: Float[Tensor, "positions rows heads d_head"]
    pattern: Float[Tensor, "count positions rows heads"]
    z: Float[Tensor, "count rows heads d_head"]


def attend(
    q: Float[Tensor, "count rows heads d_head"],
    k: Float[Tensor, "positions rows heads d_head"],
    v: Float[Tensor, "positions rows heads d_head"],
    *,
    causal: bool,
) -> Attended:
    """`count` queries of the last positions."""
    import torch

    scores = _compared(q, k) / math.sqrt(q.shape[-1])
    if causal and len(q) > 1:
        future = torch.ones(scores.shape[:2], dtype=torch.bool, device=q.device).triu(len(k) - len(q) + 1)
        scores.masked_fill_(future[:, :, None, None], -math.inf)
    pattern = scores.softmax(1)
    return Attended(q=q, k=k, v=v, pattern=pattern, z=_mixed(pattern, v))


def attend_backwards(
    of: Attended, d_z: Float[Tensor, "count rows heads d_head"]
) -> tuple[
    Float[Tensor, "count rows heads d_head"],
    Float[Tensor, "positions rows heads d_head"],
    Float[Tensor, "positions rows heads d_head"],
]:
    """d_q, d_k and d_v.

    d_score_ij = pattern_ij (g_ij - sum over l of pattern_il g_il) with g_ij = v_j d_z_i; 0 where nothing was seen.
    """
    g = _compared(d_z, of.v)
    d_scores = (g - (g * of.pattern).sum(1, keepdim=True)).mul_(of.pattern).div_(math.sqrt(d_z.shape[-1]))
    d_k, d_v = _mixed(d_scores.transpose(0, 1), of.q), _mixed(of.pattern.transpose(0, 1), d_z)
    return _mixed(d_scores, of.k), d_k, d_v


def _compared(
    a: Float[Tensor, "m rows heads d_head"], b: Float[Tensor, "n rows heads d_head"]
) -> Float[Tensor, "m n rows heads"]:
    """Product of every a with every b."""
    import torch

    if len(a) * len(b) <= FEW:
        return torch.stack([(each * b).sum(-1) for each in a])
    pairs = torch.bmm(a.flatten(1, 2).transpose(0, 1), b.flatten(1, 2).permute(1, 2, 0))
    products: Tensor = pairs.permute(1, 2, 0).unflatten(2, a.shape[1:3])
    return products


def _mixed(
    pattern: Float[Tensor, "m n rows heads"], x: Float[Tensor, "n rows heads d_head"]
) -> Float[Tensor, "m rows heads d_head"]:
    """Sums over n of pattern * x."""
    import torch

    if len(pattern) * len(x) <= FEW:
        return torch.stack([(each[..., None] * x).sum(0) for each in pattern])
    sums = torch.bmm(pattern.flatten(2).permute(2, 0, 1), x.flatten(1, 2).transpose(0, 1))
    mixed: Tensor = sums.transpose(0, 1).unflatten(1, x.shape[1:3])
    return mixed.contiguous()
