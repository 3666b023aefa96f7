"""Keeps MLflow up with the study folder while a study runs, through outages, and closes its run on every way out."""

from __future__ import annotations

import dataclasses
import random
import threading
import time
from types import TracebackType
from typing import TYPE_CHECKING, Final, Literal

from grokstudy.spec.errors import BadInput, GrokstudyError
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.study.board import Board

if TYPE_CHECKING:  # loads MLflow: seconds that a study without tracking does not pay
    from grokstudy.tracking.study_run import StudyRun

CATCH_UP: Final = (
    "Results are safe in the study folder; run the same command again: it catches up, without training again."
)
ANNOUNCED: Final = 3
"""Outages that are told of; of an MLflow that comes and goes all night, only how it ends."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Pauses:
    """How long MLflow is waited for, in seconds."""

    first: float = 1.0
    """After the first try that failed; each pause is about twice the one before ..."""
    longest: float = 30.0
    """... up to this."""
    at_end: float = 60.0
    """Tries go on for so long after the study has ended ..."""
    at_end_unreached: float = 10.0
    """... and for so long if MLflow never answered."""
    hurried: float = 2.0
    """An interrupted study waits for MLflow no longer, whatever it is doing: a Ray job is killed after three."""
    share: float = 0.03
    """Of the time while the study runs, that is spent on MLflow: its client takes the workers' processor."""
    slice: float = 2.0
    """A sync that has more to write goes on after a pause."""

    def after(self, failures: int) -> float:
        """The pause after so many tries in a row that failed; drivers that lost one server do not return at once."""
        return min(self.first * 2.0 ** min(failures - 1, 30), self.longest) * random.uniform(0.75, 1.0)


class Projection:
    """`with Projection(...) as projection:`; `projection.due()` asks for a sync, leaving the block makes the last one.

    MLflow being away never ends a study: it is said once on the board, and tries go on. Where packs are stepped in this
    very process everything is written at the end: a second thread would take their time.
    """

    def __init__(
        self,
        spec: StudySpec,
        folder: StudyFolder,
        board: Board,
        pauses: Pauses | None = None,
        *,
        lost: threading.Event | None = None,
    ) -> None:
        """`lost`, once it is set, says that another process writes the study: nothing of MLflow is touched then."""
        self._spec, self._folder, self._board, self._pauses = spec, folder, board, pauses or Pauses()
        self._lock_lost = lost or threading.Event()
        self._wake, self._ended, self._free = threading.Event(), threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._run, name="mlflow", daemon=True)
        self._open: StudyRun | None = None
        self._reached = self._interrupted = self._told = False
        self._failures = self._outages = 0
        self._spent = 0.0
        """Seconds that the last sync took."""
        self.state: Literal["running", "finished", "stopped", "failed"] = "running"
        self.hurried = False
        """Set before the block ends if this process is about to be killed."""

    def __enter__(self) -> Projection:
        if self._spec.tracking.enabled and self._spec.cluster.kind != "none":
            self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, value: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._spec.tracking.enabled:
            return
        if self.state == "running":
            self.state = "finished" if kind is None else "stopped" if kind is KeyboardInterrupt else "failed"
        self._ended.set()
        self.free()
        if self._lock_lost.is_set():
            return
        if self._thread.ident is None:
            self._thread.start()
        self._thread.join(self._pauses.hurried if self.hurried else None)
        if self._thread.is_alive():
            self._board.notices.append(f"MLflow: this study was interrupted before all was written. {CATCH_UP}")

    def due(self) -> None:
        """New rows are there."""
        self._wake.set()

    def free(self) -> None:
        """Packs and measures have ended: nobody else needs the processor, a sync need not go slowly any more."""
        self._free.set()
        self._wake.set()

    def _run(self) -> None:
        try:
            while not (self._ended.is_set() or self._lock_lost.is_set()):
                if self._tried(close=False) is not None:
                    self._ended.wait(self._pauses.after(self._failures))
                    continue
                self._free.wait(self._spent / self._pauses.share)
                self._wake.wait()
                self._wake.clear()
            if not self._lock_lost.is_set():
                self._finish()
        except BadInput as error:  # waiting changes nothing
            self._board.notices.append(f"MLflow: {error}")

    def _finish(self) -> None:
        """The last sync, tried again for a bounded time."""
        patience = self._pauses.at_end if self._reached else self._pauses.at_end_unreached
        end = time.monotonic() + (0.0 if self.hurried else patience)
        if self._interrupted:
            self._open = None  # a request that was given up may have made a run since: look once more at what is there
        while (error := self._tried(close=True)) is not None and not self._lock_lost.is_set():
            left = end - time.monotonic()
            if left <= 0:
                self._board.notices.append(f"MLflow is not up to date: {_said(error)} {CATCH_UP}")
                return
            time.sleep(min(self._pauses.after(self._failures), left))

    def _tried(self, *, close: bool) -> Exception | None:
        """Brings MLflow up to date, or as far as a slice of time goes; the error if it, or the storage, failed."""
        from grokstudy.study import projection

        try:
            if self._open is None:
                self._open = projection.opened(self._spec, self._folder, self._board)
                self._reached = True
                self._board.notices += [line for line in self._open.warnings if line not in self._board.notices]
            if close:
                projection.close(self._open, self._spec, self._folder, self._board, self.state)
            else:
                self._update(self._open)
        except BadInput:
            raise
        except Exception as error:  # whatever a viewer does must not end a study, nor show a traceback
            self._lost(error, last=close)
            return error
        self._found()
        return None

    def _update(self, run: StudyRun) -> None:
        from grokstudy.study import projection

        began = time.monotonic()
        for _ in projection.updating(run, self._spec, self._folder, self._board):
            self._spent = time.monotonic() - began
            if self._ended.is_set() or self._lock_lost.is_set():
                return
            if self._spent > self._pauses.slice:
                self._wake.set()  # goes on after the pause
                return

    def _lost(self, error: Exception, *, last: bool) -> None:
        """Remembers an outage. One that passes at the second try is no news."""
        self._failures += 1
        self._interrupted, self._open = True, None
        if not self._told and (self._failures > 1 or not self._reached) and not last:
            self._outages, self._told = self._outages + 1, True
            if self._outages <= ANNOUNCED:
                self._board.notices.append(f"MLflow: {_said(error)} The study goes on.")

    def _found(self) -> None:
        if self._told and self._outages <= ANNOUNCED:
            self._board.notices.append("MLflow answers again: what it missed is being written.")
        self._told, self._failures = False, 0


def _said(error: Exception) -> str:
    return str(error) if isinstance(error, GrokstudyError) else f"{type(error).__name__}: {error}."
