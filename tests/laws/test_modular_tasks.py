"""Modular operations and their splits, against group laws and brute force."""

from __future__ import annotations

import math
import typing
from collections.abc import Callable

import numpy as np
import pytest
import torch

from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.models.transformer import Transformer
from grokstudy.spec.interfaces import TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._modular_ops import DIVIDING, Operation
from grokstudy.tasks.modular import Modular

OPERATIONS: tuple[Operation, ...] = typing.get_args(Operation)
PRIME = 11


def inverse(b: int, p: int) -> int:
    return next(i for i in range(p) if b * i % p == 1)


BY_HAND: dict[Operation, Callable[[int, int, int], int]] = {
    "add": lambda a, b, p: a + b,
    "sub": lambda a, b, p: a - b,
    "mul": lambda a, b, p: a * b,
    "div": lambda a, b, p: a * inverse(b, p),
    "mix_div_sub": lambda a, b, p: a * inverse(b, p) if b % 2 else a - b,
    "x2plusy2": lambda a, b, p: a * a + b * b,
    "x2plusxyplusy2": lambda a, b, p: a * a + a * b + b * b,
    "x2plusxyplusy2plusx": lambda a, b, p: a * a + a * b + b * b + a,
    "x3plusxy": lambda a, b, p: a * a * a + a * b,
    "x3plusxy2plusy": lambda a, b, p: a * a * a + a * b * b + b,
    "xplusy2": lambda a, b, p: (a + b) * (a + b),
    "xplusy3": lambda a, b, p: (a + b) * (a + b) * (a + b),
    "x3plusy3": lambda a, b, p: a * a * a + b * b * b,
}


def data(seed: int = 0, **settings: typing.Any) -> TaskData:
    return Modular(**{"p": PRIME, **settings}).data(Seeds(data=seed))


def table(op: Operation, p: int) -> dict[tuple[int, int], int]:
    """Answers by pair."""
    drawn = data(op=op, p=p)
    return {(int(a), int(b)): int(c) for (a, b), c in zip(drawn.inputs, drawn.labels, strict=True)}


@pytest.mark.parametrize(
    ("op", "p"),
    [(op, p) for op in BY_HAND for p in (2, 6, 7, 10, 23, 113) if op not in DIVIDING or p not in (6, 10)],
)
def test_labels_by_brute_force(op: Operation, p: int) -> None:
    """For any modulus, even ones too, where the operation does not divide."""
    first = 1 if op in DIVIDING else 0
    expected = {(a, b): BY_HAND[op](a, b, p) % p for a in range(p) for b in range(first, p)}
    assert table(op, p) == expected


def test_every_operation_is_checked() -> None:
    assert set(BY_HAND) | {"random"} == set(OPERATIONS)


@pytest.mark.parametrize("p", [2, 5, 13])
def test_division_undoes_multiplication(p: int) -> None:
    mul, div = table("mul", p), table("div", p)
    assert all(div[mul[a, b], b] == a for a in range(p) for b in range(1, p))


@pytest.mark.parametrize("p", [2, 6, 13])
def test_addition_is_a_commutative_group_and_subtraction_its_inverse(p: int) -> None:
    add, sub = table("add", p), table("sub", p)
    everyone = range(p)
    assert all(add[a, 0] == a and add[a, sub[0, a]] == 0 and sub[add[a, b], b] == a for a in everyone for b in everyone)
    assert all(add[a, b] == add[b, a] for a in everyone for b in everyone)
    assert all(add[add[a, b], c] == add[a, add[b, c]] for a in everyone for b in everyone for c in everyone)


def test_multiplication_distributes_over_addition() -> None:
    add, mul = table("add", PRIME), table("mul", PRIME)
    everyone = range(PRIME)
    assert all(mul[a, add[b, c]] == add[mul[a, b], mul[a, c]] for a in everyone for b in everyone for c in everyone)


def test_row_r_is_the_pair_r_div_p_r_mod_p() -> None:
    rows = np.arange(PRIME**2)
    assert np.array_equal(data().inputs, np.stack([rows // PRIME, rows % PRIME], 1))


@pytest.mark.parametrize("op", OPERATIONS)
@pytest.mark.parametrize("frac_train", [0.01, 0.3, 0.5, 0.999, 1.0])
def test_the_split_is_a_partition_of_all_rows(op: Operation, frac_train: float) -> None:
    task = Modular(op=op, p=PRIME, frac_train=frac_train)
    drawn = task.data(Seeds())
    assert sorted([*drawn.train, *drawn.test]) == list(range(len(drawn.labels)))
    assert len(drawn.train) == task.train_rows() == math.floor(frac_train * len(drawn.labels) + 1e-9)
    assert np.array_equal(drawn.train_labels, drawn.labels[drawn.train])
    assert np.array_equal(np.flatnonzero(drawn.train_mask()), np.sort(drawn.train))


def test_train_sets_of_one_data_seed_are_nested() -> None:
    largest = data(frac_train=1.0).train
    for frac in (0.1, 0.3, 0.31, 0.9):
        train = data(frac_train=frac).train
        assert np.array_equal(train, largest[: len(train)])


def test_equal_data_seeds_share_the_split_whatever_else_differs() -> None:
    split = data(seed=3).train
    for changes in ({"op": "mul"}, {"op": "random"}, {"label_noise": 0.5}):
        assert np.array_equal(data(seed=3, **changes).train, split)
    assert np.array_equal(Modular(p=PRIME).data(Seeds(data=3, init=9, batch=9, noise=9)).train, split)
    assert not np.array_equal(data(seed=4).train, split)


def test_the_holdout_is_fixed_while_the_train_set_grows() -> None:
    holdout = data(holdout=0.2, frac_train=0.1).test
    assert len(holdout) == int(0.2 * PRIME**2)
    for frac in (0.5, 1.0):
        drawn = data(holdout=0.2, frac_train=frac)
        assert np.array_equal(drawn.test, holdout)
        assert not set(drawn.train) & set(holdout)
    assert len(data(holdout=0.2, frac_train=1.0).train) == PRIME**2 - len(holdout)


def test_everything_can_be_trained_on() -> None:
    drawn = data(frac_train=1.0)
    assert len(drawn.train) == PRIME**2
    assert len(drawn.test) == 0


@pytest.mark.parametrize("noise", [0.1, 0.35, 0.9])
def test_label_noise_redraws_exactly_its_share_of_train_labels_and_no_test_label(noise: float) -> None:
    clean, noisy = data(p=97), data(p=97, label_noise=noise)
    assert np.array_equal(clean.train, noisy.train)
    assert np.array_equal(clean.labels, noisy.labels)
    n = len(clean.train)
    wrong = int((noisy.train_labels != clean.train_labels).sum())
    redrawn = math.floor(noise * n)
    # A redrawn label is right by chance with probability 1/p, so 1 - xi + xi/p stay right; 5 standard deviations.
    assert wrong <= redrawn
    assert abs(wrong - redrawn * (1 - 1 / 97)) <= 5 * math.sqrt(redrawn / 97)


def test_corruptions_are_nested_in_label_noise() -> None:
    clean = data(p=97).train_labels
    less, more = (data(p=97, label_noise=noise).train_labels for noise in (0.2, 0.6))
    touched = less != clean
    assert np.array_equal(more[touched], less[touched])
    assert (more != clean).sum() > touched.sum()


def test_random_labels_are_frozen_per_data_seed_and_cover_all_answers() -> None:
    labels = data(seed=1, op="random", p=23).labels
    assert np.array_equal(labels, data(seed=1, op="random", p=23, frac_train=0.9, label_noise=0.5).labels)
    assert not np.array_equal(labels, data(seed=2, op="random", p=23).labels)
    counts = np.bincount(labels, minlength=23)
    # 529 uniform draws over 23 answers: chi-square with 22 degrees of freedom, mean 22, standard deviation 6.6.
    assert ((counts - 23) ** 2 / 23).sum() < 22 + 5 * 6.6


def test_drawing_a_task_touches_no_global_generator() -> None:
    numpy_before, torch_before = str(np.random.get_state()), torch.get_rng_state()
    data(op="random", label_noise=0.5)
    assert str(np.random.get_state()) == numpy_before
    assert torch.equal(torch.get_rng_state(), torch_before)


def test_drawing_a_task_reads_no_global_generator() -> None:
    np.random.seed(1)
    torch.manual_seed(1)
    one = data(op="random", label_noise=0.5)
    np.random.seed(2)
    torch.manual_seed(2)
    other = data(op="random", label_noise=0.5)
    assert np.array_equal(one.train, other.train)
    assert np.array_equal(one.train_labels, other.train_labels)


@pytest.mark.parametrize("p", [5, 59, 113])
@pytest.mark.parametrize("model", [QuadMLP(width=4), Transformer(d_model=8, d_mlp=8)], ids=["quad_mlp", "transformer"])
def test_changing_p_changes_the_vocabulary_everywhere(model: QuadMLP | Transformer, p: int) -> None:
    task = Modular(p=p)
    drawn = task.data(Seeds())
    assert (task.shape().vocab, task.shape().classes, drawn.shape) == (p, p, task.shape())
    assert (drawn.inputs.max(), drawn.labels.max()) == (p - 1, p - 1)
    params = model.init(task.shape(), 0)
    read = model.matrices(params, task.shape())
    assert (read.W_E.shape[1], read.W_L.shape[0]) == (p, p)
    outputs = p if isinstance(model, QuadMLP) else p + 1
    assert model.apply(params, torch.from_numpy(drawn.inputs)).shape == (len(drawn.inputs), outputs)
