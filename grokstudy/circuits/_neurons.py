"""How much of each neuron's activity one frequency explains."""

from __future__ import annotations

import dataclasses

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokstudy.circuits._fourier import coefficients, frequency_power
from grokstudy.circuits._network import Network

EXPLAINED = 0.85
"""A neuron belongs to a frequency that explains more than this share of its variance."""
DEAD = 1e-12
"""A neuron is dead if its variance over the inputs is at most this share of the most active neuron's."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class NeuronFrequencies:
    """The best frequency of every live neuron and the share of its variance that it explains."""

    frequency: Int[Tensor, " live"]
    fraction: Float[Tensor, " live"]
    dead: int

    @property
    def explained(self) -> Bool[Tensor, " live"]:
        return self.fraction > EXPLAINED

    def histogram(self, p: int) -> Int[Tensor, " frequencies"]:
        """Explained neurons at k = 1 .. p // 2."""
        return torch.bincount(self.frequency[self.explained] - 1, minlength=p // 2)


def neuron_frequencies(net: Network) -> NeuronFrequencies:
    """Frequencies of the neurons of a network on the full grid; dead neurons are counted and left out.

    The share of frequency k is the variance on the products of {1, cos, sin}(w_k a) and {1, cos, sin}(w_k b), the
    constant aside: the same eight directions as functions of a, of b, of a + b and of a - b.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.3 and the code's calculate_key_freqs, with k = p // 2
    included.
    """
    p = net.p
    centred = net.neurons - net.neurons.mean(dim=0)
    power = torch.zeros(p // 2, centred.shape[1], dtype=centred.dtype)
    for index in (net.a, net.b, (net.a + net.b) % p):
        power += frequency_power(coefficients(centred, index, p))
    difference = frequency_power(coefficients(centred, (net.a - net.b) % p, p))
    if p % 2 == 0:
        difference[-1] = 0  # (-1)^(a - b) is (-1)^(a + b), counted above
    power += difference
    total = (centred**2).sum(dim=0)
    live = total > DEAD * total.max()
    fraction, best = (power[:, live] / total[live]).max(dim=0)
    return NeuronFrequencies(frequency=best + 1, fraction=fraction, dead=int((~live).sum()))
