"""Progress of long work, always on stderr: a bar on a terminal, lines in a pipe, JSON lines for scripts."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Group
from rich.live import Live
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

from grokstudy.cli.show import Format, err
from grokstudy.spec.errors import BadInput
from grokstudy.study import progress_words as words
from grokstudy.study.activity import as_json, seen
from grokstudy.study.board import Board
from grokstudy.study.periodic import repeated

LINE_SECONDS = 5.0
JSON_SECONDS = 1.0
NOTICE_SECONDS = 1.0
BAR_WIDTH = 40
DEFAULT_ROOT = "./grokstudy-data"


class Mode(StrEnum):
    """How progress is shown."""

    auto = "auto"
    bar = "bar"
    lines = "lines"
    json = "json"
    quiet = "quiet"


Progress = Annotated[
    Mode,
    typer.Option(
        "--progress",
        help="on stderr: a bar, lines, json (an object per line) or quiet; auto = bar on a terminal, else lines, and "
        "quiet with --format json",
    ),
]


@contextmanager
def shown(board: Board, mode: Mode, form: Format = Format.table) -> Iterator[None]:
    """Shows the board on stderr until the block ends, with its notices as they come (JSON lines hold them already).

    Raises:
        BadInput: a bar without a terminal.
    """
    chosen = resolved(mode, form)
    if chosen is Mode.bar:
        with (
            Live(console=err, refresh_per_second=4, get_renderable=lambda: drawn(board), transient=True),
            _notices(board),
        ):
            yield
    elif chosen is Mode.lines:
        with _lines(board), _notices(board):
            yield
    elif chosen is Mode.json:
        with _json_lines(board):
            yield
    else:
        yield
        for notice in board.notices:
            err.print(notice, markup=False)


def resolved(mode: Mode, form: Format = Format.table) -> Mode:
    """What `auto` means here.

    Raises:
        BadInput: a bar without a terminal.
    """
    terminal = err.is_terminal and not err.is_dumb_terminal
    if mode is Mode.bar and not terminal:
        raise BadInput("--progress: bar needs a terminal on stderr; use lines, json or quiet.")
    if mode is not Mode.auto:
        return mode
    if form is Format.json:
        return Mode.quiet
    return Mode.bar if terminal else Mode.lines


def drawn(board: Board) -> Group:
    """The board as a bar with what is known below it: counts, rate, time left, outcomes, where to look."""
    done, total = (board.measured, board.to_measure) if board.measures else (board.updates, board.updates_planned)
    known = total > 0 and (board.measures or board.stage == "training")
    head = Table.grid(padding=(0, 1))
    bar = ProgressBar(total=total if known else None, completed=done, width=BAR_WIDTH, pulse=not known)
    head.add_row(Text(board.study, style="bold"), Text(board.stage), bar, f"{done / total:.0%}" if known else "")
    facts = " · ".join(part for part in (words.counted(board), words.speed(board), words.latest(board)) if part)
    lines = [Text(f"  {part}", no_wrap=True, overflow="ellipsis") for part in (facts, words.outcomes(board)) if part]
    if board.where is not None:
        lines.append(Text(f"  {look(board)}", style="dim", no_wrap=True, overflow="ellipsis"))
    return Group(head, *lines)


def look(board: Board) -> str:
    """Where the study lies, and the command that shows it."""
    root = str(board.where).rpartition("/")[0]
    return f"{board.where} · grokstudy ui {board.study}{at(root)}"


def at(root: str) -> str:
    """` --storage ROOT` for commands about a study under another root than the one that is read by itself."""
    default = os.environ.get("GROKSTUDY_STORAGE") or DEFAULT_ROOT
    same = default == root if "://" in default else str(Path(default).expanduser().absolute()) == root
    return "" if same else f" --storage {root}"


@contextmanager
def _lines(board: Board) -> Iterator[None]:
    last = ""

    def tell() -> None:
        nonlocal last
        line = words.line(board)
        if line != last:
            print(line, file=sys.stderr, flush=True)
        last = line

    with repeated(tell, LINE_SECONDS):
        yield


@contextmanager
def _notices(board: Board) -> Iterator[None]:
    """What a person should know, while it still helps to know it: a cluster that is full, an MLflow that refuses."""
    told = 0

    def tell() -> None:
        nonlocal told
        new = board.notices[told:]
        for notice in new:
            err.print(notice, markup=False)
        told += len(new)

    try:
        with repeated(tell, NOTICE_SECONDS):
            yield
    finally:
        tell()


@contextmanager
def _json_lines(board: Board) -> Iterator[None]:
    """One `Activity` a second, one at the start and one at the end."""

    def tell() -> None:
        print(as_json(seen(board)), file=sys.stderr, flush=True)

    tell()
    try:
        with repeated(tell, JSON_SECONDS):
            yield
    finally:
        tell()
