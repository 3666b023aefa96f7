"""Which regularization terms fit optimizers that sample exp(-energy / temperature)."""

from __future__ import annotations

from collections.abc import Iterator

from grokstudy.spec import plugins
from grokstudy.spec.interfaces import Regularizer
from grokstudy.spec.trial import TrialSpec


def terms_without_energy(spec: TrialSpec) -> list[str]:
    """Acting terms whose energy nothing can compute."""
    return [name for name, kind in _acting(spec) if kind.energy is Regularizer.energy]


def terms_that_are_no_force(spec: TrialSpec) -> list[str]:
    """Acting terms that do more than add a force to every step: they project the weights, or make the loss random."""
    return [
        name
        for name, kind in _acting(spec)
        if kind.project is not Regularizer.project or kind.drop_rate is not Regularizer.drop_rate
    ]


def _acting(spec: TrialSpec) -> Iterator[tuple[str, type[Regularizer]]]:
    for name, strength in spec.strengths().items():
        if strength > 0:
            kind = plugins.load("regularizers", name)
            assert issubclass(kind, Regularizer)
            yield name, kind
