"""Key frequencies of a network by three rules, and the random key sets they are compared with.

The keys of a trial are those of its last generalised checkpoint: earlier ones show nearly every frequency.
"""

from __future__ import annotations

import functools
import math
from typing import Literal, TypeAlias, get_args

import torch

from grokstudy.circuits._applies import unless_periodic
from grokstudy.circuits._fourier import frequencies, frequency_power, transform_1d
from grokstudy.circuits._network import Network
from grokstudy.circuits._neurons import neuron_frequencies
from grokstudy.circuits._periodic import periodic
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import unknown
from grokstudy.spec.measure import Subject

Rule: TypeAlias = Literal["neuron", "w_l", "w_e"]
RULES: tuple[Rule, ...] = get_args(Rule)

MIN_SHARE = 0.01
"""neuron rule: a key explains at least this share of the live neurons (rounded down, at least one neuron)."""
PEAK = 0.25
"""w_l and w_e rules: a key's norm exceeds this share of the largest."""
SATURATED = "keys_saturated"
NO_KEYS = "no_keys"
RANDOM_SETS = 8


def rule_of(name: str) -> Rule:
    """The rule of this name.

    Raises:
        BadInput: there is none; names the nearest.
    """
    for rule in RULES:
        if rule == name:
            return rule
    raise unknown("key_freq_rule", name, RULES)


def key_freqs(net: Network, rule: Rule) -> tuple[int, ...]:
    """Key frequencies of the network itself, rising; possibly none or all of them.

    neuron: frequencies that explain more than 0.85 of the variance of at least 1 % of the live neurons.
    w_l, w_e: frequencies whose norm in the neuron-to-logit map or the embedding exceeds a quarter of the largest,
    cosine and sine taken together (so that relabelling the residues r -> r + 1 changes nothing) and the constant left
    out.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4 and appendix C.2; w_e: TransformerLens' Grokking_Demo.
    """
    if rule == "neuron":
        neurons = neuron_frequencies(net)
        least = max(1, math.floor(MIN_SHARE * len(neurons.frequency)))
        chosen = neurons.histogram(net.p) >= least
    else:
        read = net.W_L.T if rule == "w_l" else net.W_E
        norms = frequency_power(transform_1d(read).T).sum(dim=1).sqrt()
        chosen = norms > PEAK * norms.max()
    return tuple(int(k) + 1 for k in torch.nonzero(chosen)[:, 0])


def is_saturated(keys: tuple[int, ...], p: int) -> bool:
    """True if more than half of all frequencies are keys: then "key" means nothing."""
    return len(keys) > len(frequencies(p)) / 2


def keys_of(subject: Subject, rule: Rule = "neuron") -> tuple[tuple[int, ...] | None, str | None]:
    """Key frequencies of a trial and None, or None and the reason why there are none.

    Args:
        subject: the trial's last generalised checkpoint (its own `key_freqs` are not looked at).
        rule: how a key is recognised.
    """
    if reason := unless_periodic(subject.spec):
        return None, reason
    net = periodic(subject)
    keys = key_freqs(net, rule)
    if not keys:
        return None, NO_KEYS
    return (None, SATURATED) if is_saturated(keys, net.p) else (keys, None)


@functools.lru_cache(maxsize=64)
def random_key_sets(seed: int, p: int, size: int) -> tuple[tuple[int, ...], ...]:
    """Random sets of `size` frequencies for control; the sets of one seed are nested in `size`."""
    return tuple(
        tuple(sorted(int(k) + 1 for k in generator(seed, "random_keys", str(i)).permutation(p // 2)[:size]))
        for i in range(RANDOM_SETS)
    )
