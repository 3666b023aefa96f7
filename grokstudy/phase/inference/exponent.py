"""Where a time diverges and how: t = A |x - x_c|^-nu under right-censoring, as a region of (x_c, nu)."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.stats import chi2

from grokstudy.phase import columns
from grokstudy.phase.inference import words
from grokstudy.phase.inference.aft import check_enough, fit_family
from grokstudy.phase.inference.covariates import design, terms_of
from grokstudy.phase.inference.cure_figure import observed_times
from grokstudy.phase.inference.estimate import Estimate
from grokstudy.phase.inference.families import LOGNORMAL
from grokstudy.phase.inference.power_law import PowerLaw
from grokstudy.phase.inference.profile import CriticalRegion, Profiled, critical_region, flattening, profiled
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.result import INK_SERIES, FitFigure, Line, Mark, Panel, Points, Region
from grokstudy.phase.inference.trials import TrialTimes, read_trials
from grokstudy.spec.errors import BadInput

_DECISIVE = 2.0


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ExponentFit:
    """The power law of one event along one setting."""

    trials: TrialTimes
    path: str
    law: PowerLaw
    estimate: Estimate
    x_c: Profiled
    nu: Profiled
    region: CriticalRegion
    spread: float
    """Factor on the deviance's scale, at least 1, as trials of one cluster resemble each other."""
    plain_aic: float
    """Of the lognormal model in which the time changes by a factor per step of x and nothing diverges."""

    @property
    def gain(self) -> float:
        """How much smaller the AIC is than without a divergence."""
        return self.plain_aic - self.estimate.aic

    def boundary_at(self, budget: float) -> float:
        """The x at which half of the trials get there by a budget: x_c + (A / T)^(1 / nu) on the side of the law."""
        level, nu, _, _ = self.estimate.parameters
        return self.x_c.at + self.law.sign * self.law.span * float(np.exp((level - np.log(budget)) / max(nu, 1e-9)))

    def table(self) -> pd.DataFrame:
        """x_c and nu with intervals; the scatter (dex); the boundary at T; AIC with and without a divergence."""
        nan = float("nan")
        rows = [
            ("x_c", self.x_c.at, self.x_c.low, self.x_c.high),
            ("nu", self.nu.at, self.nu.low, self.nu.high),
            ("scatter (dex)", float(np.exp(self.estimate.parameters[3]) / np.log(10)), nan, nan),
            ("boundary at T", self.boundary_at(self.trials.budget.steps), nan, nan),
            ("aic", self.estimate.aic, nan, nan),
            ("aic without divergence", self.plain_aic, nan, nan),
        ]
        return pd.DataFrame(rows, columns=["name", "estimate", "low", "high"])

    def sentences(self) -> tuple[str, ...]:
        query, side = self.trials.query, "above" if self.law.rises else "below"
        told = [
            f"{query.event} ~ |{self.path} - x_c|^-nu {side} x_c: x_c = "
            f"{words.interval(self.x_c.at, self.x_c.low, self.x_c.high)}, nu = "
            f"{words.interval(self.nu.at, self.nu.low, self.nu.high)} ({query.confidence:.0%} profile likelihood).",
            "Read the region of (x_c, nu), not nu alone: the two trade against each other along its long axis.",
        ]
        if self.x_c.open or self.nu.open:
            told.append(
                f"WARNING: the region is open, as {self._open()} not bounded on both sides; no exponent can be claimed."
                " More trials near the boundary and a larger T close it."
            )
        if self.gain < _DECISIVE:
            told.append(
                f"WARNING: AIC {self.estimate.aic:.1f} with a divergence, {self.plain_aic:.1f} without: these trials "
                "do not ask for a time that diverges at all."
            )
        if self.spread > 1:
            told.append(
                f"The likelihood is flattened by {self.spread:.2f}, as trials of one {query.cluster} resemble each "
                f"other ({self.estimate.clusters} groups)."
            )
        elif self.estimate.clusters:
            told.append(f"Trials of one {query.cluster} do not resemble each other more than others here.")
        else:
            told.append(f"Trials count as independent. {words.unclustered(self.trials)}")
        told += self.trials.sentences()
        told.append(
            "Assumed: one power law over the whole range of x, in x itself and not its logarithm, with the same "
            "lognormal scatter everywhere. Narrow the range (--fix, or a study nearer to x_c) and see whether nu stays."
        )
        told.append(
            f"Not claimed: that the boundary at T is x_c. By this law it lies at "
            f"{words.number(self.boundary_at(self.trials.budget.steps))} for T = {self.trials.budget.steps:,}; see "
            "`fit budget-shift`. And a phase transition needs several sizes; see `fit collapse`."
        )
        return tuple(told)

    def _open(self) -> str:
        names = [name for name, one in (("x_c", self.x_c), ("nu", self.nu)) if one.open]
        return f"{' and '.join(names)} {'is' if len(names) == 1 else 'are'}"

    def figure(self) -> FitFigure:
        along = np.linspace(0.002, 1, 150) * (np.abs(self.law.x - self.x_c.at).max())
        level, nu = self.estimate.parameters[:2]
        law = np.exp(level - nu * np.log(along / self.law.span))
        seen = law < 30 * self.trials.budget.steps
        data = Panel(
            title="the law",
            x_label=words.label(self.path),
            y_label=f"{self.trials.query.event} (steps)",
            y_log=True,
            lines=(Line(x=self.x_c.at + self.law.sign * along[seen], y=law[seen], name="median, fitted"),),
            points=observed_times(self.trials, self.path),
            marks=(
                Mark(at=self.x_c.at, upright=True, text="x_c"),
                Mark(at=float(self.trials.budget.steps), upright=False, text="T"),
            ),
        )
        region = Panel(
            title=f"{self.trials.query.confidence:.0%} region",
            x_label=f"x_c of {self.path}",
            y_label="nu",
            regions=(
                Region(
                    x=self.region.x_c,
                    y=self.region.nu,
                    height=self.region.deviance,
                    level=self.region.level,
                    name="profile likelihood",
                ),
            ),
            points=(Points(x=np.array([self.x_c.at]), y=np.array([self.nu.at]), name="estimate", series=INK_SERIES),),
        )
        return FitFigure(
            title=f"{self.trials.study}: where {self.trials.query.event} diverges",
            note=words.note(self.trials, "censored lognormal power law, x_c free"),
            panels=(data, region),
        )


def fit_exponent(trials: TrialTimes) -> ExponentFit:
    """The power law along the one numeric setting of the trials.

    Raises:
        BadInput: several settings, one with names, or too few times seen.
    """
    path, x = one_number(trials)
    check_enough(trials, 2)  # fewer than 20 times leave the region open, which is said
    plain = fit_family(LOGNORMAL, trials.seen, design(terms_of(trials.settings), trials.settings))
    law = PowerLaw(x, trials.seen, trials.cluster, rises=_slope(trials, x) < 0)
    estimate = law.best()
    spread = flattening(law, estimate)
    one = chi2.ppf(trials.query.confidence, 1) * spread
    two = chi2.ppf(trials.query.confidence, 2) * spread
    x_c, nu = profiled(law, estimate, one)
    return ExponentFit(
        trials=trials,
        path=path,
        law=law,
        estimate=estimate,
        x_c=x_c,
        nu=nu,
        region=critical_region(law, estimate, two),
        spread=spread,
        plain_aic=plain.aic,
    )


def one_number(trials: TrialTimes) -> tuple[str, Float[np.ndarray, " trials"]]:
    """The one numeric setting that a critical value is asked of.

    Raises:
        BadInput: there are several, or it has names, missing values or one value only.
    """
    if len(trials.settings.columns) != 1:
        raise BadInput(
            f"x: a critical value is asked of one setting, got {len(trials.settings.columns)}; --fix the others."
        )
    path = str(trials.settings.columns[0])
    if not columns.is_numeric(trials.settings[path]) or trials.settings[path].isna().any():
        raise BadInput(
            f"x: {path} must be a number in every trial, its values are {columns.shown(trials.settings[path])}."
        )
    terms_of(trials.settings)
    return path, trials.settings[path].to_numpy(dtype=float)


def _slope(trials: TrialTimes, x: Float[np.ndarray, " trials"]) -> float:
    """Sign of the change of time with x, by the plain model."""
    rows = np.column_stack([np.ones(len(x)), (x - x.mean()) / np.ptp(x)])
    return float(fit_family(LOGNORMAL, trials.seen, rows).parameters[1])


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> ExponentFit:
    """`fit_exponent` of a study's trials."""
    return fit_exponent(read_trials(connection, query))
