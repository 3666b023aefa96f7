"""Expectation propagation on one margin: exact where it can be, right by quadrature, stable in the tails."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.special import log_ndtr
from scipy.stats import multivariate_normal

from grokstudy.samplers.surrogate import hyper
from grokstudy.samplers.surrogate.ep import propagate, tilted
from grokstudy.samplers.surrogate.hyper import Settings
from grokstudy.samplers.surrogate.kernel import MEAN, Kernel
from grokstudy.samplers.surrogate.latent import learn
from grokstudy.samplers.surrogate.observations import Evidence
from tests.surrogates import places, said, sobol

KERNEL = Kernel(lengths=np.array([0.4, 0.7]), names=np.zeros(0), scale=1.1)
NOISE = 0.2
MIXED = said(sobol(3, seed=1), [1, -1, 0], [-0.1, -0.4, 0.2])


def settings(noise: float = NOISE, window: float = 0.4) -> Settings:
    return Settings(kernel=KERNEL, noise=noise, window=window)


def log_likelihood(found: Evidence, f: np.ndarray) -> np.ndarray:
    """Of latent values f [..., n]."""
    z = (f - found.bound) / NOISE
    exact = -0.5 * z**2 - np.log(NOISE * np.sqrt(2 * np.pi))
    return np.where(found.side == 0, exact, log_ndtr(found.side * z)).sum(axis=-1)


def by_quadrature(prior: np.ndarray, found: Evidence) -> tuple[np.ndarray, np.ndarray, float]:
    """Posterior means, standard deviations and log marginal likelihood on a lattice of ± 7 prior sd."""
    n = len(prior)
    ticks = np.linspace(-7, 7, {1: 20_001, 2: 1_001, 3: 121}[n]) * np.sqrt(prior[0, 0])
    f = np.stack(np.meshgrid(*[ticks] * n, indexing="ij"), axis=-1)
    log_joint = log_likelihood(found, f) + multivariate_normal(np.zeros(n), prior).logpdf(f)
    weight = np.exp(log_joint)
    total = weight.sum()
    mean = np.tensordot(weight, f, n) / total
    var = np.tensordot(weight, (f - mean) ** 2, n) / total
    return mean, np.sqrt(var), float(np.log(total * (ticks[1] - ticks[0]) ** n))


@pytest.mark.parametrize("which", [0, 1, 2])
def test_the_moments_of_one_trial_are_exact(which: int) -> None:
    """One site's EP is moment matching itself; quadrature errs by less than 1e-8."""
    found = MIXED.take(np.array([which]))
    prior = KERNEL(found.places, found.places)
    mean, sd, log_z = by_quadrature(prior, found)
    got = propagate(prior, found, NOISE)
    np.testing.assert_allclose(got.state.mean, mean, atol=1e-6)
    np.testing.assert_allclose(np.sqrt(got.state.var), sd, rtol=1e-6)
    assert got.log_z == pytest.approx(log_z, abs=1e-6)


@pytest.mark.parametrize("index", [[0, 1], [0, 2], [1, 2], [0, 1, 2]])
def test_the_moments_of_several_trials_are_those_of_quadrature(index: list[int]) -> None:
    """EP errs by the skewness that Gaussian sites lose: below 2 % of a standard deviation for log-concave sites."""
    found = MIXED.take(np.array(index))
    prior = KERNEL(found.places, found.places)
    mean, sd, log_z = by_quadrature(prior, found)
    got = propagate(prior, found, NOISE)
    assert got.converged
    np.testing.assert_allclose(got.state.mean, mean, atol=0.02 * sd.max())
    np.testing.assert_allclose(np.sqrt(got.state.var), sd, rtol=0.02)
    assert got.log_z == pytest.approx(log_z, abs=0.02)


def test_exact_times_give_ordinary_gaussian_regression() -> None:
    unit, new = sobol(12), sobol(20, seed=5)
    y = 0.25 * np.sin(7 * unit[:, 0]) - 0.1 * unit[:, 1]
    latent = learn(said(unit, np.zeros(12), y), settings())
    seen = latent.at(places(new))
    prior = KERNEL(places(unit), places(unit)) + NOISE**2 * np.eye(12)
    cross = KERNEL(places(unit), places(new))
    # The condition number is below 1e4: rounding leaves twelve digits, asked are nine.
    np.testing.assert_allclose(seen.mean, cross.T @ np.linalg.solve(prior, y), rtol=1e-9, atol=1e-9)
    full = KERNEL(places(new), places(new)) - cross.T @ np.linalg.solve(prior, cross)
    np.testing.assert_allclose(latent.covariance(seen, seen), full, atol=1e-9)
    np.testing.assert_allclose(seen.var, np.diagonal(full), atol=1e-9)
    assert latent.approximation.log_z == pytest.approx(multivariate_normal(np.zeros(12), prior).logpdf(y), abs=1e-7)


def test_moments_stay_finite_however_surprising_a_trial_is() -> None:
    """Far in the tail Φ underflows (z = -38) and φ / Φ is about |z|: the second derivative tends to 1 / variance."""
    mean = np.array([0.5, 5.0, 50.0, 5e4])
    got = tilted(said(np.zeros((4, 2)), -np.ones(4), np.zeros(4)), mean, np.full(4, 0.01), 0.1)
    assert np.isfinite(got.log_z).all()
    assert (got.first < 0).all()
    assert ((got.second >= 0) & (got.second <= 1 / 0.02)).all()
    np.testing.assert_allclose(got.log_z[2:], -(mean[2:] ** 2) / 0.04, rtol=1e-2)


def test_precisions_are_never_negative_and_variances_never_grow() -> None:
    rng = np.random.default_rng(3)
    found = said(sobol(80), rng.choice([-1.0, 0.0, 1.0], 80), rng.uniform(-0.4, 0.4, 80))
    prior = KERNEL(found.places, found.places)
    got = propagate(prior, found, NOISE)
    assert got.converged
    assert (got.state.sites.tau >= 0).all()
    assert (got.state.var <= np.diagonal(prior)).all()


def test_not_having_seen_an_event_never_lowers_the_mean() -> None:
    """The exact posterior mean rises with evidence f > b at its place; EP keeps the sign of every such change."""
    rng = np.random.default_rng(1)
    base = said(sobol(30), rng.choice([-1.0, 1.0], 30), np.zeros(30))
    for bound in (-2.0, -0.6, 0.0, 0.4):
        for at in sobol(8, seed=9):
            here = places(at[None])
            more = said(np.vstack([base.places.unit, at]), [*base.side, 1], [*base.bound, bound])
            gain = learn(more, settings()).mean(here) - learn(base, settings()).mean(here)
            assert gain[0] > -2e-4  # twice the tolerance of the sweeps (1e-4 sd, sd <= 1.5) for those far below


def test_being_watched_for_longer_is_stronger_evidence() -> None:
    here = places(np.array([[0.5, 0.5]]))
    means = [
        learn(said(here.unit, np.ones(1), np.log10([share])), settings()).mean(here)[0] for share in (0.1, 0.25, 0.5, 1)
    ]
    assert np.all(np.diff(means) > 0.1)


def test_the_search_follows_the_slope_of_the_marginal_likelihood() -> None:
    """Central differences of step 1e-3 in the logarithms err by 1e-6 of the curvature; sweeps end at 1e-3 sd."""
    rng = np.random.default_rng(0)
    unit = sobol(40)
    f = np.sin(4 * unit[:, 0]) + unit[:, 1] - 0.8 + 0.2 * rng.normal(size=40)
    side = np.where(np.abs(f) < 0.4, 0.0, np.sign(f))
    levels = rng.integers(0, 2, (40, 1))
    found = Evidence(places(unit, levels), side, np.clip(f, -0.4, 0.4))
    search = hyper._Search(found, 2)
    theta = search.pack(hyper.default(2, 1)) + 0.1
    slope = search.loss(theta)[1]
    for j, step in enumerate(1e-3 * np.eye(len(theta))):
        measured = (search.loss(theta + step)[0] - search.loss(theta - step)[0]) / 2e-3
        assert slope[j] == pytest.approx(measured, abs=0.03 + 0.01 * abs(measured))


def test_a_search_that_fails_leaves_the_settings_to_the_other_window(monkeypatch: pytest.MonkeyPatch) -> None:
    found, start = said(sobol(4), [1, -1, 1, -1], np.zeros(4)), settings()
    labels_alone = settings(window=0.0)
    scores = {0.4: (float("nan"), start), 0.0: (-3.0, labels_alone)}
    monkeypatch.setattr(hyper, "_searched", lambda part, begun, window: scores[window])
    assert hyper.chosen(found, start, np.random.default_rng(0)) is labels_alone
    scores[0.0] = (float("-inf"), labels_alone)
    assert hyper.chosen(found, start, np.random.default_rng(0)) is start


def test_the_gradient_of_the_mean_is_that_of_finite_differences() -> None:
    latent = learn(said(sobol(20), np.sign(sobol(20)[:, 0] - 0.4), np.zeros(20)), settings())
    at, step = sobol(9, seed=3), 1e-5
    for j in range(2):
        move = step * np.eye(2)[j]
        measured = (latent.mean(places(at + move)) - latent.mean(places(at - move))) / (2 * step)
        np.testing.assert_allclose(latent.gradient(places(at))[:, j], measured, atol=1e-6)


def test_names_share_the_shape_of_the_numbers() -> None:
    kernel = Kernel(lengths=np.array([0.4, 0.7]), names=np.array([0.5, 2.0]), scale=1.1)
    unit = sobol(6)
    same = np.zeros((6, 2), dtype=np.int64)
    own = KERNEL(places(unit), places(unit)) - MEAN**2
    for level, factor in (([1, 0], np.exp(-0.5)), ([0, 1], np.exp(-2.0)), ([1, 1], np.exp(-2.5))):
        across = kernel(places(unit, same), places(unit, same + level)) - MEAN**2
        np.testing.assert_allclose(across, factor * own, atol=1e-12)


def test_a_fit_started_from_an_earlier_one_ends_at_the_same_place() -> None:
    rng = np.random.default_rng(2)
    found = said(sobol(128), rng.choice([-1.0, 0.0, 1.0], 128), rng.uniform(-0.4, 0.4, 128))
    part = found.take(np.arange(0, 128, 2))
    fresh = learn(found, settings())
    warm = learn(found, learn(part, settings()).settings)
    at = places(sobol(50, seed=4))
    # Both stopped within 1e-4 sd of a fixed point; a slow mode may hide ten times as much.
    sd = np.sqrt(fresh.at(at).var)
    assert np.max(np.abs(fresh.mean(at) - warm.mean(at)) / sd) < 1e-2


def test_thinning_leaves_the_boundary_where_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    """Left out are four in five of the trials that others predict at 3 sd. Each tells at most φ(3)² / var = 2e-5 / var
    of its place, so that all of them together move the line by a few hundredths of a standard deviation."""
    unit = sobol(512)
    found = said(unit, np.zeros(512), 6 * (unit[:, 0] - 0.5))
    kernel = Kernel(lengths=np.array([0.8, 1.0]), names=np.zeros(0), scale=2.0)
    smooth = Settings(kernel=kernel, noise=0.1, window=0.4)
    whole = learn(found, smooth)
    monkeypatch.setattr("grokstudy.samplers.surrogate.latent.MOST", 500)
    thin = learn(found, smooth)
    assert len(thin.evidence) < 0.8 * len(whole.evidence)
    line = places(np.column_stack([np.full(50, 0.5), np.linspace(0, 1, 50)]))
    moved = np.abs(thin.mean(line) - whole.mean(line)) / np.sqrt(whole.at(line).var)
    assert moved.max() < 0.05
