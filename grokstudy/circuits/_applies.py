"""For which trials a measure is defined."""

from __future__ import annotations

from grokstudy.spec.trial import TrialSpec, plugin_name
from grokstudy.tasks.modular import Modular

FOURIER_OPERATIONS = ("add", "sub")


def unless_modular(spec: TrialSpec) -> str | None:
    """None for binary operations modulo p, else why the measure is not defined."""
    if isinstance(spec.task, Modular):
        return None
    return f"defined for task=modular, this trial has task={plugin_name(spec.task)}"


def unless_fourier(spec: TrialSpec) -> str | None:
    """None for a + b and a - b modulo p, whose answers are periodic in the residues, else why not."""
    if isinstance(spec.task, Modular) and spec.task.op not in FOURIER_OPERATIONS:
        return f"defined for task.op = add or sub (answers periodic in a and b), this trial has {spec.task.op}"
    return unless_modular(spec)


def unless_classes(spec: TrialSpec) -> str | None:
    """None for tasks whose answers are classes, else why the measure is not defined."""
    if spec.task.shape().real_targets:
        return f"defined for answers that are classes, task={plugin_name(spec.task)} has real numbers"
    return None
