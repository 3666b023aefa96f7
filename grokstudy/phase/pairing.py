"""Which trials of two sides belong together: equal seeds, and equal settings but those in which the sides differ."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd
from jaxtyping import Int

from grokstudy.phase.columns import config_paths, shown
from grokstudy.spec.axes import rounded
from grokstudy.spec.errors import BadInput

SEEDS = ("seed_data", "seed_init", "seed_batch", "seed_noise")
"""Trials with these in common share split, first weights, mini-batches and noise."""
_ABSENT = "absent"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A setting in which the two sides differ, with the values of each as text."""

    path: str
    a: str
    b: str


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Pairing:
    """Pair i is row rows_a[i] of one table and row rows_b[i] of the other."""

    rows_a: Int[np.ndarray, " pairs"]
    rows_b: Int[np.ndarray, " pairs"]
    varied: tuple[str, ...]
    """Settings that vary from pair to pair and are equal within each."""
    differences: tuple[Difference, ...]
    unpaired_a: int
    unpaired_b: int


def pair_trials(a: pd.DataFrame, b: pd.DataFrame, names: tuple[str, str]) -> Pairing:
    """Pairs the trials of two tables (columns of the view `trials`, positional index), in the order of the first.

    A setting differs between the sides if each has values that the other does not have, and follows from the rest of
    a trial's settings; every other setting that varies must be equal within a pair.

    Raises:
        BadInput: nothing differs, no two trials fit, or several fit one.
    """
    paths = tuple(dict.fromkeys((*config_paths(tuple(a.columns)), *config_paths(tuple(b.columns)))))
    text_a, text_b = _texts(a, paths), _texts(b, paths)
    apart = [path for path in paths if not set(text_a[path]) & set(text_b[path])]
    varied = [
        path for path in paths if path not in apart and (text_a[path].nunique() > 1 or text_b[path].nunique() > 1)
    ]
    if not apart:
        raise BadInput(
            f"{names[0]} and {names[1]} differ in no setting: with equal seeds their trials are the same trials. "
            "Compare studies that differ, or give --axis SETTING to compare the values of one axis of a study."
        )
    key = [*varied, *SEEDS]
    for name, table in zip(names, (text_a, text_b), strict=True):
        if table.duplicated(key).any():
            raise _ambiguous(name, table, key, apart, names)
    found = text_a[key].merge(text_b[key].assign(row_b=np.arange(len(b))), on=key, how="left")["row_b"]
    rows_a = np.flatnonzero(found.notna().to_numpy())
    if not len(rows_a):
        raise _no_pair(text_a, text_b, varied, names)
    return Pairing(
        rows_a=rows_a,
        rows_b=found.to_numpy()[rows_a].astype(np.int64),
        varied=tuple(path for path in varied if text_a[path].iloc[rows_a].nunique() > 1),
        differences=tuple(Difference(path=path, a=_shown(a, path), b=_shown(b, path)) for path in apart),
        unpaired_a=len(a) - len(rows_a),
        unpaired_b=len(b) - len(rows_a),
    )


def _texts(trials: pd.DataFrame, paths: Sequence[str]) -> pd.DataFrame:
    """Settings and seeds as text that is equal for equal values, also where one study stores 1 and the other 1.0."""
    columns = {path: _column_texts(trials[path]) if path in trials else _ABSENT for path in paths}
    seeds = {name: _column_texts(trials[name]) for name in SEEDS}
    return pd.DataFrame({**columns, **seeds}, index=range(len(trials)))


def _column_texts(column: pd.Series) -> np.ndarray:
    """The text of every value; each distinct one is made once."""
    codes, given = pd.factorize(column.astype(object), use_na_sentinel=False)
    texts = np.array([_text(value) for value in given], dtype=object)
    return np.asarray(texts[codes])


def _text(value: object) -> str:
    if value is None or value is pd.NA or (isinstance(value, float) and np.isnan(value)):
        return "null"
    if isinstance(value, (int, float, np.number)) and not isinstance(value, bool):
        return repr(rounded(float(value)))
    return str(value)


def _shown(trials: pd.DataFrame, path: str) -> str:
    return shown(trials[path]) if path in trials else _ABSENT


def _ambiguous(
    name: str, table: pd.DataFrame, key: Sequence[str], apart: Sequence[str], names: tuple[str, str]
) -> BadInput:
    several = [path for path in apart if (table.groupby(list(key))[path].nunique() > 1).any()]
    return BadInput(
        f"{', '.join(several)}: varies within {name} and has no value in common with the other side of "
        f"{names[0]} and {names[1]}, so that several trials would be partners of one. Run both with common values, or "
        "compare studies in which it has one value each."
    )


def _no_pair(a: pd.DataFrame, b: pd.DataFrame, varied: Sequence[str], names: tuple[str, str]) -> BadInput:
    told = [f"{seed} {_few(a[seed])} against {_few(b[seed])}" for seed in SEEDS if not set(a[seed]) & set(b[seed])]
    why = "; ".join(told) or f"no two trials agree in {', '.join((*varied, 'the four seeds'))}"
    return BadInput(
        f"{names[0]} and {names[1]} have no pair of trials with equal seeds and settings: {why}. Run both with common "
        "seeds (e.g. 'seed=seeds(5)') and common values of the other axes."
    )


def _few(column: pd.Series) -> str:
    values = sorted(column.unique(), key=float)
    return ", ".join(f"{float(value):g}" for value in values[:5]) + (", ..." if len(values) > 5 else "")
