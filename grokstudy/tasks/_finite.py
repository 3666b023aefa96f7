"""What finite tasks share: one split per data seed, nested in the train share, and label noise nested in its share."""

from __future__ import annotations

from typing import Protocol

import numpy as np
from jaxtyping import Float, Int, Num

from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Shape, TaskData
from grokstudy.spec.trial import Seeds


class Shares(Protocol):
    """The settings that every finite task has, and what is known of it without drawing."""

    @property
    def frac_train(self) -> float:
        """Share of the rows trained on, in (0, 1]."""

    @property
    def holdout(self) -> float:
        """Share held out as a fixed test set; 0 = all rows that are not trained on."""

    @property
    def label_noise(self) -> float:
        """Share of train labels redrawn at random, in [0, 1]; 1 = random labels."""

    def rows(self) -> int:
        """All rows."""

    def shape(self) -> Shape:
        """Shapes that the model must fit."""

    def slices(self) -> tuple[str, ...]:
        """Names of the parts evaluated apart."""


def check_shares(task: Shares) -> None:
    """Raises BadInput for shares that are none, or that leave nothing to train on."""
    if not 0 < task.frac_train <= 1:
        raise BadInput(f"task.frac_train: got {task.frac_train}, must be in (0, 1].")
    if not 0 <= task.holdout < 1:
        raise BadInput(f"task.holdout: got {task.holdout}, must be in [0, 1).")
    if not 0 <= task.label_noise <= 1:
        raise BadInput(f"task.label_noise: got {task.label_noise}, must be in [0, 1] (1 = random labels).")
    if train_rows(task) < 1:
        raise BadInput(f"task.frac_train: got {task.frac_train}, leaves no row to train on; raise it.")


def train_rows(task: Shares) -> int:
    """Number of train rows, without drawing anything."""
    rows = task.rows()
    return floor_share(task.frac_train, rows - floor_share(task.holdout, rows))


def finite_data(
    task: Shares,
    seeds: Seeds,
    inputs: Num[np.ndarray, "rows positions"],
    labels: Int[np.ndarray, "rows *answers"],
    *,
    weights: Float[np.ndarray, "rows *answers"] | None = None,
    slice_of: Int[np.ndarray, "rows *answers"] | None = None,
) -> TaskData:
    """The task's data with its split and label noise.

    One permutation per data seed: train sets are nested in frac_train, and the held-out rows are its tail.
    """
    rows = len(inputs)
    order = generator(seeds.data, "split").permutation(rows)
    n_train, n_holdout = train_rows(task), floor_share(task.holdout, rows)
    train = order[:n_train]
    return TaskData(
        shape=task.shape(),
        inputs=inputs,
        labels=labels,
        train=train,
        test=order[rows - n_holdout :] if n_holdout else order[n_train:],
        train_labels=_corrupted(task, seeds, labels, train),
        weights=weights,
        slices=task.slices(),
        slice_of=slice_of,
    )


def _corrupted(
    task: Shares, seeds: Seeds, labels: Int[np.ndarray, "rows *answers"], train: Int[np.ndarray, " train"]
) -> Int[np.ndarray, "train *answers"]:
    """Train labels with exactly floor(label_noise * train) rows redrawn (a redrawn label may be the true one).

    Which rows, and to what, is drawn for all rows at once, so that corruptions are nested in label_noise.
    """
    noisy: Int[np.ndarray, "train *answers"] = labels[train].copy()
    count = floor_share(task.label_noise, len(train))
    if count == 0:
        return noisy
    rank = generator(seeds.data, "corrupted_rows").permutation(len(labels))[train]
    drawn = generator(seeds.data, "corrupted_labels").integers(0, task.shape().classes, labels.shape)[train]
    chosen = np.argsort(rank, kind="stable")[:count]
    noisy[chosen] = drawn[chosen]
    return noisy


def floor_share(share: float, of: int) -> int:
    """floor(share * of), forgiving the last bits of a share such as 0.3."""
    return int(share * of + 1e-9)
