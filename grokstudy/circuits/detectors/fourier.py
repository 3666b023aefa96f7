"""Fourier multiplication: trigonometric logits, made by periodic neurons."""

from __future__ import annotations

import functools
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._network import Network, network
from grokstudy.circuits._neurons import frequencies_of
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits.detectors._detector import Detector
from grokstudy.circuits.detectors._guards import above, generalisation, weakest
from grokstudy.circuits.detectors._held_out import held_out_fve
from grokstudy.spec.draws import generator
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec


class Fourier(Detector):
    """Answers by cos(w_k (answer - c)): the least of three pieces of evidence.

    test: test accuracy above chance. logits: share of the test rows' logit variance explained by cosines of
    answer - c whose coefficients were fitted to the train rows: what is memorised explains nothing there. neurons:
    mean share of a live neuron's variance at its best frequency, above the same share after the residues were renamed
    at random, which keeps everything but the period. Multiplication and division are read in discrete logarithms.

    Source: Nanda et al. 2023 (arXiv 2301.05217), sections 4.2 and 4.3.
    """

    evidence: ClassVar[str] = "test,logits,neurons"

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_periodic(spec)

    def score(self, subject: Subject) -> float:
        return fourier_score(subject)


@functools.lru_cache(maxsize=1)
def fourier_score(subject: Subject) -> float:
    """The score of `Fourier`, computed once for it and for the kinds of it."""
    guard = generalisation(network(subject))
    if not guard > 0:
        return guard
    net = periodic(subject)
    control = renamed(net.neurons, net.p, subject.spec.seeds.init)
    periods = above(period_share(net.neurons, net.p), period_share(control, net.p))
    return weakest(guard, held_out_fve(net, distance_cells(net)), periods)


def period_share(neurons: Float[Tensor, "rows neurons"], p: int) -> float:
    """Mean share of a live neuron's variance at its best frequency, over the full grid modulo p; 0 if all are dead."""
    fraction = frequencies_of(neurons, p).fraction
    return float(fraction.mean()) if len(fraction) else 0.0


def renamed(neurons: Float[Tensor, "rows neurons"], p: int, seed: int) -> Float[Tensor, "rows neurons"]:
    """Neurons over the full grid after the residues were renamed at random, the same way in both inputs."""
    names = torch.from_numpy(generator(seed, "renamed_residues").permutation(p))
    table: Tensor = neurons.unflatten(0, (p, p))
    return table[names][:, names].flatten(0, 1)


def distance_cells(net: Network) -> Int[Tensor, "rows p"]:
    """|answer - c| on the circle of residues: every even function of answer - c is a sum of cosines."""
    difference = (net.answer[:, None] - torch.arange(net.p)) % net.p
    return torch.minimum(difference, net.p - difference)
