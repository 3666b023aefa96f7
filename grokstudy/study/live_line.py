"""Progress of a running study as one line that is written anew: on a terminal and below a notebook's cell."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from grokstudy.study.board import Board

SECONDS = 0.5
"""Between two looks at the board."""


@contextmanager
def live_line(board: Board, *, shown: bool = True) -> Iterator[None]:
    """Shows the board until the block ends, where somebody looks (not in a pipe); notices follow on their own lines."""
    stream = _stream() if shown else None
    if stream is None:
        yield
        return
    ended = threading.Event()
    thread = threading.Thread(target=_write, args=(board, stream, ended), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
        print("".join(f"\n{notice}" for notice in board.notices), file=stream, flush=True)


def line(board: Board) -> str:
    """Stage, trials done, steps, time left and outcomes so far."""
    if board.stage == "measuring":
        return f"{board.study}: measuring {board.measured}/{board.to_measure} checkpoints"
    parts = [f"{board.study}: {board.stage}", f"{board.done}/{board.planned} trials"]
    if board.stage == "training" and board.updates_planned:
        parts.append(f"{board.updates / board.updates_planned:.0%} of {board.updates_planned:,} steps")
        if board.seconds_left is not None:
            parts.append(f"{board.seconds_left:,.0f} s left")
    parts += [f"{count} {name}" for name, count in sorted(board.all_outcomes.items()) if count]
    return " · ".join(parts)


def _write(board: Board, stream: TextIO, ended: threading.Event) -> None:
    width = 0
    while True:
        last = ended.wait(SECONDS)
        text = line(board)
        # Spaces cover what is left of a longer line; notebooks know no escape code that every front end obeys.
        print(f"\r{text.ljust(width)}", end="", file=stream, flush=True)
        width = len(text)
        if last:
            return


def _stream() -> TextIO | None:
    """Where a person looks: the cell's output in a notebook, else a terminal on stderr; None = nobody does."""
    if "ipykernel" in sys.modules:
        return sys.stdout
    return sys.stderr if sys.stderr.isatty() else None
