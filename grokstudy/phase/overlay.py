"""Points from elsewhere, published or one's own, drawn over a phase diagram and named with their source."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
import xarray as xr

from grokstudy.phase.columns import label
from grokstudy.spec.errors import BadInput, unknown

if TYPE_CHECKING:
    from grokstudy.phase.figure_data import Scale

TEXTS = ("label", "source")
"""Columns that are not coordinates."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class OverlayMark:
    """One point as drawn, in data units of the axes."""

    x: float
    y: float
    label: str


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Overlay:
    """Points in the words of the file; columns: x, y, facet (None if the diagram has none), label, source."""

    points: pd.DataFrame
    where: str

    @property
    def sources(self) -> tuple[str, ...]:
        """Where the points come from, each once; the file's name where it does not say."""
        given = [str(source) for source in self.points["source"].dropna().unique()]
        return (*given, *([self.where] if self.points["source"].isna().any() else []))


def read_overlay(path: Path, diagram: xr.Dataset) -> Overlay:
    """Points of a CSV or JSON file (a list of objects) whose columns are named like the diagram's axes.

    A diagram without y needs a column named like its value. `label` and `source` are optional.

    Raises:
        BadInput: no such file, another format, a column that is missing or unknown, or a value that cannot be drawn.
    """
    table = _table(path)
    axes = _axes(diagram)
    names = {name: key for key, (dim, full) in axes.items() for name in (dim, full)}
    for column in table.columns:
        if column not in names and column not in TEXTS:
            raise unknown(f"overlay {path.name}", str(column), (*names, *TEXTS), "Columns are the axes of the diagram.")
    found = {names[column]: column for column in table.columns if column in names}
    missing = [full for key, (_, full) in axes.items() if key not in found]
    if missing:
        raise BadInput(
            f"overlay {path.name}: no column for {', '.join(missing)}; its columns are "
            f"{', '.join(map(str, table.columns))}. Name the columns like the axes, e.g. "
            f"'{','.join(full for _, full in axes.values())},label,source'."
        )
    points = pd.DataFrame(
        {
            **{key: table[found[key]] if key in found else None for key in ("x", "y", "facet")},
            **{name: table.get(name) for name in TEXTS},
        }
    )
    if points.empty:
        raise BadInput(f"overlay {path.name}: holds no point.")
    return Overlay(points=points, where=path.name)


def marks(overlay: Overlay, x: Scale, y: Scale | None, facet: str | None) -> tuple[OverlayMark, ...]:
    """The points of one panel; those of another facet are left out.

    Raises:
        BadInput: a point has a value that its axis does not have.
    """
    rows = overlay.points
    if facet is not None:
        rows = rows[[label(value) == facet for value in rows["facet"]]]
    return tuple(
        OverlayMark(
            x=_place(overlay, row["x"], x, x.label),
            y=_number(overlay, row["y"], "the value") if y is None else _place(overlay, row["y"], y, y.label),
            label="" if pd.isna(row["label"]) else str(row["label"]),
        )
        for _, row in rows.iterrows()
    )


def outside(points: Sequence[OverlayMark], x: Scale, y: Scale | None) -> int:
    """How many of the points lie outside what is drawn."""

    def inside(value: float, scale: Scale | None) -> bool:
        return scale is None or bool(scale.edges[0] <= value <= scale.edges[-1])

    return sum(not (inside(point.x, x) and inside(point.y, y)) for point in points)


def _axes(diagram: xr.Dataset) -> dict[str, tuple[str, str]]:
    """Short and full name of every column that a point needs."""
    attrs = diagram.attrs
    axes = {key: (attrs[f"{key}_dim"], attrs[key]) for key in ("x", "y", "facet") if attrs[f"{key}_dim"]}
    return axes if "y" in axes else axes | {"y": (attrs["value"], attrs["value"])}


def _table(path: Path) -> pd.DataFrame:
    if not path.is_file():
        raise BadInput(f"overlay: no file '{path}'; give a CSV or JSON file.")
    suffix = path.suffix.lower()
    try:
        if suffix == ".csv":
            return pd.read_csv(path)
        if suffix == ".json":
            rows = json.loads(path.read_text(encoding="utf-8"))
            if not isinstance(rows, list) or not all(isinstance(row, Mapping) for row in rows):
                raise ValueError("must be a list of objects, one per point")
            return pd.DataFrame(rows)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' and JSON's own errors are ValueErrors
        raise BadInput(f"overlay {path.name}: cannot be read ({str(error).strip()}).") from None
    raise BadInput(f"overlay: got '{path}', must be .csv or .json.")


def _place(overlay: Overlay, value: object, scale: Scale, name: str) -> float:
    """Position on an axis: of a name the middle of its cell, of 0 on a log axis the slot of 0."""
    if scale.categorical:
        if label(value) not in scale.names:
            raise unknown(f"overlay {overlay.where}: {name}", label(value), scale.names)
        return float(scale.centres[scale.names.index(label(value))])
    number = _number(overlay, value, name)
    if scale.log and number == 0 and scale.zero_slot:
        return float(scale.centres[0])
    if scale.log and number <= 0:
        raise BadInput(f"overlay {overlay.where}: {name} has {number:g}, which a log axis without 0 cannot show.")
    return number


def _number(overlay: Overlay, value: object, name: str) -> float:
    try:
        number = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        number = math.nan
    if not math.isfinite(number):
        raise BadInput(f"overlay {overlay.where}: {name} has '{label(value)}', must be a number.")
    return number
