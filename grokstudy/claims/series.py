"""The rows of a claim's figure, by the series that they belong to."""

from __future__ import annotations

import re

import pandas as pd


def by_series(rows: pd.DataFrame) -> dict[str, pd.DataFrame]:
    """Rows by name of series, numbers within names in their order: 750 rows before 1000 rows. One without a name, if
    the figure has none."""
    if "series" not in rows:
        return {"": rows}
    series = rows["series"].astype(str)
    return {name: rows[series == name] for name in sorted(set(series), key=_natural)}


def _natural(name: str) -> list[str | float]:
    """Text and numbers in turn, so that two keys differ first where both have text or both a number."""
    parts = re.split(r"(\d*\.?\d+)", name)
    return [float(part) if place % 2 else part for place, part in enumerate(parts)]
