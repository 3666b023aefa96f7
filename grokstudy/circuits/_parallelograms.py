"""Parallelograms of embedded numbers: i + n = j + m with i < j <= m < n, and which of them the embedding obeys."""

from __future__ import annotations

import dataclasses
import functools
import itertools

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

HOLDS = 0.01
"""A parallelogram holds if its mean squared error over the normalised dimensions is below this."""
MOST_NUMBERS = 256
"""With more than 1.4 million parallelograms (about p^3 / 12) their corners no longer fit a worker's memory well."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Corners:
    """All parallelograms of the numbers 0 .. p-1, as places x p + y in a flattened [p, p] matrix."""

    outer: Int[Tensor, " count"]
    """Of the pair i < n."""
    inner: Int[Tensor, " count"]
    """Of the pair j <= m."""
    between: tuple[Int[Tensor, " count"], ...]
    """Of i, j; i, m; n, j; n, m."""


@functools.lru_cache(maxsize=2)
def corners(p: int) -> Corners:
    """Any two different pairs of equal sum are a parallelogram; sum by sum."""
    first, second, sums = [], [], []
    for total in range(2 * p - 1):
        low = torch.arange(max(0, total - p + 1), total // 2 + 1)
        outer, inner = torch.triu_indices(len(low), len(low), offset=1)
        first.append(low[outer])
        second.append(low[inner])
        sums.append(torch.full_like(outer, total))
    i, j, total_of = torch.cat(first), torch.cat(second), torch.cat(sums)
    n, m = total_of - i, total_of - j
    return Corners(outer=i * p + n, inner=j * p + m, between=tuple(x * p + y for x in (i, n) for y in (j, m)))


def squared_errors(E: Float[Tensor, "p width"]) -> Float[Tensor, " count"]:
    """|E_i + E_n - E_j - E_m|^2 of every parallelogram, in the order of `corners`.

    Multiplied out, so that all of them are looked up in one matrix of inner products; what cancels is of the size of
    |E|^2 times 1e-16, and no error that matters is that small.
    """
    at, products = corners(len(E)), E @ E.T
    squares = products.diagonal()
    pairs = (squares[:, None] + squares[None, :] + 2 * products).flatten()
    errors = pairs[at.outer] + pairs[at.inner]
    for places in at.between:
        errors -= 2 * products.flatten()[places]
    return errors.clamp_(min=0)


def holding(E: Float[Tensor, "p width"]) -> Bool[Tensor, " count"]:
    """Which parallelograms hold for E normalised per dimension."""
    normal = normalised(E)
    return squared_errors(normal) < HOLDS * normal.shape[1]


def reached(holds: Bool[Tensor, " count"], trained: Bool[Tensor, "p p"]) -> Bool[Tensor, "p p"]:
    """Pairs i <= j, not trained on, that a holding parallelogram links to a trained one: one step of the closure."""
    at, known = corners(len(trained)), trained.flatten()
    linked = torch.zeros_like(known)
    linked[at.outer[holds & known[at.inner]]] = True
    linked[at.inner[holds & known[at.outer]]] = True
    return (linked & ~known).view_as(trained)


def effective_loss(E: Float[Tensor, "p width"], trained: Bool[Tensor, "p p"]) -> float:
    """Mean squared error over parallelograms of two trained pairs, over sum |E|^2. NaN if there are none."""
    at, known = corners(len(E)), trained.flatten()
    both = known[at.outer] & known[at.inner]
    return float(squared_errors(E)[both].mean() / (E**2).sum())


def hessian(trained: Bool[Tensor, "p p"]) -> Float[Tensor, "p p"]:
    """Of the mean squared error over parallelograms of two trained pairs, by one dimension of E. NaN without any.

    Each parallelogram adds 2 v v^T with v = e_i + e_n - e_j - e_m.
    """
    p = len(trained)
    at, both = corners(p), _of_trained(trained)
    count = int(both.sum())
    if not count:
        return torch.full((p, p), torch.nan, dtype=torch.float64)
    signed = [
        (numbers, sign)
        for pairs, sign in ((at.outer[both], 1.0), (at.inner[both], -1.0))
        for numbers in (pairs // p, pairs % p)
    ]
    sums = torch.zeros(p * p, dtype=torch.float64)
    for (one, sign), (other, its) in itertools.product(signed, signed):  # an inner pair may be one number twice
        sums += sign * its * torch.bincount(one * p + other, minlength=p * p)
    return 2 * sums.view(p, p) / count


def _of_trained(trained: Bool[Tensor, "p p"]) -> Bool[Tensor, " count"]:
    """Which parallelograms have both pairs trained on."""
    at, known = corners(len(trained)), trained.flatten()
    return known[at.outer] & known[at.inner]


def normalised(E: Float[Tensor, "p width"]) -> Float[Tensor, "p dimensions"]:
    """Every dimension with mean 0 and standard deviation 1 (p - 1 degrees of freedom); those that are constant say
    nothing and are left out."""
    centred, std = E - E.mean(dim=0), E.std(dim=0)
    varies = std > 0
    return centred[:, varies] / std[varies]
