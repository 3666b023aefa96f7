"""Finite tasks other than single operations, by brute force; and what all of them share in split and noise."""

from __future__ import annotations

import itertools
import math
from typing import Any

import numpy as np
import pytest

from grokstudy.engine.evaluate import COLUMNS, SLICE_COLUMNS
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Task
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._strings import MOST_ROWS, strings
from grokstudy.tasks.group import FiniteGroup
from grokstudy.tasks.max_of_k import MaxOfK
from grokstudy.tasks.modular import Modular
from grokstudy.tasks.multi_op import MultiOp
from grokstudy.tasks.random_labels import RandomLabels
from grokstudy.tasks.recurrence import Recurrence
from tests.packs import run
from tests.trials import tiny

KINDS: dict[str, tuple[type[Any], dict[str, Any]]] = {
    "group": (FiniteGroup, {"group": "S4"}),
    "multi_op": (MultiOp, {"p": 13}),
    "random_labels": (RandomLabels, {}),
    "max_of_k": (MaxOfK, {"vocab": 24}),
    "recurrence": (Recurrence, {"p": 23}),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def task(kind: str, **settings: Any) -> Task:
    cls, base = KINDS[kind]
    made: Task = cls(**base, **settings)
    return made


@every_kind
@pytest.mark.parametrize("frac_train", [0.01, 0.3, 0.5, 1.0])
def test_the_split_is_a_partition_of_all_rows(kind: str, frac_train: float) -> None:
    drawn = task(kind, frac_train=frac_train).data(Seeds())
    assert sorted([*drawn.train, *drawn.test]) == list(range(len(drawn.labels)))
    assert len(drawn.train) == math.floor(frac_train * len(drawn.labels) + 1e-9)
    assert np.array_equal(drawn.train_labels, drawn.labels[drawn.train])


@every_kind
def test_train_sets_are_nested_and_the_holdout_stays(kind: str) -> None:
    most = task(kind, frac_train=1.0, holdout=0.2).data(Seeds())
    assert not set(most.train) & set(most.test)
    for frac in (0.1, 0.5):
        drawn = task(kind, frac_train=frac, holdout=0.2).data(Seeds())
        assert np.array_equal(drawn.train, most.train[: len(drawn.train)])
        assert np.array_equal(drawn.test, most.test)


@every_kind
def test_label_noise_redraws_its_share_of_train_rows_and_no_test_label(kind: str) -> None:
    clean, some, all_of_them = (task(kind, label_noise=noise).data(Seeds()) for noise in (0.0, 0.3, 1.0))
    n, classes = len(clean.train), clean.shape.classes
    assert np.array_equal(clean.labels, some.labels)
    wrong = (some.train_labels != clean.train_labels).reshape(n, -1).any(1)
    assert wrong.sum() <= math.floor(0.3 * n)
    # A redrawn answer is right by chance with probability 1 / classes; 5 standard deviations.
    right = (all_of_them.train_labels == clean.train_labels).mean()
    answers = clean.train_labels.size
    assert abs(right - 1 / classes) <= 5 * math.sqrt(1 / classes / answers)
    assert np.array_equal(all_of_them.train_labels[wrong], some.train_labels[wrong]), "corruptions are nested"


@every_kind
@pytest.mark.parametrize(
    "wrong", [{"frac_train": 0.0}, {"frac_train": 1.1}, {"frac_train": 1e-9}, {"holdout": 1.0}, {"label_noise": -0.1}]
)
def test_shares_that_are_none_are_refused(kind: str, wrong: dict[str, float]) -> None:
    with pytest.raises(BadInput, match=rf"task\.{next(iter(wrong))}"):
        task(kind, **wrong)


# ---- multi_op


@pytest.mark.parametrize("ops", [("add", "sub"), ("div", "mul", "x2plusy2"), ("random", "add")])
def test_each_operation_of_many_is_the_operation_alone(ops: tuple[Any, ...]) -> None:
    p = 11
    data = MultiOp(ops=ops, p=p).data(Seeds())
    assert data.shape.vocab == p + len(ops)
    assert data.slices == ops
    assert data.slice_of is not None
    for i, op in enumerate(ops):
        alone, rows = Modular(op=op, p=p).data(Seeds()), data.slice_of == i
        assert np.array_equal(data.inputs[rows][:, [0, 2]], alone.inputs)
        assert (data.inputs[rows, 1] == p + i).all()
        assert np.array_equal(data.labels[rows], alone.labels)
    assert data.weights is None


def test_an_operations_weight_is_that_of_its_answers() -> None:
    plain, weighted = (MultiOp(ops=("add", "mul"), p=5, op_weights=w).data(Seeds()) for w in (None, (1.0, 3.0)))
    assert weighted.weights is not None
    assert weighted.weights.tolist() == [1.0] * 25 + [3.0] * 25
    assert np.array_equal(plain.train, weighted.train)


def test_an_operation_that_weighs_more_is_learned_first() -> None:
    trained = [
        run([tiny({"task": {"name": "multi_op", "p": 7, "op_weights": weights}, "optimizer.lr": 0.003})], 60).trials[0]
        for weights in (None, (50.0, 1.0), (1.0, 50.0))
    ]
    train_loss = len(COLUMNS) + np.arange(2) * len(SLICE_COLUMNS)
    add, sub = np.array([each.columns[-1, train_loss] for each in trained]).T
    assert add[1] < add[0] < add[2]
    assert sub[2] < sub[0] < sub[1]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"ops": ("add",)}, "task.ops.*two or more different"),
        ({"ops": ("add", "add")}, "task.ops.*two or more different"),
        ({"ops": ("add", "div"), "p": 12}, "task.p: got 12.*div needs a prime p; try 13"),
        ({"p": 1}, "task.p: got 1"),
        ({"op_weights": (1.0,)}, "task.op_weights.*must be 2 numbers"),
        ({"op_weights": (1.0, 0.0)}, "task.op_weights.*must be 2 numbers > 0"),
        ({"op_weights": (2.0, 2.0)}, "task.op_weights: equal weights change nothing"),
    ],
)
def test_operations_that_cannot_be_learned_together_are_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        MultiOp(**settings)


# ---- strings


def test_all_strings_are_the_product_of_the_tokens_in_order() -> None:
    assert strings(3, 4, None, 0).tolist() == [list(each) for each in itertools.product(range(3), repeat=4)]


@pytest.mark.parametrize(("vocab", "length"), [(5, 3), (50, 5), (1000, 30)], ids=["small", "large", "beyond int64"])
def test_drawn_strings_differ_are_nested_and_depend_on_the_seed(vocab: int, length: int) -> None:
    most = strings(vocab, length, 100, 1)
    assert most.shape == (100, length)
    assert len(np.unique(most, axis=0)) == 100
    assert set(np.unique(most)) <= set(range(vocab))
    assert np.array_equal(strings(vocab, length, 37, 1), most[:37])
    assert not np.array_equal(strings(vocab, length, 100, 2), most)


def test_repeated_strings_are_drawn_again_and_stay_nested() -> None:
    """2^23 strings, 2^15 drawn: some 2^(2 * 15 - 1 - 23) = 64 repeats are expected."""
    drawn = strings(2, 23, 1 << 15, 0)
    assert len(np.unique(drawn, axis=0)) == 1 << 15
    assert np.array_equal(strings(2, 23, 1 << 14, 0), drawn[: 1 << 14])


# ---- random_labels


def test_random_labels_are_uniform_over_strings_that_say_nothing_of_them() -> None:
    data = RandomLabels(samples=2048, vocab=64, classes=16).data(Seeds())
    counts = np.bincount(data.labels, minlength=16)
    # Chi-square with 15 degrees of freedom: mean 15, standard deviation sqrt(30).
    assert ((counts - 128) ** 2 / 128).sum() < 15 + 5 * math.sqrt(30)
    for position in range(3):  # 64 x 16 table of token and label: 63 * 15 degrees of freedom
        table = np.zeros((64, 16))
        np.add.at(table, (data.inputs[:, position], data.labels), 1)
        expected = table.sum(1, keepdims=True) * table.sum(0) / 2048
        assert ((table - expected) ** 2 / expected).sum() < 945 + 5 * math.sqrt(2 * 945)


def test_fewer_random_strings_are_a_prefix_with_the_same_labels() -> None:
    more, fewer = (RandomLabels(samples=n).data(Seeds(data=3)) for n in (500, 200))
    assert np.array_equal(fewer.inputs, more.inputs[:200])
    assert np.array_equal(fewer.labels, more.labels[:200])


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"vocab": 2, "samples": 9}, "task.samples: got 9, but there are only 8 different strings"),
        ({"samples": 0}, "task.samples: got 0"),
        ({"positions": 9, "samples": MOST_ROWS + 1}, "task.samples: got 1048577"),
        ({"positions": 0}, "task.positions: got 0"),
        ({"vocab": 1}, "task.vocab: got 1"),
        ({"classes": 1}, "task.classes: got 1"),
    ],
)
def test_random_strings_that_cannot_be_drawn_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        RandomLabels(**settings)


# ---- max_of_k


@pytest.mark.parametrize("k", [2, 3, 4])
def test_the_answer_is_the_largest_or_smallest_token(k: int) -> None:
    for op, best in (("max", max), ("min", min)):
        data = MaxOfK(op=op, k=k, vocab=6).data(Seeds())  # type: ignore[arg-type]
        rows = list(itertools.product(range(6), repeat=k))
        assert data.inputs.tolist() == [list(row) for row in rows]
        assert data.labels.tolist() == [best(row) for row in rows]


def test_a_sample_of_long_strings_has_right_answers() -> None:
    data = MaxOfK(k=20, vocab=100, samples=300).data(Seeds())
    assert data.inputs.shape == (300, 20)
    assert data.labels.tolist() == [max(row) for row in data.inputs.tolist()]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"k": 1}, "task.k: got 1"),
        ({"vocab": 1}, "task.vocab: got 1"),
        ({"k": 5, "vocab": 100}, "task.samples: got null, but all 10000000000 strings are too many"),
        ({"vocab": 4, "samples": 17}, "task.samples: got 17, but there are only 16"),
    ],
)
def test_strings_that_cannot_be_compared_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        MaxOfK(**settings)


# ---- recurrence


@pytest.mark.parametrize("coefficients", [(1, 1), (3,), (0, 1), (2, 0, 5), (6, 1)])
@pytest.mark.parametrize("more", [1, 4])
def test_every_answer_is_the_next_term(coefficients: tuple[int, ...], more: int) -> None:
    p, k = 7, len(coefficients)
    task = Recurrence(coefficients=coefficients, p=p, length=k + more)
    data = task.data(Seeds())
    assert (data.shape.positions, data.shape.answers, len(data.labels)) == (k + more - 1, more, p**k)
    assert data.slices == tuple(f"step_{i}" for i in range(1, more + 1))
    assert data.slice_of is not None
    assert (data.slice_of == np.arange(more)).all()
    starts = itertools.product(range(p), repeat=k)
    for row, answers, start in zip(data.inputs.tolist(), data.labels.tolist(), starts, strict=True):
        terms = list(start)
        while len(terms) < k + more:
            terms.append(sum(c * x for c, x in zip(coefficients, reversed(terms), strict=False)) % p)
        assert row == terms[:-1]
        assert answers == terms[k:]


def test_one_step_of_fibonacci_is_modular_addition() -> None:
    one, other = Recurrence(p=11, length=3).data(Seeds()), Modular(p=11).data(Seeds())
    assert np.array_equal(one.inputs, other.inputs)
    assert np.array_equal(one.labels[:, 0], other.labels)
    assert np.array_equal(one.train, other.train)


def test_fibonacci_numbers() -> None:
    data = Recurrence(p=97, length=10).data(Seeds())
    (row,) = np.flatnonzero((data.inputs[:, :2] == [1, 1]).all(1))
    assert data.labels[row].tolist() == [2, 3, 5, 8, 13, 21, 34, 55]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"p": 1}, "task.p: got 1"),
        ({"coefficients": ()}, "task.coefficients"),
        ({"coefficients": (1, -1)}, r"task.coefficients: .*must be one or more numbers in 0..58 \(-1 is 58\)"),
        ({"coefficients": (1, 0)}, "task.coefficients: .*the last must not be 0"),
        ({"length": 2}, "task.length: got 2, must be > 2"),
        ({"coefficients": (1, 1, 1, 1)}, "task.samples: got null, but all 12117361 strings are too many"),
    ],
)
def test_a_recurrence_that_is_none_is_refused(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(BadInput, match=message):
        Recurrence(**settings)
