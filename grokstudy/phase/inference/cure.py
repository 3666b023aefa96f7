"""Slow or never: the probability of ever getting there, apart from the time of those trials that do."""

from __future__ import annotations

import dataclasses

import duckdb
import numpy as np
import pandas as pd
from jaxtyping import Float
from scipy.special import expit, log_ndtr

from grokstudy.phase.inference import words
from grokstudy.phase.inference.aft import check_enough, fit_family, starting_point
from grokstudy.phase.inference.covariates import Term, design, terms_of, usable
from grokstudy.phase.inference.cure_figure import cure_figure
from grokstudy.phase.inference.estimate import Estimate, Parameters, Scores, exponentials, maximise
from grokstudy.phase.inference.families import LOGNORMAL
from grokstudy.phase.inference.intervals import Intervals
from grokstudy.phase.inference.likelihood import slopes
from grokstudy.phase.inference.query import FitQuery
from grokstudy.phase.inference.result import FitFigure
from grokstudy.phase.inference.trials import TrialTimes, read_trials

_SHARPEST = 40.0
"""Largest slope of logit pi over half the range of a setting: an edge of a fortieth of that, as good as a step."""
_STILL_TO_COME = 0.1
"""Share of the trials not seen that may still get there, by the fit, above which T is too short to say never."""
_DECISIVE = 2.0


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class CureFit:
    """P(ever) is logistic in the settings; the time of those that get there is lognormal."""

    trials: TrialTimes
    terms: tuple[Term, ...]
    estimate: Estimate
    """Parameters: logit of P(ever) (intercept, terms), then log time (intercept, terms), then log scale."""
    plain: Estimate
    """The lognormal model in which every trial gets there at last."""
    still_to_come: float
    """Share of the trials not seen that are slow rather than never, by the fit; NaN if all were seen."""
    zero: int

    @property
    def gain(self) -> float:
        """How much smaller the AIC is than that of the plain model."""
        return self.plain.aic - self.estimate.aic

    def ever(
        self, settings: pd.DataFrame
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """P(ever) with its interval at given settings."""
        rows = design(self.terms, settings)
        none = np.zeros((len(rows), rows.shape[1] + 1))
        at, low, high = self._linear(np.column_stack([rows, none]))
        return expit(at), expit(low), expit(high)

    def median(
        self, settings: pd.DataFrame
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        """Median time, in steps, of the trials that get there, with its interval."""
        rows = design(self.terms, settings)
        at, low, high = self._linear(np.column_stack([np.zeros_like(rows), rows, np.zeros(len(rows))]))
        return np.exp(at), np.exp(low), np.exp(np.minimum(high, 700))

    @property
    def is_step(self) -> bool:
        """Whether the edge between ever and never is sharper than the trials resolve."""
        return bool(np.abs(self.estimate.parameters[1 : len(self.terms) + 1]).max() >= _SHARPEST * 0.99)

    @property
    def edge(self) -> tuple[float, float, float] | None:
        """Where P(ever) is one half, with its interval (delta method); None but for one numeric setting."""
        if len(self.terms) != 1 or self.terms[0].name is not None or self.estimate.parameters[1] == 0:
            return None
        level, slope = self.estimate.parameters[:2]
        gradient = np.r_[-1 / slope, level / slope**2]
        error = float(np.sqrt(gradient @ self.estimate.covariance[:2, :2] @ gradient))
        half = self.estimate.factor(self.trials.query.confidence) * error if np.isfinite(error) else np.inf
        at = -level / slope
        return self.terms[0].value(at), self.terms[0].value(at - half), self.terms[0].value(at + half)

    def table(self) -> pd.DataFrame:
        """One row per term: odds ratio of ever getting there, and time ratio of those that do; then AIC and shares."""
        width = len(self.terms) + 1
        rows: list[tuple[str, str, str, float, float, float]] = []
        for part, offset in (("odds of ever", 0), ("time ratio", width)):
            for k, term in enumerate(self.terms, start=offset + 1):
                direction = np.zeros(len(self.estimate.parameters))
                direction[k] = term.per_step
                found = exponentials(self.estimate.interval(direction, self.trials.query.confidence))
                rows.append((part, term.label, term.per, found[0], found[1], found[2]))
        if self.edge is not None:
            rows.append(("P(ever) = 1/2", self.terms[0].label, "", *self.edge))
        facts = {
            "aic": self.estimate.aic,
            "aic of plain lognormal": self.plain.aic,
            "still to come": self.still_to_come,
        }
        rows += [(name, "", "", value, np.nan, np.nan) for name, value in facts.items()]
        return pd.DataFrame(rows, columns=["part", "name", "per", "estimate", "low", "high"])

    def sentences(self) -> tuple[str, ...]:
        event, told = self.trials.query.event, []
        if self.edge is not None:
            told.append(
                f"Half of the trials ever reach {event} at {self.terms[0].label} = {words.interval(*self.edge)}."
            )
        for part, name, per, at, low, high in self.table().itertuples(index=False):
            if per and (part == "time ratio" or self.edge is None):
                what = (
                    f"odds of ever reaching {event} are"
                    if part == "odds of ever"
                    else f"time to {event} of those that do is"
                )
                told.append(f"{name} ({per}): the {what} multiplied by {words.interval(at, low, high)}.")
        told.append(self._verdict())
        if self.still_to_come > _STILL_TO_COME:
            told.append(
                f"By the fit {self.still_to_come:.0%} of the trials not seen would still get there after T: 'never' "
                "rests on the tail of the lognormal here. Extend the study (run --steps) before claiming it."
            )
        if self.is_step:
            told.append(
                "The edge between ever and never is sharper than the trials resolve; its width is an upper bound."
            )
        told.append(words.errors(self.estimate, self.trials))
        told += self.trials.sentences()
        if self.zero:
            told.append(f"Left out: {words.count(self.zero, 'trial')} at 0 of a log axis.")
        told.append(f"Not claimed: that 'never' means never.{self._watched()}")
        return tuple(told)

    def figure(self) -> FitFigure:
        return cure_figure(self)

    def _watched(self) -> str:
        """How much longer the trials not seen were watched than the latest time took."""
        seen = self.trials.seen
        if seen.happened.all():
            return ""
        latest, until = float(seen.high[seen.happened].max()), float(np.median(seen.low[~seen.happened]))
        return (
            f" The latest time seen is {words.number(latest)} steps, and those not seen were watched for "
            f"{words.number(until)} (median), {until / latest:.2g} times as long; of later times only the tail of the "
            "lognormal speaks. T should be several times the latest time."
        )

    def _verdict(self) -> str:
        told = f"AIC: with never {self.estimate.aic:.1f}, without {self.plain.aic:.1f}; "
        if self.gain > _DECISIVE:
            return told + (
                "these data ask for trials that never get there, which a plain model would take for slow ones. A time "
                "that diverges along a setting looks alike; `fit exponent` is that model."
            )
        return told + "these data do not ask for a share of trials that never get there."

    def _linear(
        self, directions: Float[np.ndarray, "n parameters"]
    ) -> tuple[Float[np.ndarray, " n"], Float[np.ndarray, " n"], Float[np.ndarray, " n"]]:
        found = np.array([self.estimate.interval(row, self.trials.query.confidence) for row in directions])
        return found[:, 0], found[:, 1], found[:, 2]


def fit_cure(trials: TrialTimes) -> CureFit:
    """Mixture-cure lognormal by direct maximum likelihood, from two starts: most trials get there, or only those seen.

    Source: Farewell 1982, Biometrics 38:1041.

    Raises:
        BadInput: too few times were seen.
    """
    use = usable(trials.settings)
    kept = trials.take(use)
    terms = terms_of(kept.settings)
    rows = design(terms, kept.settings)
    check_enough(kept, rows.shape[1] + 1)
    plain = fit_family(LOGNORMAL, kept.seen, rows, kept.cluster)
    estimate = fit_mixture(kept.seen, rows, kept.cluster, plain.parameters)
    return CureFit(
        trials=kept,
        terms=terms,
        estimate=estimate,
        plain=plain,
        still_to_come=_still_to_come(estimate.parameters, kept.seen, rows),
        zero=int((~use).sum()),
    )


def fit_mixture(
    seen: Intervals,
    rows: Float[np.ndarray, "trials terms"],
    cluster: Float[np.ndarray, " trials"] | None,
    plain: Parameters,
) -> Estimate:
    """The mixture's parameters; `plain` are those of the model without a share that never gets there."""
    width = rows.shape[1]

    def model(parameters: Parameters) -> tuple[Float[np.ndarray, " trials"], Scores]:
        scale = float(np.exp(np.clip(parameters[-1], -10, 10)))
        found = slopes(LOGNORMAL, seen, rows @ parameters[width:-1], scale, rows @ parameters[:width])
        scores = (found.logit[:, None] * rows, found.location[:, None] * rows, found.log_scale)
        return found.value, np.column_stack(scores)

    happened = seen.happened
    share = np.clip(happened.mean(), 0.02, 0.98)
    only = starting_point(seen.take(happened), rows[happened])
    logit = np.r_[np.log(share / (1 - share)), np.zeros(width - 1)]
    bounds: list[tuple[float | None, float | None]] = [(-_SHARPEST, _SHARPEST)] * width + [(None, None)] * (width + 1)
    starts = (np.r_[logit, only], np.r_[4.0, np.zeros(width - 1), plain])
    found = [maximise(model, start, cluster, bounds) for start in starts]
    return max(found, key=lambda one: one.log_likelihood)


def _still_to_come(parameters: Parameters, seen: Intervals, rows: Float[np.ndarray, "trials terms"]) -> float:
    width, waiting = rows.shape[1], ~seen.happened
    if not waiting.any():
        return float("nan")
    ever = expit(rows[waiting] @ parameters[:width])
    z = (np.log(np.maximum(seen.low[waiting], 1e-9)) - rows[waiting] @ parameters[width:-1]) / np.exp(parameters[-1])
    later = ever * np.exp(log_ndtr(-z))
    return float((later / (1 - ever + later)).mean())


def fit_study(connection: duckdb.DuckDBPyConnection, query: FitQuery) -> CureFit:
    """`fit_cure` of a study's trials."""
    return fit_cure(read_trials(connection, query))
