"""SQL that a stranger may run on a study: checked here, run in a process of its own, explained where it fails."""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from pathlib import Path

import duckdb
import pyarrow as pa

from grokstudy.spec.errors import BadInput, nearest
from grokstudy.store.damage import ATTEMPTS, look_closer, warn
from grokstudy.store.folder import StudyFolder
from grokstudy.store.sql_ask import PROCESS, Failure
from grokstudy.store.sql_check import Checked, check, described
from grokstudy.store.sql_place import at
from grokstudy.store.views import VIEWS, connect, definitions

SECONDS = 5.0
"""Time limit of a query."""


def query(folders: Sequence[StudyFolder], sql: str, limit: int, *, seconds: float = SECONDS) -> pa.Table:
    """At most `limit` rows of one SELECT (or DESCRIBE, SUMMARIZE, EXPLAIN) over the views of these studies.

    It reads nothing else, writes nothing, and is ended after `seconds`, or when it takes more memory than
    `sql_process.PROCESS_BYTES`. To see whether rows were cut off, ask for one more than is shown. Damaged parts are
    left out, each with a `DamagedPartWarning`.

    Raises:
        BadInput: not exactly one SELECT, an SQL error, something forbidden, or too much; says which and where.
    """
    checked = check(sql, VIEWS)
    views = VIEWS if re.search(r"\bshow\b", sql, re.IGNORECASE) else _named(sql)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            defined = definitions(folders, views)
            answer = PROCESS.ask(defined, sql, limit, seconds)
        except (FileNotFoundError, duckdb.Error):
            if attempt == ATTEMPTS:
                raise
            look_closer(folders, attempt)
            continue
        if isinstance(answer, pa.Table):
            warn(defined.damaged)
            return answer
        if not _is_about_parts(answer, defined.paths) or attempt == ATTEMPTS:
            raise BadInput(_explained(folders, checked, answer))
        look_closer(folders, attempt)
    raise AssertionError("unreachable")


def _named(sql: str) -> tuple[str, ...]:
    """Views that the text may speak of: the others need not be made."""
    return tuple(view for view in VIEWS if re.search(rf"\b{view}\b", sql, re.IGNORECASE))


def _is_about_parts(failure: Failure, paths: Sequence[Path]) -> bool:
    """Whether the files are to blame: compacted away since they were listed, or damaged behind their footers."""
    unreadable = re.search(r"parquet|decompress|TProtocol|zstd", failure.message, re.IGNORECASE)
    return not all(os.path.exists(path) for path in paths) or unreadable is not None


def _explained(folders: Sequence[StudyFolder], checked: Checked, failure: Failure) -> str:
    """A sentence for a person, with the place in the statement where there is one."""
    match failure.kind:
        case "InterruptException":
            return "query: took too long and was stopped. Ask for less: fewer trials, or a WHERE on trial_id."
        case "OutOfMemoryException" | "MemoryError":
            return "query: took too much memory and was stopped. Ask for fewer rows or columns, or aggregate them."
        case "PermissionException":
            return "query: files and networks are not allowed: queries only read the study's views."
    message = described(checked.text, failure.message)
    missing = re.search(
        r'Referenced column "(.+?)" (?:was )?not found|does not have a column named "(.+?)"', failure.message
    )
    if missing is not None:
        message = _unknown_column(folders, missing[1] or missing[2], checked.text)
    function = re.search(r"Function with name (\S+) does not exist", failure.message)
    names = [function[1]] if function else re.findall(r'"([^"]+)"', failure.message)
    for name in names if "\n" not in message else ():
        for known, place in checked.functions if function else checked.columns:
            if known.casefold() == name.casefold() or known.casefold().endswith(f".{name.casefold()}"):
                return at(checked.text, place, message)
    return message


def _unknown_column(folders: Sequence[StudyFolder], name: str, sql: str) -> str:
    """Names the nearest column of what is queried, or the view that has the column."""
    with connect(folders) as connection:
        columns = {
            view: [row[0] for row in connection.execute(f"DESCRIBE {view}").fetchall()]
            for view in ("trials", "curves", "measures", "measures_long", "checkpoints", "proposals")
        }
    elsewhere = [view for view, names in columns.items() if name in names]
    remedy = "`grokstudy query STUDY --tables` explains every column"
    if elsewhere:
        return f"query: no column '{name}' here; {elsewhere[0]} has it: JOIN {elsewhere[0]} USING (trial_id). {remedy}"
    near = nearest(name, [column for view in _named(sql) for column in columns[view]])
    return f"query: no column '{name}'{near} {remedy}"
