"""What every sampler owes a study; a new file in samplers/ is covered by existing."""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Sequence

import pytest

from grokstudy.samplers.boundary import Boundary
from grokstudy.samplers.grid import Grid, level
from grokstudy.samplers.random import Random
from grokstudy.samplers.sobol import Sobol
from grokstudy.samplers.tpe import Tpe
from grokstudy.spec.axes import Axis, Point
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Sampler
from grokstudy.spec.outcome import RATIO
from grokstudy.spec.proposal import EXTEND, AdaptiveSampler, Answer, Proposal, Told
from grokstudy.spec.rows import Outcome
from tests.variants import every_small, variants

SAMPLERS = every_small("samplers", Sampler)  # type: ignore[type-abstract]
INDEXED = {name: sampler for name, sampler in SAMPLERS.items() if not isinstance(sampler, AdaptiveSampler)}
ADAPTIVE = {name: sampler for name, sampler in SAMPLERS.items() if isinstance(sampler, AdaptiveSampler)}
every_sampler = pytest.mark.parametrize("sampler", SAMPLERS.values(), ids=SAMPLERS)
every_indexed = pytest.mark.parametrize("sampler", INDEXED.values(), ids=INDEXED)
every_adaptive = pytest.mark.parametrize("sampler", ADAPTIVE.values(), ids=ADAPTIVE)

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
    assert INDEXED
    assert ADAPTIVE


@every_sampler
def test_every_sampler_takes_values_or_intervals(sampler: Sampler) -> None:
    assert fits(sampler, PLANE) or fits(sampler, INTERVALS)


@every_indexed
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


@every_indexed
@pytest.mark.parametrize("axes", [PLANE, INTERVALS], ids=["values", "intervals"])
def test_point_i_is_the_same_however_many_were_asked_before(sampler: Sampler, axes: tuple[Axis, ...]) -> None:
    if not fits(sampler, axes):
        return
    points = all_points(sampler, axes)
    for start in (1, 2, len(points) // 2, len(points) - 1):
        assert all_points(sampler, axes, start) == points[start:]
    assert sampler.propose(axes, len(points), []) is None


@every_indexed
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


def test_sobol_points_fill_every_axis_evenly() -> None:
    """Of 2^m points one lies in each of 2^m equal parts of every axis, which is what a Sobol sequence is."""
    points = all_points(Sobol(n_trials=64), INTERVALS[1:2])
    values = sorted(float(point[FRAC.path] or 0) for point in points)
    assert [int((value - 0.3) / 0.6 * 64) for value in values] == list(range(64))


def test_the_first_sobol_points_stay_when_more_are_drawn() -> None:
    assert all_points(Sobol(n_trials=100), INTERVALS)[:37] == all_points(Sobol(n_trials=37), INTERVALS)


# ---- adaptive samplers: played against a planted truth


PLANTED = INTERVALS[:2]
T = 1000


def planted(point: Point, budget: int) -> Outcome:
    """Both times fall along both axes, t_gen from 4,000 to 12 steps, with seed noise; training ends at five t_gen."""
    u = math.log(float(point[WD.path] or 0) / 0.01) / math.log(1000)
    v = (float(point.get(FRAC.path) or 0.5) - 0.3) / 0.6
    noise = generator(0, "planted", repr(sorted(point.items()))).normal(0, 0.05)
    t_gen, t_mem = (round(10 ** (top - 1.5 * u - v + noise)) for top in (3.6, 2.0))
    steps = min(budget, max(5 * t_gen, 20))
    return Outcome(
        trial_id=repr(sorted(point.items())),
        point=point,
        t_mem=t_mem if t_mem <= steps else None,
        t_gen=t_gen if t_gen <= steps else None,
        steps_run=steps,
        budget=budget,
        diverged=False,
        seconds=0.1,
        test_loss=abs(u - 0.5) + v,
        test_acc=u,
        train_loss=u,
        train_acc=v,
    )


def learned(told: Told, proposals: Sequence[Proposal]) -> Told:
    """What is told once these proposals have been trained."""
    outcomes = {outcome.trial_id: outcome for outcome in told.finished}
    for proposal in proposals:
        asked = proposal.budget or told.budget
        seen = planted({key: proposal.point[key] for key in proposal.point}, asked)
        before = outcomes.get(seen.trial_id, seen)
        known = {"source": before.source or proposal.source, "predicted": before.predicted or proposal.predicted}
        outcomes[seen.trial_id] = dataclasses.replace(seen, **known, asked=before.asked or asked)
    new = sum(proposal.source != EXTEND for proposal in proposals)
    return dataclasses.replace(
        told,
        finished=tuple(outcomes.values()),
        proposed=told.proposed + len(proposals),
        trials=told.trials + new,
    )


def played(sampler: AdaptiveSampler, told: Told) -> tuple[list[Proposal], Answer]:
    """Every proposal until the sampler is done, each batch trained before the next is asked for, and its last word."""
    proposals: list[Proposal] = []
    for _ in range(100):
        answer = dataclasses.replace(sampler).ask(told)
        if answer.over is not None:
            return proposals, answer
        assert answer.proposals, "nothing is open, so there is nothing to wait for"
        proposals += answer.proposals
        told = learned(told, answer.proposals)
    raise AssertionError("it does not end")


@every_adaptive
def test_an_adaptive_sampler_proposes_inside_the_axes_and_ends(sampler: AdaptiveSampler) -> None:
    proposals, last = played(dataclasses.replace(sampler, n_trials=40), Told(axes=PLANTED, budget=T))
    assert len(proposals) == 40
    assert last.over is not None
    assert "n_trials=40" in last.over
    for proposal, axis in itertools.product(proposals, PLANTED):
        value = proposal.point[axis.path]
        assert isinstance(value, float)
        assert axis.low is not None
        assert axis.high is not None
        assert axis.low <= value <= axis.high
    assert len({tuple(sorted(proposal.point.items())) for proposal in proposals}) == 40


@every_adaptive
def test_the_answer_is_a_function_of_what_is_told(sampler: AdaptiveSampler) -> None:
    """Asked again, by another instance, after other questions: whatever it keeps for speed changes nothing."""
    told = learned(Told(axes=PLANTED, budget=T), sampler.ask(Told(axes=PLANTED, budget=T)).proposals)
    for _ in range(4):
        told = learned(told, sampler.ask(told).proposals)
    more = dataclasses.replace(sampler, n_trials=100)
    answer = more.ask(told)
    assert answer.proposals
    more.ask(dataclasses.replace(told, budget=500))
    dataclasses.replace(more, seed=5).ask(told)
    assert dataclasses.replace(more).ask(told) == answer


@every_adaptive
def test_running_trials_are_taken_into_account(sampler: AdaptiveSampler) -> None:
    """A second batch, asked for while the first one runs, is another one, and not the first one's copy."""
    sampler = dataclasses.replace(sampler, n_trials=100)
    told = Told(axes=PLANTED, budget=T)
    for _ in range(4):
        told = learned(told, sampler.ask(told).proposals)
    first = sampler.ask(told)
    count = len(first.proposals)
    beside = dataclasses.replace(told, open=first.proposals, proposed=told.proposed + count, trials=told.trials + count)
    second = sampler.ask(beside)
    points = [tuple(sorted(proposal.point.items())) for proposal in (*first.proposals, *second.proposals)]
    assert len(second.proposals) == count
    assert len(set(points)) == 2 * count


BASE = {"n_trials": 20, "batch": 4}
BASES = {
    "boundary": {
        "": {"sentinels": 1, "sentinel_seeds": 3},
        "explore": {"explore": 0.4},
        "tolerance": {"tolerance": 0.02, "band": 1.0, "n_trials": 40},
        "band": {"tolerance": 1.0, "band": 0.02, "n_trials": 40},
    },
}
"""Settings with which another value of a setting matters, by sampler and setting."""


SETTINGS = [(name, field.name) for name, sampler in ADAPTIVE.items() for field in dataclasses.fields(sampler)]


@pytest.mark.parametrize(("name", "field"), SETTINGS)
def test_every_setting_of_an_adaptive_sampler_changes_what_it_does(name: str, field: str) -> None:
    """Played along one axis, where few trials are enough."""
    bases = BASES.get(name, {})
    base = dataclasses.replace(ADAPTIVE[name], **{**BASE, **bases.get("", {}), **bases.get(field, {})})
    other = dict(variants(base))[field]
    told = Told(axes=PLANTED[:1], budget=T)
    assert played(other, told) != played(base, told)


def test_every_boundary_trial_has_a_seed_of_its_own_unless_seeds_are_an_axis() -> None:
    proposals, _ = played(Boundary(n_trials=32, seed=7), Told(axes=PLANTED, budget=T))
    assert [proposal.point["seed"] for proposal in proposals] == list(range(7, 39))
    proposals, _ = played(Boundary(n_trials=32, new_seeds=False), Told(axes=PLANTED, budget=T))
    assert not any("seed" in proposal.point for proposal in proposals)
    proposals, _ = played(Boundary(n_trials=32), Told(axes=(*PLANTED, SEED), budget=T))
    assert [proposal.point["seed"] for proposal in proposals] == [0, 1] * 16


def test_the_boundary_sampler_stops_where_its_rule_says_and_repeats_sentinels_once() -> None:
    sampler = Boundary(n_trials=200, tolerance=0.08, band=0.1, sentinels=3, sentinel_seeds=4)
    proposals, last = played(sampler, Told(axes=PLANTED, budget=T))
    assert last.over is not None
    assert last.over.startswith("stop rule reached")
    assert last.check is not None
    assert last.check.expected_error <= 0.08
    sentinels = [proposal for proposal in proposals if proposal.source == "sentinel"]
    assert len(sentinels) == 12
    assert proposals[-12:] == sentinels
    cells = {tuple(proposal.point[axis.path] for axis in PLANTED) for proposal in sentinels}
    assert len(cells) == 3
    assert {proposal.point["seed"] for proposal in sentinels} == {0, 1, 2, 3}
    predicted = [proposal.predicted for proposal in proposals if proposal.source in ("explore", "boundary")]
    assert predicted
    assert all(p is not None and math.isclose(sum(p), 1, abs_tol=1e-9) for p in predicted)


def test_a_first_look_is_short_and_censored_trials_are_extended_to_the_budget() -> None:
    proposals, _ = played(Boundary(n_trials=80, first_budget=0.25), Told(axes=PLANTED, budget=T))
    looks = [proposal for proposal in proposals if proposal.source != EXTEND]
    extensions = [proposal for proposal in proposals if proposal.source == EXTEND]
    assert {(proposal.source == "boundary", proposal.budget) for proposal in looks} == {(True, 250), (False, T)}
    assert extensions
    assert {proposal.budget for proposal in extensions} == {T}
    seen = [planted(proposal.point, 250) for proposal in extensions]
    assert all(outcome.t_gen is None for outcome in seen), "a trial that generalised has nothing to show by going on"


def test_the_boundary_sampler_needs_an_axis_with_a_width() -> None:
    names = Axis(path="task.op", values=("add", "mul"))
    with pytest.raises(BadInput, match=r"names only \(task\.op\).*sampler=grid"):
        Boundary().check([names, SEED])
    with pytest.raises(BadInput, match=r"task\.frac_train: has one value, 0\.5.*must have a width"):
        Boundary().check([WD, Axis(path="task.frac_train", values=(0.5,))])
    with pytest.raises(BadInput, match=r"no axis to search along"):
        Tpe().check([])


def seen(**changes: object) -> Outcome:
    """A trial with both times, watched to its budget of 1,000."""
    row = planted({WD.path: 1.0, FRAC.path: 0.8}, T)
    fields = {"t_mem": 50, "t_gen": 400, "steps_run": T, **changes}
    return dataclasses.replace(row, **fields)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("objective", "direction", "outcome", "value"),
    [
        ("t_gen", "minimize", seen(), 400),
        ("t_gen", "minimize", seen(t_gen=None, steps_run=600), 1000),  # never better than one that took 700
        ("t_gen", "maximize", seen(t_gen=None, steps_run=600), 600),  # it took at least that long
        ("t_gen", "minimize", seen(t_gen=None, steps_run=3000), 3000),
        ("t_mem", "minimize", seen(t_mem=None, t_gen=None), 1000),
        ("delay_ratio", "maximize", seen(), 8),
        ("delay_ratio", "maximize", seen(t_gen=None, steps_run=600), 12),
        ("delay_ratio", "minimize", seen(t_gen=None, steps_run=600), 20),
        ("delay_ratio", "maximize", seen(t_mem=None, t_gen=None), -math.inf),
        ("t_gen", "minimize", seen(diverged=True, t_gen=None), math.inf),
        ("test_acc", "maximize", seen(test_acc=0.25), 0.25),
        ("test_loss", "minimize", seen(test_loss=None), math.inf),
    ],
)
def test_tpe_is_never_told_that_a_trial_is_better_than_it_is_known_to_be(
    objective: str, direction: str, outcome: Outcome, value: float
) -> None:
    tpe = Tpe(objective=objective, direction=direction)  # type: ignore[arg-type]
    assert tpe.value(outcome, T) == value


def test_tpe_takes_values_and_names_as_they_are() -> None:
    names = Axis(path="task.op", values=("add", "mul", None))
    proposals, _ = played(Tpe(n_trials=30), Told(axes=(*PLANTED, SEED, names), budget=T))
    assert {proposal.point["task.op"] for proposal in proposals} <= {"add", "mul", None}
    assert {proposal.point["seed"] for proposal in proposals} <= {0, 1}


def test_tpe_finds_what_it_looks_for() -> None:
    """The best of 60 against the best of 60 uniform draws: the loss falls towards a corner of measure zero."""
    told = Told(axes=PLANTED, budget=T)
    proposals, _ = played(Tpe(n_trials=60, objective="test_loss"), told)
    late = [planted(proposal.point, T).test_loss or 0 for proposal in proposals[30:]]
    drawn = [planted(point, T).test_loss or 0 for point in all_points(Random(n_trials=30), PLANTED)]
    assert sorted(late)[len(late) // 2] < sorted(drawn)[len(drawn) // 2]


def test_ratio_is_that_of_the_outcomes_by_default() -> None:
    assert Boundary().ratio == RATIO
