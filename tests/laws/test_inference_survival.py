"""Laws of censored times: likelihoods, accelerated failure times, cure, and cells, on planted truths.

Coverage: of 40 intervals at 95 %, fewer than 33 hold the truth with probability P(Bin(40, .95) <= 32) = 2e-4.
"""

from __future__ import annotations

import warnings

import numpy as np
import pandas as pd
import pytest

from grokstudy.phase.inference.aft import AftFit, fit_aft, fit_family
from grokstudy.phase.inference.cure import fit_cure
from grokstudy.phase.inference.families import FAMILIES, LOGNORMAL
from grokstudy.phase.inference.interval_censored import cell_times, fit_intervals
from grokstudy.phase.inference.intervals import Intervals
from grokstudy.phase.inference.likelihood import slopes
from grokstudy.phase.inference.ph import fit_hazards
from grokstudy.phase.inference.turnbull import turnbull
from grokstudy.phase.statistics import censored_quantile
from grokstudy.spec.errors import BadInput
from tests.planted_times import FRAC, WD, between_evaluations, trials_with

REPEATS, LEAST = 40, 33


def weight_decays(seed: int, n: int = 200) -> tuple[np.random.Generator, np.ndarray]:
    draw = np.random.default_rng(seed)
    return draw, 10 ** draw.uniform(-1, 1, n)


@pytest.mark.parametrize("family", FAMILIES.values(), ids=list(FAMILIES))
@pytest.mark.parametrize("cured", [False, True])
def test_the_slopes_are_the_derivatives_of_the_likelihood(family: object, cured: bool) -> None:
    draw, x = weight_decays(0)
    seen = between_evaluations(700 / x * np.exp(0.5 * draw.normal(size=200)), 2000)
    location, logit = 6.5 - np.log(x), 1.0 + np.log(x)

    def total(a: float, b: float, c: float) -> float:
        given = logit + c if cured else None
        return float(slopes(family, seen, location + a, 0.5 * np.exp(b), given).value.sum())  # type: ignore[arg-type]

    found = slopes(family, seen, location, 0.5, logit if cured else None)  # type: ignore[arg-type]
    step = 1e-5
    for k, own in enumerate((found.location, found.log_scale, found.logit)):
        ends = [total(*(sign * step * (np.arange(3) == k))) for sign in (1, -1)]
        # Central differences err by step² f''' / 6 and by rounding 1e-16 |f| / step: both below 1e-7 of these sums.
        assert (ends[0] - ends[1]) / (2 * step) == pytest.approx(own.sum(), rel=1e-6, abs=1e-4)


def test_probabilities_of_an_interval_keep_their_digits_in_both_tails() -> None:
    """P(a < Z <= b) by quadrature of the density, from 30 scales below the median to 30 above."""
    edges = np.exp(np.array([-30.0, -8.0, -1.0, 0.0, 1.0, 8.0, 30.0]))
    seen = Intervals(low=edges, high=edges * 1.001)
    found = slopes(LOGNORMAL, seen, np.zeros(7), 1.0).value
    middle = np.log(edges * 1.0005)
    # One midpoint: relative error (width² / 24) (z² - 1) <= 1e-6 / 24 * 900 = 4e-5.
    assert found == pytest.approx(-0.5 * middle**2 - 0.5 * np.log(2 * np.pi) + np.log(np.log(1.001)), abs=1e-4)


@pytest.mark.parametrize("family", list(FAMILIES))
def test_estimates_and_errors_are_those_of_lifelines(family: str) -> None:
    import lifelines

    fitter = {"lognormal": "LogNormalAFTFitter", "weibull": "WeibullAFTFitter", "loglogistic": "LogLogisticAFTFitter"}
    draw, x = weight_decays(1)
    seen = between_evaluations(700 / x**0.6 * np.exp(0.4 * draw.normal(size=200)), 2000)
    own = fit_family(FAMILIES[family], seen, np.column_stack([np.ones(200), np.log(x)]))
    table = pd.DataFrame({"x": np.log(x), "low": seen.low, "high": seen.high})
    with warnings.catch_warnings():  # lifelines 0.30.0 calls pandas 3 in a way that pandas 4 will refuse
        warnings.simplefilter("ignore")
        theirs = getattr(lifelines, fitter[family])().fit_interval_censoring(table, "low", "high")
    shape = -1 if family != "lognormal" else 1  # theirs is log(1 / scale), or log scale
    location = theirs.params_.index.get_level_values(0)[0]
    coefficients = [
        theirs.params_[location, "Intercept"],
        theirs.params_[location, "x"],
        shape * theirs.params_.iloc[-1],
    ]
    # Theirs stops when the mean log-likelihood changes by 1e-6, so 2e-4 below the top: within sqrt(4e-4) errors of it.
    assert own.log_likelihood >= theirs.log_likelihood_ - 1e-6
    assert own.parameters == pytest.approx(coefficients, abs=2e-2 * own.covariance.diagonal().min() ** 0.5)
    errors = theirs.standard_errors_
    assert own.covariance.diagonal()[:2] ** 0.5 == pytest.approx(
        [errors[location, "Intercept"], errors[location, "x"]], rel=1e-3
    )


def test_an_acceleration_factor_is_covered_under_heavy_censoring() -> None:
    held = 0
    for seed in range(REPEATS):
        draw, x = weight_decays(seed)
        times = 900 * x**-0.6 * np.exp(0.5 * draw.normal(size=200))
        trials = trials_with({WD: x}, times, 1000)  # 4 of 10 are censored
        (effect,) = _only(fit_aft(trials)).effects("lognormal")
        held += effect.low <= 10**-0.6 <= effect.high
    assert held >= LEAST


def test_an_interval_that_ignores_the_data_seed_is_too_narrow_and_the_clustered_one_is_not() -> None:
    """A setting that is equal within a cluster, and seeds that shift all of a cluster's times by .5."""
    clustered = alone = 0
    for seed in range(REPEATS):
        draw = np.random.default_rng(seed)
        cluster = np.repeat(np.arange(40), 8).astype(float)
        x = np.repeat(draw.uniform(-1, 1, 40), 8)
        times = 500 * np.exp(-x + 0.5 * np.repeat(draw.normal(size=40), 8) + 0.2 * draw.normal(size=320))
        seen, rows = between_evaluations(times, 1500), np.column_stack([np.ones(320), x])
        for count, groups in ((0, cluster), (1, None)):
            low, high = fit_family(LOGNORMAL, seen, rows, groups).interval(np.array([0.0, 1.0, 0.0]), 0.95)[1:]
            clustered, alone = (
                (clustered + (low <= -1 <= high), alone) if not count else (clustered, alone + (low <= -1 <= high))
            )
    assert clustered >= LEAST
    # Independent errors are sqrt(1 + 7 rho) = 2.6 too small (rho = .25 / .29): they hold 55 %; P(>= 33) < 1e-3.
    assert alone < LEAST


def test_aic_tells_factors_on_time_from_factors_on_hazard() -> None:
    draw, x = weight_decays(3, 400)
    slow = trials_with({WD: x}, 700 * x**-0.8 * np.exp(0.5 * draw.normal(size=400)), 4000)
    found = fit_aft(slow)
    assert found.hazards.aic - found.fits["lognormal"].aic > 10
    assert any("clearly worse" in one for one in found.sentences())
    # A hazard that jumps tenfold at step 300 for every x: no factor on time makes one such curve from another.
    need = -np.log(draw.uniform(size=400)) / x
    hazards = trials_with({WD: x}, np.where(need < 0.3, need * 1000, 300 + (need - 0.3) * 100), 4000)
    found = fit_aft(hazards)
    assert found.fits[found.best].aic - found.hazards.aic > 10
    assert any(one.count("WARNING: proportional hazards") for one in found.sentences())


def test_proportional_hazards_recover_a_planted_hazard_ratio() -> None:
    held = 0
    for seed in range(REPEATS):
        draw, x = weight_decays(seed)
        seen = between_evaluations(800 * (-np.log(draw.uniform(size=200)) / x) ** 0.5, 2500)  # Weibull, H ~ x t²
        rows = np.column_stack([np.ones(200), np.log(x)])
        low, high = fit_hazards(seen, rows, np.arange(200.0)).interval(np.array([0, 1.0, 0, 0, 0]), 0.95)[1:]
        held += low <= 1 <= high
    assert held >= LEAST


@pytest.mark.slow
def test_a_plain_model_takes_never_for_slow_and_the_cure_model_does_not() -> None:
    """The share that ever gets there rises across .4; those that do are *slower* at large x: the factor is 1.5."""
    held = edges = 0
    for seed in range(REPEATS):
        draw = np.random.default_rng(seed)
        x = draw.uniform(0.2, 0.8, 200)
        ever = draw.uniform(size=200) < 1 / (1 + np.exp(-(x - 0.4) / 0.04))
        times = 700 * np.exp(np.log(1.5) * (x - 0.2) / 0.6 + 0.4 * draw.normal(size=200))
        trials = trials_with({FRAC: x}, np.where(ever, times, np.inf), 20_000)
        found = fit_cure(trials)
        (plain,) = fit_aft(trials).effects("lognormal")
        assert plain.high < 1  # the plain model is certain of the opposite of the truth
        assert found.gain > 10
        assert found.still_to_come < 0.01
        ratio = found.table().set_index("part").loc["time ratio"]
        step = 1.5 ** (np.ptp(x) / 0.6)
        held += ratio["low"] <= step <= ratio["high"]
        assert found.edge is not None
        edges += found.edge[1] <= 0.4 <= found.edge[2]
    assert held >= LEAST
    assert edges >= LEAST


def test_slow_trials_are_not_declared_to_never_get_there() -> None:
    """Everything gets there at last: no share of never is asked for, or it is said that T is too short to tell."""
    told = 0
    for seed in range(10):
        draw = np.random.default_rng(seed)
        x = draw.uniform(0.2, 0.8, 200)
        times = 300 * np.exp(8 * (0.8 - x) + 0.5 * draw.normal(size=200))
        found = fit_cure(trials_with({FRAC: x}, times, 5000))
        told += found.gain <= 2 or found.still_to_come > 0.1
    # AIC asks for two needless parameters when 2 log LR > 6, at most P(chi2_2 > 6) = .05: three of ten is 1 %.
    assert told >= 7


def test_without_censoring_a_cure_model_is_the_plain_one() -> None:
    draw, x = weight_decays(5)
    trials = trials_with({WD: x}, 300 / x * np.exp(0.3 * draw.normal(size=200)), 1e7)
    found = fit_cure(trials)
    at = pd.DataFrame({WD: np.array([0.2, 1.0, 5.0])})
    assert found.ever(at)[0] == pytest.approx(1.0, abs=0.02)  # all of 200: an estimate below 1 - 4 / 200 is excluded
    level, slope = found.plain.parameters[:2]
    term = found.terms[0]
    assert found.median(at)[0] == pytest.approx(np.exp(level + slope * term.column(at[WD])), rel=1e-3)
    assert "aic" in found.table()["part"].tolist()


def test_turnbull_with_narrow_intervals_is_kaplan_meier() -> None:
    draw = np.random.default_rng(0)
    times = draw.lognormal(6, 0.7, 60)
    until = draw.uniform(200, 2000, 60)
    seen = times <= until
    given = np.where(seen, times, np.nan)
    intervals = Intervals.of(given, until, times * (1 - 1e-9))
    for q in (0.25, 0.5, 0.6):
        km = censored_quantile(given, until, q)
        _, high, p = turnbull(intervals)
        # Self-consistency stops at changes of 1e-10 per round: the sum is right to 1e-6, no step of it is so near.
        assert high[np.searchsorted(np.cumsum(p), q - 1e-6)] == pytest.approx(km)


def test_turnbull_is_the_estimate_of_lifelines() -> None:
    from lifelines import KaplanMeierFitter

    draw = np.random.default_rng(2)
    low = draw.uniform(0, 80, 120)
    high = np.where(draw.uniform(size=120) < 0.8, low + draw.uniform(5, 40, 120), np.inf)
    with warnings.catch_warnings():  # of its own: it may stop before it has converged
        warnings.simplefilter("ignore")
        theirs = KaplanMeierFitter().fit_interval_censoring(low, high, tol=1e-9).survival_function_
    _, ends, p = turnbull(Intervals(low=low, high=high))
    finite = np.isfinite(ends)
    after = np.searchsorted(theirs.index.to_numpy(dtype=float), ends[finite], side="right") - 1
    # Both climb a likelihood that is flat where intervals overlap; 120 trials in tens of pieces agree to 1e-2.
    assert 1 - np.cumsum(p)[finite] == pytest.approx(theirs["NPMLE_estimate_lower"].to_numpy()[after], abs=1e-2)


def test_the_median_interval_of_a_cell_holds_the_truth_and_its_own_medians() -> None:
    held = 0
    for seed in range(REPEATS):
        times = np.random.default_rng(seed).lognormal(np.log(800), 0.5, 30)
        found = cell_times(between_evaluations(times, 1200))
        held += found.median_low <= 800 <= found.median_high
        assert found.turnbull[0] < found.median <= found.turnbull[1] * (1 + 1e-9)
        assert found.median_low <= found.turnbull[0]
        assert found.median <= found.median_high
        assert found.lognormal[1] < found.lognormal[0] < found.lognormal[2]
    assert held >= LEAST


def test_cells_agree_with_the_medians_of_phase_diagrams() -> None:
    draw = np.random.default_rng(4)
    x = np.repeat([0.3, 0.5, 0.7], 7)
    found = fit_intervals(trials_with({FRAC: x}, 200 / x**3 * np.exp(0.6 * draw.normal(size=21)), 1500))
    for one in found.cells:
        inside = x == one.cell[0]
        seen = found.trials.seen.take(inside)
        times = np.where(seen.happened, seen.high, np.nan)
        expected = censored_quantile(times, seen.low)
        assert one.median == pytest.approx(np.nan if expected is None else expected, nan_ok=True)
    assert len(found.table()) == 3


def test_a_cell_nobody_leaves_has_no_median_and_no_error() -> None:
    found = cell_times(Intervals(low=np.full(3, 100.0), high=np.full(3, np.inf)))
    assert np.isnan([found.median, *found.turnbull, *found.lognormal]).all()
    assert (found.median_low, found.median_high) == (0.0, np.inf)


def test_times_seen_at_a_smaller_budget_are_those_of_a_study_that_stopped_there() -> None:
    times = np.random.default_rng(6).lognormal(6, 1, 300)
    early, late = between_evaluations(times, 500), between_evaluations(times, 5000).until(500)
    assert (early.happened == late.happened).all()
    assert early.high == pytest.approx(late.high)
    assert early.low[early.happened] == pytest.approx(late.low[early.happened])
    assert (late.low[~late.happened] <= 500).all()


def test_two_settings_and_names_have_a_factor_each() -> None:
    draw, x = weight_decays(7, 300)
    filtered = draw.uniform(size=300) < 0.5
    names = np.where(filtered, "orthograd", "none")
    times = 800 / x**0.5 * np.where(filtered, 0.5, 1.0) * np.exp(0.3 * draw.normal(size=300))
    found = fit_aft(trials_with({WD: x, "optimizer.filter": names}, times, 3000))
    decay, filter_ = found.effects("lognormal")
    # Errors are about .3 / sqrt(300) * 2 = .035 in log time: four of them.
    assert np.log(decay.ratio) == pytest.approx(-0.5 * np.log(10), abs=0.14)
    assert np.log(filter_.ratio) == pytest.approx(np.log(0.5), abs=0.14)
    assert filter_.name == "optimizer.filter=orthograd"
    assert filter_.per == "against none"


def test_too_few_times_are_refused_with_the_number_that_is_missing() -> None:
    x = np.linspace(0.2, 0.8, 12)
    with pytest.raises(BadInput, match="seen in 0 of 12 trials; a fit of 2 parameters needs at least 10"):
        fit_aft(trials_with({FRAC: x}, np.full(12, np.inf), 1000))
    with pytest.raises(BadInput, match="has one value here"):
        fit_aft(trials_with({FRAC: np.full(12, 0.5)}, np.linspace(100, 200, 12), 1000))


def _only(fit: AftFit) -> AftFit:
    assert len(fit.terms) == 1
    return fit
