"""Whether the end depends on the start: forks of generalised and of memorised networks, trained at the same places."""

from __future__ import annotations

import dataclasses
from collections.abc import Hashable, Mapping

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Bool, Float

from grokstudy.phase import columns
from grokstudy.phase.inference.line_cut import LineCut, leaf
from grokstudy.phase.inference.loop_area import LoopArea, loop_area
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.read_cut import DEFAULT_VALUE, last_by, line_cut, one_x, value_table
from grokstudy.phase.inference.result import Band, FitFigure, Line, Panel, Points
from grokstudy.phase.inference.trials import trial_columns
from grokstudy.phase.inference.words import count, few_clusters
from grokstudy.phase.rule import RULE_COLUMNS, Rule
from grokstudy.spec.errors import BadInput, unknown

BRANCHES = ("from generalised", "from memorised")
START = "init.from"
SHORTER = (8, 4, 2)
"""Parts of T at which the loop is read too."""
_ASIDE = 0.005
"""Of the width of a panel."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Hysteresis:
    """The loop at T, and at shorter T read from the same curves."""

    cut: LineCut
    """Trials of both branches at T."""
    generalised: Bool[np.ndarray, " trials"]
    loops: tuple[LoopArea, ...]
    """By rising T; the last one is at T."""
    neither: int
    """Forks that began neither memorised nor generalised; left out."""
    confidence: float

    def table(self) -> pd.DataFrame:
        last = self.loops[-1]
        areas = [
            {
                "name": f"area at T = {one.budget:,}" if one.budget else "area",
                "estimate": one.area,
                "low": one.area_low,
                "high": one.area_high,
            }
            for one in self.loops
        ]
        gaps = [
            {
                "name": f"gap at {leaf(self.cut.x_name)} = {last.places[i]:g}",
                "estimate": last.gap[i],
                "low": last.low[i],
                "high": last.high[i],
                BRANCHES[0].replace(" ", "_"): last.generalised[i],
                BRANCHES[1].replace(" ", "_"): last.memorised[i],
            }
            for i in range(len(last.places))
        ]
        return pd.DataFrame([*areas, *gaps])

    def sentences(self) -> tuple[str, ...]:
        first, last = self.loops[0], self.loops[-1]
        x, clusters = leaf(self.cut.x_name), len(np.unique(self.cut.cluster))
        still_open = last.places[last.low > 0].tolist()
        unit = f"{self.cut.value_name} x {'decades of ' if self.cut.log else ''}{x}"
        told = [
            f"Area between the branches: {last.area:.3g} [{last.area_low:.3g}, {last.area_high:.3g}] {unit}, a mean "
            f"gap of {last.area / last.width:.3g} over the cut ({self.confidence:.0%} bootstrap over "
            f"{count(clusters, 'value')} of {self.cut.cluster_name}).",
            *few_clusters(clusters, self.cut.cluster_name, self.confidence),
            f"Open (interval above 0) at {x} = {', '.join(map('{:g}'.format, still_open)) or 'no place'}.",
        ]
        if reversed_ := last.places[last.high < 0].tolist():
            told.append(
                f"Reversed (interval below 0) at {x} = {', '.join(map('{:g}'.format, reversed_))}: there the memorised "
                "start ends higher, and the area counts it as negative."
            )
        if len(self.loops) > 1:
            told.append(
                f"Over T = {', '.join(f'{one.budget:,}' for one in self.loops)} the area is "
                f"{', '.join(f'{one.area:.3g}' for one in self.loops)}: {_trend(first, last)}."
            )
        told.append(
            "Every trial starts from one of two networks and is trained at its own x for T steps: a loop that is open "
            "at T says that T steps do not forget the start. Only a loop that has stopped closing with T (run --steps) "
            "speaks for two stable states; one that still closes may be nothing but slow."
        )
        if self.neither:
            told.append(f"Left out: {count(self.neither, 'fork')} that began neither memorised nor generalised.")
        return (*told, *self.cut.sentences())

    def figure(self) -> FitFigure:
        last = self.loops[-1]
        branches = (last.generalised, last.memorised)
        seeds = tuple(
            Points(x=_aside(self.cut, own, 2 * i - 1), y=self.cut.value[own], name=name, series=i)
            for i, (name, own) in enumerate(zip(BRANCHES, (self.generalised, ~self.generalised), strict=True))
        )
        lines = tuple(Line(x=last.places, y=mean, series=i) for i, mean in enumerate(branches))
        between = Band(x=last.places, low=np.minimum(*branches), high=np.maximum(*branches), series=0)
        panels = [
            Panel(
                x_label=self.cut.x_name,
                y_label=f"{self.cut.value_name} at T",
                x_log=self.cut.log,
                points=seeds,
                lines=lines,
                bands=(between,),
            )
        ]
        if len(self.loops) > 1:
            area, low, high = (
                np.array([getattr(one, name) for one in self.loops]) for name in ("area", "area_low", "area_high")
            )
            steps = np.array([float(one.budget or 0) for one in self.loops])
            points = Points(x=steps, y=area, low=low, high=high)
            panels.append(Panel(x_label="T (steps)", y_label="area between the branches", x_log=True, points=(points,)))
        return FitFigure(
            title="hysteresis: does the end depend on the start?",
            note=f"{self.cut.note}; lines join means over seeds, bars: {self.confidence:.0%} bootstrap over seeds",
            panels=tuple(panels),
        )


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> Hysteresis:
    """The loop of a study of forks along one setting, at T and at an eighth, a quarter and half of it.

    A fork's branch is the state that it began in, at its step 0: generalised if its test accuracy was at least tau (or
    the rule held), memorised if only its train accuracy was.

    Raises:
        BadInput: the study has no forks, the value is no column of curves, and as `value_table` and `loop_area`.
    """
    x, value = one_x("hysteresis", query), query.value or DEFAULT_VALUE
    if value not in RULE_COLUMNS:
        raise unknown("value", value, RULE_COLUMNS, "A loop is read from curves, at several T.")
    if START not in trial_columns(connection):
        raise _no_forks()
    table = value_table(connection, query, x, START)
    told = table.attrs
    table = table[table["y"].notna()].join(_began(connection, query), on="trial_id")
    if table.empty:
        raise _no_forks()
    began = table["generalised"] | table["memorised"]
    kept = table[began & table["value"].notna()]
    side = kept["generalised"].to_numpy(dtype=bool)
    cuts = [_cut_at(connection, query, kept, told, steps) for steps in _budgets(int(told["budget"]))]
    return Hysteresis(
        cut=dataclasses.replace(cuts[-1], left_out=len(table) - len(kept)),
        generalised=side,
        loops=tuple(
            loop_area(
                cut,
                side,
                confidence=query.confidence,
                resamples=query.resamples,
                resampling_seed=query.resampling_seed,
            )
            for cut in cuts
        ),
        neither=int((~began).sum()),
        confidence=query.confidence,
    )


def _budgets(steps: int) -> list[int]:
    """T and its parts, rising; none below one step."""
    return sorted({max(steps // part, 1) for part in (*SHORTER, 1)})


def _cut_at(
    connection: duckdb.DuckDBPyConnection,
    query: FitQuery,
    kept: pd.DataFrame,
    told: Mapping[Hashable, object],
    steps: int,
) -> LineCut:
    """The same trials with their value at fewer steps."""
    at = kept.assign(value=last_by(connection, kept["trial_id"], str(told["value"]), steps))
    at.attrs = {**told, "y": None, "budget": steps}
    return line_cut(at, query)


def _began(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> pd.DataFrame:
    """Whether each trial was generalised or only memorised at its step 0, by trial_id."""
    rule = query.parsed_rule() or Rule(column="test_acc", comparison=">=", bound=query.tau)
    frame = connection.sql(
        f"SELECT trial_id, train_acc, {columns.quoted(rule.column)} AS read FROM curves WHERE step = 0"
    ).df()
    generalised = rule.holds(frame["read"].to_numpy(dtype=float))
    memorised = (frame["train_acc"].to_numpy(dtype=float) >= query.tau) & ~generalised
    return pd.DataFrame({"generalised": generalised, "memorised": memorised}, index=frame["trial_id"])


def _no_forks() -> BadInput:
    return BadInput(
        "init.from: no trial of this study is a fork. A loop needs forks of generalised and of memorised networks at "
        "the same places: 'init.from=PARENTS@100,PARENTS@end' (docs/transition_order.md)."
    )


def _aside(cut: LineCut, own: Bool[np.ndarray, " trials"], side: int) -> Float[np.ndarray, " own"]:
    """x of a branch a little to one side, so that branches on each other are both seen."""
    if cut.log:
        return np.asarray(cut.x[own] * (cut.x.max() / cut.x.min()) ** (_ASIDE * side))
    return np.asarray(cut.x[own] + np.ptp(cut.x) * _ASIDE * side)


def _trend(first: LoopArea, last: LoopArea) -> str:
    """What longer training did to the size of the area; intervals that overlap decide nothing."""
    up, down = last.area_low > first.area_high, last.area_high < first.area_low
    if not (up or down):
        return "no change with T is resolved"
    above, below = first.area_low >= 0, first.area_high <= 0
    if (down and above and last.area_high < 0) or (up and below and last.area_low > 0):
        return "longer training turns the loop round"
    return f"longer training {'closes' if (down and above) or (up and below) else 'opens'} the loop"
