"""The trials of a cell, or of a study, as rows for a table: varied settings first, then what came out."""

from __future__ import annotations

import dataclasses
import math
from typing import Any

import duckdb
import pandas as pd

from grokstudy.phase.cell import one_of
from grokstudy.phase.columns import label, quoted
from grokstudy.phase.varied import trial_name, varied_settings
from grokstudy.spec.axes import Value
from grokstudy.tracking.names import short_names

_STORED = ("train_loss", "test_loss", "train_acc", "test_acc", "status", "steps_run", "seconds")
_BY_NAME_UP_TO = 5_000
"""Trials that are asked for by their ids; of more the whole view is read at once."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TableLine:
    """One trial. Numbers are None where nothing was seen or stored."""

    name: str
    """By varied settings only, `wd=0.3 frac=0.4 s=2`; the short id if nothing varies."""
    settings: tuple[Value, ...]
    """In the order of `TrialsTable.paths`."""
    outcome: str
    t_mem: int | None
    """Steps; as the diagram reads them, so None after its T."""
    t_gen: int | None
    delay: float | None
    """t_gen / t_mem."""
    retention: str
    train_loss: float | None
    """At the last evaluation, as are the next three."""
    test_loss: float | None
    train_acc: float | None
    test_acc: float | None
    status: str
    steps_run: int
    seconds: float
    trial_id: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialsTable:
    """Lines in the order of their settings."""

    paths: tuple[str, ...]
    """Settings that vary in the study."""
    names: tuple[str, ...]
    """The same as headings."""
    lines: tuple[TableLine, ...]


def trials_table(connection: duckdb.DuckDBPyConnection, trials: pd.DataFrame) -> TrialsTable:
    """The table of these trials: rows of `readings` or of `cell_trials`."""
    paths = varied_settings(connection)
    wanted = dict.fromkeys(("trial_id", *paths, *_STORED))
    where = f"WHERE {one_of(trials['trial_id'])}" if len(trials) <= _BY_NAME_UP_TO else ""
    stored = connection.execute(f"SELECT {', '.join(map(quoted, wanted))} FROM trials {where}").fetchall()
    rows = {row[0]: dict(zip(wanted, row, strict=True)) for row in stored}
    names = short_names(paths)
    lines = [
        _line(trial, rows[trial.trial_id], paths, names) for trial in trials.itertuples() if trial.trial_id in rows
    ]
    return TrialsTable(paths=paths, names=names, lines=tuple(sorted(lines, key=_order)))


def _line(trial: Any, row: dict[str, Any], paths: tuple[str, ...], names: tuple[str, ...]) -> TableLine:
    settings = tuple(row[path] for path in paths)
    t_mem, t_gen = _whole(trial.t_mem), _whole(trial.t_gen)
    return TableLine(
        name=trial_name(names, settings) or str(trial.trial_id)[:8],
        settings=settings,
        outcome=str(trial.outcome),
        t_mem=t_mem,
        t_gen=t_gen,
        delay=None if t_mem is None or t_gen is None else max(t_gen, 1) / max(t_mem, 1),
        retention=str(trial.retention),
        trial_id=str(trial.trial_id),
        **{name: row[name] for name in _STORED},
    )


def _order(line: TableLine) -> tuple[tuple[bool, float, str], ...]:
    """Numbers by size, then names, NULL last; equal settings by id."""
    keys = [
        (value is None, value if isinstance(value, (int, float)) else math.inf, label(value)) for value in line.settings
    ]
    return (*keys, (False, 0.0, line.trial_id))


def _whole(time: float) -> int | None:
    return None if math.isnan(time) else int(time)
