"""Which trials may be stepped together."""

from __future__ import annotations

import dataclasses
import json

from grokstudy.engine.scaled import is_scaled
from grokstudy.spec import plugins
from grokstudy.spec.axes import is_seed
from grokstudy.spec.identity import leaves
from grokstudy.spec.interfaces import Regularizer
from grokstudy.spec.trial import TrialSpec

ROW_MULTIPLE = 64
"""Train rows are padded to a multiple of this, counted from the member's own rows alone: padding to a packmate's length
would change a member's bits."""


def padded_rows(rows: int) -> int:
    """Rows after padding."""
    return -(-rows // ROW_MULTIPLE) * ROW_MULTIPLE


def signature(spec: TrialSpec) -> str:
    """Equal for trials that may share a pack: equal shapes, equal settings where they shape the computation.

    Not equal: settings declared per member (lr, weight decay, seeds, train share, ...).
    """
    shared = {path: leaf.value for path, leaf in leaves(spec).items() if not leaf.per_member and not is_seed(path)}
    shape = spec.task.shape()
    rows = spec.task.train_rows() if spec.batch_size is None else spec.batch_size
    shapes = {
        "padded_rows": padded_rows(rows),
        "all_rows": spec.task.rows(),
        "shape": dataclasses.astuple(shape),
        "terms": active_terms(spec),
        "scaled": is_scaled(spec),
        "noisy": spec.noise.acts,
        "offset": spec.init.offset,
    }
    return json.dumps(shared | shapes, sort_keys=True)


def active_terms(spec: TrialSpec) -> list[str]:
    """Regularizers that a pack of this trial computes: those with a strength, and those that are exact without one."""
    return [name for name, strength in spec.strengths().items() if strength > 0 or regularizer(name).exact_at_zero]


def regularizer(name: str) -> Regularizer:
    """The regularizer that a field of the `regularization` record stands for."""
    term = plugins.load("regularizers", name)()
    assert isinstance(term, Regularizer)
    return term
