"""What one measuring worker gets: some trials, and which of their checkpoints lack which measures."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from grokstudy.spec.rows import CheckpointRow


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialToMeasure:
    """One trial with the checkpoints to measure."""

    trial_id: str
    config: Mapping[str, Any]
    """Plain config that `decode_trial` reads."""
    checkpoints: tuple[CheckpointRow, ...]
    keys_from: CheckpointRow | None
    """The last generalised checkpoint, where key frequencies are read; None if there is none."""
    start: CheckpointRow | None
    """The checkpoint at step 0; None if it was not kept."""
    last: CheckpointRow
    """The checkpoint of most steps."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeasureJob:
    """Trials that one task measures in turn."""

    study: str
    storage: str
    trials: tuple[TrialToMeasure, ...]
    measures: tuple[str, ...]
    rule: str
    plugin_files: tuple[str, ...] = ()
