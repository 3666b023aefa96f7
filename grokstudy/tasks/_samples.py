"""What sampled tasks share: rows drawn once per data seed, test rows apart from train rows, and nested train sets."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, TypeAlias

import numpy as np
from jaxtyping import Float, Int, Num

from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Shape, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._finite import floor_share

BLOCK = 1024
"""Rows drawn at a time. Part of what a data seed means: the draws must not depend on how many rows are asked for."""

Draw: TypeAlias = Callable[[np.random.Generator, int], Int[np.ndarray, "rows parts"]]
"""(generator, count) -> that many rows, each drawn from the whole population; repetitions may occur."""


class Counts(Protocol):
    """The settings that every sampled task has, and what is known of it without drawing."""

    @property
    def train(self) -> int:
        """Rows trained on."""

    @property
    def test(self) -> int:
        """Rows tested on; 0 = nothing is held out."""

    def shape(self) -> Shape:
        """Shapes that the model must fit."""

    def slices(self) -> tuple[str, ...]:
        """Names of the parts evaluated apart."""


def check_counts(task: Counts, different: int | None = None) -> None:
    """Raises BadInput for counts that are none, or that ask for more than the `different` rows that exist."""
    if task.train < 1:
        raise BadInput(f"task.train: got {task.train}, must be >= 1.")
    if task.test < 0:
        raise BadInput(f"task.test: got {task.test}, must be >= 0 (0 = nothing is held out).")
    if different is not None and task.train + task.test > different:
        raise BadInput(
            f"task.train + task.test: got {task.train} + {task.test}, but only {different} different rows exist; ask "
            "for fewer, or make the rows longer."
        )


def different_rows(task: Counts, seeds: Seeds, draw: Draw) -> Int[np.ndarray, "rows parts"]:
    """Rows that differ from each other: `task.train` train rows, then `task.test` test rows.

    Test rows have a stream of their own and are drawn first, so that they stay while the train set grows, and the train
    rows of one data seed are prefixes of each other. Repeated rows are passed over.
    """
    taken: set[bytes] = set()
    test = _fresh(generator(seeds.data, "test_rows"), task.test, draw, taken)
    train = _fresh(generator(seeds.data, "train_rows"), task.train, draw, taken)
    return np.stack([*train, *test])


def sampled_data(
    task: Counts,
    inputs: Num[np.ndarray, "rows positions"],
    labels: Num[np.ndarray, "rows *answers"],
    *,
    train_labels: Int[np.ndarray, "train *answers"] | None = None,
    weights: Float[np.ndarray, "rows *answers"] | None = None,
    slice_of: Int[np.ndarray, "rows *answers"] | None = None,
    tolerance: float = 0.0,
) -> TaskData:
    """The task's data: the first `task.train` rows are trained on, the others tested on."""
    return TaskData(
        shape=task.shape(),
        inputs=inputs,
        labels=labels,
        train=np.arange(task.train),
        test=np.arange(task.train, task.train + task.test),
        train_labels=labels[: task.train] if train_labels is None else train_labels,
        weights=weights,
        slices=task.slices(),
        slice_of=slice_of,
        tolerance=tolerance,
    )


def corrupted(labels: Int[np.ndarray, " train"], share: float, classes: int, seeds: Seeds) -> Int[np.ndarray, " train"]:
    """Train labels with exactly floor(share * train) of them redrawn (a redrawn label may be the true one).

    Corruptions of one train set are nested in `share`.
    """
    noisy: Int[np.ndarray, " train"] = labels.copy()
    rank = generator(seeds.data, "corrupted_rows").random(len(labels))
    drawn = generator(seeds.data, "corrupted_labels").integers(0, classes, len(labels))
    chosen = np.argsort(rank, kind="stable")[: floor_share(share, len(labels))]
    noisy[chosen] = drawn[chosen]
    return noisy


def _fresh(stream: np.random.Generator, count: int, draw: Draw, taken: set[bytes]) -> list[Int[np.ndarray, " parts"]]:
    """The first `count` rows of a stream that are not `taken`; takes them."""
    fresh: list[Int[np.ndarray, " parts"]] = []
    while len(fresh) < count:
        for row in draw(stream, BLOCK):
            key = row.tobytes()
            if key not in taken and len(fresh) < count:
                taken.add(key)
                fresh.append(row)
    return fresh
