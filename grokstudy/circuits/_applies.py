"""For which trials a measure is defined."""

from __future__ import annotations

from grokstudy.spec.trial import TrialSpec, plugin_name
from grokstudy.tasks._modular_ops import is_prime
from grokstudy.tasks.modular import Modular

FOURIER_OPERATIONS = ("add", "sub")
LOGARITHMIC_OPERATIONS = ("mul", "div")
"""Addition and subtraction of discrete logarithms modulo p - 1."""


def unless_modular(spec: TrialSpec) -> str | None:
    """None for binary operations modulo p, else why the measure is not defined."""
    if isinstance(spec.task, Modular):
        return None
    return f"defined for task=modular, this trial has task={plugin_name(spec.task)}"


def unless_fourier(spec: TrialSpec) -> str | None:
    """None for a + b and a - b modulo p, whose answers are periodic in the residues themselves, else why not.

    A measure that reads `periodic(subject)` instead of `network(subject)` is defined for more: see `unless_periodic`.
    """
    if isinstance(spec.task, Modular) and spec.task.op not in FOURIER_OPERATIONS:
        return f"defined for task.op = add or sub (answers periodic in a and b), this trial has {spec.task.op}"
    return unless_modular(spec)


def unless_periodic(spec: TrialSpec) -> str | None:
    """None where answers are periodic in the residues or in their discrete logarithms, else why not."""
    task = spec.task
    if not isinstance(task, Modular) or task.op in FOURIER_OPERATIONS:
        return unless_modular(spec)
    if task.op not in LOGARITHMIC_OPERATIONS:
        return f"defined for task.op = add, sub, mul or div (answers periodic in a and b), this trial has {task.op}"
    if task.p == 2 or not is_prime(task.p):
        return f"defined for task.op = {task.op} modulo an odd prime (logarithms of all residues), this p is {task.p}"
    return None


def unless_classes(spec: TrialSpec) -> str | None:
    """None for tasks whose answers are classes, else why the measure is not defined."""
    if spec.task.shape().real_targets:
        return f"defined for answers that are classes, task={plugin_name(spec.task)} has real numbers"
    return None
