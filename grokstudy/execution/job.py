"""What travels to a worker and what comes back: plain data, small, picklable."""

from __future__ import annotations

import dataclasses
import hashlib
from collections.abc import Collection, Mapping
from typing import Any, Protocol

from grokstudy.spec.rows import CheckpointRow
from grokstudy.spec.settings import CheckpointSettings, EarlyEndSettings, EngineSettings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class LaneRef:
    """Where the state of one trial is stored: a lane of a pack's snapshot."""

    pack_id: str
    lane: int


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StartRef:
    """Where a fork's first weights are stored: a checkpoint of its parent, in any study of the same storage root."""

    study: str
    checkpoint: CheckpointRow
    keeps_state: bool = False
    """Whether the fork goes on with the parent's optimizer state."""
    state: LaneRef | None = None
    """A snapshot of `study`, taken at the checkpoint's step, that has this state; None: it lies in the checkpoint."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class PackJob:
    """One pack to step: everything a worker needs, wherever it runs."""

    study: str
    storage: str
    """Absolute path or address of the storage root."""
    trials: tuple[tuple[str, Mapping[str, Any]], ...]
    """trial_id and plain config of every member."""
    budget: int
    start_step: int
    lanes: tuple[LaneRef, ...]
    """Where to go on from, one per trial; empty at step 0."""
    starts: tuple[StartRef | None, ...] = ()
    """One per trial, None for a trial that is no fork; empty if none is."""
    engine: EngineSettings
    checkpoint: CheckpointSettings
    early_end: EarlyEndSettings
    snapshot_seconds: float
    retries: int = 0
    """How often in a row it is started again when its worker dies without having got on."""
    plugin_files: tuple[str, ...] = ()
    measures: tuple[str, ...] = ()
    """Measure plug-ins computed at every scheduled checkpoint."""

    @property
    def pack_id(self) -> str:
        """Hash of what it will do, so that a pack which is planned again finds its own snapshot."""
        text = "/".join([str(self.budget), str(self.start_step), *(trial_id for trial_id, _ in self.trials)])
        return hashlib.blake2b(text.encode(), digest_size=6).hexdigest()

    def part(self, trial_ids: Collection[str]) -> PackJob:
        """The job of these trials alone, going on from the same place."""
        chosen = [i for i, (trial_id, _) in enumerate(self.trials) if trial_id in trial_ids]
        return dataclasses.replace(
            self,
            trials=tuple(self.trials[i] for i in chosen),
            lanes=tuple(self.lanes[i] for i in chosen) if self.lanes else (),
            starts=tuple(self.starts[i] for i in chosen) if self.starts else (),
        )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Progress:
    """Counters of a running pack; never curves."""

    pack_id: str
    members: int
    """Trials still being stepped."""
    step: int
    updates: int
    """Updates made by all members together since the study handed the pack out, its earlier starts included."""
    outcomes: Mapping[str, int]
    """Finished trials by outcome, and `failed`."""
    latest: Mapping[str, float] | None = None
    """The last evaluation of a trial that is alone in its pack."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Death:
    """Why a pack ended before all its trials had."""

    reason: str
    """In words that go on after a colon."""
    storage_away: bool = False
    """Whether all that was wrong was the storage; `reason` is its own message then."""


class PackSource(Protocol):
    """Hands out packs and hears of them. The study's side of every executor."""

    def next(self) -> PackJob | None:
        """The next pack to start, or None if there is none now."""

    def progress(self, progress: Progress) -> None:
        """Counters of a running pack."""

    def finished(self, job: PackJob, death: Death | None) -> None:
        """A pack ended; with `death` it did before its trials had, and may be handed out again."""

    def notice(self, text: str) -> None:
        """Something that whoever watches the study should know."""

    @property
    def exhausted(self) -> bool:
        """True when no further pack will come."""

    @property
    def stopping(self) -> bool:
        """True when running packs shall take a snapshot and end."""
