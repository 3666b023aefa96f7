"""Causal scrubbing: does a network lose anything if all that a hypothesis calls irrelevant is taken from other inputs?

A hypothesis says what an activation consists of, and which inputs may exchange which part of it. Everything that it
does not mention it claims not to matter. To declare one, give the parts of the activation and their labels; that the
neurons, all together, matter only through a + b:

    intact = Intact.of(subject)
    net, neurons = intact.net, intact.activations["neurons"]
    claim = Hypothesis(site="neurons", components=(Component(part=neurons, label=(net.a + net.b) % net.p),))
    loss_recovered(intact, claim)

Source: Chan et al. 2022, "Causal scrubbing: a method for rigorously testing interpretability hypotheses" (Redwood
Research, on the AI Alignment Forum); loss recovered as in its "results" posts.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._fourier import project
from grokstudy.circuits._interventions import EMBED, LOGITS, Intact, cluster, of_token_frequencies, score
from grokstudy.spec.draws import generator

LEAST = 0.01
"""Nats that the right inputs must be worth: below that the share of them that is recovered is a ratio of rounding."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Component:
    """A part of an activation, and what it may depend on."""

    part: Float[Tensor, "inputs *size"]
    label: Int[Tensor, " inputs"]
    """The feature of the input that matters: inputs with equal labels are claimed to be interchangeable."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Hypothesis:
    """What matters of one activation. The parts and an irrelevant rest add up to it."""

    site: str
    """Name of the activation in `Intact.activations`."""
    components: tuple[Component, ...]


def scrubbed(intact: Intact, claim: Hypothesis) -> Float[Tensor, "inputs *size"]:
    """The activation with every component taken from a random input of equal label, and the rest from any input.

    Each component draws its own inputs. An input is taken exactly once by each: a permutation among equal labels.
    """
    rest = intact.activations[claim.site]
    total = torch.zeros_like(rest)
    for i, component in enumerate(claim.components):
        rest = rest - component.part
        total = total + component.part[exchanged(intact, component.label, f"component {i}")]
    return total + rest[intact.order]


def exchanged(intact: Intact, label: Int[Tensor, " inputs"], name: str) -> Int[Tensor, " inputs"]:
    """For every input a random one with an equal label."""
    draw, classes = generator(intact.subject.spec.seeds.init, "scrub", name), label.numpy()
    # Both orders list the inputs label by label, each in an order of its own.
    giving, taking = (np.lexsort((draw.permutation(len(classes)), classes)) for _ in range(2))
    source = np.empty_like(giving)
    source[taking] = giving
    return torch.from_numpy(source)


def loss_recovered(intact: Intact, claim: Hypothesis) -> float:
    """(CE shuffled - CE scrubbed) / (CE shuffled - CE of the network), on all inputs with their clean labels.

    Shuffled: the whole pass is that of a random other input. Scrubbed: so is all of it but the components, what goes
    past the activation included. 1: nothing is lost, the hypothesis names all that matters; 0: no better than claiming
    that nothing matters; it may be negative. NaN if shuffling costs less than `LEAST`.
    """
    shuffled, full = _worst_and_best(intact)
    if not shuffled - full > LEAST:
        return math.nan
    after = score(intact.logits({claim.site: scrubbed(intact, claim)}, intact.order), intact.net.all).ce
    return (shuffled - after) / (shuffled - full)


@functools.lru_cache(maxsize=1)
def _worst_and_best(intact: Intact) -> tuple[float, float]:
    """Cross entropy of the logits of random other inputs, and of the network's own: the same for every hypothesis."""
    # A row's logits depend on that row alone, so that the shuffled pass need not be computed.
    shuffled = intact.logits({LOGITS: intact.activations[LOGITS][intact.order]})
    return score(shuffled, intact.net.all).ce, score(intact.net.logits, intact.net.all).ce


def answer_waves(intact: Intact, keys: Sequence[int]) -> Hypothesis:
    """Of the neurons only cos and sin of w_k times the answer matter, for k in `keys`."""
    net, x = intact.net, intact.activations[intact.neurons]
    part = project(x, net.answer, keys, net.p)
    return Hypothesis(site=intact.neurons, components=(Component(part=part, label=net.answer),))


def token_waves(intact: Intact, keys: Sequence[int]) -> Hypothesis:
    """Of the embeddings only cos and sin of w_k times the token matter, for k in `keys`."""
    net, x = intact.net, intact.activations[EMBED]
    return Hypothesis(
        site=EMBED,
        components=(Component(part=of_token_frequencies(x, net, keys), label=torch.arange(len(x))),),
    )


def answer_clusters(intact: Intact, keys: Sequence[int]) -> Hypothesis:
    """Each key's neurons matter only through the answer, whatever the other keys' neurons see; no other neuron does."""
    net = intact.net
    parts = [intact.of_neurons(cluster(net, k)) for k in keys]
    return Hypothesis(site=intact.neurons, components=tuple(Component(part=part, label=net.answer) for part in parts))
