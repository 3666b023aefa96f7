"""What a stranger's SQL may say: one SELECT over the views, by the syntax tree that DuckDB itself makes of it.

This is the layer that gives clear messages. The process that runs the SQL (`sql_process.py`) has no files, no network
and little memory, so that what slips through here finds nothing there.
"""

from __future__ import annotations

import atexit
import dataclasses
import functools
import json
import re
from collections.abc import Iterator, Mapping
from typing import Any

import duckdb

from grokstudy.spec.errors import BadInput, nearest
from grokstudy.store.sql_place import Place, at

MOST_CHARACTERS = 20_000
SYSTEM = frozenset({"main", "memory"})
"""Schema and database that the views are in."""
TABLE_FUNCTIONS = frozenset({"range", "generate_series", "unnest", "json_each", "json_tree"})
"""Functions that may stand after FROM: they make rows of their arguments alone."""
FORBIDDEN = re.compile(
    r"(duckdb_|pg_(?!typeof|size_pretty)|has_|inet_|read_|__internal|json_(de)?serialize|json_execute|parquet_).*|"
    r"current_(setting|query|catalog|database|schemas?|connection_id|transaction_id|query_id)|getenv|getvariable|"
    r"write_log|parse_duckdb_log_message|sleep_ms|nextval|currval|setval|query|query_table|txid_current|"
    r"(col|obj|shobj)_description|in_search_path|which_secret|get_block_size|stats|setseed|version"
)
"""Functions that tell about the machine, keep state or wait."""
SHOWN = frozenset({'"tables"'})
"""What SHOW may name besides a view."""


@dataclasses.dataclass(frozen=True, slots=True)
class Checked:
    """A statement that may run."""

    text: str
    columns: tuple[tuple[str, Place], ...]
    """Names of columns with their places, in the order of the text: errors about them have no place of their own."""
    functions: tuple[tuple[str, Place], ...]


def check(sql: str, views: tuple[str, ...]) -> Checked:
    """The statement, if it is one SELECT, DESCRIBE, SUMMARIZE or EXPLAIN of one that names nothing but views.

    Raises:
        BadInput: says what is not allowed, with its place.
    """
    if len(sql) > MOST_CHARACTERS:
        raise BadInput(f"query: got {len(sql):,} characters, must be at most {MOST_CHARACTERS:,}.")
    if "\0" in sql or any("\ud800" <= letter <= "\udfff" for letter in sql):
        raise BadInput("query: a NUL or half a character is not allowed.")
    select = _one_select(sql)
    skipped = len(sql[: sql.find(select)].encode())
    try:
        tree = json.loads(_serialized(select))["statements"][0]["node"]
        found = list(_walk(tree, frozenset(view.casefold() for view in views)))
    except RecursionError:
        raise BadInput("query: nested too deeply.") from None
    places = [(what, name, Place(place.start + skipped, place.length)) for what, name, place in found]
    for what, name, place in places:
        if what == "view":
            raise BadInput(at(sql, place, _no_view(name, views)))
        if what == "forbidden":
            raise BadInput(at(sql, place, f"query: {name} is not allowed: queries only read the study's views"))
    return Checked(
        text=sql,
        columns=tuple((name, place) for what, name, place in places if what == "column"),
        functions=tuple((name, place) for what, name, place in places if what == "function"),
    )


@functools.cache
def _database() -> duckdb.DuckDBPyConnection:
    return duckdb.connect(":memory:", config={"python_enable_replacements": False, "threads": 1})


atexit.register(_database.cache_clear)


def _parser() -> duckdb.DuckDBPyConnection:
    """A connection that only parses; one for each call, so that threads do not meet."""
    return _database().cursor().execute("SET errors_as_json = true")


def _one_select(sql: str) -> str:
    """The SELECT of the statement: all of it, or what EXPLAIN explains."""
    try:
        statements = _parser().extract_statements(sql)
        kinds = [statement.type for statement in statements]
    except duckdb.Error as error:
        raise BadInput(described(sql, str(error))) from None
    except ValueError:  # a type of statement that has no name in Python
        raise BadInput("query: this statement is not allowed, must be one SELECT: queries only read.") from None
    if len(kinds) != 1:
        raise BadInput(f"query: got {len(kinds)} statements, must be exactly one SELECT.")
    kind = kinds[0]
    if kind == duckdb.StatementType.EXPLAIN:
        # EXPLAIN ANALYZE runs what it explains, COPY included: what follows must be a SELECT by itself.
        inner = re.sub(r"\A\s*explain(\s+analyze)?\b", "", sql, count=1, flags=re.IGNORECASE)
        if inner != sql and _is_select(inner):
            return inner
    elif kind == duckdb.StatementType.SELECT:
        return sql
    elif re.match(r"\s*(from\s*\(\s*|select\b.*)?pivot", sql, flags=re.IGNORECASE | re.DOTALL):
        raise BadInput(
            "query: PIVOT must name its values, as in: PIVOT trials ON outcome IN ('grokking', 'memorization') "
            "USING count(*) GROUP BY weight_decay."
        )
    raise BadInput(f"query: {kind.name} is not allowed, must be one SELECT: queries only read.")


def _no_view(name: str, views: tuple[str, ...]) -> str:
    if re.search(r"[/\\.:*]", name):
        return f"query: '{name}' is not allowed: files and networks cannot be read, only the views {', '.join(views)}"
    return f"query: no view '{name}'{nearest(name, views)} There are {', '.join(views)}"


def _is_select(sql: str) -> bool:
    try:
        kinds = [statement.type for statement in _parser().extract_statements(sql)]
    except (duckdb.Error, ValueError):
        return False
    return kinds == [duckdb.StatementType.SELECT]


def _serialized(select: str) -> str:
    text: str = _parser().execute("SELECT json_serialize_sql(?::VARCHAR)", [select]).fetchall()[0][0]
    if text.startswith('{"error":true'):
        raise BadInput(f"query: {json.loads(text)['error_message']}.")
    return text


def described(sql: str, text: str) -> str:
    """DuckDB's error `text` as a sentence with the place it names; `sql` is the statement it is about."""
    start = text.find("{")
    try:
        document = json.loads(text[start:]) if start >= 0 else {}
    except ValueError:
        document = {}
    plain = re.sub(r"\A(\w+ )+Error: ", "", text.partition("\nLINE ")[0])
    message = " ".join(str(document.get("exception_message", plain)).split())
    if "expression depth" in message:
        return "query: nested too deeply."
    location = re.fullmatch(r"\[(\d+),(\d+)\]", document.get("location", ""))
    if location is None:
        return f"query: {message}"
    return at(sql, Place(int(location[1]), int(location[2])), f"query: {message}")


Found = tuple[str, str, Place]


def _walk(node: Any, visible: frozenset[str]) -> Iterator[Found]:
    """What the tree names: views that are not there, what is forbidden, columns and functions.

    `visible` holds the names that may stand after FROM here: the views and the CTEs above.
    """
    if isinstance(node, list):
        for item in node:
            yield from _walk(item, visible)
    elif isinstance(node, Mapping):
        yield from _named(node, visible)
        entries = node["cte_map"]["map"] if "cte_map" in node else []
        for entry in entries:  # each sees those before it; itself only inside a recursive one
            query, name = entry["value"]["query_node"], entry["key"].casefold()
            inside = visible | {name} if query["type"] == "RECURSIVE_CTE_NODE" else visible
            yield from _walk(query, inside)
            visible |= {name}
        for key, value in node.items():
            if key != "cte_map":
                yield from _walk(value, visible)


def _named(node: Mapping[str, Any], visible: frozenset[str]) -> Iterator[Found]:
    place = Place(node.get("query_location", 0), node.get("query_location_length", 0))
    match node.get("type"):
        case "BASE_TABLE":
            *outer, name = node["qualified_name"]["path"]
            if not set(outer) <= SYSTEM or name.casefold() not in visible:
                yield "view", ".".join([*outer, name]), place
        case "SHOW_REF":
            if node["query"] is None and node["table_name"].casefold() not in visible | SHOWN:
                yield "forbidden", f"SHOW {node['table_name'].strip(chr(34))}", place
        case "TABLE_FUNCTION":
            name = node["function"]["function_name"]
            if name.casefold() not in TABLE_FUNCTIONS:
                yield "forbidden", f"{name}() after FROM", place
        case "FUNCTION" | "WINDOW_AGGREGATE":
            name = node["function_name"]
            forbidden = FORBIDDEN.fullmatch(name.casefold())
            yield ("forbidden", f"{name}()", place) if forbidden else ("function", name, place)
        case "COLUMN_REF":
            yield "column", ".".join(node["column_names"]), place
        case "PARAMETER" | "VALUE_PARAMETER":
            yield "forbidden", "a parameter", place
        case _:
            return
