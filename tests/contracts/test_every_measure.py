"""What every measure plug-in owes its readers; a new file in circuits/ is covered by existing."""

from __future__ import annotations

import dataclasses
import inspect
import math
from collections import Counter

import pytest
import torch

from grokstudy.losses.ce64 import CrossEntropy64
from grokstudy.losses.mse import MSE
from grokstudy.models.mlp import MLP
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.optimizers.adamw import AdamW
from grokstudy.spec import plugins
from grokstudy.spec.interfaces import Model, Task
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks.group import FiniteGroup
from grokstudy.tasks.induction import Induction
from grokstudy.tasks.modular import Modular, Operation
from grokstudy.tasks.sparse_parity import SparseParity
from grokstudy.tasks.teacher_student import TeacherStudent

torch.set_num_threads(1)

NAMES = plugins.names("circuits")
MODELS: dict[str, Model] = {"quad_mlp": QuadMLP(width=16), "transformer": Transformer(d_model=16, n_heads=2, d_mlp=24)}


FEW: dict[str, dict[str, int]] = {"llc": {"burn_in": 2, "draws": 3}, "ntk": {"rows": 12}}
"""Settings with which measures that repeat one thing many times do so a few times."""


def measure_named(name: str) -> Measure:
    kind = plugins.load("circuits", name)
    assert issubclass(kind, Measure)
    return kind(**FEW.get(name, {}))


def untrained(model: str, *, op: Operation = "add", p: int = 7, keys: tuple[int, ...] | None = (1,)) -> Subject:
    task = Modular(op=op, p=p, frac_train=0.5)
    spec = TrialSpec(task=task, model=MODELS[model], optimizer=AdamW(), loss=CrossEntropy64())
    params = spec.model.init(task.shape(), spec.seeds.init)
    reason = None if keys else "no_keys"
    return Subject(spec=spec, data=task.data(spec.seeds), params=params, key_freqs=keys, keys_reason=reason)


OTHER_TASKS: dict[str, tuple[Task, Model]] = {
    "group": (FiniteGroup(group="S3", frac_train=0.5), MODELS["quad_mlp"]),
    "parity": (SparseParity(n=6, k=2, train=20, test=12), MLP(depth=2, width=10)),
    "sequence": (
        Induction(tokens=8, length=10, block=3, train=12, test=10),
        Transformer(n_layers=2, d_model=16, n_heads=2, d_mlp=24),
    ),
    "teacher": (TeacherStudent(train=6, test=5), MLP(depth=2, width=8)),
}
"""Measures are of modular tasks, or of one of these, or of all."""


def of_task(name: str) -> Subject:
    task, model = OTHER_TASKS[name]
    spec = TrialSpec(
        task=task, model=model, optimizer=AdamW(), loss=MSE() if task.shape().real_targets else CrossEntropy64()
    )
    start, final = (model.init(task.shape(), seed) for seed in (0, 1))
    return Subject(
        spec=spec, data=task.data(spec.seeds), params=final, key_freqs=None, keys_reason="x", start=start, final=final
    )


def subjects() -> list[Subject]:
    return [
        *map(of_task, OTHER_TASKS),
        *(filled(of_task(name), value) for name in OTHER_TASKS for value in (0.0, math.nan, math.inf)),
        untrained("quad_mlp"),
        untrained("transformer", op="sub"),
        untrained("quad_mlp", p=6, keys=(3,)),
        untrained("transformer", keys=None),
        untrained("transformer", op="div"),
        untrained("quad_mlp", op="random"),
        filled(untrained("quad_mlp"), 0.0),
        filled(untrained("quad_mlp"), math.nan),
        filled(untrained("transformer"), math.inf),
    ]


def filled(subject: Subject, value: float) -> Subject:
    params = {name: torch.full_like(x, value) for name, x in subject.params.items()}
    return dataclasses.replace(subject, params=params)


def test_there_are_measures() -> None:
    assert {"cross_entropy", "fourier_losses", "fve", "gini", "ipr", "key_freqs", "neuron_freqs", "norms"} <= set(NAMES)


@pytest.mark.parametrize("name", NAMES)
def test_it_says_what_it_is_and_where_it_comes_from(name: str) -> None:
    measure = measure_named(name)
    text = inspect.getdoc(type(measure)) or ""
    assert text.splitlines()[0].endswith((".", ":"))
    assert "Source:" in text
    assert measure.version >= 1
    assert type(measure).__dataclass_params__.frozen  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", NAMES)
def test_it_is_defined_for_something(name: str) -> None:
    assert any(measure_named(name).applies(subject.spec) is None for subject in subjects())


@pytest.mark.parametrize("name", NAMES)
def test_equal_networks_have_equal_values(name: str) -> None:
    measure = measure_named(name)
    for first, second in zip(subjects(), subjects(), strict=True):
        if measure.applies(first.spec) is None:
            assert measure.measure(first) == measure.measure(second)


@pytest.mark.parametrize("name", NAMES)
def test_what_it_reads_stays_as_it_was(name: str) -> None:
    measure = measure_named(name)
    for subject, untouched in zip(subjects(), subjects(), strict=True):
        if measure.applies(subject.spec) is not None:
            continue
        measure.measure(subject)
        for key, tensor in untouched.params.items():
            torch.testing.assert_close(subject.params[key], tensor, rtol=0, atol=0, equal_nan=True)
        for field in ("inputs", "labels", "train", "test", "train_labels"):
            assert (getattr(subject.data, field) == getattr(untouched.data, field)).all()


@pytest.mark.parametrize("name", NAMES)
def test_a_value_is_finite_or_null_with_a_reason(name: str) -> None:
    measure = measure_named(name)
    for subject in subjects():
        if (reason := measure.applies(subject.spec)) is not None:
            assert reason
            continue
        values = measure.measure(subject)
        assert values
        for value in values:
            assert (value.value is None) == bool(value.reason), value
            assert value.value is not None or value.values is None, value
            assert all(map(math.isfinite, (value.value or 0.0, *(value.values or ())))), value
            assert value.protocol, value
            assert value.version == measure.version


@pytest.mark.parametrize("name", NAMES)
def test_nothing_is_known_of_a_network_of_nan(name: str) -> None:
    measure = measure_named(name)
    for subject in (untrained("quad_mlp"), untrained("transformer"), *map(of_task, OTHER_TASKS)):
        broken = dataclasses.replace(filled(subject, math.nan), start=None, final=None)
        if measure.applies(broken.spec) is None:
            assert {value.value for value in measure.measure(broken)} == {None}


@pytest.mark.parametrize("name", NAMES)
def test_names_and_protocols_do_not_depend_on_the_network(name: str) -> None:
    """One column per measure: a network without keys, or a broken one, leaves NULLs in the same columns."""
    measure = measure_named(name)
    columns: dict[tuple[type[Task], type[Model]], set[tuple[tuple[str, str], ...]]] = {}
    for subject in subjects():
        if measure.applies(subject.spec) is None:
            named = [(value.measure, value.protocol) for value in measure.measure(subject)]
            assert len(named) == len(set(named))
            columns.setdefault((type(subject.spec.task), type(subject.spec.model)), set()).add(tuple(sorted(named)))
    assert all(len(variants) == 1 for variants in columns.values())


def test_no_two_measures_share_a_name() -> None:
    named = Counter(value for name in NAMES for value in measure_named(name).names)
    assert [name for name, count in named.items() if count > 1] == []


@pytest.mark.parametrize("name", NAMES)
def test_it_returns_the_names_that_it_announces(name: str) -> None:
    """Else a study would never know that it is measured."""
    measure = measure_named(name)
    for subject in subjects():
        if measure.applies(subject.spec) is None:
            assert {value.measure for value in measure.measure(subject)} == set(measure.names)
