"""The view of a network in which the answer is a sum or a difference modulo a period, whatever the operation."""

from __future__ import annotations

import functools

import torch
from jaxtyping import Int
from torch import Tensor

from grokstudy.circuits._applies import LOGARITHMIC_OPERATIONS, unless_periodic
from grokstudy.circuits._network import Network, Split, network
from grokstudy.spec.measure import Subject
from grokstudy.tasks.modular import Modular


@functools.lru_cache(maxsize=1)
def periodic(subject: Subject) -> Network:
    """The network of `subject` as measures of frequencies read it.

    Multiplication and division modulo a prime p are addition and subtraction of discrete logarithms modulo p - 1 (an
    even period). There a residue is named by its logarithm to the base of the least primitive root, rows with a zero
    and class 0 are left out, and so are train rows whose corrupted label is 0. Any other network is `network(subject)`
    itself. Either way the rows are those of the full grid in the order (0, 0), (0, 1), ... of the period `p`.
    """
    net, task = network(subject), subject.spec.task
    if isinstance(task, Modular) and task.op in LOGARITHMIC_OPERATIONS and unless_periodic(subject.spec) is None:
        return _in_logarithms(net)
    return net


def powers(p: int) -> Int[Tensor, " period"]:
    """g^0, g^1, ... g^(p - 2) modulo a prime p, for its least primitive root g."""
    for g in range(1, p):
        found = [1]
        while (following := found[-1] * g % p) != 1:
            found.append(following)
        if len(found) == p - 1:
            return torch.tensor(found)
    raise ValueError(f"{p} is not prime")


def logarithms(p: int) -> Int[Tensor, " p"]:
    """The exponent of every residue in `powers`; -1 for 0, which has none."""
    found = torch.full((p,), -1)
    found[powers(p)] = torch.arange(p - 1)
    return found


def _in_logarithms(net: Network) -> Network:
    power, logarithm = powers(net.p), logarithms(net.p)
    period = len(power)
    a, b = logarithm[net.a], logarithm[net.b]
    place = torch.where((a < 0) | (b < 0), -1, a * period + b)
    rows = torch.empty(period**2, dtype=torch.long)
    rows[place[place >= 0]] = torch.nonzero(place >= 0)[:, 0]
    answer = logarithm[net.answer[rows]]

    def part(split: Split) -> Split:
        at, labels = place[split.rows], logarithm[split.labels]
        kept = (at >= 0) & (labels >= 0)
        return Split(rows=at[kept], labels=labels[kept])

    return Network(
        p=period,
        inputs=logarithm[net.inputs[rows]],
        answer=answer,
        logits=net.logits[rows][:, power],
        neurons=net.neurons[rows],
        W_E=net.W_E[:, power],
        W_L=net.W_L[power],
        pattern=None if net.pattern is None else net.pattern[rows],
        train=part(net.train),
        test=part(net.test),
        all=Split(rows=torch.arange(len(rows)), labels=answer),
    )
