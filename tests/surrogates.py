"""Planted maps that surrogates are tested on: times drawn with seed noise around known margins."""

from __future__ import annotations

import numpy as np
from scipy.stats import qmc

from grokstudy.samplers.surrogate.observations import Evidence, Observations, Question
from grokstudy.samplers.surrogate.space import Dimension, Places, Space

BUDGET, RATIO, NOISE = 1e5, 5.0, 0.12
QUESTION = Question(budget=BUDGET, ratio=RATIO)
PLANE = Space((Dimension(name="x"), Dimension(name="y")))


def places(unit: np.ndarray, levels: np.ndarray | None = None) -> Places:
    return Places(np.asarray(unit, dtype=float), np.zeros((len(unit), 0), dtype=np.int64) if levels is None else levels)


def margins(unit: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """mem and gen of a smooth map with confusion, memorization, grokking and comprehension, in dex."""
    x, y = unit.T
    mem = -1.2 + 6.6 * np.maximum(x - 0.6, 0) - 0.3 * y
    gen = -0.2 - 0.7 * (x - 0.5) - 2.0 * (y - 0.5 - 0.4 * (x - 0.5) ** 2)
    return mem, np.maximum(gen, mem)


def labels(unit: np.ndarray) -> np.ndarray:
    """Outcomes without seed noise, as indices into LABELS."""
    mem, gen = margins(unit)
    late = gen - mem >= np.log10(RATIO)
    return np.where(mem > 0, 0, np.where(gen > 0, 1, np.where(late, 3, 4)))


def trials(unit: np.ndarray, seed: int = 0, steps: float = BUDGET) -> Observations:
    """Trials of the map, watched until `steps`."""
    rng, n = np.random.default_rng(seed), len(unit)
    mem, gen = margins(unit)
    t_mem = BUDGET * 10 ** (mem + NOISE * rng.normal(size=n))
    t_gen = np.maximum(BUDGET * 10 ** (gen + NOISE * rng.normal(size=n)), t_mem)
    return observed(places(unit), t_mem, t_gen, np.full(n, steps))


def observed(at: Places, t_mem: np.ndarray, t_gen: np.ndarray, steps: np.ndarray) -> Observations:
    """Observations of given times: those past `steps` were not seen."""
    n = len(at)
    return Observations(
        places=at,
        t_mem=np.where(t_mem <= steps, t_mem, np.nan),
        t_gen=np.where(t_gen <= steps, t_gen, np.nan),
        steps=np.asarray(steps, dtype=float),
        diverged=np.zeros(n, dtype=bool),
        cost=np.full(n, np.nan),
    )


def sobol(n: int, d: int = 2, seed: int = 0) -> np.ndarray:
    return np.asarray(qmc.Sobol(d, rng=np.random.default_rng(seed)).random_base2(int(np.ceil(np.log2(n))))[:n])


def lattice(n: int) -> np.ndarray:
    ticks = (np.arange(n) + 0.5) / n
    return np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)


def said(unit: np.ndarray, side: np.ndarray, bound: np.ndarray) -> Evidence:
    return Evidence(places(unit), np.asarray(side, dtype=float), np.asarray(bound, dtype=float))
