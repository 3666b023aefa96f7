"""Laws of refills: what is proposed follows from what was seen, what runs and the seed, and from nothing else."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import pytest

from grokstudy.samplers.surrogate import stream
from grokstudy.samplers.surrogate.cost import NEIGHBOURS, expected_cost
from grokstudy.samplers.surrogate.fits import fitted, milestone
from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.refill import INITIAL, Planned, Refill, Settings, explored, labels, refill
from grokstudy.samplers.surrogate.space import Dimension, Places, Space
from grokstudy.spec.outcome import LABELS

PLANE = Space((Dimension(name="x"), Dimension(name="y", low=0.01, high=1.0, log=True)))
LATTICE = Space((Dimension(name="x", values=(0.0, 0.25, 0.5, 0.75, 1.0)), Dimension(name="kind", choices=("a", "b"))))
ASK = Question(budget=10_000, ratio=5.0)
SETTINGS = Settings(seed=3)
N = 40


def times(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Confusion at the right, memorization below, grokking and comprehension above; exact."""
    x, y = unit.T
    mem = 2.2 + 1.6 * x**2 + 2.0 * np.maximum(0, (x - 0.85) / 0.15)
    return 10**mem, 10 ** (mem + 0.2 + 1.9 * (1 - y) ** 1.5 + 0.6 * x)


def seen(unit: np.ndarray, watched: float | np.ndarray = ASK.budget) -> Observations:
    t_mem, t_gen = times(unit)
    steps = np.broadcast_to(np.asarray(watched, dtype=float), len(unit)).copy()
    t_mem = np.where(t_mem <= steps, t_mem, np.nan)
    return Observations(
        places=Places(unit, np.zeros((len(unit), 0), dtype=np.int64)),
        t_mem=t_mem,
        t_gen=np.where((t_gen <= steps) & ~np.isnan(t_mem), t_gen, np.nan),
        steps=steps,
        diverged=np.zeros(len(unit), dtype=bool),
        cost=np.full(len(unit), np.nan),
    )


MANY = seen(stream.scrambled(0, "test", 2, 0, N))
NONE = PLANE.empty()


def told(planned: Planned) -> tuple[object, ...]:
    """Everything a plan says, comparable."""
    return (
        stream.keys(planned.place),
        planned.source,
        planned.reason,
        planned.p,
        planned.expected_cost,
        planned.budget,
        planned.trial,
    )


def asked(
    observations: Observations = MANY, running: Places = NONE, n: int = 6, start: int = N, **given: object
) -> Refill:
    settings = dataclasses.replace(SETTINGS, **given)  # type: ignore[arg-type]
    return refill(PLANE, observations, running, ASK, start=start, n=n, settings=settings)


def test_equal_arguments_give_equal_plans() -> None:
    first, second = asked(), asked()
    assert list(map(told, first.planned)) == list(map(told, second.planned))
    assert first.expected_error == second.expected_error


def test_what_is_kept_between_refills_changes_nothing() -> None:
    """With the kept fit of fewer trials, of the same trials, and of other trials, the plans are those without."""
    cold = list(map(told, asked().planned))
    for kept in (MANY.take(np.arange(35)), MANY, seen(stream.scrambled(9, "other", 2, 0, 30))):
        warm = fitted(PLANE, kept, ASK, SETTINGS.seed)
        again = refill(PLANE, MANY, NONE, ASK, start=N, n=6, settings=SETTINGS, warm=warm)
        assert list(map(told, again.planned)) == cold


def test_the_order_of_observations_changes_nothing_but_which_ones_settings_are_searched_from() -> None:
    rng, first = np.random.default_rng(0), milestone(N)
    order = np.concatenate([rng.permutation(first), first + rng.permutation(N - first)])
    assert list(map(told, asked(MANY.take(order)).planned)) == list(map(told, asked().planned))


def test_milestones_follow_from_the_number_of_trials_alone() -> None:
    found = [milestone(n) for n in range(1, 2000)]
    assert found[:11] == list(range(1, 12))
    assert all(m <= n < max(12, math.ceil(1.3 * m)) for n, m in enumerate(found, 1))


def test_a_seed_or_a_start_of_its_own_gives_other_plans() -> None:
    plans = [list(map(told, r.planned)) for r in (asked(), asked(seed=4), asked(start=N + 1))]
    assert plans[0] != plans[1]
    assert plans[0] != plans[2]


def test_the_first_trials_are_a_sobol_stream_whatever_they_found() -> None:
    few, left = MANY.take(np.arange(5)), 2 * INITIAL - 5
    result = asked(few, start=5, n=20)
    sources = [planned.source for planned in result.planned]
    assert sources[:left] == ["initial"] * left
    assert "initial" not in sources[left:]
    stream_points = stream.sobol(PLANE, SETTINGS.seed, "initial", 5, left)
    assert [stream.keys(p.place)[0] for p in result.planned[:left]] == stream.keys(stream_points)
    assert all(planned.p is None for planned in result.planned[:left])


def test_running_trials_count_towards_the_first() -> None:
    few, enough = MANY.take(np.arange(7)), 2 * INITIAL
    assert asked(few, MANY.places.take(np.arange(7, enough)), n=1).planned[0].source != "initial"
    assert asked(few, MANY.places.take(np.arange(7, enough - 1)), n=1).planned[0].source == "initial"


@pytest.mark.parametrize("diverged", [False, True])
def test_with_one_outcome_only_the_stream_goes_on(diverged: bool) -> None:
    """Also if all trials diverged."""
    corner = dataclasses.replace(
        seen(stream.scrambled(1, "corner", 2, 0, N) * 0.2 + [0.8, 0.0]), diverged=np.full(N, diverged)
    )
    corner = dataclasses.replace(corner, t_mem=np.full(N, np.nan), t_gen=np.full(N, np.nan))
    assert set(labels(corner, ASK)) == {"diverged" if diverged else "confusion"}
    result = asked(corner)
    assert {planned.source for planned in result.planned} == {"initial"}
    assert result.posterior is None


def test_explore_trials_are_drawn_by_index_and_ignore_the_model() -> None:
    """The same indices explore at the same places whatever was seen."""
    one, other = asked(n=40), asked(seen(stream.scrambled(5, "b", 2, 0, N)), n=40)
    at = [i for i, planned in enumerate(one.planned) if planned.source == "explore"]
    assert at == [i for i, planned in enumerate(other.planned) if planned.source == "explore"]
    assert at
    for i in at:
        assert stream.keys(one.planned[i].place) == stream.keys(other.planned[i].place)
        assert one.planned[i].p != other.planned[i].p


def test_the_share_of_explore_trials_is_the_setting() -> None:
    for share in (0.0, 0.1, 0.5, 1.0):
        # Binomial(4000, share): five standard deviations.
        assert abs(explored(Settings(explore=share), 4000) - 4000 * share) <= 5 * math.sqrt(4000 * share * (1 - share))


def test_picks_lie_at_boundaries_and_say_so() -> None:
    picks = [planned for planned in asked(explore=0.0).planned if planned.source == "boundary"]
    for planned in picks:
        assert planned.p is not None
        assert len(planned.p) == len(LABELS)
        assert sum(planned.p) == pytest.approx(1, abs=1e-9)
        assert max(planned.p) < 0.9, "nothing is to be learned where the outcome is known"
        assert "boundary: P(" in planned.reason
        assert "expected error -" in planned.reason


def test_a_running_trial_moves_the_next_pick_away() -> None:
    alone = asked(n=1, explore=0.0).planned[0].place
    beside = asked(running=alone, n=1, explore=0.0).planned[0].place
    # Pool points are 1/sqrt(512) = .044 apart on average: the next pick is not merely the neighbour.
    assert np.linalg.norm(alone.unit - beside.unit) > 0.1


def test_no_place_is_given_twice_until_all_are_taken() -> None:
    """On axes of values: 5 x 2 places, then replicates."""
    taken = LATTICE.empty()
    nothing = Observations.empty(LATTICE)
    for start in range(10):
        (planned,) = refill(LATTICE, nothing, taken, ASK, start=start, n=1, settings=SETTINGS).planned
        taken = taken.concat(planned.place)
    assert len(set(stream.keys(taken))) == 10
    assert len(refill(LATTICE, nothing, taken, ASK, start=10, n=3, settings=SETTINGS).planned) == 3


def test_boundary_picks_are_places_that_were_not_run_until_all_were() -> None:
    grid = Space(tuple(Dimension(name=name, values=tuple(np.linspace(0, 1, 7))) for name in "xy"))
    cells = stream.listed(grid)
    assert cells is not None
    order = np.random.default_rng(0).permutation(49)
    finished = seen(cells.unit[order[:40]])
    settings = Settings(explore=0.0)
    plans = refill(grid, finished, grid.empty(), ASK, start=40, n=9, settings=settings).planned
    assert {key for p in plans for key in stream.keys(p.place)} == set(stream.keys(cells.take(order[40:])))
    again = refill(grid, seen(cells.unit), grid.empty(), ASK, start=49, n=2, settings=settings).planned
    assert len({key for p in again for key in stream.keys(p.place)}) == 2


def test_a_censored_trial_is_extended_when_that_is_worth_its_cost() -> None:
    """Half of the trials were watched to nine tenths of the budget: to know their end costs a tenth of a new trial."""
    watched = np.where(np.arange(N) % 2 == 0, ASK.budget, 0.9 * ASK.budget)
    part = seen(MANY.places.unit, watched)
    plans = asked(part, n=6, explore=0.0, extend=True, cost_power=1.0).planned
    longer = [planned for planned in plans if planned.source == "extend"]
    assert longer
    for planned in longer:
        assert planned.trial is not None
        assert part.steps[planned.trial] < ASK.budget
        assert stream.keys(planned.place) == stream.keys(part.places.take(np.array([planned.trial])))
        # A tenth of a full trial; a little less where neighbours generalised and had ended at nine tenths.
        assert 0.09 <= planned.expected_cost <= 0.1 + 1e-12
    assert not [planned for planned in asked(part, explore=0.0).planned if planned.source == "extend"]


def test_a_trial_that_is_being_extended_is_not_extended_again() -> None:
    part = seen(MANY.places.unit, np.where(np.arange(N) % 2 == 0, ASK.budget, 0.9 * ASK.budget))
    going = part.places.take(np.flatnonzero(part.steps < ASK.budget))
    assert all(planned.trial is None for planned in asked(part, going, explore=0.0, extend=True).planned)


def test_cost_is_learned_where_trials_end_early_and_one_where_nothing_is_known() -> None:
    assert expected_cost(Observations.empty(PLANE), MANY.places, ASK) == pytest.approx(np.ones(N))
    # The right half ends at a fifth of the budget, having generalised; the left half never does.
    x = MANY.places.unit[:, 0]
    early = dataclasses.replace(
        MANY,
        t_mem=np.where(x > 0.5, 10.0, np.nan),
        t_gen=np.where(x > 0.5, 2_000.0, np.nan),
        steps=np.where(x > 0.5, 2_000.0, ASK.budget),
    )
    places = Places(np.array([[0.05, 0.5], [0.95, 0.5]]), np.zeros((2, 0), dtype=np.int64))
    # The nearest 8 of 40 lie within sqrt(8 / 40 / pi) < .3 .. .45 at an edge: on one side of the middle.
    assert NEIGHBOURS == 8
    assert expected_cost(early, places, ASK) == pytest.approx([1.0, 0.2], abs=1e-6)


def test_a_cost_has_no_unit() -> None:
    paid = np.linspace(1, 2, N)
    one, other = (dataclasses.replace(MANY, cost=scale * paid) for scale in (1.0, 3600.0))
    assert expected_cost(one, MANY.places, ASK) == pytest.approx(expected_cost(other, MANY.places, ASK))


@pytest.mark.parametrize("dims", [1, 2, 3])
def test_a_stream_is_read_by_index(dims: int) -> None:
    whole = stream.scrambled(7, "law", dims, 0, 70)
    assert ((whole >= 0) & (whole < 1)).all()
    for start, n in ((0, 1), (1, 5), (13, 30), (69, 1)):
        assert np.array_equal(stream.scrambled(7, "law", dims, start, n), whole[start : start + n])
    assert not np.array_equal(stream.scrambled(8, "law", dims, 0, 70), whole)
    assert not np.array_equal(stream.scrambled(7, "other", dims, 0, 70), whole)


def test_a_stream_fills_the_cube_evenly() -> None:
    """Of 256 scrambled Sobol points exactly 4 lie in each of 64 equal squares: a (0, 8, 2)-net."""
    unit = stream.scrambled(0, "net", 2, 0, 256)
    squares = (unit * 8).astype(int)
    assert set(np.bincount(squares[:, 0] * 8 + squares[:, 1], minlength=64)) == {4}


def test_streams_give_values_of_the_axes() -> None:
    found = LATTICE.points(stream.sobol(LATTICE, 0, "law", 0, 64))
    assert {point["x"] for point in found} == {0.0, 0.25, 0.5, 0.75, 1.0}
    assert {point["kind"] for point in found} == {"a", "b"}
    whole = Space((Dimension(name="width", low=1, high=4, integer=True),))
    assert {point["width"] for point in whole.points(stream.sobol(whole, 0, "law", 0, 64))} == {1, 2, 3, 4}
    assert stream.places_of(whole) == 4
    assert stream.places_of(PLANE) == math.inf


def test_every_listed_value_is_drawn_as_often_also_at_the_ends() -> None:
    """Of 240 draws a third each, to 2 as Sobol points are spread; rounding positions gave the ends a quarter."""
    for axis in (Dimension(name="k", values=(0.0, 0.5, 1.0)), Dimension(name="k", low=1, high=3, integer=True)):
        drawn = stream.sobol(Space((axis, Dimension(name="x"))), 0, "law", 0, 240)
        counts = np.unique(drawn.unit[:, 0], return_counts=True)[1]
        assert np.abs(counts - 80).max() <= 2


def test_whole_numbers_on_a_log_axis_count_by_their_share_of_it() -> None:
    """Half of them lie in each half of the axis, though 15 of 16 numbers lie in the upper one. Half a step beyond the
    lower end makes the axis longer by log 2: the middle moves by .06."""
    space = Space((Dimension(name="batch", low=1, high=256, log=True, integer=True),))
    for drawn in (stream.pool(space, 0, 0), stream.sobol(space, 0, "law", 0, 256)):
        assert abs(np.median(drawn.unit) - 0.5) < 0.1
        # 1 reaches from 1/2 to 3/2: log 3 of log 513.
        assert np.mean(drawn.unit == 0) == pytest.approx(np.log(3) / np.log(513), abs=0.01)


def test_times_need_not_be_whole_to_have_a_label() -> None:
    """2.7 and 13.4 epochs are a ratio of 4.96 < 5; cut to whole numbers it would be 6.5."""
    epochs = dataclasses.replace(
        MANY.take(np.arange(1)), t_mem=np.array([2.7]), t_gen=np.array([13.4]), steps=np.array([20.0])
    )
    assert labels(epochs, Question(budget=20, ratio=5.0)) == ["comprehension"]


def test_of_trials_at_one_place_all_tell_its_cost_whatever_their_order() -> None:
    """Twice as many as are averaged over, half of them cheap: the mean of 1 and 3, in median prices of 2."""
    unit = np.repeat([[0.5, 0.5]], 2 * NEIGHBOURS, axis=0)
    paid = np.repeat([1.0, 3.0], NEIGHBOURS)
    same = dataclasses.replace(seen(unit), cost=paid)
    for trials in (same, same.take(np.arange(2 * NEIGHBOURS)[::-1])):
        assert expected_cost(trials, trials.places.take(np.arange(1)), ASK) == pytest.approx([1.0])
