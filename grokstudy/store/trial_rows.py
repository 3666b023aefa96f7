"""The counting rows of a study as typed values."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb

from grokstudy.spec.decode import TRIAL_GROUPS
from grokstudy.spec.rows import TrialRow
from grokstudy.store.counting import literal, quoted


def trial_rows(connection: duckdb.DuckDBPyConnection, trial_ids: Sequence[str] | None = None) -> list[TrialRow]:
    """Rows of the view `trials`, all or of these trials, by trial_id.

    Config columns that are NULL for a trial are not in its config.
    """
    names = [name for name, *_ in connection.execute("DESCRIBE trials").fetchall()]
    fields = [field.name for field in dataclasses.fields(TrialRow) if field.name != "config"]
    paths = [name for name in names if name.partition(".")[0] in TRIAL_GROUPS and name not in fields]
    wanted = [*fields, *paths]
    columns = ", ".join(map(quoted, wanted))
    where = "" if trial_ids is None else f"WHERE {among(trial_ids)}"
    rows = []
    for values in connection.execute(f"SELECT {columns} FROM trials {where} ORDER BY trial_id").fetchall():
        row = dict(zip(wanted, values, strict=True))
        config = {path: row[path] for path in paths if row[path] is not None}
        rows.append(TrialRow(**{name: row[name] for name in fields}, config=config))
    return rows


def among(trial_ids: Sequence[str]) -> str:
    """SQL condition that `trial_id` is one of these.

    They are written out: a list that is handed over as a value is looked through for every row, and never reaches the
    files' own index.
    """
    return f"trial_id IN ({', '.join(map(literal, trial_ids))})" if trial_ids else "false"
