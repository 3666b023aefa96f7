"""Finite sets of token strings: all of one length, or distinct ones drawn."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput

MOST_ROWS = 1 << 20
"""Rows that one task may have: every evaluation computes all of them."""


def check_samples(samples: int | None, total: int) -> None:
    """Raises BadInput unless `samples` of `total` strings (null = all of them) is a set that can be trained on."""
    if samples is None:
        if total > MOST_ROWS:
            raise BadInput(f"task.samples: got null, but all {total} strings are too many; give 1..{MOST_ROWS}.")
    elif not 1 <= samples <= MOST_ROWS:
        raise BadInput(f"task.samples: got {samples}, must be 1..{MOST_ROWS}.")
    elif samples > total:
        raise BadInput(f"task.samples: got {samples}, but there are only {total} different strings.")


def strings(vocab: int, length: int, samples: int | None, seed: int) -> Int[np.ndarray, "rows length"]:
    """All strings of `length` tokens in lexicographic order, or `samples` distinct ones.

    Those of one seed are nested in `samples`: fewer are a prefix of more.
    """
    total = vocab**length
    if samples is None:
        return _digits(np.arange(total), vocab, length)
    draws = generator(seed, "strings")
    if total <= 4 * MOST_ROWS:
        return _digits(draws.permutation(total)[:samples], vocab, length)
    found = np.empty((0, length), dtype=np.int64)
    while len(found) < samples:  # repeats are few: at most every fourth string is wanted
        found = _distinct(np.concatenate([found, draws.integers(0, vocab, (samples, length))]))
    return found[:samples]


def _digits(codes: Int[np.ndarray, " rows"], vocab: int, length: int) -> Int[np.ndarray, "rows length"]:
    """Codes written in base `vocab`, most significant digit first."""
    return np.stack([codes // vocab**place % vocab for place in reversed(range(length))], axis=1)


def _distinct(rows: Int[np.ndarray, "rows length"]) -> Int[np.ndarray, "distinct length"]:
    """The first occurrence of every row, in order."""
    first = np.unique(rows, axis=0, return_index=True)[1]
    return rows[np.sort(first)]
