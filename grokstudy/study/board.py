"""What a running study looks like right now: written by the driver, read by whoever shows progress."""

from __future__ import annotations

import dataclasses
import time
from collections import Counter
from typing import TYPE_CHECKING, Literal

if TYPE_CHECKING:  # both load torch, which whoever only shows a board does not need
    from grokstudy.execution.job import PackJob, Progress
    from grokstudy.measure_jobs.run import MeasureProgress

Stage = Literal["preparing", "training", "measuring", "verifying", "reporting", "finished", "stopped"]


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Board:
    """Counts of one run of a study. Readers in other threads only see numbers; nothing here is a result."""

    study: str
    where: str | None = None
    """Path or address of the study's folder, once it is known."""
    planned: int = 0
    done_before: int = 0
    updates_planned: int = 0
    stage: Stage = "preparing"
    measured: int = 0
    to_measure: int = 0
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    latest: Progress | None = None
    waiting: str = ""
    """What it waits for before it begins, in words."""
    sampler_state: str = ""
    """What an adaptive sampler says of its own progress, in a few words."""
    notices: list[str] = dataclasses.field(default_factory=list)
    training_since: float | None = None
    measuring_since: float | None = None
    _updates: dict[str, int] = dataclasses.field(default_factory=dict)
    _ended: dict[str, Counter[str]] = dataclasses.field(default_factory=dict)

    def waits(self, what: str) -> None:
        """The run waits before it begins, for this."""
        self.waiting = what

    def pack(self, progress: Progress) -> None:
        """Counters of a running pack."""
        if self.training_since is None:
            self.training_since = time.monotonic()  # workers have started; the rate says how fast they are
        self.latest = progress
        self._updates[progress.pack_id] = progress.updates
        self._ended[progress.pack_id] = Counter(progress.outcomes)

    def measuring(self, progress: MeasureProgress) -> None:
        """How far measuring (or verifying) is; each damaged file is said once."""
        if self.measuring_since is None:
            self.measuring_since = time.monotonic()
        if self.stage != "verifying":
            self.stage = "measuring"
        self.measured, self.to_measure = progress.done, progress.total
        self.notices += [text for text in progress.damaged if text not in self.notices]

    def pack_finished(self, job: PackJob, error: str | None) -> None:
        """A pack ended."""
        if error is not None:
            self._ended[job.pack_id] = Counter(failed=len(job.trials))

    @property
    def done_now(self) -> Counter[str]:
        """Trials that ended in this run, by outcome."""
        return sum(list(self._ended.values()), Counter())

    @property
    def done(self) -> int:
        """Trials that have nothing left to do, from this run and before."""
        return self.done_before + self.done_now.total()

    @property
    def all_outcomes(self) -> Counter[str]:
        return self.outcomes + self.done_now

    @property
    def updates(self) -> int:
        """Member updates made in this run."""
        return sum(self._updates.values())

    @property
    def measures(self) -> bool:
        """Whether checkpoints are what is counted now."""
        return self.stage in ("measuring", "verifying")

    @property
    def rate(self) -> float | None:
        """Per second: member updates while training, checkpoints while measuring; None if not known yet."""
        done, since = (self.measured, self.measuring_since) if self.measures else (self.updates, self.training_since)
        if since is None or not done:
            return None
        return done / max(time.monotonic() - since, 1e-9)

    @property
    def seconds_left(self) -> float | None:
        """Estimate for what is left of the training, or of the measuring; None where there is no rate."""
        rate = self.rate
        if rate is None or not (self.measures or self.stage == "training"):
            return None
        left = self.to_measure - self.measured if self.measures else self.updates_planned - self.updates
        return max(left, 0) / rate
