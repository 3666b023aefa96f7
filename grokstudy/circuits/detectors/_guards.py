"""Guards that every detector shares: what an untrained or a memorising network must not pass."""

from __future__ import annotations

import math

import torch

from grokstudy.circuits._network import Network, Split, accuracy


def weakest(*evidence: float) -> float:
    """The least of several pieces of evidence, within [0, 1]: all must hold. NaN if any is NaN."""
    if any(map(math.isnan, evidence)):
        return math.nan
    return min(1.0, max(0.0, min(evidence)))


def above(value: float, control: float) -> float:
    """How far `value` lies above a control on the way to 1: 0 at the control or below, 1 at 1."""
    return max(0.0, (value - control) / (1 - control)) if control < 1 else 0.0


def generalisation(net: Network) -> float:
    """Test accuracy above that of the best constant answer: 0 at chance, 1 if perfect; NaN if logits are not finite."""
    return _above_constant(net, net.test)


def fit(net: Network) -> float:
    """The same on the train rows, by the labels trained on."""
    return _above_constant(net, net.train)


def _above_constant(net: Network, split: Split) -> float:
    if not bool(torch.isfinite(net.logits).all()):
        return math.nan
    most_common = float(torch.bincount(split.labels, minlength=net.p).max()) / len(split.labels)
    return above(accuracy(net.logits, split), max(most_common, 1 / net.p))
