"""The counting rows of a study as typed values."""

from __future__ import annotations

import dataclasses

import duckdb

from grokstudy.spec.decode import TRIAL_GROUPS
from grokstudy.spec.rows import TrialRow
from grokstudy.store.counting import quoted


def trial_rows(connection: duckdb.DuckDBPyConnection) -> list[TrialRow]:
    """All rows of the view `trials`, by trial_id; config columns that are NULL for a trial are not in its config."""
    names = [name for name, *_ in connection.execute("DESCRIBE trials").fetchall()]
    fields = [field.name for field in dataclasses.fields(TrialRow) if field.name != "config"]
    paths = [name for name in names if name.partition(".")[0] in TRIAL_GROUPS and name not in fields]
    wanted = [*fields, *paths]
    columns = ", ".join(map(quoted, wanted))
    rows = []
    for values in connection.execute(f"SELECT {columns} FROM trials ORDER BY trial_id").fetchall():
        row = dict(zip(wanted, values, strict=True))
        config = {path: row[path] for path in paths if row[path] is not None}
        rows.append(TrialRow(**{name: row[name] for name in fields}, config=config))
    return rows
