"""Fourier analysis over the residues 0 .. p-1: basis, transforms, projections and two concentration numbers.

Frequency k runs over 1 .. p // 2; k and p - k are the same. Each k has a cosine and a sine, except k = p / 2 of an even
p, which has only the cosine (-1)^t. Everything is float64 and orthonormal, so fractions of squared coefficients are
fractions of variance.

A residue-valued index over the rows of the full grid (a, b, a + b or a - b mod p) takes every value exactly p times.
Hence `basis(p)[j][index] / sqrt(p)` are orthonormal functions of the rows: `coefficients` and `project` use them.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokstudy.spec.errors import BadInput

DEAD_ROW = 1e-12
"""A row whose spectrum has a smaller norm than this has no participation ratio: its weights decayed to nothing."""


def frequencies(p: int) -> range:
    """All frequencies of the residues modulo p: 1 .. p // 2, without the constant."""
    return range(1, p // 2 + 1)


@functools.lru_cache(maxsize=8)
def basis(p: int) -> Float[Tensor, "p p"]:
    """Orthonormal rows: the constant, cos and sin of k = 1, 2, ...; for even p the last row is cos(pi t) / sqrt(p).

    Shared by all who ask for it: not to be written to.

    Source: Nanda et al. 2023 (arXiv 2301.05217), the code's make_fourier_basis, with the case of even p added.
    """
    row, t = torch.arange(p), torch.arange(p)
    k = (row + 1) // 2
    # The product is reduced modulo p before it becomes an angle: exact for every p, unlike cos of a large float.
    angle = (2 * math.pi / p) * ((k[:, None] * t[None, :]) % p).double()
    is_sine = (row % 2 == 0) & (row > 0)
    alone = (row == 0) | (2 * k == p)
    norm = torch.where(alone, 1.0, 2.0).double().div(p).sqrt()
    return norm[:, None] * torch.where(is_sine[:, None], angle.sin(), angle.cos())


def rows_of(keys: Sequence[int], p: int) -> list[int]:
    """Rows of `basis(p)` with these frequencies.

    Raises:
        BadInput: a frequency outside 1 .. p // 2.
    """
    for k in keys:
        if k not in frequencies(p):
            raise BadInput(
                f"key_freqs: got {k}, must be in 1..{p // 2} for p = {p} (k and p - k are the same frequency)."
            )
    return [row for k in keys for row in (2 * k - 1, 2 * k) if row < p]


def row_masks(sets: Sequence[Sequence[int]], p: int) -> Bool[Tensor, "sets p"]:
    """Which rows of `basis(p)` each set of frequencies has. Errors as `rows_of`."""
    masks = torch.zeros(len(sets), p, dtype=torch.bool)
    for mask, keys in zip(masks, sets, strict=True):
        mask[rows_of(keys, p)] = True
    return masks


def transform_1d(x: Float[Tensor, "*batch p"]) -> Float[Tensor, "*batch p"]:
    """Coefficients along the last axis, in the order of `basis`."""
    return x @ basis(x.shape[-1]).T


def transform_2d(x: Float[Tensor, "p p *rest"]) -> Float[Tensor, "p p *rest"]:
    """Coefficients along the first two axes (the inputs a and b), in the order of `basis`."""
    f = basis(x.shape[0])
    return torch.einsum("xy...,fx,gy->fg...", x, f, f)


def directions(k: int, index: Int[Tensor, " rows"], p: int) -> Float[Tensor, "terms rows"]:
    """Unit vectors over the rows: cos and sin of w_k * index (for k = p / 2 the cosine alone).

    With index = a + b these are c_k and s_k of the restricted and excluded losses.
    """
    return basis(p)[rows_of([k], p)][:, index] / math.sqrt(p)


def coefficients(values: Float[Tensor, "rows width"], index: Int[Tensor, " rows"], p: int) -> Float[Tensor, "p width"]:
    """Coefficients of every column on the orthonormal functions of `index`, in the order of `basis`."""
    sums = torch.zeros(p, values.shape[1], dtype=values.dtype).index_add_(0, index, values)
    return basis(p) @ sums / math.sqrt(p)


def project(
    values: Float[Tensor, "rows width"], index: Int[Tensor, " rows"], keys: Sequence[int], p: int
) -> Float[Tensor, "rows width"]:
    """The part of every column that is a function of `index` with frequencies in `keys`."""
    rows = rows_of(keys, p)
    kept = coefficients(values, index, p)[rows]
    return (basis(p)[rows].T @ kept / math.sqrt(p))[index]


def frequency_power(coefs: Float[Tensor, "p *rest"]) -> Float[Tensor, "frequencies *rest"]:
    """Squared coefficients summed over the cosine and sine of each frequency; the constant is left out."""
    return per_frequency(coefs**2)


def per_frequency(x: Float[Tensor, "p *rest"]) -> Float[Tensor, "frequencies *rest"]:
    """Sums over the rows of `basis` of each frequency; the constant is left out."""
    cosines, sines = x[1::2], x[2::2]
    if len(cosines) == len(sines):
        return cosines + sines
    return torch.cat([cosines[:-1] + sines, cosines[-1:]])  # even p: its last frequency has no sine


def gini(x: Float[Tensor, " n"]) -> float:
    """Gini coefficient of a non-negative vector: 0 if uniform, 1 - 1/n if one-hot, NaN if all zero.

    Source: Hurley and Rickard 2009 (arXiv 0811.4706), table I.
    """
    n = len(x)
    rank = 2 * torch.arange(1, n + 1, dtype=x.dtype) - n - 1
    return float((rank * x.sort().values).sum() / (n * x.sum()))


def ipr(x: Float[Tensor, "*batch p"]) -> Float[Tensor, " *batch"]:
    """Inverse participation ratio of the one-sided spectrum, constant included: 1 if one frequency, NaN if dead.

    Source: Doshi et al. 2023 (arXiv 2310.13061), section 3, with r = 2.
    """
    spectrum = torch.fft.rfft(x, dim=-1).abs()
    norm = spectrum.norm(dim=-1, keepdim=True)
    ratio = ((spectrum / norm) ** 4).sum(dim=-1)
    return torch.where(norm[..., 0] < DEAD_ROW, math.nan, ratio)
