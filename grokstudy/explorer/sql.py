"""SQL from the page, only where nobody but this machine's user can send it."""

from __future__ import annotations

import dataclasses
from typing import Any

from grokstudy.spec.errors import BadInput
from grokstudy.store.folder import StudyFolder
from grokstudy.store.sql import query

MOST_ROWS = 1_000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """The answer to a query."""

    columns: tuple[str, ...]
    rows: tuple[tuple[Any, ...], ...]
    cut: bool
    """There are more rows than MOST_ROWS."""


def rows(folder: StudyFolder, text: str, *, allowed: bool) -> Rows:
    """One SELECT over the study's views.

    Raises:
        BadInput: SQL is switched off here, or the query cannot be run; says where in the text.
    """
    if not allowed:
        raise BadInput(
            "sql: switched off, because other machines reach this explorer; use `grokstudy query` where the study lies."
        )
    if not text.strip():
        raise BadInput("sql: there is no query; e.g. SELECT outcome, count(*) FROM trials GROUP BY 1")
    table = query([folder], text, MOST_ROWS + 1)
    found = table.slice(0, MOST_ROWS)
    values = zip(*(column.to_pylist() for column in found.columns), strict=True)
    return Rows(columns=tuple(table.column_names), rows=tuple(values), cut=table.num_rows > MOST_ROWS)
