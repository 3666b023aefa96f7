"""What every task owes the engine; a new file in tasks/ is covered by existing."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
import torch

from grokstudy.spec.interfaces import Task, TaskData
from grokstudy.spec.trial import Seeds
from tests.variants import every_small, variants

TASKS = every_small("tasks", Task)  # type: ignore[type-abstract]
CASES = {f"{name}/{field}": task for name, base in TASKS.items() for field, task in [("", base), *variants(base)]}
every_case = pytest.mark.parametrize("task", CASES.values(), ids=CASES)


def content(data: TaskData) -> list[bytes]:
    return [getattr(data, name).tobytes() for name in ("inputs", "labels", "train", "test", "train_labels")]


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
def test_shapes_and_ranges_are_as_declared(task: Task) -> None:
    data, shape = task.data(Seeds()), task.shape()
    rows = len(data.labels)
    assert data.shape == shape
    assert data.inputs.shape == (rows, shape.positions)
    assert data.labels.dtype == data.train.dtype == data.test.dtype == data.train_labels.dtype == np.int64
    assert set(np.unique(data.labels)) | set(np.unique(data.train_labels)) <= set(range(shape.classes))
    if shape.vocab:
        assert data.inputs.dtype == np.int64
        assert set(np.unique(data.inputs)) <= set(range(shape.vocab))


@every_case
def test_train_and_test_rows_are_disjoint_and_counted_without_drawing(task: Task) -> None:
    data = task.data(Seeds())
    assert len(data.train) == task.train_rows() == len(data.train_labels) >= 1
    together = [*data.train, *data.test]
    assert len(set(together)) == len(together)
    assert set(together) <= set(range(len(data.labels)))


@pytest.mark.parametrize("name", TASKS)
def test_every_setting_changes_the_data_or_is_refused(name: str) -> None:
    base = TASKS[name]
    changed = dict(variants(base))
    assert set(changed) == {field.name for field in dataclasses.fields(base)}
    for field, task in changed.items():
        assert content(task.data(Seeds())) != content(base.data(Seeds())), field


@every_case
def test_settings_that_members_may_differ_in_leave_all_shapes_alone(task: Task) -> None:
    rows = len(task.data(Seeds()).labels)
    for field, other in variants(task, per_member=True):
        if len(other.data(Seeds()).labels) == rows:  # the signature keeps tasks with other rows apart
            assert other.shape() == task.shape(), field
