"""Where the trials of a benchmark lie: grids, Sobol points, and our sampler as a study drives it.

Every design but the pixels is read by the same surrogate, fitted anew at each check, so that designs are compared and
not reconstructions.
"""

from __future__ import annotations

import dataclasses
import heapq
from collections.abc import Callable, Iterator, Sequence
from typing import TypeAlias

import numpy as np
from jaxtyping import Float, Int
from scipy.spatial import KDTree
from scipy.stats import qmc
from truths import Truth, Unit, labels, lattice, trials

from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.posterior import Posterior, fit
from grokstudy.samplers.surrogate.refill import Settings, refill
from grokstudy.samplers.surrogate.space import Places, Space
from grokstudy.spec.outcome import LABELS

BATCH = 8
"""Proposals per refill."""
IN_FLIGHT = 8
"""Trials that run at the same time."""
SLOWEST = 3.0
"""Workers differ in speed by up to this factor, so that trials end out of order."""
PIXEL_SIDES = {2: (16, 24, 32, 48, 64), 3: (6, 8, 11, 14)}
"""Grids that are read by their pixels, by the number of axes."""


@dataclasses.dataclass(frozen=True, slots=True)
class Found:
    """A reconstruction after so many trials, which together cost `spent` full runs."""

    trials: int
    spent: float
    phases: Callable[[Unit], Float[np.ndarray, "n 6"]]
    """Probability of each majority label at any places, columns as LABELS."""
    posterior: Posterior | None


Design: TypeAlias = Callable[[Truth, int, Sequence[int]], Iterator[Found]]
"""Reconstructions of one truth and seed at (or at the first possible number of trials from) each of these numbers."""


def sampler(truth: Truth, seed: int, checks: Sequence[int]) -> Iterator[Found]:
    """Our sampler in batches of 8, with 8 trials in flight, which end out of order."""
    space, settings, speeds = Space.of_axes(truth.axes), Settings(seed=seed), np.random.default_rng([seed, 1])
    waiting: list[Float[np.ndarray, " d"]] = []
    running: list[tuple[float, int, Float[np.ndarray, " d"]]] = []
    finished, started, clock, warm, left = np.zeros((0, len(truth.axes))), 0, 0.0, None, list(checks)
    while left:
        while len(running) < IN_FLIGHT:
            if not waiting:
                place_running = places(np.array([unit for _, _, unit in running]).reshape(-1, len(truth.axes)))
                seen = observations(truth, finished, seed)
                made = refill(
                    space, seen, place_running, question(truth), start=started, n=BATCH, settings=settings, warm=warm
                )
                warm = made.warm
                waiting = [planned.place.unit.reshape(-1) for planned in made.planned]
            unit = waiting.pop(0)
            duration = float(trials(truth, unit[None], seed).cost[0]) * speeds.uniform(1, SLOWEST)
            heapq.heappush(running, (clock + duration, started, unit))
            started += 1
        clock, _, unit = heapq.heappop(running)
        finished = np.concatenate([finished, unit[None]])
        if len(finished) >= left[0]:
            yield modelled(truth, finished, seed)
            left = [check for check in left if check > len(finished)]


def sobol(truth: Truth, seed: int, checks: Sequence[int]) -> Iterator[Found]:
    """The first trials of one scrambled Sobol sequence."""
    points = qmc.Sobol(len(truth.axes), rng=np.random.default_rng([seed, 2])).random_base2(12)
    for check in checks:
        yield modelled(truth, points[:check], seed)


def grid(truth: Truth, seed: int, checks: Sequence[int]) -> Iterator[Found]:
    """One trial in every cell of a grid; the largest grids of at most these numbers of trials."""
    d = len(truth.axes)
    for side in dict.fromkeys(int((check + 0.5) ** (1 / d)) for check in checks):
        yield modelled(truth, lattice(d, side), seed)


def pixels(truth: Truth, seed: int, checks: Sequence[int]) -> Iterator[Found]:
    """Grids as they are published: every place has the label of its cell's one trial."""
    for side in PIXEL_SIDES[len(truth.axes)]:
        centres = lattice(len(truth.axes), side)
        seen = trials(truth, centres, seed)
        yield Found(len(centres), float(seen.cost.sum()), _nearest(centres, labels(truth, seen)), None)


DESIGNS: dict[str, Design] = {"sampler": sampler, "sobol": sobol, "grid": grid, "pixels": pixels}
"""By name."""


def question(truth: Truth) -> Question:
    """What the surrogate is asked about: the truth's own budget and ratio."""
    return Question(budget=truth.budget, ratio=truth.ratio)


def places(unit: Unit) -> Places:
    """Points of the cube as the surrogate takes them: no axis has names."""
    return Places(unit, np.zeros((len(unit), 0), dtype=np.int64))


def observations(truth: Truth, unit: Unit, seed: int) -> Observations:
    """What one seed's trials at these points tell."""
    seen = trials(truth, unit, seed)
    return Observations(
        places=places(unit),
        t_mem=seen.t_mem,
        t_gen=seen.t_gen,
        steps=seen.steps,
        diverged=seen.diverged,
        cost=seen.cost,
    )


def modelled(truth: Truth, unit: Unit, seed: int) -> Found:
    """The surrogate's reconstruction from the trials at these points."""
    seen = observations(truth, unit, seed)
    posterior = fit(Space.of_axes(truth.axes), seen, question(truth), seed=seed)
    return Found(len(unit), float(seen.cost.sum()), lambda at: posterior.majority(places(at)), posterior)


def _nearest(centres: Unit, label: Int[np.ndarray, " n"]) -> Callable[[Unit], Float[np.ndarray, "m 6"]]:
    tree, certain = KDTree(centres), np.eye(len(LABELS))
    return lambda at: certain[label[tree.query(at)[1]]]
