"""Tasks whose rows are sequences with several answers, against their rules by brute force."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from jaxtyping import Int

from grokstudy.engine.evaluate import COLUMNS, SLICE_COLUMNS, TEST_LOSS, TRAIN_LOSS
from grokstudy.spec.compose import compose_study
from grokstudy.spec.decode import decode_trial
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks.induction import Induction
from grokstudy.tasks.integer import EQUALS, OPERATOR, Integer
from grokstudy.tasks.sort import Sort
from tests.packs import run

SMALL: dict[type[Task], dict[str, Any]] = {
    Integer: {"digits": 3, "train": 40, "test": 30},
    Sort: {"length": 4, "values": 6, "train": 40, "test": 30},
    Induction: {"tokens": 12, "length": 11, "block": 4, "train": 40, "test": 30},
}
every_kind = pytest.mark.parametrize("kind", SMALL, ids=lambda kind: kind.__name__)


def data(kind: type[Task], seed: int = 0, **settings: Any) -> TaskData:
    return kind(**{**SMALL[kind], **settings}).data(Seeds(data=seed))


def number(digits: Int[np.ndarray, " n"], *, reverse: bool) -> int:
    """The number that the digits spell."""
    order = digits[::-1] if reverse else digits
    return int("".join(map(str, order)))


@every_kind
def test_a_model_is_shown_the_true_answers_before_the_one_it_gives(kind: type[Task]) -> None:
    drawn = data(kind)
    answers = drawn.shape.answers
    assert drawn.labels.shape == (70, answers)
    assert np.array_equal(drawn.inputs[:, drawn.shape.positions - answers + 1 :], drawn.labels[:, :-1])


@every_kind
def test_no_row_is_drawn_twice(kind: type[Task]) -> None:
    rows = data(kind).inputs[:, : -kind(**SMALL[kind]).shape().answers + 1]
    assert len(np.unique(rows, axis=0)) == 70


@every_kind
def test_train_sets_of_one_data_seed_are_prefixes_and_the_test_set_stays(kind: type[Task]) -> None:
    small, large = data(kind), data(kind, train=65)
    assert np.array_equal(large.inputs[large.train][:40], small.inputs[small.train])
    assert np.array_equal(large.train_labels[:40], small.train_labels)
    assert np.array_equal(large.inputs[large.test], small.inputs[small.test])
    other = data(kind, seed=1)
    assert not np.array_equal(other.inputs[other.test], small.inputs[small.test])


@every_kind
def test_everything_drawn_can_be_trained_on(kind: type[Task]) -> None:
    drawn = data(kind, test=0)
    assert len(drawn.test) == 0
    assert np.array_equal(drawn.train, np.arange(40))


@every_kind
@pytest.mark.parametrize(("setting", "value"), [("train", 0), ("test", -1), ("train", 10**9)])
def test_counts_that_are_none_or_exceed_the_population_are_refused(kind: type[Task], setting: str, value: int) -> None:
    with pytest.raises(BadInput, match=rf"task\.{setting}.*got {value}"):
        data(kind, **{setting: value})


@pytest.mark.parametrize("reverse", [False, True], ids=["as written", "reversed"])
@pytest.mark.parametrize("op", ["add", "sub"])
@pytest.mark.parametrize("digits", [1, 3, 17])
def test_the_answer_spells_the_sum_or_difference_of_the_two_numbers(op: str, digits: int, reverse: bool) -> None:
    """17 digits are the most whose sums fit 64 bits."""
    count = 20 if digits == 1 else 40
    drawn = data(Integer, op=op, digits=digits, reversed=reverse, train=count, test=count)
    assert drawn.inputs.shape == (2 * count, 3 * digits + 2)
    for row, answer in zip(drawn.inputs, drawn.labels, strict=True):
        a, b = (number(row[at : at + digits], reverse=reverse) for at in (0, digits + 1))
        assert (row[digits], row[2 * digits + 1]) == (OPERATOR, EQUALS)
        assert number(answer, reverse=reverse) == (a + b if op == "add" else a - b)


def test_whole_numbers_do_not_wrap_around() -> None:
    """Unlike modular addition: about half of all sums have one more digit than their terms."""
    leading = data(Integer, train=400, test=0).labels[:, 0]
    # A sum of two uniform numbers carries with probability 1/2: 400 draws, standard deviation 10.
    assert set(leading) == {0, 1}
    assert abs(leading.sum() - 200) < 50


def test_a_difference_is_of_the_larger_number_and_the_smaller() -> None:
    drawn = data(Integer, op="sub", train=400, test=0)
    pairs = [(number(row[:3], reverse=False), number(row[4:7], reverse=False)) for row in drawn.inputs]
    assert all(a >= b for a, b in pairs)
    assert not drawn.labels[:, 0].any()


def test_writing_numbers_backwards_changes_no_number() -> None:
    forth, back = data(Integer), data(Integer, reversed=True)
    assert np.array_equal(forth.labels[:, ::-1], back.labels)
    assert not np.array_equal(forth.inputs, back.inputs)


@pytest.mark.parametrize("reverse", [False, True], ids=["as written", "reversed"])
def test_slice_digit_i_is_worth_ten_to_the_i(reverse: bool) -> None:
    task = Integer(digits=3, reversed=reverse, train=40, test=30)
    drawn = task.data(Seeds())
    assert drawn.slices == task.slices() == ("digit_0", "digit_1", "digit_2", "digit_3")
    assert drawn.slice_of is not None
    worth = (drawn.labels * 10**drawn.slice_of).sum(1)
    assert worth.tolist() == [number(answer, reverse=reverse) for answer in drawn.labels]


@pytest.mark.parametrize(("op", "population"), [("add", 100), ("sub", 55)])
def test_the_whole_population_can_be_drawn_and_no_row_more(op: str, population: int) -> None:
    pairs = data(Integer, op=op, digits=1, train=50, test=population - 50).inputs[:, [0, 2]]
    expected = {(a, b) for a in range(10) for b in range(10) if op == "add" or a >= b}
    assert {(int(a), int(b)) for a, b in pairs} == expected
    with pytest.raises(BadInput, match=f"only {population} different rows"):
        Integer(op=op, digits=1, train=50, test=population - 49)  # type: ignore[arg-type]


def test_lists_are_sorted() -> None:
    drawn = data(Sort)
    lists, middle = drawn.inputs[:, :4], drawn.inputs[:, 4]
    assert drawn.labels.tolist() == [sorted(numbers) for numbers in lists.tolist()]
    assert set(middle) == {6}
    assert set(np.unique(lists)) == set(range(6))
    assert any(len(set(numbers)) < 4 for numbers in lists.tolist()), "repetitions belong to the task"


def test_slice_position_i_is_the_same_place_in_every_list() -> None:
    drawn = data(Sort)
    assert drawn.slices == ("position_0", "position_1", "position_2", "position_3")
    assert drawn.slice_of is not None
    assert (drawn.slice_of == np.arange(4)).all()
    smallest = drawn.labels[drawn.slice_of == drawn.slices.index("position_0")]
    assert np.array_equal(smallest, drawn.inputs[:, :4].min(1))


def induced(row: Int[np.ndarray, " positions"], at: int) -> int:
    """What an induction head answers at a position: what followed the token where it was before."""
    (before,) = np.flatnonzero(row[:at] == row[at])
    return int(row[before + 1])


@pytest.mark.parametrize("length", [8, 11, 14])
def test_an_induction_head_is_always_right(length: int) -> None:
    drawn = data(Induction, length=length)
    positions, answers = drawn.shape.positions, drawn.shape.answers
    for row, labels in zip(drawn.inputs, drawn.labels, strict=True):
        assert [induced(row, at) for at in range(positions - answers, positions)] == labels.tolist()


def test_the_first_copy_lies_anywhere_before_the_second() -> None:
    """So that no head can look back by a fixed number of places."""
    drawn = data(Induction, train=200, test=0)
    second = drawn.shape.positions - drawn.shape.answers
    starts = {int(np.flatnonzero(row[:second] == row[second])[0]) for row in drawn.inputs}
    assert starts == set(range(11 - 2 * 4 + 1))
    fixed = data(Induction, length=8)
    assert np.array_equal(fixed.inputs[:, :3], fixed.inputs[:, 4:])


@pytest.mark.parametrize(
    ("kind", "settings", "message"),
    [
        (Integer, {"digits": 0}, r"task\.digits: got 0, must be 1\.\.17"),
        (Integer, {"digits": 18}, r"task\.digits: got 18, must be 1\.\.17"),
        (Sort, {"length": 1}, r"task\.length: got 1, must be >= 2"),
        (Sort, {"values": 1}, r"task\.values: got 1, must be >= 2"),
        (Induction, {"block": 1}, r"task\.block: got 1, must be >= 2"),
        (Induction, {"length": 7}, r"task\.length: got 7, must be >= 8 \(two blocks\)"),
        (Induction, {"tokens": 6}, r"task\.tokens: got 6, must be >= 7"),
    ],
)
def test_sequences_that_cannot_be_are_refused(kind: type[Task], settings: dict[str, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        data(kind, **settings)


@every_kind
def test_a_transformer_learns_from_them_and_every_slice_is_in_the_curve(kind: type[Task]) -> None:
    name = kind.__module__.rpartition(".")[2]
    words = [f"task.{key}={value}" for key, value in SMALL[kind].items()]
    model = ["model=transformer", "model.d_model=16", "model.d_mlp=32", "model.n_heads=2", "optimizer.lr=0.01"]
    spec = decode_trial(dict(compose_study([f"task={name}", *words, *model]).base))
    (trained,) = run([spec], 40).trials
    first, last = trained.columns[0], trained.columns[-1]
    assert last[TRAIN_LOSS] < 0.8 * first[TRAIN_LOSS]
    slices = last[len(COLUMNS) :].reshape(-1, len(SLICE_COLUMNS))
    assert len(slices) == len(spec.task.slices())
    if len(slices):  # all are of one size here, so the whole is their mean; float64 sums of some hundred losses
        losses = slices[:, [SLICE_COLUMNS.index("train_loss"), SLICE_COLUMNS.index("test_loss")]]
        np.testing.assert_allclose(losses.mean(0), last[[TRAIN_LOSS, TEST_LOSS]], rtol=1e-10)
