"""How much of each neuron's activity one frequency explains."""

from __future__ import annotations

import dataclasses
import functools

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokstudy.circuits._fourier import basis, per_frequency
from grokstudy.circuits._network import Network

EXPLAINED = 0.85
"""A neuron belongs to a frequency that explains more than this share of its variance."""
DEAD = 1e-12
"""A neuron is dead if its variance over the inputs is at most this share of the most active neuron's."""

BLOCK = 2**17
"""Numbers that stay in a core's cache (1 MB)."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class NeuronFrequencies:
    """The best frequency of every live neuron and the share of its variance that it explains."""

    frequency: Int[Tensor, " live"]
    fraction: Float[Tensor, " live"]
    dead: int
    finite: bool
    """Whether all neurons are: if not, they have no frequencies."""

    @property
    def explained(self) -> Bool[Tensor, " live"]:
        return self.fraction > EXPLAINED

    def histogram(self, p: int) -> Int[Tensor, " frequencies"]:
        """Explained neurons at k = 1 .. p // 2."""
        return torch.bincount(self.frequency[self.explained] - 1, minlength=p // 2)


@functools.lru_cache(maxsize=1)
def neuron_frequencies(net: Network) -> NeuronFrequencies:
    """Frequencies of the neurons of a network on the full grid (`periodic`); dead neurons are counted and left out."""
    return frequencies_of(net.neurons, net.p)


def frequencies_of(values: Float[Tensor, "rows width"], p: int) -> NeuronFrequencies:
    """The best frequency of every column, a function of the rows (0, 0), (0, 1), ... of the full grid modulo p.

    The share of frequency k is the variance on the products of {1, cos, sin}(w_k a) and {1, cos, sin}(w_k b), the
    constant aside: the same eight directions as functions of a, of b, of a + b and of a - b.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.3 and the code's calculate_key_freqs, with k = p // 2
    included.
    """
    sums, total = _sums(values, p)
    power = (basis(p) @ sums).square_().div_(p)
    if p % 2 == 0:
        power[3, -1] = 0  # (-1)^(a - b) is (-1)^(a + b), counted already
    live = total > DEAD * total.max()
    fraction, best = (per_frequency(power.sum(dim=0))[:, live] / total[live]).max(dim=0)
    return NeuronFrequencies(
        frequency=best + 1, fraction=fraction, dead=int((~live).sum()), finite=bool(total.isfinite().all())
    )


def _sums(values: Float[Tensor, "rows width"], p: int) -> tuple[Float[Tensor, "4 p width"], Float[Tensor, " width"]]:
    """Of the centred columns, the sums over equal a, b, a + b and a - b, and the sums of squares.

    The rows pass through the processor's cache twice, a few values of a at a time.
    """
    width = values.shape[1]
    sums = torch.zeros(4, p, width, dtype=values.dtype)
    t = torch.arange(p)
    blocks = list(zip(t.split(_block(p, width)), values.split(_block(p, width) * p), strict=True))
    for a, rows in blocks:
        grid = rows.unflatten(0, (len(a), p))
        sums[0, a] = grid.sum(dim=1)
        sums[1] += grid.sum(dim=0)
        sums[2].index_add_(0, ((a[:, None] + t) % p).flatten(), rows)
        sums[3].index_add_(0, ((a[:, None] - t) % p).flatten(), rows)
    mean = sums[0].sum(dim=0) / p**2
    squares = torch.stack([(rows - mean).square_().sum(dim=0) for _, rows in blocks]).sum(dim=0)
    return sums - p * mean, squares


def _block(p: int, width: int) -> int:
    """Values of a whose rows fill the cache."""
    return max(1, BLOCK // (p * width))
