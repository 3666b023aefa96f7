"""The boundary against the budget: one data set, seen at every T' up to T, and where it goes for T without end."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Float, Int
from scipy.stats import chi2

from grokstudy.phase.inference import words
from grokstudy.phase.inference.exponent import ExponentFit, fit_exponent, one_number
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.result import INK_SERIES, Band, FitFigure, Line, Mark, Panel, Points
from grokstudy.phase.inference.trials import TrialTimes, read_trials
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import HOLD

_BUDGETS = 8
_DECADES = 1.5
"""How far below T the boundary is read."""
_SLOPES = np.geomspace(1.0, 2000.0, 40)
"""Of the logit over half the range of x; the largest is a step."""
_PLACES = 361
_FEWEST = 3
"""Trials on each side of a boundary."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """Where half of the trials have got there by a budget."""

    budget: float
    x: float
    low: float
    high: float
    """Profile-likelihood interval; infinite beyond the range of x."""
    seen: int
    trials: int
    """Whose state at the budget is known."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class BudgetShift:
    """Boundaries at several budgets, and the power law that says where they go."""

    crossings: tuple[Crossing, ...]
    law: ExponentFit
    budgets: int
    """At which a boundary was looked for."""
    largest: float

    def table(self) -> pd.DataFrame:
        """One row per budget, then x_c, the boundary without a budget."""
        rows = [("boundary", one.budget, one.x, one.low, one.high, one.seen, one.trials) for one in self.crossings]
        x_c = self.law.x_c
        n = len(self.law.trials)
        rows.append(("x_c", float("inf"), x_c.at, x_c.low, x_c.high, int(self.law.trials.seen.happened.sum()), n))
        return pd.DataFrame(rows, columns=["name", "budget", "estimate", "low", "high", "seen", "trials"])

    def sentences(self) -> tuple[str, ...]:
        trials, x_c = self.law.trials, self.law.x_c
        first, last = self.crossings[0], self.crossings[-1]
        told = [
            f"Boundary of {self.law.path} at T = {words.number(one.budget)}: "
            f"{words.interval(one.x, one.low, one.high)}."
            for one in dict.fromkeys((first, last))
        ]
        told.append(
            f"Boundaries are read at {self.budgets} T' up to {words.number(self.largest)} steps, the last at which it "
            f"is known of every trial that ran to T whether it had got there; at {len(self.crossings)} of them "
            f"there are {_FEWEST} trials on each side."
        )
        told.append(
            f"Without a budget, by the power law: x_c = {words.interval(x_c.at, x_c.low, x_c.high)}. A boundary at a "
            "finite T is not x_c: it lies (A / T)^(1 / nu) away and moves with T."
        )
        inside = x_c.low <= last.x <= x_c.high
        told.append(
            "The boundary at the largest T lies "
            + (
                "within the interval of x_c: no shift beyond it can be told."
                if inside
                else "outside the interval of x_c."
            )
        )
        told.append(
            "Each boundary is a logistic crossing of the same trials as they were known at that T, with "
            "profile-likelihood intervals. They share trials, so the intervals are not independent; x_c comes from the "
            "times of all trials at once, not from a line through the boundaries."
        )
        told += [one for one in self.law.sentences() if one.startswith("WARNING")]
        told += trials.sentences()
        return tuple(told)

    def figure(self) -> FitFigure:
        budget, x, low, high = np.array([(c.budget, c.x, c.low, c.high) for c in self.crossings]).T
        along = np.geomspace(budget.min() / 1.3, budget.max() * 30, 100)
        curve = np.array([self.law.boundary_at(float(one)) for one in along])
        ends = np.clip([self.law.x_c.low, self.law.x_c.high], *self._frame())
        panel = Panel(
            x_label="T (steps)",
            y_label=f"boundary of {words.label(self.law.path)}",
            x_log=True,
            bands=(
                Band(x=along, low=np.full(100, ends[0]), high=np.full(100, ends[1]), name="x_c, interval", series=1),
            ),
            lines=(Line(x=along, y=curve, name="power law", series=INK_SERIES),),
            points=(
                Points(
                    x=budget,
                    y=x,
                    low=np.clip(low, *self._frame()),
                    high=np.clip(high, *self._frame()),
                    name="half of the trials by T",
                ),
            ),
            marks=(Mark(at=self.law.x_c.at, upright=False, text="x_c"),),
        )
        return FitFigure(
            title=f"{self.law.trials.study}: the boundary moves with the budget",
            note=words.note(self.law.trials, "re-censored at every T; logistic crossings and a censored power law"),
            panels=(panel,),
        )

    def _frame(self) -> tuple[float, float]:
        low, high = float(self.law.law.x.min()), float(self.law.law.x.max())
        return low - 0.1 * (high - low), high + 0.1 * (high - low)


def fit_budget_shift(trials: TrialTimes, budgets: Float[np.ndarray, " budgets"] | None = None) -> BudgetShift:
    """Boundaries at `budgets` (default: eight up to `last_common_step`), and x_c by `fit_exponent`.

    Raises:
        BadInput: as `fit_exponent`, or no budget has trials on both sides.
    """
    law = fit_exponent(trials)
    if budgets is None:
        budgets = last_common_step(trials) * 10.0 ** np.linspace(-_DECADES, 0, _BUDGETS)
    found = [crossing_at(trials, float(budget), law.law.rises) for budget in budgets]
    crossings = tuple(one for one in found if one is not None)
    if not crossings:
        raise BadInput(
            f"budget: at no T have at least {_FEWEST} trials got to {trials.query.event} and {_FEWEST} not, so there "
            f"is no boundary of {law.path} to read."
        )
    return BudgetShift(crossings=crossings, law=law, budgets=len(budgets), largest=float(budgets[-1]))


def last_common_step(trials: TrialTimes) -> float:
    """The last step at which it is known of every trial that ran to T whether it had got there.

    A trial that was stopped early is left out of later boundaries; it would cut all of them short. If no trial ran to
    T, all of them count.
    """
    seen, steps = trials.seen, float(trials.budget.steps)
    waiting = seen.low[~seen.happened]
    ran = waiting[waiting >= steps / HOLD * (1 - 1e-9)]
    return float(min(ran if len(ran) else waiting, default=steps))


def crossing_at(trials: TrialTimes, budget: float, rises: bool) -> Crossing | None:
    """The logistic crossing among trials known at the budget; None with too few on one side.

    The slope runs over a fixed range that includes a step, so that trials which do not overlap give an interval too:
    from the last that did not get there to the first that did, and as far beyond as the likelihood allows.
    """
    _, x = one_number(trials)
    there = trials.seen.high <= budget
    known = there | (trials.seen.low >= budget)
    yes, n = int(there.sum()), int(known.sum())
    if min(yes, n - yes) < _FEWEST:
        return None
    low, high = float(x.min()), float(x.max())
    sign = 1.0 if rises else -1.0
    unit, counts, total = _counted((2 * (x[known] - low) / (high - low) - 1), there[known])
    places = np.linspace(-1.2, 1.2, _PLACES)
    deviance = -2 * _profile(unit, counts, total, places, sign)
    deviance -= deviance.min()
    inside = places[deviance <= chi2.ppf(trials.query.confidence, 1)]
    best = places[deviance <= 1e-6].mean()  # a step between two values fits anywhere between: the middle
    at, start, end = (low + (u + 1) / 2 * (high - low) for u in (best, inside.min(), inside.max()))
    return Crossing(
        budget=budget,
        x=float(at),
        low=float(start) if inside.min() > places[0] else -np.inf,
        high=float(end) if inside.max() < places[-1] else np.inf,
        seen=yes,
        trials=n,
    )


def _counted(
    unit: Float[np.ndarray, " trials"], there: np.ndarray
) -> tuple[Float[np.ndarray, " values"], Int[np.ndarray, " values"], Int[np.ndarray, " values"]]:
    distinct, place = np.unique(unit, return_inverse=True)
    total = np.bincount(place)
    return distinct, np.bincount(place, weights=there).astype(np.int64), total


def _profile(
    unit: Float[np.ndarray, " values"],
    counts: Int[np.ndarray, " values"],
    total: Int[np.ndarray, " values"],
    places: Float[np.ndarray, " places"],
    sign: float,
) -> Float[np.ndarray, " places"]:
    """Log-likelihood of a crossing at every place, at its best slope."""
    best = np.full(len(places), -np.inf)
    distance = sign * (unit[None, :] - places[:, None])
    successes = distance @ counts
    for slope in _SLOPES:
        logit = slope * distance
        normaliser = np.maximum(logit, 0.0) + np.log1p(np.exp(-np.abs(logit)))  # log(1 + e^logit)
        best = np.maximum(best, slope * successes - normaliser @ total)
    return best


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> BudgetShift:
    """`fit_budget_shift` of a study's trials."""
    return fit_budget_shift(read_trials(connection, query))
