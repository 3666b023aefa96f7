"""What every task owes the engine; a new file in tasks/ is covered by existing."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
import torch

from grokstudy.spec.interfaces import Task, TaskData
from grokstudy.spec.trial import Seeds
from tests.variants import every_small, variants

TASKS = every_small("tasks", Task)  # type: ignore[type-abstract]
TOGETHER: Mapping[str, Sequence[Mapping[str, Any]]] = {"group": [{"table": "0 1 2;1 2 0;2 0 1", "group": None}]}
"""Settings that are refused alone: each with what it needs, itself first."""


def changed_tasks(name: str) -> dict[str, Task]:
    """By field, the task with another value of it."""
    together = [(next(iter(given)), dataclasses.replace(TASKS[name], **given)) for given in TOGETHER.get(name, ())]
    return {**dict(variants(TASKS[name])), **dict(together)}


CASES = {
    f"{name}/{field}": task for name, base in TASKS.items() for field, task in {"": base, **changed_tasks(name)}.items()
}
every_case = pytest.mark.parametrize("task", CASES.values(), ids=CASES)


def content(data: TaskData) -> list[Any]:
    """Everything that training and evaluation read."""
    arrays = (getattr(data, field.name) for field in dataclasses.fields(data))
    return [x.tobytes() if isinstance(x, np.ndarray) else x for x in arrays]


def test_there_are_tasks() -> None:
    assert TASKS


@every_case
def test_data_is_a_pure_function_of_settings_and_data_seed(task: Task) -> None:
    first = content(task.data(Seeds(data=1)))
    assert content(task.data(Seeds(data=1, init=5, batch=6, noise=7))) == first
    assert content(task.data(Seeds(data=2))) != first


@every_case
def test_drawing_touches_no_global_generator(task: Task) -> None:
    numpy_before, torch_before = str(np.random.get_state()), torch.get_rng_state()
    task.data(Seeds())
    assert str(np.random.get_state()) == numpy_before
    assert torch.equal(torch.get_rng_state(), torch_before)


@every_case
def test_inputs_are_tokens_of_the_vocabulary_or_real_features(task: Task) -> None:
    data, shape = task.data(Seeds()), task.shape()
    assert data.shape == shape
    assert data.inputs.shape == (len(data.labels), shape.positions)
    assert len(data.labels) == task.rows()
    if shape.vocab:
        assert data.inputs.dtype == np.int64
        assert data.inputs.min() >= 0
        assert data.inputs.max() < shape.vocab
    else:
        assert data.inputs.dtype == np.float64
        assert np.isfinite(data.inputs).all()


@every_case
def test_labels_are_classes_or_real_vectors_of_every_answer(task: Task) -> None:
    data, shape = task.data(Seeds()), task.shape()
    answers = (shape.answers,) if shape.answers else ()
    numbers = (shape.classes,) if shape.real_targets else ()
    assert shape.answers <= shape.positions
    assert data.labels.shape == (task.rows(), *answers, *numbers)
    assert data.train_labels.shape == (len(data.train), *answers, *numbers)
    for labels in (data.labels, data.train_labels):
        if shape.real_targets:
            assert labels.dtype == np.float64
            assert np.isfinite(labels).all()
        else:
            assert labels.dtype == np.int64
            assert labels.min() >= 0
            assert labels.max() < shape.classes
    assert (data.tolerance > 0) == shape.real_targets, "what a right answer is"


@every_case
def test_train_and_test_rows_are_disjoint_and_counted_without_drawing(task: Task) -> None:
    data = task.data(Seeds())
    assert data.train.dtype == data.test.dtype == np.int64
    assert len(data.train) == task.train_rows() == len(data.train_labels) >= 1
    together = [*data.train, *data.test]
    assert len(set(together)) == len(together)
    assert set(together) <= set(range(len(data.labels)))


@every_case
def test_no_input_is_both_trained_on_and_tested_on(task: Task) -> None:
    """But for features that are all zero, which sparse ones often are."""
    data, zeros = task.data(Seeds()), bytes(8 * task.shape().positions)
    train, test = ({row.tobytes() for row in data.inputs[rows]} for rows in (data.train, data.test))
    assert train & test <= (set() if task.shape().vocab else {zeros})


@every_case
def test_weights_give_every_answer_a_share_of_the_loss(task: Task) -> None:
    data = task.data(Seeds())
    if data.weights is None:
        return
    shape = task.shape()
    assert data.weights.shape == (task.rows(), *((shape.answers,) if shape.answers else ()))
    assert data.weights.dtype == np.float64
    assert np.isfinite(data.weights).all()
    assert (data.weights >= 0).all()
    assert data.weights[data.train].sum() > 0
    assert len(np.unique(data.weights)) > 1, "equal weights are None"


@every_case
def test_slices_are_named_without_drawing_and_each_has_answers(task: Task) -> None:
    data, shape, names = task.data(Seeds()), task.shape(), task.slices()
    assert data.slices == names
    assert len(set(names)) == len(names)
    assert all(names)
    assert (data.slice_of is None) == (names == ())
    if data.slice_of is not None:
        assert data.slice_of.shape == (task.rows(), *((shape.answers,) if shape.answers else ()))
        assert set(np.unique(data.slice_of)) == set(range(len(names)))


@pytest.mark.parametrize("name", TASKS)
def test_every_setting_changes_the_data_or_is_refused(name: str) -> None:
    base, changed = TASKS[name], changed_tasks(name)
    assert set(changed) == {field.name for field in dataclasses.fields(base)}
    for field, task in changed.items():
        assert content(task.data(Seeds())) != content(base.data(Seeds())), field


@every_case
def test_settings_that_members_may_differ_in_leave_all_shapes_alone(task: Task) -> None:
    """Of all that the signature does not keep apart by itself: it holds the rows, the shape and the train rows."""
    for field, other in variants(task, per_member=True):
        if (other.rows(), other.shape()) == (task.rows(), task.shape()):
            one, two = other.data(Seeds()), task.data(Seeds())
            assert one.inputs.dtype == two.inputs.dtype, field
            assert one.labels.dtype == two.labels.dtype, field
            assert len(one.slices) == len(two.slices), field
            assert (one.weights is None) == (two.weights is None), field
