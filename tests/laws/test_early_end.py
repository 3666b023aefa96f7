"""Early end: off by default; on, it lets a trial go only once it has been watched for five times its t_gen."""

from __future__ import annotations

import pytest

from grokstudy.engine.gradients import chunks
from grokstudy.engine.loop import Leaving, run_pack
from grokstudy.engine.state import Member
from grokstudy.spec.errors import BadInput
from grokstudy.spec.identity import trial_id
from grokstudy.spec.schedule import evaluations
from grokstudy.spec.settings import CheckpointSettings, EarlyEndSettings, EngineSettings
from grokstudy.spec.trial import TrialSpec
from tests.packs import run
from tests.trials import trial

FAST = {"regularization.weight_decay": 3.0, "task.frac_train": 0.7}
"""Generalises within 100 updates."""


def leavings(specs: list[TrialSpec], budget: int, early_end: EarlyEndSettings) -> list[tuple[str, int, bool, int]]:
    """(trial_id, steps, whether it ended early, t_gen) in the order of leaving."""
    members = [Member(trial_id=trial_id(spec), spec=spec) for spec in specs]
    out = []
    for event in run_pack(members, budget, EngineSettings(), CheckpointSettings(ring=False), early_end=early_end):
        if isinstance(event, Leaving):
            for lane in event.lanes:
                crossing = event.state.watches[lane].gen.crossing
                identity = event.state.members[lane].trial_id
                out.append((identity, event.state.step, lane in event.early, crossing.t if crossing else -1))
    return out


def test_it_is_off_by_default() -> None:
    assert EarlyEndSettings().after is None
    assert not EarlyEndSettings().is_due(10**9, 1)


@pytest.mark.parametrize("after", [4.9, 0.0, -1.0, float("nan"), float("inf")])
def test_a_trial_is_never_let_go_before_five_times_its_t_gen(after: float) -> None:
    with pytest.raises(BadInput, match=r"early_end\.after.*>= 5"):
        EarlyEndSettings(after=after)


def test_it_ends_at_the_first_evaluation_at_that_multiple_and_the_others_go_on() -> None:
    generalising, memorising = trial("quad23", FAST), trial("quad23", {**FAST, "task.op": "random"}, seed=1)
    left = leavings([generalising, memorising], 900, EarlyEndSettings(after=5))
    assert [(identity, early) for identity, _, early, _ in left] == [
        (trial_id(generalising), True),
        (trial_id(memorising), False),
    ]
    (_, step, _, t_gen), (_, last, _, never) = left
    assert step == min(s for s in evaluations(900) if s >= 5 * t_gen)
    assert (last, never) == (900, -1)


def test_what_was_trained_until_then_is_what_a_full_run_has() -> None:
    """The rule reads the curve and changes nothing in it."""
    spec = trial("quad23", FAST)
    ((_, step, _, t_gen),) = leavings([spec], 2000, EarlyEndSettings(after=5))
    whole = run([spec], step).trials[0]
    assert whole.gen is not None
    assert whole.gen.t == t_gen


@pytest.mark.parametrize(("members", "largest"), [(64, 4), (7, 4), (5, 6), (1, 100), (100, 1)])
def test_chunks_cover_a_pack_in_few_sizes(members: int, largest: int) -> None:
    parts = list(chunks(members, largest))
    assert [lane for part in parts for lane in range(part.start, part.stop)] == list(range(members))
    sizes = {part.stop - part.start for part in parts}
    assert max(sizes) <= largest
    assert all(size & (size - 1) == 0 for size in sizes)
