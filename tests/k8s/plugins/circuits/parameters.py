"""A measure of somebody's own, to be sent along with a study."""

from __future__ import annotations

from grokstudy.spec.measure import Subject


def parameters(subject: Subject) -> float:
    """How many numbers the network has."""
    return float(sum(tensor.numel() for tensor in subject.params.values()))
