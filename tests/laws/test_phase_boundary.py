"""The boundary of planted diagrams: it is where it was put, as often as it says, and refused where nothing is known."""

from __future__ import annotations

import numpy as np
import pytest
from matplotlib.path import Path

from grokstudy.phase.boundary import Boundary, NoBoundary, fit_boundary

X, Y = np.geomspace(0.01, 10, 13), np.linspace(0.3, 0.9, 7)
LOG = (True, False)


def grid(seeds: int) -> np.ndarray:
    return np.repeat(np.array([(x, y) for x in X for y in Y]), seeds, axis=0)


def logit(places: np.ndarray) -> np.ndarray:
    """A curved planted boundary; its coordinates are log10 x and y."""
    u, v = np.log10(places[:, 0]), places[:, 1]
    return 4 * (u + 0.5) + 10 * (v - 0.6) + 1.5 * (u + 0.5) ** 2


def planted(seeds: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
    places = grid(seeds)
    return places, np.random.default_rng(seed).random(len(places)) < 1 / (1 + np.exp(-logit(places)))


def fitted(places: np.ndarray, generalised: np.ndarray) -> Boundary:
    found = fit_boundary(places, generalised, LOG)
    assert isinstance(found, Boundary)
    return found


def inside(band: tuple[np.ndarray, ...], point: tuple[float, float]) -> bool:
    """Whether the point lies within an odd number of rings."""
    return sum(bool(Path(ring).contains_point(point)) for ring in band) % 2 == 1


def on_the_line(y: float) -> tuple[float, float]:
    """The point of the planted boundary at this y: 1.5 w^2 + 4 w + 10 (y - .6) = 0 with w = log10 x + .5."""
    w = (-4 + np.sqrt(16 - 60 * (y - 0.6))) / 3
    return float(10 ** (w - 0.5)), y


def test_the_line_lies_where_it_was_planted() -> None:
    """With 400 seeds the error of the logit is about sqrt(1 / (n p q)) of a few cells, well under .1."""
    line = np.concatenate(fitted(*planted(400, 0)).lines)
    middle = line[(line[:, 1] > 0.35) & (line[:, 1] < 0.85)]
    assert len(middle) > 20
    assert np.abs(logit(middle)).max() < 0.3


def test_the_band_holds_the_true_line_as_often_as_it_says() -> None:
    """100 studies, nominal .95: a share of hits has s.d. sqrt(.95 * .05 / 100) = .022; .95 - 3.2 s.d. = .88."""
    fits = [fitted(*planted(8, seed)) for seed in range(100)]
    for y in (0.4, 0.6, 0.8):
        assert np.mean([inside(fit.band, on_the_line(y)) for fit in fits]) > 0.88


def test_the_band_says_more_than_nothing() -> None:
    """Far from the line, where |logit| is 6 and more, the band of 8 seeds a cell is not."""
    band = fitted(*planted(8, 0)).band
    assert not inside(band, (0.02, 0.35))
    assert not inside(band, (8.0, 0.85))


def test_the_order_of_trials_does_not_matter() -> None:
    places, generalised = planted(8, 0)
    order = np.random.default_rng(1).permutation(len(places))
    one, two = fitted(places, generalised), fitted(places[order], generalised[order])
    assert np.allclose(np.concatenate(one.lines), np.concatenate(two.lines), rtol=1e-6)


def test_cells_that_scatter_more_than_chance_widen_the_band() -> None:
    """Every other cell is pushed by +-2 logits: the band must grow against the same study without pushing."""
    places = grid(20)
    push = 2.0 * np.where(np.arange(len(places)) // 20 % 2 == 0, 1, -1)
    draws = np.random.default_rng(3).random(len(places))
    calm, wild = (fitted(places, draws < 1 / (1 + np.exp(-logit(places) - shift))) for shift in (0 * push, push))

    def area(fit: Boundary) -> float:
        sample = [(x, y) for x in np.geomspace(0.011, 9, 40) for y in np.linspace(0.31, 0.89, 40)]
        return float(np.mean([inside(fit.band, point) for point in sample]))

    assert area(wild) > 1.3 * area(calm)


def test_places_on_a_continuum_give_the_line_of_the_grid() -> None:
    """20,000 trials anywhere are counted in fine squares, which moves the line by less than 1/64 of an axis."""
    rng = np.random.default_rng(0)
    places = np.column_stack([10 ** rng.uniform(-2, 1, 20_000), rng.uniform(0.3, 0.9, 20_000)])
    generalised = rng.random(20_000) < 1 / (1 + np.exp(-logit(places)))
    line = np.concatenate(fitted(places, generalised).lines)
    middle = line[(line[:, 1] > 0.35) & (line[:, 1] < 0.85)]
    assert np.abs(logit(middle)).max() < 0.4


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (lambda places: np.ones(len(places), dtype=bool), "every trial generalised"),
        (lambda places: np.zeros(len(places), dtype=bool), "no trial generalised"),
        (lambda places: np.arange(len(places)) < 3, "only 3 trials generalised"),
        (lambda places: logit(places) > 0, "do not overlap"),
    ],
)
def test_a_line_that_cannot_be_known_is_refused_with_the_reason(make: object, reason: str) -> None:
    places = grid(8)
    found = fit_boundary(places, make(places), LOG)  # type: ignore[operator]
    assert isinstance(found, NoBoundary)
    assert reason in found.reason


def test_one_level_or_one_diagonal_has_no_line() -> None:
    places, generalised = planted(8, 0)
    flat = places.copy()
    flat[:, 1] = 0.5
    diagonal = np.column_stack([places[:, 0], np.log10(places[:, 0])])
    for odd, reason in ((flat, "two levels"), (diagonal, "on one line")):
        found = fit_boundary(odd, generalised, LOG)
        assert isinstance(found, NoBoundary)
        assert reason in found.reason
