"""Which rows a network was trained on, as text that other code bases can write too."""

from __future__ import annotations

import dataclasses
import json
import random
from collections.abc import Sequence
from pathlib import Path
from typing import TypeAlias

import numpy as np
from jaxtyping import Int

from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import TaskData

Rows: TypeAlias = Int[np.ndarray, " rows"]


def row_numbers(data: TaskData) -> Rows:
    """The number by which a split file knows each row: a * p + b for pairs of tokens, else its place in the task.

    The two differ where pairs are missing (b = 0 of a division).
    """
    inputs, shape = data.inputs, data.shape
    if inputs.shape[1] == 2 and shape.vocab and not shape.answers:
        return np.asarray(inputs[:, 0] * shape.vocab + inputs[:, 1])
    return np.arange(len(inputs))


def split_json(data: TaskData) -> str:
    """The split as JSON: `train` and `test` row numbers, and `train_labels` where some of them are corrupted."""
    numbers = row_numbers(data)
    split = {"train": numbers[data.train].tolist(), "test": numbers[data.test].tolist()}
    if not np.array_equal(data.train_labels, data.labels[data.train]):
        split["train_labels"] = data.train_labels.tolist()
    return json.dumps(split) + "\n"


def with_split(data: TaskData, text: str) -> TaskData:
    """The task's rows with another split.

    Args:
        data: rows and clean labels of the task.
        text: `python_random:SEED:FRAC` (random.seed(SEED), shuffle of all rows in their order, the first int(FRAC *
            rows) are trained on), or the path of a JSON file as `split_json` writes it.

    Raises:
        BadInput: neither, or rows that the task does not have.
    """
    kind, *numbers = text.split(":")
    if kind == "python_random":
        train, test = _python_random(text, numbers, len(data.inputs))
        return dataclasses.replace(data, train=train, test=test, train_labels=data.labels[train])
    if not Path(text).is_file():
        raise BadInput(
            f"--split: got '{text}', must be python_random:SEED:FRAC or a split.json with train and test rows."
        )
    return _from_file(data, Path(text))


def _python_random(text: str, numbers: Sequence[str], rows: int) -> tuple[Rows, Rows]:
    """Source: split of Nanda et al. 2023 (arXiv 2301.05217), the authors' code."""
    try:
        seed, share = int(numbers[0]), float(numbers[1])
    except (IndexError, ValueError) as error:
        raise BadInput(f"--split: got '{text}', must be python_random:SEED:FRAC, e.g. python_random:1:0.3.") from error
    if not 0 < share <= 1:
        raise BadInput(f"--split: got a share of {share}, must be in (0, 1].")
    order = list(range(rows))
    random.Random(seed).shuffle(order)
    count = int(share * rows)
    if count == 0:
        raise BadInput(f"--split: a share of {share} of {rows} rows leaves none to train on.")
    return np.array(order[:count], dtype=np.int64), np.array(order[count:], dtype=np.int64)


def _from_file(data: TaskData, path: Path) -> TaskData:
    try:
        stored = json.loads(path.read_text())
        train, test = (np.array(stored[part], dtype=np.int64).reshape(-1) for part in ("train", "test"))
        labels = np.array(stored["train_labels"], dtype=np.int64) if "train_labels" in stored else None
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise BadInput(
            f'--split: \'{path}\' must hold {{"train": [a*p+b ...], "test": [...]}} ({str(error).splitlines()[0]}).'
        ) from error
    numbers = row_numbers(data)
    unknown = np.setdiff1d(np.concatenate([train, test]), numbers)
    if len(unknown) or len(train) == 0:
        raise BadInput(
            f"--split: '{path}' must name rows {numbers.min()}..{numbers.max()} of the task (a*p+b for pairs) and at "
            f"least one to train on; got {unknown[0] if len(unknown) else 'none'}."
        )
    if len(np.unique(np.concatenate([train, test]))) < len(train) + len(test):
        raise BadInput(f"--split: '{path}' names a row twice; every row is trained on, tested on or neither.")
    train, test = (_places(numbers, part) for part in (train, test))
    clean = data.labels[train]
    if labels is not None and (labels.shape != clean.shape or labels.min() < 0 or labels.max() >= data.shape.classes):
        raise BadInput(
            f"--split: train_labels of '{path}' must be one of 0..{data.shape.classes - 1} for each train row."
        )
    return dataclasses.replace(data, train=train, test=test, train_labels=clean if labels is None else labels)


def _places(numbers: Rows, wanted: Rows) -> Rows:
    """Index into `numbers` of every wanted one."""
    order = np.argsort(numbers)
    return np.asarray(order[np.searchsorted(numbers, wanted, sorter=order)])
