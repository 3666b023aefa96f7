"""Accelerated failure times: by what factor a setting delays t_gen or t_mem, with censored trials counted."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np
import pandas as pd
import scipy.stats
from jaxtyping import Float

from grokstudy.phase.inference import words
from grokstudy.phase.inference.covariates import Term, design, terms_of, usable
from grokstudy.phase.inference.estimate import Estimate, Parameters, Scores, exponentials, maximise
from grokstudy.phase.inference.families import FAMILIES, WEIBULL, Family
from grokstudy.phase.inference.intervals import Intervals
from grokstudy.phase.inference.likelihood import slopes
from grokstudy.phase.inference.ph import fit_hazards
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.result import INK_SERIES, FitFigure, Line, Mark, Panel, Points
from grokstudy.phase.inference.trials import TrialTimes, read_trials
from grokstudy.spec.errors import BadInput

FEWEST_SEEN = 5
"""Times per parameter of the location that must have been seen."""
_DECISIVE = 10.0
"""Difference of AIC from which a model is called worse (Burnham & Anderson 2002, 2.6)."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effect:
    """Times are multiplied by `ratio` when the setting goes up by `per`."""

    name: str
    per: str
    ratio: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class AftFit:
    """Accelerated failure time models of one event."""

    trials: TrialTimes
    terms: tuple[Term, ...]
    fits: dict[str, Estimate]
    """By family; parameters are intercept, terms, log scale (natural logarithms of steps)."""
    hazards: Estimate
    """Proportional hazards with a flexible baseline."""
    zero: int
    """Trials left out because a setting has no place on its log axis."""

    @property
    def best(self) -> str:
        """The family with the smallest AIC."""
        return min(self.fits, key=lambda name: self.fits[name].aic)

    def effects(self, family: str) -> tuple[Effect, ...]:
        """What each term does to the time."""
        estimate, confidence = self.fits[family], self.trials.query.confidence
        found = []
        for k, term in enumerate(self.terms, start=1):
            direction = np.zeros(len(estimate.parameters))
            direction[k] = term.per_step
            at, low, high = exponentials(estimate.interval(direction, confidence))
            found.append(Effect(name=term.label, per=term.per, ratio=at, low=low, high=high))
        return tuple(found)

    def table(self) -> pd.DataFrame:
        """One row per family and term (time ratio), per scale (dex), and per model's AIC."""
        rows: list[tuple[str, str, str, float, float, float]] = []
        for family, estimate in self.fits.items():
            for one in self.effects(family):
                rows.append((family, one.name, one.per, one.ratio, one.low, one.high))
            last = np.eye(len(estimate.parameters))[-1]
            at, low, high = exponentials(estimate.interval(last, self.trials.query.confidence))
            rows.append((family, "scale", "dex", at / np.log(10), low / np.log(10), high / np.log(10)))
        aic = {**{name: one.aic for name, one in self.fits.items()}, "proportional hazards": self.hazards.aic}
        rows += [(name, "aic", "", value, np.nan, np.nan) for name, value in aic.items()]
        return pd.DataFrame(rows, columns=["model", "name", "per", "estimate", "low", "high"])

    def sentences(self) -> tuple[str, ...]:
        event, best = self.trials.query.event, self.best
        told = [
            f"{one.name} ({one.per}): {event} is multiplied by {words.interval(one.ratio, one.low, one.high)}."
            for one in self.effects(best)
        ]
        told.append(f"These are time ratios of the {best} model, which has the smallest AIC of the three families.")
        told.append(self._against_hazards())
        told.append(words.errors(self.fits[best], self.trials))
        told += self.trials.sentences()
        if self.zero:
            told.append(f"Left out: {words.count(self.zero, 'trial')} at 0 of a log axis: no factor leads there.")
        told.append(
            "Assumed: each setting multiplies the time by one factor, the same everywhere and for every seed; a trial "
            "that never gets there is a slow one to this model. `fit cure` tests that."
        )
        return tuple(told)

    def figure(self) -> FitFigure:
        confidence = self.trials.query.confidence
        ticks = tuple((float(k), f"{one.name}\n{one.per}") for k, one in enumerate(self.effects(self.best)))
        marks = []
        for number, family in enumerate(FAMILIES):
            found = self.effects(family)
            marks.append(
                Points(
                    x=np.arange(len(found)) + (number - 1) * 0.2,
                    y=np.array([one.ratio for one in found]),
                    low=np.array([one.low for one in found]),
                    high=np.array([one.high for one in found]),
                    name=family,
                    series=number,
                )
            )
        ratios = Panel(
            title="time ratios",
            x_label="",
            y_label=f"factor on {self.trials.query.event}",
            y_log=True,
            x_ticks=ticks,
            points=tuple(marks),
            marks=(Mark(at=1.0, upright=False),),
        )
        return FitFigure(
            title=f"{self.trials.study}: what delays {self.trials.query.event}",
            note=words.note(self.trials, f"accelerated failure times, {confidence:.0%} intervals"),
            panels=(ratios, self._residuals()),
        )

    def _against_hazards(self) -> str:
        gap = self.hazards.aic - self.fits[self.best].aic
        told = f"AIC: {self.best} {self.fits[self.best].aic:.1f}, proportional hazards {self.hazards.aic:.1f}; "
        if gap > _DECISIVE:
            return told + "proportional hazards are clearly worse, so factors on time are the reading of these data."
        if gap < -_DECISIVE:
            return told + (
                "WARNING: proportional hazards with a free baseline are clearly better, so one factor on time "
                "misdescribes these data. Look at the residuals: an effect that turns round, trials that never get "
                "there (`fit cure`), or a time that diverges (`fit exponent`) do this."
            )
        if self.best == WEIBULL.name:
            return told + "the Weibull has proportional hazards itself, so both readings hold."
        return told + "these data do not tell the two apart."

    def _residuals(self) -> Panel:
        family, estimate = FAMILIES[self.best], self.fits[self.best]
        seen, rows = self.trials.seen, design(self.terms, self.trials.settings)
        location, scale = rows @ estimate.parameters[:-1], np.exp(estimate.parameters[-1])
        ends = np.where(seen.happened, seen.high, np.maximum(seen.low, 1e-9))
        z = (np.log(np.where(np.isfinite(ends), ends, 1.0)) - location) / scale
        data = scipy.stats.CensoredData(uncensored=z[seen.happened], right=z[~seen.happened])
        waiting = scipy.stats.ecdf(data).sf
        along = np.linspace(min(float(z.min()), -2.5), max(float(z[seen.happened].max()), 2.5), 120)
        return Panel(
            title="do the residuals follow it?",
            x_label="(log t - fitted) / scale",
            y_label="share still waiting",
            lines=(
                Line(x=waiting.quantiles, y=waiting.probabilities, name="residuals (Kaplan-Meier)", steps=True),
                Line(x=along, y=np.exp(family.log_later(along)), name=best_name(family), series=INK_SERIES, thin=True),
            ),
        )


def best_name(family: Family) -> str:
    """The family's name as a legend says it."""
    return f"{family.name} model"


def fit_aft(trials: TrialTimes) -> AftFit:
    """Lognormal, Weibull and log-logistic accelerated failure times, and proportional hazards beside them.

    Raises:
        BadInput: fewer than 5 times seen per parameter.
    """
    use = usable(trials.settings)
    kept = trials.take(use)
    terms = terms_of(kept.settings)
    rows = design(terms, kept.settings)
    check_enough(kept, rows.shape[1])
    return AftFit(
        trials=kept,
        terms=terms,
        fits={name: fit_family(family, kept.seen, rows, kept.cluster) for name, family in FAMILIES.items()},
        hazards=fit_hazards(kept.seen, rows, kept.cluster),
        zero=int((~use).sum()),
    )


def fit_family(
    family: Family,
    seen: Intervals,
    rows: Float[np.ndarray, "trials terms"],
    cluster: Float[np.ndarray, " trials"] | None = None,
) -> Estimate:
    """log t = rows beta + scale z by maximum likelihood; parameters are beta, then log scale.

    Args:
        rows: first a column of ones, then the terms.
        cluster: number of the group of each trial, for the errors.
    """

    def model(parameters: Parameters) -> tuple[Float[np.ndarray, " trials"], Scores]:
        found = slopes(family, seen, rows @ parameters[:-1], float(np.exp(np.clip(parameters[-1], -10, 10))))
        return found.value, np.column_stack([found.location[:, None] * rows, found.log_scale])

    return maximise(model, starting_point(seen, rows), cluster)


def starting_point(seen: Intervals, rows: Float[np.ndarray, "trials terms"]) -> Parameters:
    """Least squares on the ends of the intervals, censored times taken as they are."""
    logs = np.log(np.maximum(np.where(seen.happened, seen.high, seen.low), 1.0))
    beta = np.linalg.lstsq(rows, logs, rcond=None)[0]
    return np.append(beta, np.log(max(float(np.std(logs - rows @ beta)), 0.05)))


def check_enough(trials: TrialTimes, parameters: int) -> None:
    """Raises BadInput if too few times were seen for so many parameters, or all at one evaluation."""
    seen = int(trials.seen.happened.sum())
    if seen < FEWEST_SEEN * parameters:
        raise BadInput(
            f"{trials.query.event} was seen in {seen} of {len(trials)} trials; a fit of {parameters} parameters needs "
            f"at least {FEWEST_SEEN * parameters}. Run more trials, longer ones, or give fewer --x."
        )
    times = np.unique(trials.seen.high[trials.seen.happened])
    if len(times) == 1:
        raise BadInput(
            f"{trials.query.event} is at the same evaluation, step {times[0]:g}, in all {seen} trials in which it was "
            "seen: there is nothing to fit. Does the rule or tau hold from the start?"
        )


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> AftFit:
    """`fit_aft` of a study's trials."""
    return fit_aft(read_trials(connection, query))
