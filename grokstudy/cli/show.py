"""What a person sees of results: tables, lists, files, JSON."""

from __future__ import annotations

import json
import math
import sys
import textwrap
from collections.abc import Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from grokstudy.spec.errors import BadInput, nearest

if TYPE_CHECKING:
    import pandas as pd

MOST_ROWS = 40
"""Rows of a table on a terminal."""
ENTRY_WIDTH = 120
"""Columns of a list where there is no window."""

out = Console(highlight=False, soft_wrap=True, emoji=False)
err = Console(stderr=True, highlight=False, soft_wrap=True, emoji=False)


class Format(StrEnum):
    """How rows are printed."""

    table = "table"
    csv = "csv"
    json = "json"
    parquet = "parquet"


def check_document(form: Format) -> None:
    """Refuses the formats of rows where there is one document. Raises BadInput."""
    if form not in (Format.table, Format.json):
        raise BadInput(f"--format: got {form.value}, must be table or json.")


def check_picture(target: Path, suffixes: Sequence[str]) -> None:
    """Refuses a target of a picture before anything is read. Raises BadInput."""
    suffix = target.suffix.lower()
    if suffix not in suffixes:
        raise BadInput(f"--out: got '{target}'{nearest(suffix, suffixes)} It must end in {', '.join(suffixes)}.")
    if not target.parent.is_dir():
        raise BadInput(f"--out: the folder '{target.parent}' does not exist; create it first.")


def size(count: int) -> str:
    """1.5 MB."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.3g} {unit}"
        value /= 1000
    return f"{value:.3g} TB"


def print_json(value: Any) -> None:
    """One JSON document on stdout and nothing else; null, never NaN."""
    print(json.dumps(value, allow_nan=False, default=str))


def print_entries(entries: Sequence[tuple[str, Sequence[str]]]) -> None:
    """Names with lines of text beside them, wrapped within the window (120 columns in a pipe); later lines are dim."""
    indent = max((len(name) for name, _ in entries), default=0) + 2
    width = max(out.width if out.is_terminal else ENTRY_WIDTH, indent + 40)
    for name, texts in entries:
        head = name.ljust(indent)
        for number, text in enumerate(texts):
            for line in textwrap.wrap(text, width - indent, break_on_hyphens=False):
                out.print(Text(head + line, style="dim" if number else ""))
                head = " " * indent


def print_rows(frame: pd.DataFrame, form: Format, target: Path | None, *, most: int | None = MOST_ROWS) -> None:
    """Rows in the asked format, on stdout or into a file; a table shows `most` of them (None = all).

    Raises:
        BadInput: Parquet without a file to write to.
    """
    if form is Format.table and target is not None:
        form = _format_of(target)
    if form is Format.parquet and target is None:
        raise BadInput("--format: parquet is not text; give --out FILE.parquet.")
    if form is Format.parquet:
        frame.to_parquet(target, index=False)
    elif form is Format.csv:
        _emit(frame.to_csv(index=False), target)
    elif form is Format.json:
        _emit(json.dumps(rows_of(frame), allow_nan=False, default=str) + "\n", target)
    else:
        _table(frame, most)


def _format_of(target: Path) -> Format:
    """The format that a file's name asks for."""
    asked = target.suffix.removeprefix(".").lower()
    if asked not in (Format.csv, Format.json, Format.parquet):
        raise BadInput(f"--out: got '{target}', must end in .csv, .json or .parquet, or give --format beside it.")
    return Format(asked)


def rows_of(frame: pd.DataFrame) -> list[dict[str, Any]]:
    """Rows as plain values; missing ones are None."""
    records = []
    for row in frame.to_dict(orient="records"):
        records.append({str(name): _plain(value) for name, value in row.items()})
    return records


def _plain(value: Any) -> Any:
    import pandas as pd

    if hasattr(value, "tolist"):
        value = value.tolist()
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, float) and not math.isfinite(value):
        return None  # JSON has no infinity
    return None if pd.isna(value) else value


def _emit(text: str, target: Path | None) -> None:
    if target is None:
        sys.stdout.write(text)
    else:
        target.write_text(text)


def _table(frame: pd.DataFrame, most: int | None) -> None:
    """Columns without values are left out; config paths are shown by their last word where that is unique."""
    used = frame.dropna(axis=1, how="all")
    table = Table(box=None, header_style="bold", pad_edge=False)
    leaves = [str(name).rpartition(".")[2] for name in used.columns]
    for name, leaf in zip(used.columns, leaves, strict=True):
        table.add_column(leaf if leaves.count(leaf) == 1 else str(name), no_wrap=True)
    for row in used.head(most or len(used)).itertuples(index=False):
        table.add_row(*(_cell(value) for value in row))
    wide = out if out.is_terminal else Console(highlight=False, width=10_000, emoji=False)  # a pipe has no width to fit
    wide.print(table, markup=False)
    if frame.empty:
        err.print("No rows.")
    if most is not None and len(frame) > most:
        err.print(f"{most} of {len(frame):,} rows; all with --format csv|json|parquet.")


def _cell(value: Any) -> str:
    import numpy as np
    import pandas as pd

    if isinstance(value, (list, np.ndarray)):
        return f"[{', '.join(_cell(item) for item in value)}]"
    if isinstance(value, float):
        return "" if pd.isna(value) else f"{value:.6g}"
    return "" if value is None or value is pd.NA else str(value)
