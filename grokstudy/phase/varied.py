"""What varies in a study, and names of trials that say only that."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from grokstudy.phase.columns import columns_of, config_paths, label, quoted

SEEDS: tuple[str, ...] = ("seed", "seed_data", "seed_init", "seed_batch", "seed_noise")


def varied_settings(connection: duckdb.DuckDBPyConnection) -> tuple[str, ...]:
    """Columns of `trials` that are settings and have several values in the study; NULL is a value. Seeds come last.

    A stream's seed counts only where it does not follow from the master seed.
    """
    paths = config_paths(columns_of(connection, "trials"))
    streams = [f"count(DISTINCT (seed, {name})) > count(DISTINCT seed)" for name in SEEDS[1:]]
    tests = [*(_varies(name) for name in (*paths, SEEDS[0])), *streams]
    found = connection.execute(f"SELECT {', '.join(tests)} FROM trials").fetchall()[0]
    return tuple(name for name, varies in zip((*paths, *SEEDS), found, strict=True) if varies)


def trial_name(names: Sequence[str], values: Sequence[object]) -> str:
    """`wd=0.3 frac=0.4 s=2` from short names and the trial's values, in their order."""
    return " ".join(f"{name}={label(value)}" for name, value in zip(names, values, strict=True))


def _varies(column: str) -> str:
    name = quoted(column)
    return f"(min({name}) IS DISTINCT FROM max({name}) OR count({name}) BETWEEN 1 AND count(*) - 1)"
