"""A trial's id is a hash of what its numbers depend on, and of nothing else."""

from __future__ import annotations

import dataclasses
import typing
from typing import Any

import pytest

from grokstudy.spec.compose import compose_study
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.fields import ALWAYS
from grokstudy.spec.identity import ID_LENGTH, config_columns, identity, leaves, trial_id
from grokstudy.spec.study import with_values
from tests.golden.recorded import id_of, recorded_ids
from tests.trials import tiny, trial

QUAD = compose_study(["preset=quad23"])
RECORDED = recorded_ids()


@pytest.mark.parametrize("words", RECORDED)
def test_golden_ids_never_change(words: str) -> None:
    assert id_of(words) == RECORDED[words]


def test_golden_ids_are_distinct() -> None:
    assert len(set(RECORDED.values())) == len(RECORDED) >= 12
    assert all(len(identity) == ID_LENGTH for identity in RECORDED.values())


def test_a_field_at_its_neutral_value_is_left_out_so_that_a_new_field_renames_nothing() -> None:
    spec = trial("quad23")
    neutral = [path for path, leaf in leaves(spec).items() if leaf.neutral is not ALWAYS and leaf.value == leaf.neutral]
    assert "task.label_noise" in neutral
    assert not set(neutral) & set(identity(spec))
    for path in neutral:
        assert trial("quad23", {path: leaves(spec)[path].neutral}) == spec


@pytest.mark.parametrize(
    "path", [p for p in leaves(QUAD.trial({})) if p not in ("seed", "seeds.noise") and not p.endswith(".name")]
)
def test_every_setting_but_the_master_seed_changes_the_id(path: str) -> None:
    """Settings that are refused alone are changed in a trial whose other settings give them something to do."""
    beside: dict[str, dict[str, Any]] = {
        "optimizer.fix_lr_wd": {"regularization.weight_decay": 0.0},
        "optimizer.filter_alpha": {"optimizer.filter": "grokfast_ema"},
        "optimizer.filter_lamb": {"optimizer.filter": "grokfast_ema"},
        "optimizer.filter_window": {"optimizer.filter": "grokfast_ma"},
        "init.optimizer_state": {"init.from": f"{'a' * 16}@10"},
        "noise.schedule": {"noise.temperature": 0.1, "noise.schedule": "linear", "noise.horizon": 50},
        "noise.horizon": {"noise.temperature": 0.1, "noise.schedule": "linear", "noise.horizon": 50},
        "noise.end": {"noise.temperature": 0.1, "noise.schedule": "linear", "noise.horizon": 50},
        "regularization.dropout": {"regularization.dropout": 0.1},
    }
    other: dict[str, Any] = {"task.op": "mul", "loss.reduction": "half_sum", "engine.dtype": "float64", "batch_size": 9}
    other |= {"optimizer.betas": [0.9, 0.9], "task.frac_train": 0.4, "task.label_noise": 0.5, "task.holdout": 0.5}
    other |= {"optimizer.fix_lr_wd": 0.01, "optimizer.filter": "orthograd", "optimizer.filter_alpha": 0.5}
    other |= {"init.from": f"{'b' * 16}@10", "init.optimizer_state": "keep", "noise.schedule": "cosine"}
    other |= {"noise.horizon": 60, "regularization.dropout": 0.5, "model.subtract_start": True}
    spec = trial("quad23", beside.get(path, {}))
    value = leaves(spec)[path].value
    changed = trial("quad23", {**beside.get(path, {}), path: other[path] if path in other else value + 1})
    assert trial_id(changed) != trial_id(spec)
    difference = {p for p in leaves(spec) if leaves(spec)[p].value != leaves(changed)[p].value}
    assert difference == {path}


def test_the_master_seed_enters_only_through_the_seeds_it_sets() -> None:
    every = {f"seeds.{name}": 3 for name in ("data", "init", "batch", "noise")}
    assert trial_id(trial("quad23", every, seed=99)) == trial_id(trial("quad23", seed=3))
    assert trial_id(trial("quad23", seed=3)) != trial_id(trial("quad23", seed=4))


def test_how_a_trial_is_run_is_no_part_of_it() -> None:
    words = ["budget=7", "checkpoint.ring=false", "cluster.pack_size=3", "engine.threads=2", "storage.root=/elsewhere"]
    changed = compose_study(["preset=quad23", "cluster=none", "tracking=none", "name=other", *words])
    assert trial_id(changed.trial({})) == trial_id(QUAD.trial({}))


@pytest.mark.parametrize(("one", "other"), [(0.1 + 0.2, 0.3), (1 / 3, 0.333333333333), (1.1 * 1.1, 1.21)])
def test_axis_values_are_rounded_to_12_digits_before_training_and_hashing(one: float, other: float) -> None:
    assert one != other
    first, second = (trial("quad23", {"regularization.weight_decay": value}) for value in (one, other))
    assert first == second, "trained on equal numbers"
    assert trial_id(first) == trial_id(second)
    assert trial_id(trial("quad23", {"regularization.weight_decay": other + 1e-9})) != trial_id(first)


@pytest.mark.parametrize("path", ["optimizer.lr", "regularization.weight_decay", "init.scale"])
def test_whole_numbers_and_floats_are_one_value(path: str) -> None:
    assert trial_id(trial("quad23", {path: 1})) == trial_id(trial("quad23", {path: 1.0}))
    assert trial_id(trial("quad23", {"model.width": 64})) == trial_id(trial("quad23", {"model.width": 64.0}))


def test_the_order_of_keys_is_irrelevant() -> None:
    def turned(node: Any) -> Any:
        return {key: turned(node[key]) for key in reversed(list(node))} if isinstance(node, dict) else node

    data = with_values(QUAD.base, {"regularization.l2": 0.1, "task.p": 29})
    assert list(turned(data)) != list(data)
    assert trial_id(decode_trial(turned(data))) == trial_id(decode_trial(data))


def test_a_default_written_out_is_the_default() -> None:
    """d_head: null is d_model / n_heads, and a trial that says so is the same trial."""
    assert trial_id(tiny({"model.d_head": 4})) == trial_id(tiny())


def test_config_columns_are_the_config_paths_without_seeds() -> None:
    columns = config_columns(trial("quad23"))
    assert columns["optimizer.lr"] == 0.01
    assert columns["task.name"] == "modular"
    assert columns["optimizer.betas"] == "[0.9, 0.98]"
    assert not [path for path in columns if path.startswith("seed")]
    assert set(columns) == {path for path in leaves(trial("quad23")) if not path.startswith("seed")}
    assert all(isinstance(value, (str, int, float, bool, type(None))) for value in columns.values())


def test_specs_are_values() -> None:
    spec = trial("quad23")
    assert spec == trial("quad23")
    assert hash(spec) == hash(trial("quad23"))
    with pytest.raises(dataclasses.FrozenInstanceError):
        spec.seed = 3  # type: ignore[misc]
    assert not typing.get_type_hints(type(spec))["loss"].__dataclass_fields__, "interfaces have no fields"
