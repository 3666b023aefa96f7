"""A comparison from Python: `study.compare(other)` as a table, a plotly figure and a file."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd

from grokstudy.phase import compare_export
from grokstudy.phase.compare import Comparison
from grokstudy.phase.compare_sides import CompareQuery
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput
from grokstudy.study.api import Study, open
from grokstudy.study.compare import compare_levels, compare_studies

if TYPE_CHECKING:
    import plotly.graph_objects as go


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Compared:
    """Comparisons with one baseline, one for every other study or value."""

    comparisons: tuple[Comparison, ...]

    def effects(self) -> pd.DataFrame:
        """One row per comparison, strip and overall: medians of the paired effect with its interval, and counts."""
        return compare_export.effects(self.comparisons)

    def pairs(self) -> pd.DataFrame:
        """One row per pair of trials with equal seeds and settings."""
        return compare_export.pairs(self.comparisons)

    def plot(self) -> go.Figure:
        """Strips with every pair, as a plotly figure."""
        from grokstudy.phase.compare_figure import compare_figure_data
        from grokstudy.phase.compare_plotly import compare_figure

        return compare_figure(compare_figure_data(self.comparisons))

    def save(self, path: Path | str) -> Path:
        """Writes .png .svg .pdf .html .csv .json or .parquet.

        Raises:
            BadInput: another suffix, or a folder that does not exist.
        """
        return compare_export.write(self.comparisons, Path(path))

    def __repr__(self) -> str:
        return f"Compared {', '.join(one.name for one in self.comparisons)}: {self.comparisons[0].query.value}"


def compared(
    study: Study,
    others: Sequence[str | Study] = (),
    axis: str | None = None,
    against: str | None = None,
    value: str = "t_gen",
    by: str | Sequence[str] = (),
    fix: Mapping[str, Value] | None = None,
    **settings: str | float | int | None,
) -> Compared:
    """Other studies against this one, or the values of one of its axes, paired by equal seeds and settings.

    Args:
        study: the baseline.
        others: studies, or names of studies under the same storage root.
        axis: instead of `others`, a setting whose values are compared.
        against: the value of `axis` that the others are compared with; default the first.
        value: t_gen, t_mem, log10_delay_ratio, a numeric column or a measure.
        by: settings with a strip for each value.
        fix: settings and the value they must have.
        settings: the other fields of `CompareQuery`: tau, ratio, budget, rule, at, confidence.

    Raises:
        BadInput: neither or both of `others` and `axis`, or as `compare_studies` and `compare_levels`.
    """
    if bool(others) == (axis is not None):
        raise BadInput("compare: give other studies, or axis= one setting of this study.")
    if against is not None and axis is None:
        raise BadInput("against: names a value of axis; give axis= too. Of two studies this one is the baseline.")
    names = (by,) if isinstance(by, str) else tuple(by)
    query = CompareQuery(value=value, by=names, fix=tuple((fix or {}).items()), **settings)  # type: ignore[arg-type]
    if axis is not None:
        return Compared(comparisons=compare_levels(study, axis, query, against))
    root = study.folder.storage.uri
    opened = [open(other, None if "/" in other else root) if isinstance(other, str) else other for other in others]
    return Compared(comparisons=compare_studies(study, opened, query))
