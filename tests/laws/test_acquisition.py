"""Laws of choosing trials by the misclassified volume that they are expected to remove."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest
from scipy import integrate, special

from grokstudy.samplers.surrogate import volume
from grokstudy.samplers.surrogate.acquisition import CHEAPEST, Target, information, pick

POOL, COLUMNS = 40, 9


def smooth_covariance(at: np.ndarray, length: float = 0.3) -> np.ndarray:
    return np.exp(-0.5 * ((at[:, None] - at[None, :]) / length) ** 2)


def line(running: tuple[float, ...] = (), candidates: np.ndarray | None = None, level: float = 0.5) -> Target:
    """One margin on a line, f(x) = x - level on average with unit prior variance; pool and columns on [0, 1]."""
    candidates = np.linspace(0, 1, COLUMNS) if candidates is None else candidates
    columns = np.concatenate([running, candidates])
    pool = np.linspace(0, 1, POOL)
    joint = smooth_covariance(np.concatenate([pool, columns]))
    return Target(
        z=np.abs(3 * (pool - level)),
        variance=np.ones(POOL),
        relevance=np.full(POOL, 1 / POOL),
        across=joint[:POOL, POOL:],
        among=joint[POOL:, POOL:],
        information=np.full(len(columns), 4.0),
        observed=np.ones(len(columns)),
    )


def test_the_table_is_the_expectation_that_defines_it() -> None:
    rng = np.random.default_rng(0)
    for z, rho2 in zip(rng.uniform(0, 5, 100), rng.random(100) ** 2, strict=True):
        rho, rest = math.sqrt(rho2), math.sqrt(1 - rho2)

        def density(u: float, z: float = z, rho: float = rho, rest: float = rest) -> float:
            return float(special.ndtr(-abs(z + rho * u) / rest)) * math.exp(-u * u / 2) / math.sqrt(2 * math.pi)

        kink = [-z / rho] if z / rho < 12 else None
        true, _ = integrate.quad(density, -12, 12, points=kink, limit=200)
        # Bilinear in cells of 8/239 by (pi/2)/239: the second derivative in z is below 1/4 but near z = 0, where it is
        # at most 1/rest; measured over 300 draws: 1.2e-4.
        assert volume.wrong_sign(np.array([z]), np.array([rho2]))[0] == pytest.approx(true, abs=2e-4)


def test_nothing_explained_leaves_the_error_and_everything_explained_leaves_none() -> None:
    z = np.linspace(0, 7, 50)
    assert volume.wrong_sign(z, np.zeros(50)) == pytest.approx(special.ndtr(-z), abs=2e-4)
    assert volume.wrong_sign(z, np.ones(50)) == pytest.approx(np.zeros(50), abs=1e-12)


def test_more_explained_is_never_worse() -> None:
    rho2 = np.linspace(0, 1, 400)
    falls = np.diff(volume.wrong_sign(np.linspace(0, 6, 30), np.tile(rho2, (30, 1))), axis=1)
    assert (falls <= 1e-12).all()


def test_the_gain_of_a_pick_is_the_mean_over_outcomes_of_refitting() -> None:
    """Brute force on a Gaussian margin: draw the trial's value, update the process, count wrong signs, average."""
    latent = line(candidates=np.array([0.62]))
    (chosen,) = pick([latent], 1, np.ones(1))
    noise = 1 / latent.information[0]
    cross, own = latent.across[:, 0], latent.among[0, 0]
    z = 3 * (np.linspace(0, 1, POOL) - 0.5)
    shifts = np.random.default_rng(1).normal(size=20_000) * math.sqrt(own + noise)
    later_mean = z + cross * (shifts[:, None] / (own + noise))
    later_sd = np.sqrt(1 - cross**2 / (own + noise))
    before = special.ndtr(-np.abs(z)).mean()
    after = special.ndtr(-np.abs(later_mean) / later_sd).mean(axis=1)
    # Four standard errors of the mean over draws, and the table's own 2e-4.
    tolerance = 4 * after.std() / math.sqrt(len(after)) + 2e-4
    assert chosen.gain == pytest.approx(before - after.mean(), abs=tolerance)
    assert chosen.gain > 20 * tolerance, "the case must tell a right gain from none"


def test_a_second_pick_gains_what_the_pair_gains_beyond_the_first() -> None:
    """Rank-1 updates equal conditioning on both places at once."""
    latent = line(candidates=np.array([0.4, 0.7]))
    first, second = pick([latent], 2, np.ones(2))
    gram = latent.among + np.diag(1 / latent.information)
    explained = np.einsum("pi,ij,pj->p", latent.across, np.linalg.inv(gram), latent.across)
    both = (special.ndtr(-latent.z) - volume.wrong_sign(latent.z, explained)).mean()
    assert first.gain + second.gain == pytest.approx(both, abs=4e-4)


def test_a_running_trial_moves_the_next_pick_away() -> None:
    candidates = np.linspace(0, 1, 41)
    (alone,) = pick([line(candidates=candidates)], 1, np.ones(41))
    (beside,) = pick([line((candidates[alone.candidate],), candidates)], 1, np.ones(41))
    # The covariance falls to a half at 1.2 lengths = .35; half of that is clearly elsewhere.
    assert abs(candidates[beside.candidate] - candidates[alone.candidate]) > 0.17
    assert beside.gain < alone.gain


def test_a_running_trial_that_will_not_be_seen_changes_nothing() -> None:
    latent = line((0.5,))
    blind = dataclasses.replace(latent, observed=np.array([0.0, *[1.0] * COLUMNS]))
    assert pick([blind], 3, np.ones(COLUMNS)) == pick([line()], 3, np.ones(COLUMNS))


def test_equal_arguments_give_equal_picks_and_change_no_argument() -> None:
    latent = line((0.3,))
    before = latent.across.copy(), latent.among.copy()
    assert pick([latent], 4, np.ones(COLUMNS)) == pick([latent], 4, np.ones(COLUMNS))
    assert np.array_equal(before[0], latent.across)
    assert np.array_equal(before[1], latent.among)


def test_a_batch_spreads() -> None:
    picks = pick([line()], 5, np.ones(COLUMNS))
    assert len({p.candidate for p in picks}) == 5


def test_of_candidates_at_one_place_one_is_picked() -> None:
    used_by = np.array([0, 0, 0, 1, 1, 1, 2, 2, 2])
    picks = pick([line()], 9, np.ones(COLUMNS), used_by=used_by)
    assert sorted(used_by[p.candidate] for p in picks) == [0, 1, 2]


def test_a_cheaper_trial_of_equal_gain_is_preferred_and_no_trial_is_cheaper_than_the_floor() -> None:
    latent = line(candidates=np.array([0.3, 0.7]))  # mirror images about the level
    for dear in (0, 1):
        cost = np.where(np.arange(2) == dear, 1.0, 0.5)
        assert pick([latent], 1, cost)[0].candidate == 1 - dear
    floor = np.array([CHEAPEST, CHEAPEST / 1e6])
    assert pick([latent], 2, floor) == pick([latent], 2, np.full(2, CHEAPEST))


def test_power_zero_ignores_cost() -> None:
    cost = np.linspace(0.1, 1, COLUMNS)
    assert pick([line()], 3, cost, power=0.0) == pick([line()], 3, np.ones(COLUMNS), power=0.0)


def test_information_of_a_label_is_that_of_probit_and_of_a_time_that_of_a_gaussian() -> None:
    mean, sure = np.array([0.0, 0.3, -0.7]), np.full(3, 1e-9)
    noise = 0.25
    x = mean / noise
    phi = np.exp(-0.5 * x * x) / math.sqrt(2 * math.pi)
    probit = phi**2 / (special.ndtr(x) * special.ndtr(-x)) / noise**2
    assert information(mean, sure, noise, 0.0, 0.0) == pytest.approx(probit, rel=1e-6)
    assert information(mean, sure, noise, -np.inf, np.inf) == pytest.approx(np.full(3, 1 / noise**2), rel=1e-9)


def test_a_time_tells_more_than_its_side_and_less_than_all_times() -> None:
    mean, sd = np.linspace(-2, 2, 9), np.full(9, 0.3)
    label, window, all_times = (information(mean, sd, 0.2, -c, min(c, 1e9)) for c in (0.0, 0.4, np.inf))
    assert (label < window).all()
    assert (window < all_times * (1 + 1e-9)).all()


def test_a_foregone_outcome_tells_nothing() -> None:
    told = information(np.array([-30.0, 30.0]), np.full(2, 0.1), 0.2, 0.0, 0.0)
    assert told == pytest.approx(np.zeros(2), abs=1e-12)
