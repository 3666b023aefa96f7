"""What every sampler owes a study; a new file in samplers/ is covered by existing."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import pytest

from grokstudy.samplers.grid import Grid, level
from grokstudy.samplers.random import Random
from grokstudy.spec.axes import Axis, Point
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Sampler
from tests.variants import every_small, variants

SAMPLERS = every_small("samplers", Sampler)  # type: ignore[type-abstract]
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)

WD = Axis(path="regularization.weight_decay", values=(0.0, 0.1, 0.3, 1.0, 3.0))
FRAC = Axis(path="task.frac_train", values=(0.3, 0.5, 0.7))
SEED = Axis(path="seed", values=(0, 1))
INTERVALS = (
    Axis(path="regularization.weight_decay", low=0.01, high=10.0, log=True),
    Axis(path="task.frac_train", low=0.3, high=0.9),
    Axis(path="model.width", low=8.0, high=64.0, integer=True),
)
PLANE = (WD, FRAC, SEED)


def all_points(sampler: Sampler, axes: Sequence[Axis], start: int = 0) -> list[Point]:
    """Points from number `start` on, until the sampler waits for outcomes or has no more."""
    points: list[Point] = []
    while more := sampler.propose(axes, start + len(points), []):
        points += more
    return points


def fits(sampler: Sampler, axes: Sequence[Axis]) -> bool:
    try:
        sampler.check(axes)
    except BadInput:
        return False
    return True


def test_there_are_samplers() -> None:
    assert SAMPLERS


@every_sampler
def test_every_sampler_takes_values_or_intervals(sampler: Sampler) -> None:
    assert fits(sampler, PLANE) or fits(sampler, INTERVALS)


@every_sampler
@pytest.mark.parametrize("axes", [PLANE, INTERVALS, ()], ids=["values", "intervals", "no axes"])
def test_equal_arguments_give_equal_points_inside_the_axes(sampler: Sampler, axes: tuple[Axis, ...]) -> None:
    if not fits(sampler, axes):
        return
    points = all_points(sampler, axes)
    assert points
    assert points == all_points(dataclasses.replace(sampler), axes)
    for point, axis in itertools.product(points, axes):
        value = point[axis.path]
        if axis.is_interval:
            assert isinstance(value, int if axis.integer else float)
            assert axis.low is not None
            assert axis.high is not None
            assert axis.low <= value <= axis.high
        else:
            assert value in axis.values
    assert all(set(point) == {axis.path for axis in axes} for point in points)


@every_sampler
@pytest.mark.parametrize("axes", [PLANE, INTERVALS], ids=["values", "intervals"])
def test_point_i_is_the_same_however_many_were_asked_before(sampler: Sampler, axes: tuple[Axis, ...]) -> None:
    if not fits(sampler, axes):
        return
    points = all_points(sampler, axes)
    for start in (1, 2, len(points) // 2, len(points) - 1):
        assert all_points(sampler, axes, start) == points[start:]
    assert sampler.propose(axes, len(points), []) is None


@every_sampler
def test_every_setting_changes_the_points(sampler: Sampler) -> None:
    axes = INTERVALS if fits(sampler, INTERVALS) else PLANE
    changed = dict(variants(sampler))
    assert set(changed) == {field.name for field in dataclasses.fields(sampler)}
    for field, other in changed.items():
        assert all_points(other, axes) != all_points(sampler, axes), field


def test_the_grid_is_complete_and_has_no_point_twice() -> None:
    points = all_points(Grid(), PLANE)
    keys = [tuple(point[axis.path] for axis in PLANE) for point in points]
    assert sorted(keys) == sorted(itertools.product(WD.values, FRAC.values, SEED.values))


@pytest.mark.parametrize("axes", list(itertools.permutations(PLANE)), ids=lambda axes: f"{axes[0].path},{axes[1].path}")
def test_the_grid_is_seed_major_whatever_the_order_of_axes(axes: tuple[Axis, ...]) -> None:
    points = all_points(Grid(), axes)
    assert [point["seed"] for point in points] == [0] * 15 + [1] * 15
    cells = [{path: value for path, value in point.items() if path != "seed"} for point in points]
    assert cells[:15] == cells[15:], "every seed visits the cells in one order"


def test_the_grid_goes_from_coarse_to_fine() -> None:
    """Whatever is cut off, what is there is the whole plane at a lower resolution: levels never fall."""
    levels = [
        max(level(WD.values.index(p[WD.path]), 5), level(FRAC.values.index(p[FRAC.path]), 3))
        for p in all_points(Grid(), (WD, FRAC))
    ]
    assert levels == sorted(levels)
    assert levels[:4] == [0, 0, 0, 0], "the corners come first"


@pytest.mark.parametrize("n", [1, 2, 3, 5, 9, 10, 17])
def test_levels_halve_the_gaps(n: int) -> None:
    """The indices up to one level leave gaps of at most n / 2^level."""
    levels = [level(i, n) for i in range(n)]
    for finest in range(max(levels) + 1):
        shown = [i for i in range(n) if levels[i] <= finest]
        gaps = [after - before for before, after in itertools.pairwise(shown)]
        assert all(gap <= math.ceil((n - 1) / 2**finest) for gap in gaps)


def test_the_grid_refuses_an_interval_and_says_what_to_do() -> None:
    with pytest.raises(BadInput, match=r"regularization\.weight_decay.*interval.*third argument"):
        Grid().check(INTERVALS)


def test_random_points_do_not_depend_on_the_other_axes() -> None:
    both, one = (all_points(Random(n_trials=20), axes) for axes in (INTERVALS, INTERVALS[:1]))
    assert [point["regularization.weight_decay"] for point in both] == [p["regularization.weight_decay"] for p in one]


def test_random_points_are_uniform_in_the_logarithm_of_a_log_axis() -> None:
    values = [point[WD.path] for point in all_points(Random(n_trials=2000), INTERVALS[:1])]
    below = sum(value < 0.01 * 1000**0.25 for value in values)
    # Binomial(2000, 1/4): mean 500, standard deviation 19.4; five of them.
    assert abs(below - 500) < 97
