"""How much memory a member of a pack takes, from shapes alone."""

from __future__ import annotations

from grokstudy.engine.filters import filter_state
from grokstudy.engine.ring import CAPACITY
from grokstudy.engine.state import Member, start_params
from grokstudy.spec.trial import TrialSpec

PREPARED = 4
"""Copies of a member's inputs: as drawn, of the train batch, and what hand-written gradients prepare of both."""
WORD = 8
"""Bytes of a token, label or weight."""


def parameters(spec: TrialSpec) -> int:
    """Numbers that the trial trains."""
    return sum(tensor.numel() for tensor in start_params(Member(trial_id="", spec=spec)).values())


def member_bytes(spec: TrialSpec, *, ring: bool) -> int:
    """Bytes that one more member adds to a pack, rounded up: state, window of recent weights, rows.

    A fork counts as a drawn start: it has the same shapes. What is needed once per pack (the activations of the member
    being computed) is left out.
    """
    optimizer, shape = spec.optimizer, spec.task.shape()
    copies = 3 + len(optimizer.state_names()) + len(filter_state(optimizer)) + (CAPACITY if ring else 0)
    element = 8 if spec.engine.dtype == "float64" else 4
    answers = max(1, shape.answers) * (shape.classes if shape.real_targets else 1)
    start_logits = (
        spec.task.rows() * max(1, shape.answers) * shape.classes * element if spec.model.subtract_start else 0
    )
    rows = spec.task.rows() + spec.task.train_rows()
    return parameters(spec) * element * copies + rows * WORD * (PREPARED * shape.positions + 3 * answers) + start_logits
