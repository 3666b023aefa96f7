"""Progress of a running study as one line that is written anew: on a terminal and below a notebook's cell."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TextIO

from grokstudy.study.board import Board
from grokstudy.study.periodic import repeated
from grokstudy.study.progress_words import line

SECONDS = 0.5
"""Between two looks at the board."""


@contextmanager
def live_line(board: Board, *, shown: bool = True) -> Iterator[None]:
    """Shows the board until the block ends, where somebody looks (not in a pipe); notices follow on their own lines."""
    stream = _stream() if shown else None
    if stream is None:
        yield
        return
    width = 0

    def write() -> None:
        nonlocal width
        text = line(board)
        # Spaces cover what is left of a longer line; notebooks know no escape code that every front end obeys.
        print(f"\r{text.ljust(width)}", end="", file=stream, flush=True)
        width = len(text)

    try:
        with repeated(write, SECONDS):
            yield
    finally:
        write()
        print("".join(f"\n{notice}" for notice in board.notices), file=stream, flush=True)


def _stream() -> TextIO | None:
    """Where a person looks: the cell's output in a notebook, else a terminal on stderr; None = nobody does."""
    if "ipykernel" in sys.modules:
        return sys.stdout
    return sys.stderr if sys.stderr.isatty() else None
