"""How far the reading of a study is, on stderr: a bar on a terminal, lines in a pipe, JSON lines for scripts."""

from __future__ import annotations

import dataclasses
import json
import sys
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from grokstudy.cli.live import JSON_SECONDS, LINE_SECONDS, Mode, resolved
from grokstudy.cli.show import Format, err, size
from grokstudy.study.periodic import repeated

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from grokstudy.store.check import Seen
    from grokstudy.study.store_check import Checked


@dataclasses.dataclass(slots=True, eq=False)
class Reading:
    """The last word about it."""

    study: str
    seen: Seen | None = None

    def line(self) -> str:
        if self.seen is None:
            return f"{self.study}: listing"
        return f"{self.study}: checking · {self.seen.files:,}/{self.seen.total:,} files · {size(self.seen.size)}"

    def document(self) -> str:
        seen = {} if self.seen is None else dataclasses.asdict(self.seen)
        return json.dumps({"study": self.study, "stage": "checking", **seen})


def watched(study: str, reading: Generator[Seen, None, Checked], mode: Mode, form: Format) -> Checked:
    """Reads to the end and shows how far it is; what came out.

    Raises:
        BadInput: a bar without a terminal.
    """
    now = Reading(study)
    with _shown(now, resolved(mode, form)):
        while True:
            try:
                now.seen = next(reading)
            except StopIteration as end:
                found: Checked = end.value
                return found


@contextmanager
def _shown(now: Reading, mode: Mode) -> Iterator[None]:
    if mode is Mode.bar:
        from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(), TimeRemainingColumn())
        with Progress(*columns, console=err, transient=True) as bar:
            task = bar.add_task(now.line(), total=None)
            with repeated(lambda: _draw(bar, task, now), 0.25):
                yield
    elif mode in (Mode.lines, Mode.json):
        text = now.line if mode is Mode.lines else now.document
        seconds = LINE_SECONDS if mode is Mode.lines else JSON_SECONDS
        with repeated(lambda: print(text(), file=sys.stderr, flush=True), seconds):
            yield
    else:
        yield


def _draw(bar: Progress, task: TaskID, now: Reading) -> None:
    if now.seen is not None:
        bar.update(task, description=now.line(), completed=now.seen.files, total=now.seen.total)
