"""The cluster bootstrap: trials that share a seed are drawn together, so that their common luck is counted once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from jaxtyping import Float, Int, Shaped

Rows = Int[np.ndarray, " rows"]
Statistic = Callable[[Rows], Float[np.ndarray, " k"]]
"""From the numbers of the trials drawn (some of them several times) to k numbers, NaN where one is not defined."""


def resamples(
    cluster: Shaped[np.ndarray, " trials"],
    times: int,
    seed: int,
    within: Int[np.ndarray, " trials"] | None = None,
) -> Iterator[Rows]:
    """Rows of `times` resampled studies: as many clusters as there are, drawn with replacement, with all their trials.

    Args:
        cluster: what trials share, e.g. the seed of their split. With common seeds in every cell a resample keeps the
            cells paired, and errors that are correlated along a line cut stay correlated.
        times: number of resamples.
        seed: of the draws.
        within: a part of the study per trial; clusters are then drawn inside each part on its own (seeds within a
            configuration), and no part is ever empty.

    Source: Field & Welsh 2007, J. R. Stat. Soc. B 69:369 (the cluster bootstrap).
    """
    generator = np.random.default_rng(seed)
    part = np.zeros(len(cluster), dtype=np.int64) if within is None else within
    members = [_members(cluster, np.flatnonzero(part == one)) for one in np.unique(part)]
    for _ in range(times):
        drawn = [[own[k] for k in generator.integers(len(own), size=len(own))] for own in members]
        yield np.concatenate([rows for own in drawn for rows in own])


def bootstrap(
    statistic: Statistic,
    cluster: Shaped[np.ndarray, " trials"],
    times: int,
    seed: int,
    within: Int[np.ndarray, " trials"] | None = None,
) -> Float[np.ndarray, "times k"]:
    """The statistic of every resample; arguments as `resamples`."""
    return np.stack([statistic(rows) for rows in resamples(cluster, times, seed, within)])


def percentiles(
    draws: Float[np.ndarray, "times k"], confidence: float
) -> tuple[Float[np.ndarray, " k"], Float[np.ndarray, " k"]]:
    """Ends of the percentile interval of every statistic, over the resamples in which it is defined; NaN if in none."""
    tail = (1 - confidence) / 2
    ends = np.full((2, draws.shape[1]), np.nan)
    defined = np.isfinite(draws).any(axis=0)
    kept = np.where(np.isfinite(draws), draws, np.nan)[:, defined]
    if defined.any():
        ends[:, defined] = np.nanquantile(kept, [tail, 1 - tail], axis=0)
    return ends[0], ends[1]


def _members(cluster: Shaped[np.ndarray, " trials"], rows: Rows) -> list[Rows]:
    """Rows of every cluster among `rows`."""
    _, code = np.unique(cluster[rows], return_inverse=True)
    order = np.argsort(code, kind="stable")
    return np.split(rows[order], np.flatnonzero(np.diff(code[order])) + 1)
