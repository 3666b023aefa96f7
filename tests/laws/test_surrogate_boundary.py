"""Posteriors of planted maps: defined for any trials, as uncertain as they are wrong, with the boundary in the band."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from grokstudy.samplers.surrogate.contours import (
    CALIBRATION,
    contours,
    crossings_1d,
    half_width_p95,
    half_widths,
    on_boundary,
)
from grokstudy.samplers.surrogate.observations import MARGINS, Margin, Observations, Question
from grokstudy.samplers.surrogate.posterior import Posterior, fit
from grokstudy.samplers.surrogate.space import Dimension, Places, Space
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import LABELS
from tests.surrogates import BUDGET, PLANE, QUESTION, labels, lattice, margins, observed, places, sobol, trials

POOL = places(lattice(40))
NEVER = np.inf


@pytest.fixture(scope="module")
def planted() -> Posterior:
    return fit(PLANE, trials(sobol(150)), QUESTION)


def with_diverged(seen: Observations, diverged: np.ndarray) -> Observations:
    return dataclasses.replace(seen, diverged=diverged)


def constant(n: int, t_mem: float, t_gen: float, space_d: int = 2) -> Observations:
    return observed(places(sobol(n, space_d)), np.full(n, t_mem), np.full(n, t_gen), np.full(n, BUDGET))


ODD = {
    "no trial": Observations.empty(PLANE),
    "one trial": constant(1, 100, 1e4),
    "all grokking": constant(16, 100, 1e4),
    "all comprehension": constant(16, 100, 200),
    "all confusion": constant(16, NEVER, NEVER),
    "all memorization": constant(16, 100, NEVER),
    "all inversion": constant(16, NEVER, 100),
    "at step 0": constant(16, 0, 0),
    "all diverged": with_diverged(constant(16, NEVER, NEVER), np.ones(16, dtype=bool)),
    "the same place again": observed(
        places(np.full((20, 2), 0.5)), np.full(20, 100.0), np.where(np.arange(20) % 2, 1e4, NEVER), np.full(20, BUDGET)
    ),
}


@pytest.mark.parametrize("name", ODD)
def test_every_set_of_trials_has_a_posterior(name: str) -> None:
    got = fit(PLANE, ODD[name], QUESTION)
    p = got.probabilities(POOL)
    assert np.isfinite(p).all()
    assert (p >= 0).all()
    np.testing.assert_allclose(p.sum(axis=1), 1, atol=1e-12)
    assert np.isfinite(got.margins(POOL).mean).all()
    assert 0 <= got.expected_error(POOL) <= 1
    assert np.isfinite(half_width_p95(got, POOL))
    assert got.notes or name == "the same place again"
    if name.startswith("all "):
        label = name.removeprefix("all ")
        assert (p.argmax(axis=1) == LABELS.index(label)).mean() > 0.95  # type: ignore[arg-type]


def test_what_is_assumed_is_said() -> None:
    assert "no trial yet" in fit(PLANE, ODD["no trial"], QUESTION).notes[0]
    assert "every trial diverged" in fit(PLANE, ODD["all diverged"], QUESTION).notes[0]
    only = fit(PLANE, ODD["all memorization"], QUESTION)
    assert [where.split(": where ")[1] for where in only.notes] == [
        "that ends is not known",
        "that ends is not known",
        "grokking begins is not known",
    ]
    assert only.decided == (False, False, False)


def test_both_sides_seen_leaves_nothing_to_assume(planted: Posterior) -> None:
    assert planted.decided == (True, True, True)
    assert planted.notes == ()


def test_the_order_of_trials_changes_nothing() -> None:
    seen = trials(sobol(60))
    order = np.random.default_rng(0).permutation(60)
    one, other = (fit(PLANE, some, QUESTION).margins(POOL) for some in (seen, seen.take(order)))
    np.testing.assert_allclose(one.mean, other.mean, atol=1e-8)
    np.testing.assert_allclose(one.sd, other.sd, atol=1e-8)


def test_settings_are_kept_when_asked() -> None:
    start = fit(PLANE, trials(sobol(40)), QUESTION).hypers
    kept = fit(PLANE, trials(sobol(60)), QUESTION, start=start, refit=False).hypers
    assert kept.trials == 40
    for one, other in zip(kept.settings, start.settings, strict=True):
        assert (one.kernel, one.noise, one.window) == (other.kernel, other.noise, other.window)


@pytest.mark.parametrize("n", [128, pytest.param(256, marks=pytest.mark.slow)])
def test_the_expected_error_is_that_of_the_map_within_a_factor_of_two(n: int) -> None:
    """Means over 4 seeds: single maps scatter by 1.4, their mean by 1.2, which leaves 2 beyond three of it."""
    truth = labels(POOL.unit)
    pairs = []
    for seed in range(4):
        got = fit(PLANE, trials(sobol(n, seed=seed), seed), QUESTION)
        pairs.append((got.expected_error(POOL), float((got.labels(POOL) != truth).mean())))
    expected, true = np.mean(pairs, axis=0)
    assert 0.5 < expected / true < 2
    assert true < 0.08


@pytest.mark.parametrize("margin", ["mem", "gen"])
def test_the_planted_boundary_lies_in_its_band(planted: Posterior, margin: Margin) -> None:
    """Nominal 95 % at every place; a boundary is a few lengths long, so that a share of .8 is two of its sd below."""
    fine = lattice(200)
    k = MARGINS.index(margin)
    mem, gen = margins(fine)
    value, outer = ((mem, gen)[k], mem < 0 if margin == "gen" else np.ones(len(fine), dtype=bool))
    near = places(fine[(np.abs(value) < 0.01) & outer])
    seen = planted.margins(near)
    assert len(near) > 50
    assert (np.abs(seen.mean[:, k]) < 1.96 * CALIBRATION * seen.sd[:, k]).mean() > 0.8
    assert half_widths(planted, margin, on_boundary(planted, POOL, margin)).mean() < 0.08


def test_a_contour_is_where_the_mean_is_zero_and_matters(planted: Posterior) -> None:
    got = contours(planted, PLANE, {}, "gen", lattice=64)
    line = places(np.concatenate(got.lines))
    assert got.axes == ("x", "y")
    # Linear interpolation on a lattice of step 1/63 with second derivatives up to about 10 dex.
    assert np.abs(planted.margins(line).mean[:, 1]).max() < 10 / 63**2
    assert (planted.margins(line).mean[:, 0] < 0.1).all()
    assert len(np.concatenate(got.half_widths)) == len(line)
    assert 0 < got.half_width_p95 < 0.2
    assert np.concatenate(got.band).min() >= 0


def test_places_move_onto_the_boundary(planted: Posterior) -> None:
    for margin in MARGINS:
        at = on_boundary(planted, POOL, margin)
        assert len(at) > 20
        assert np.abs(planted.latent(margin).mean(at)).max() <= 0.02


def test_more_trials_make_the_band_narrower(planted: Posterior) -> None:
    """Five times as many trials: 1 / √5 = .45 where the band is narrow, less of a gain where it ends at the edge."""
    assert half_width_p95(planted, POOL) < 0.8 * half_width_p95(fit(PLANE, trials(sobol(30)), QUESTION), POOL)


def test_a_boundary_over_too_many_axes_is_refused(planted: Posterior) -> None:
    with pytest.raises(BadInput, match="must leave 2 axes"):
        contours(planted, PLANE, {"x": 0.5}, "gen")
    with pytest.raises(BadInput, match="must leave 1 axes"):
        crossings_1d(planted, PLANE, {}, "gen")


def test_a_critical_value_is_found_on_one_axis() -> None:
    """Planted t_gen reaches T at temperature .02 on a log axis of two decades, seed noise .15 dex, slope 2 dex per
    decade: 40 trials place it to about .15 / 2 / sqrt(10) = .025 decades."""
    line = Space((Dimension(name="temperature", low=1e-3, high=1e-1, log=True),))
    unit = sobol(40, 1)
    gen = 4 * (unit[:, 0] - np.log10(0.02 / 1e-3) / 2) + 0.15 * np.random.default_rng(0).normal(size=40)
    seen = observed(places(unit), np.full(40, 100.0), BUDGET * 10**gen, np.full(40, BUDGET))
    (got,) = crossings_1d(fit(line, seen, QUESTION), line, {}, "gen")
    assert got.low < 0.02 < got.high
    assert np.log10(got.high / got.low) < 0.25
    assert got.rises
    assert not got.open_low
    assert not got.open_high


def test_a_trial_watched_to_a_quarter_says_less_of_confusion(planted: Posterior) -> None:
    here = places(np.full((1, 2), 0.5))
    share = [
        fit(PLANE, observed(here, np.array([NEVER]), np.array([NEVER]), np.array([steps])), QUESTION).probabilities(
            here
        )
        for steps in (BUDGET / 4, BUDGET)
    ]
    confusion = [p[0, LABELS.index("confusion")] for p in share]
    assert confusion[0] < confusion[1] - 0.05


def test_divergence_is_an_outcome_of_its_own() -> None:
    seen = trials(sobol(80))
    got = fit(PLANE, with_diverged(seen, seen.places.unit[:, 0] > 0.7), QUESTION)
    p = got.probabilities(places(np.array([[0.9, 0.5], [0.3, 0.5]])))
    assert p[0, LABELS.index("diverged")] > 0.9
    assert p[1, LABELS.index("diverged")] < 0.1
    assert len(fit(PLANE, seen, QUESTION).latents) == 3


def test_trials_under_one_name_inform_the_other() -> None:
    space = Space((*PLANE.dimensions, Dimension(name="optimizer.name", choices=("adamw", "muon"))))
    unit = sobol(64)
    base = trials(unit)
    level = np.zeros((64, 1), dtype=np.int64)
    level[::16] = 1
    seen = dataclasses.replace(base, places=Places(unit, level))
    other = Places(POOL.unit, np.ones((len(POOL), 1), dtype=np.int64))
    truth = labels(POOL.unit)
    got, alone = fit(space, seen, QUESTION), fit(space, seen.take(level[:, 0] == 1), QUESTION)
    right, right_alone = ((one.labels(other) == truth).mean() for one in (got, alone))
    assert right > right_alone + 0.1
    assert contours(got, space, {"optimizer.name": "muon"}, "gen", lattice=40).lines


def test_the_space_of_the_trials_must_be_that_of_the_fit() -> None:
    with pytest.raises(ValueError, match="observations: places of 1 numbers"):
        fit(Space((Dimension(name="x"),)), trials(sobol(4)), QUESTION)


def test_where_trials_diverge_no_other_margin_has_a_boundary() -> None:
    """Times are not seen there, so a band would stay wide for good; the edge of divergence itself counts instead."""
    unit = sobol(128)
    t_mem = 10 ** (3 + 1.6 * unit[:, 1])
    seen = observed(places(unit), np.where(t_mem <= 1e4, t_mem, np.inf), np.full(128, np.inf), np.full(128, 1e4))
    found = fit(PLANE, dataclasses.replace(seen, diverged=unit[:, 0] > 0.6), Question(budget=1e4, ratio=5.0))
    pool = places(sobol(512, seed=1))
    assert on_boundary(found, pool, "mem").unit[:, 0].max() < 0.65
    assert len(on_boundary(found, pool, "diverged"))
    # Without it .14: the line of t_mem goes on through the diverged part.
    assert half_width_p95(found, pool) < 0.08
