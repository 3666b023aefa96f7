"""Why each trial of an adaptive study was chosen, and what its sampler expected of it before it ran."""

from __future__ import annotations

import duckdb
import pandas as pd

from grokstudy.phase.columns import columns_of
from grokstudy.spec.rows import PREDICTED

VIEW = "proposals"
HELD_OUT = "explore"
"""Source of trials that were chosen without looking at any other: the only ones that can check a map."""
ADAPTIVE = "boundary"
"""Source of trials that were chosen because of what others did."""
CHOSEN = (
    "The sampler chose these trials by what others did: shares in bins say where it looked, not how likely an outcome "
    "is. Without bins the diagram is a fitted posterior."
)
"""What must be said beside shares of trials of an adaptive study."""
COLUMNS: tuple[str, ...] = ("number", "trial_id", "source", "reason", "budget", *PREDICTED, "expected_error")


def proposals(connection: duckdb.DuckDBPyConnection) -> pd.DataFrame:
    """One row per proposal in its order, with COLUMNS; none for a study whose sampler keeps no account."""
    present = columns_of(connection, VIEW)
    if not set(COLUMNS) <= set(present):
        return pd.DataFrame({name: pd.Series(dtype=object) for name in COLUMNS})
    return connection.execute(f"SELECT {', '.join(COLUMNS)} FROM {VIEW} ORDER BY number").df()


def sources(table: pd.DataFrame, trial_ids: pd.Series) -> pd.Series:
    """The source of each trial, of its first proposal; empty where nothing is known."""
    first = table.drop_duplicates("trial_id").set_index("trial_id")["source"]
    found: pd.Series = trial_ids.map(first).astype(object)
    return found.where(found.notna(), "")


def is_adaptive(table: pd.DataFrame) -> bool:
    """Whether shares of trials say where the sampler looked, not how likely an outcome is."""
    return bool((table["source"] == ADAPTIVE).any())
