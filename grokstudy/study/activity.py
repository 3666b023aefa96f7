"""What a study is doing right now, for other processes: `progress.json`, kept by the process that works on it.

The file exists only while that process works: it is written anew every few seconds, as a whole, and deleted at the end.
A file that nobody renews was left by a process that was killed. Nothing in it is a result.
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import os
import socket
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Literal

from grokstudy.spec.errors import GrokstudyError
from grokstudy.store.folder import StudyFolder
from grokstudy.study.board import Board, Stage
from grokstudy.study.periodic import repeated

FILE = "progress.json"
LOCAL_SECONDS = 2.0
REMOTE_SECONDS = 10.0
"""Between two writings, on a disk and elsewhere, where every one is a request."""
STALE_SECONDS = 3 * REMOTE_SECONDS
"""Age from which a file counts as left by a dead process: it missed two writings, or fifteen on a disk."""

State = Literal["live", "abandoned"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """One look at the work on a study. Also the schema of `progress.json` and of every line of `--progress json`."""

    study: str
    state: State
    """`abandoned`: the process that wrote it no longer renews it."""
    stage: Stage
    planned: int
    """Trials of the study."""
    done: int
    """Trials that have nothing left to do, from this run and before."""
    outcomes: Mapping[str, int]
    """Trials by outcome, and `failed`."""
    updates: int
    """Member updates made in this run."""
    updates_planned: int
    rate: float | None
    """Per second: member updates while training, checkpoints while measuring; None if not known yet."""
    seconds_left: float | None
    """Of this stage."""
    measured: int
    """Checkpoints."""
    to_measure: int
    sampler: str
    """What an adaptive sampler knows by now, in words; empty for other samplers."""
    notices: tuple[str, ...]
    """Lines for people, such as a pack that failed."""
    pid: int
    host: str
    written_at: str
    """UTC, ISO 8601."""

    @property
    def is_live(self) -> bool:
        """Whether a process works on the study."""
        return self.state == "live"


def activity(folder: StudyFolder) -> Activity | None:
    """What a process does, or did when it was killed, with the study; None if none is at work. Costs one read."""
    data = folder.get_bytes(FILE)
    if data is None:
        return None
    try:
        found = Activity(**json.loads(data))
        age = (datetime.now(UTC) - datetime.fromisoformat(found.written_at)).total_seconds()
    except (ValueError, TypeError, RecursionError):  # written by another version, or damaged
        return None
    state: State = "live" if age <= STALE_SECONDS else "abandoned"
    return dataclasses.replace(found, state=state, notices=tuple(found.notices))


def seen(board: Board) -> Activity:
    """The board as this process sees it now."""
    return Activity(
        study=board.study,
        state="live",
        stage=board.stage,
        planned=board.planned,
        done=board.done,
        outcomes=dict(board.all_outcomes),
        updates=board.updates,
        updates_planned=board.updates_planned,
        rate=board.rate,
        seconds_left=board.seconds_left,
        measured=board.measured,
        to_measure=board.to_measure,
        sampler=board.sampler_state,
        notices=tuple(board.notices) + ((board.waiting,) if board.waiting else ()),
        pid=os.getpid(),
        host=socket.gethostname(),
        written_at=datetime.now(UTC).isoformat(timespec="milliseconds"),
    )


def as_json(look: Activity) -> str:
    """One JSON object on one line."""
    return json.dumps(dataclasses.asdict(look), allow_nan=False)


@contextlib.contextmanager
def published(board: Board, folder: StudyFolder, seconds: float | None = None) -> Iterator[None]:
    """Keeps `progress.json` while the block runs. For the process that holds the study's lock.

    A storage that does not answer costs a writing and nothing else.

    Args:
        board: what is shown.
        folder: the study.
        seconds: between two writings; None = 2 on a disk, 10 elsewhere.
    """
    local = folder.storage.local_path(folder.key(FILE)) is not None

    def write() -> None:
        with contextlib.suppress(GrokstudyError, OSError):
            folder.put_text(FILE, as_json(seen(board)))

    write()
    try:
        with repeated(write, seconds or (LOCAL_SECONDS if local else REMOTE_SECONDS)):
            yield
    finally:
        with contextlib.suppress(GrokstudyError, OSError):
            if _is_ours(folder):
                folder.delete([FILE])


def _is_ours(folder: StudyFolder) -> bool:
    """Whether this process wrote the file last: who lost the lock leaves that of the one who has it now."""
    look = activity(folder)
    return look is not None and (look.pid, look.host) == (os.getpid(), socket.gethostname())
