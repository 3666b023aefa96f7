"""What a report is made from: the study, an open connection, its trials, and the slice that its diagrams show."""

from __future__ import annotations

import dataclasses

import duckdb
import pandas as pd

from grokstudy.phase.columns import is_numeric
from grokstudy.phase.continuous import extent, is_continuous, middle
from grokstudy.phase.proposals import is_adaptive, proposals
from grokstudy.phase.query import PhaseQuery
from grokstudy.phase.report_trials import MOST_LEVELS, ReportTrials
from grokstudy.spec.axes import Value, is_seed
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder

MOST_FACETS = 4
"""Values of a third axis that are drawn beside each other; of more, the first is shown."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ReportSource:
    """A study as it stands while its report is written."""

    folder: StudyFolder
    spec: StudySpec
    connection: duckdb.DuckDBPyConnection
    trials: ReportTrials | None
    """None: there is no trial yet."""

    @property
    def adaptive(self) -> bool:
        """Whether trials were chosen by what others did, so that shares of them say nothing."""
        return is_adaptive(proposals(self.connection))

    @property
    def axes(self) -> tuple[str, ...]:
        """Paths of the axes, seeds aside, in the study's order."""
        return axes_of(self.spec)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Slice:
    """What of a study its diagrams show."""

    x: str
    y: str | None
    facet: str | None
    fix: tuple[tuple[str, Value], ...]
    mixed: tuple[str, ...]
    """Axes of which every trial has a value of its own, so that fixing one would leave a single trial."""
    bins: int | None
    slices: tuple[tuple[str, float], ...] = ()
    """Where continuous axes lie that are not drawn; every trial counts towards the posterior there."""

    def query(self, trials: ReportTrials) -> PhaseQuery:
        """The diagram at the report's T, which a part of the trials alone could set elsewhere."""
        budget = trials.budget.steps if self.fix else None
        held = (*self.fix, *self.slices)
        return PhaseQuery(x=self.x, y=self.y, facet=self.facet, fix=held, bins=self.bins, budget=budget)


def axes_of(spec: StudySpec) -> tuple[str, ...]:
    """Paths of a study's axes, seeds aside."""
    return tuple(axis.path for axis in spec.axes if not is_seed(axis.path))


def shown_slice(spec: StudySpec, trials: ReportTrials) -> Slice | None:
    """The first two axes across the page, a third one of few values as facets, all others at their first value.

    An axis that has one value so far is drawn only if no other is there. If one is continuous, names are facets, and
    other continuous axes are held in their middle. None: the study has no axis.
    """
    axes = axes_of(spec)
    several = tuple(path for path in axes if path in trials.varied)
    drawn = several or axes[:1]
    if not drawn:
        return None
    if any(is_continuous(path, trials.table[path], spec.axes) for path in several):
        return _continuous_slice(spec, several, trials)
    x, *others = drawn
    y = others.pop(0) if others else None
    facet = others.pop(0) if others and len(trials.levels(others[0])) <= MOST_FACETS else None
    mixed = tuple(path for path in others if _is_long(trials.table[path]))
    fix = tuple((path, trials.levels(path)[0]) for path in others if path not in mixed)
    many = any(_is_long(trials.table[path]) for path in (x, y) if path)
    return Slice(x=x, y=y, facet=facet, fix=fix, mixed=mixed, bins=MOST_LEVELS if many else None)


def continuous(source: ReportSource, trials: ReportTrials) -> bool:
    """Whether a varied axis has no cells."""
    return any(
        is_continuous(path, trials.table[path], source.spec.axes) for path in source.axes if path in trials.varied
    )


def _continuous_slice(spec: StudySpec, several: tuple[str, ...], trials: ReportTrials) -> Slice:
    """The slice of a study with an axis that has no cells."""
    numbers = [path for path in several if is_numeric(trials.table[path])]
    others = [path for path in several if path not in numbers[:2]]
    held = {path: extent(path, trials.table[path], spec.axes) for path in others if path in numbers}
    long = {path: whole for path, whole in held.items() if is_continuous(path, trials.table[path], spec.axes)}
    few = [path for path in others if path not in long and len(trials.levels(path)) <= MOST_FACETS]
    facet = few[0] if few else None
    return Slice(
        x=numbers[0],
        y=numbers[1] if len(numbers) > 1 else None,
        facet=facet,
        fix=tuple((path, trials.levels(path)[0]) for path in others if path not in long and path != facet),
        mixed=(),
        bins=None,
        slices=tuple((path, middle(whole)) for path, whole in long.items() if whole is not None),
    )


def in_slice(shown: Slice, trials: ReportTrials) -> pd.DataFrame:
    """The trials that the diagrams show."""
    table = trials.table
    for path, value in shown.fix:
        table = table[table[path].isna() if pd.isna(value) else table[path] == value]
    return table


def _is_long(column: pd.Series) -> bool:
    """More numbers than a diagram shows one by one (an interval, from which every trial has a value of its own)."""
    return is_numeric(column) and column.nunique() > 2 * MOST_LEVELS
