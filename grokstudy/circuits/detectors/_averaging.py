"""Whether angles are added by averaging embeddings or by multiplying them: what tells a pizza from a clock."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_fourier
from grokstudy.circuits._embedding import unless_one_table
from grokstudy.circuits._geometry import distance
from grokstudy.circuits._network import Network, network
from grokstudy.circuits.detectors._guards import above
from grokstudy.circuits.gradient_symmetricity import GradientSymmetricity
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec

ASYMMETRIC = 0.5
"""Gradient symmetricity of a clock: 0.45 is the paper's median with full attention, 0.98 that of its pizzas."""
FADING = 0.2
"""Share of the waves' amplitude that surely fades: planted clocks have 0, planted pizzas 1; of networks trained on
p = 31 those with attention had at most 0.08, those without at least 0.2."""


def unless_averaging(spec: TrialSpec) -> str | None:
    """None for a + b and a - b mod p by a network with one embedding for both inputs, else why not."""
    return unless_one_table(spec) or unless_fourier(spec)


def averaging(subject: Subject) -> float:
    """0 for a network that multiplies the inputs' waves, 1 for one that averages them. NaN if it has no gradient.

    The least of two pieces of evidence: gradient symmetricity, from 0 at 0.5 to 1 at 1 (a function of E_a + E_b), and
    the share of the logits' waves that fades with the distance of the inputs, from 0 to 1 at 0.2.
    """
    symmetricity = GradientSymmetricity().measure(subject)[0].value
    if symmetricity is None:
        return math.nan
    return min(above(symmetricity, ASYMMETRIC), fading_share(network(subject)) / FADING, 1.0)


def fading_share(net: Network) -> float:
    """Share of the logits' waves that fades with the distance d of the inputs as |cos(w_k d / 2)| does.

    The amplitude of cos(w_k (answer - c)) is averaged over the rows of each distance (a - b for a sum, a + b for a
    difference), and fitted by alpha + beta |cos(w_k d / 2)|. A clock has beta = 0, a pizza alpha = 0; the share is what
    beta's term contributes to the mean amplitude, averaged over frequencies with the squared mean amplitude as weight.

    Source: Zhong et al. 2023 (arXiv 2306.17844), section 3: the logits of the two algorithms.
    """
    found, fade = amplitudes(net), _fade(net.p)
    centred = fade - fade.mean(dim=0)
    beta = (centred * found).sum(dim=0) / (centred**2).sum(dim=0)
    mean = found.mean(dim=0)
    positive = mean > 0
    if not bool(positive.any()):
        return 0.0
    share = (beta * fade.mean(dim=0))[positive] / mean[positive]
    weight = mean[positive] ** 2
    return float((share.clamp(0, 1) * weight).sum() / weight.sum())


def amplitudes(net: Network) -> Float[Tensor, "p frequencies"]:
    """Mean amplitude of cos(w_k (answer - c)) in the logits at each distance of the inputs, k = 1 .. (p - 1) // 2."""
    p, at = net.p, distance(net)
    turned = torch.gather(net.logits, 1, (net.answer[:, None] - torch.arange(p)) % p)  # class answer - d at place d
    waves = torch.fft.rfft(turned, dim=1).real[:, 1 : (p - 1) // 2 + 1] * (2 / p)
    sums = torch.zeros(p, waves.shape[1], dtype=waves.dtype).index_add_(0, at, waves)
    return sums / torch.bincount(at, minlength=p)[:, None]


def _fade(p: int) -> Float[Tensor, "p frequencies"]:
    """|cos(w_k d / 2)| of every distance d and frequency k."""
    k = torch.arange(1, (p - 1) // 2 + 1)
    return torch.cos(math.pi / p * ((torch.arange(p)[:, None] * k) % p).double()).abs()
