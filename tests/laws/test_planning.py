"""How packs are planned: by shape, by memory, a part for every slot; and in which mode they are computed."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import pytest

from grokstudy.engine.memory import member_bytes, parameters
from grokstudy.engine.signature import signature
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import EarlyEndSettings, EngineSettings
from grokstudy.spec.study import StudySpec
from grokstudy.store.views import TrialState
from grokstudy.study import mode
from grokstudy.study.document import check_same_study
from grokstudy.study.mode import resolved_mode
from grokstudy.study.plan import is_done
from grokstudy.study.run import plan_study
from tests.trials import trial


def study(tmp_path: Path, *words: str) -> StudySpec:
    base = ["preset=quad23", "cluster=none", "tracking=none", f"storage.root={tmp_path}"]
    return compose_study([*base, *words], name="planned")


@pytest.mark.parametrize("slots", [1, 2, 5])
def test_every_slot_gets_a_part_of_every_shape(tmp_path: Path, slots: int) -> None:
    plan = plan_study(study(tmp_path, "task.frac_train=0.3,0.6", "seed=seeds(20)"), slots)
    parts: dict[str, list[int]] = {}
    specs = {t.trial_id: t.spec for t in plan.trials}
    for job in plan.jobs:
        parts.setdefault(signature(specs[job.trials[0][0]]), []).append(len(job.trials))
    assert len(parts) == 2
    for sizes in parts.values():
        assert len(sizes) == slots
        assert max(sizes) - min(sizes) <= slots
        assert sum(sizes) == 20


def test_a_pack_fits_the_memory_it_is_given(tmp_path: Path) -> None:
    one = member_bytes(trial("quad23"), ring=True)
    plan = plan_study(study(tmp_path, "seed=seeds(40)", f"cluster.pack_memory={6.5 * one / 1e9}"), 1)
    assert max(len(job.trials) for job in plan.jobs) == 6
    assert sum(len(job.trials) for job in plan.jobs) == 40


def test_a_trial_that_fits_no_memory_is_still_tried_alone(tmp_path: Path) -> None:
    plan = plan_study(study(tmp_path, "seed=seeds(3)", "cluster.pack_memory=1e-9"), 1)
    assert [len(job.trials) for job in plan.jobs] == [1, 1, 1]


def test_a_members_memory_counts_what_it_keeps() -> None:
    quad = trial("quad23")
    assert parameters(quad) == 3 * 23 * 128
    # 23 * 128 * 3 float32 numbers in weights, gradient, a copy, two moments and up to 48 recent weights, and the rows.
    assert member_bytes(quad, ring=True) - member_bytes(quad, ring=False) == 48 * 4 * parameters(quad)
    wide = trial("quad23", {"engine.dtype": "float64"})
    assert 1.9 < member_bytes(wide, ring=True) / member_bytes(quad, ring=True) < 2
    grokfast = trial("quad23", {"optimizer.filter": "grokfast_ma"})
    assert member_bytes(grokfast, ring=False) - member_bytes(quad, ring=False) == 101 * 4 * parameters(quad)


def state(status: str, steps_run: int, t_gen: int | None) -> TrialState:
    return TrialState(
        trial_id="a",
        status=status,  # type: ignore[arg-type]
        steps_run=steps_run,
        budget=10_000,
        diverged_step=None,
        t_gen=t_gen,
        seconds=1.0,
    )


def test_a_trial_that_ended_early_is_done_while_the_rule_lets_it_and_goes_on_without() -> None:
    ended = state("ended_early", 500, 100)
    assert is_done(ended, 10_000, EarlyEndSettings(after=5))
    assert not is_done(ended, 10_000, EarlyEndSettings(after=6))
    assert not is_done(ended, 10_000)
    assert not is_done(state("done", 5_000, None), 10_000, EarlyEndSettings(after=5))
    assert is_done(state("done", 5_000, 900), 10_000, EarlyEndSettings(after=5))


# ---- the mode


def test_networks_with_hand_written_gradients_are_never_compiled_unasked() -> None:
    assert resolved_mode(EngineSettings(), None, [trial("quad23")] * 1000, 10**9).compile is False


def test_a_mode_that_was_given_or_kept_stands() -> None:
    dropping = [trial("quad23", {"regularization.dropout": 0.1})] * 1000
    assert resolved_mode(EngineSettings(compile=True), None, [], 1).compile is True
    kept = EngineSettings(compile=True)
    assert resolved_mode(EngineSettings(), kept, [trial("quad23")], 10).compile is True
    assert resolved_mode(EngineSettings(compile=False), kept, dropping, 10**9).compile is False


def test_a_short_study_is_not_compiled_to_see_what_it_gains(monkeypatch: pytest.MonkeyPatch) -> None:
    tried: list[bool] = []
    timed = mode.seconds_per_update

    def recording(specs: list[object], engine: EngineSettings, *, compiled: bool) -> float:
        tried.append(compiled)
        return timed(specs, engine, compiled=False)  # type: ignore[arg-type]

    monkeypatch.setattr(mode, "seconds_per_update", recording)
    dropping = [trial("quad23", {"regularization.dropout": 0.1})]
    assert resolved_mode(EngineSettings(), None, dropping, 1000).compile is False
    assert tried == [False]
    resolved_mode(EngineSettings(), None, dropping, 10**9)
    assert tried == [False, False, True]


def test_a_study_of_another_mode_is_refused_and_null_keeps_it(tmp_path: Path) -> None:
    spec = study(tmp_path)
    was = dataclasses.replace(spec, engine=EngineSettings(compile=True))
    check_same_study(was, spec)
    with pytest.raises(BadInput, match=r"engine\.compile"):
        check_same_study(was, dataclasses.replace(spec, engine=EngineSettings(compile=False)))


def test_a_setting_that_is_newer_than_a_stored_study_is_no_difference(tmp_path: Path) -> None:
    new = study(tmp_path)
    old = dataclasses.replace(new, base={**new.base, "model": {"name": "quad_mlp", "width": 128}})
    check_same_study(old, new)
    other = study(tmp_path, "model.output_scale=2")
    with pytest.raises(BadInput, match=r"model\.output_scale: study 'planned' exists with 1\.0, got 2\.0"):
        check_same_study(old, other)
    assert math.isclose(other.trial({}).model.output_scale, 2)
