"""How many trials a phase boundary takes, and whether the sampler knows how well it knows it.

    python benchmarks/boundary.py [--small] [--only TRUTH] [--seeds N]

Synthetic truths (`truths.py`) are reconstructed from the trials of four designs (`boundary_designs.py`) and compared
with the truth (`boundary_metrics.py`) at rising numbers of trials. *Trials to target* is the first of two consecutive
checks at which the median over seeds of the misclassified area is at most the target (one seed alone may dip below it
by luck). Prints tables and writes results.json; takes two cores a
quarter of an hour. `--small`, `--only` and `--seeds` print only.
"""

from __future__ import annotations

import argparse
import dataclasses
import itertools
import math
import multiprocessing
import os
import statistics
import sys
import time
from collections.abc import Sequence

import numpy as np
import record
import tables
from boundary_designs import BATCH, DESIGNS, Found, observations, places, question
from boundary_metrics import Reference, Score, area_error, boundary_distance, covered, reference
from truths import TRUTHS

from grokstudy.samplers.surrogate.contours import CALIBRATION
from grokstudy.samplers.surrogate.refill import Settings, refill
from grokstudy.samplers.surrogate.space import Space

TARGET = {2: 0.02, 3: 0.03}
"""Misclassified area, by the number of axes."""
SIDE = {2: 80, 3: 20}
"""Points of the comparison lattice along an axis."""
SPACING = 1.15
"""Numbers of trials at which a reconstruction is compared rise by this factor."""
FIRST = 40
"""Trials at the first check."""
SHARP = ("critical", "first_order", "tongue")
"""Truths in two dimensions with little noise and nothing hidden: those with a bar; designs go on for longest there."""
CAP = {"sobol": 864, "grid": 864, "sampler": 400, "pixels": 4096}
"""Trials at which a design that has not arrived is given up, on a sharp truth ..."""
CAP_OTHERS = {"sobol": 512, "grid": 0, "sampler": 320, "pixels": 4096}
"""... and on the others; 0: not run."""
TRUSTED = (100, 200)
"""Numbers of trials between which calibration and coverage are read."""
REFILLED = (500, 1500)
"""Numbers of finished trials at which a refill is timed."""
BARS = {"refill": {500: 0.5, 1500: 3.0}}
NOMINAL = 1.96


@dataclasses.dataclass(frozen=True, slots=True)
class Runs:
    """One design on one truth, with seeds 0, 1 .."""

    truth: str
    design: str
    seeds: int


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """How good a reconstruction from so many trials was."""

    trials: int
    spent: float
    score: Score


@dataclasses.dataclass(frozen=True, slots=True)
class History:
    """The checks of some runs in order, and in each the scores of all seeds."""

    runs: Runs
    checks: tuple[tuple[Check, ...], ...]

    def arrived(self, seed: int | None = None) -> int | None:
        """Index of the first of two consecutive checks within the target, by the median of seeds or by one seed."""
        target = TARGET[len(TRUTHS[self.runs.truth].axes)]
        areas = [
            statistics.median(one.score.area for one in (check if seed is None else check[seed : seed + 1]))
            for check in self.checks
        ]
        within = [area <= target for area in areas]
        return next((i for i, pair in enumerate(itertools.pairwise(within)) if all(pair)), None)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--small", action="store_true", help="one truth, one seed; printed only")
    parser.add_argument("--only", nargs="+", choices=TRUTHS, help="some truths; printed only")
    parser.add_argument("--seeds", type=int, default=5)
    given = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = "1"  # of the processes started below: a run or a refill has one thread
    names = ["critical"] if given.small else given.only or list(TRUTHS)
    seeds = 1 if given.small else given.seeds
    tasks = [Runs(name, design, seeds) for design in CAP for name in names if cap(name, design)]  # long ones first
    with multiprocessing.get_context("spawn").Pool(1 if given.small else 2) as processes:
        histories = []
        for history in processes.imap_unordered(followed, tasks):
            histories.append(history)
            print(f"{len(histories)}/{len(tasks)}: {line(history)}", file=sys.stderr, flush=True)
        refills = [] if given.small or given.only else processes.map(refill_seconds, REFILLED, chunksize=len(REFILLED))
    histories.sort(key=lambda history: names.index(history.runs.truth))
    numbers = {"effort": effort(histories), "trust": trust(histories), "refill": refills}
    print(tables.boundary_table(numbers), tables.boundary_trust_table(numbers), sep="\n\n")
    if refills and seeds >= 5:
        record.write("boundary", numbers)


def followed(runs: Runs) -> History:
    """The checks until the median seed has arrived or the cap is reached; the sampler's go on to those of TRUSTED."""
    truth = TRUTHS[runs.truth]
    known = reference(truth, SIDE[len(truth.axes)])
    checks = spaced(cap(runs.truth, runs.design))
    beside = zip(*(DESIGNS[runs.design](truth, seed, checks) for seed in range(runs.seeds)), strict=True)
    history = History(runs, ())
    for founds in beside:
        scored = tuple(Check(found.trials, found.spent, score(known, found)) for found in founds)
        history = History(runs, (*history.checks, scored))
        if history.arrived() is not None and (runs.design != "sampler" or founds[0].trials >= TRUSTED[1]):
            break
    return history


def cap(truth: str, design: str) -> int:
    """Trials at which a design is given up; 0: not run."""
    return (CAP if truth in SHARP else CAP_OTHERS)[design]


def line(history: History) -> str:
    """Some runs in words."""
    at, last = history.arrived(), history.checks[-1]
    arrived = "did not arrive" if at is None else f"arrived at {history.checks[at][0].trials}"
    missed = statistics.median(one.score.area for one in last)
    return f"{history.runs.truth}, {history.runs.design}: {arrived}; {missed:.1%} missed after {last[0].trials}"


def spaced(most: int) -> list[int]:
    """Numbers of trials to check at, multiples of a batch."""
    count = int(math.log(most / FIRST) / math.log(SPACING)) + 1
    exact = [FIRST * SPACING**i for i in range(count)] + [most]
    return sorted({BATCH * round(value / BATCH) for value in exact})


def score(known: Reference, found: Found) -> Score:
    """A reconstruction against the truth."""
    phases = found.phases(known.unit)
    label = phases.argmax(axis=1)
    area, distance = area_error(known, label), boundary_distance(known, label)
    if found.posterior is None:
        return Score(area, distance, math.nan, (math.nan, math.nan, math.nan))
    expected = float(1 - phases.max(axis=1).mean())  # the posterior's own expected_error
    shares = []
    for margin, points in enumerate(known.crossings):
        at = found.posterior.margins(places(points))
        shares.append(covered(at.mean[:, margin], at.sd[:, margin], NOMINAL * CALIBRATION))
    return Score(area, distance, expected, (shares[0], shares[1], shares[2]))


def effort(histories: Sequence[History]) -> list[dict[str, object]]:
    """Trials and full runs to the target by truth (null: not within the cap), and the area missed at the last check."""
    rows: dict[str, dict[str, object]] = {}
    for history in histories:
        name, design = history.runs.truth, history.runs.design
        row = rows.setdefault(name, {"truth": name, "target": TARGET[len(TRUTHS[name].axes)]})
        at, last = history.arrived(), history.checks[-1]
        each = [history.arrived(seed) for seed in range(history.runs.seeds)]
        spent = None if at is None else statistics.median(one.spent for one in history.checks[at])
        row[design] = None if at is None else history.checks[at][0].trials
        row[f"{design}_each"] = [None if i is None else history.checks[i][0].trials for i in each]
        row[f"{design}_spent"] = None if spent is None else round(spent, 1)
        row[f"{design}_last"] = round(statistics.median(one.score.area for one in last), 4)
        row[f"{design}_cap"] = last[0].trials
    return list(rows.values())


def trust(histories: Sequence[History]) -> list[dict[str, object]]:
    """Whether expected errors and bands of the sampler hold, by truth, over seeds and checks within TRUSTED."""
    return [_trusted(history) for history in histories if history.runs.design == "sampler"]


def _trusted(history: History) -> dict[str, object]:
    low, high = TRUSTED[0], SPACING * TRUSTED[1]
    scores = [one.score for check in history.checks for one in check if low <= one.trials <= high]
    ratios = [one.expected / max(one.area, 1e-4) for one in scores]
    shares = np.array([one.coverage for one in scores])
    return record.rounded(
        {
            "truth": history.runs.truth,
            "checks": len(scores),
            "area": statistics.median(one.area for one in scores),
            "distance": statistics.median(one.distance for one in scores),
            "expected_over_true": statistics.median(ratios),
            "within_two": float(np.mean([0.5 <= ratio <= 2 for ratio in ratios])),
            "coverage": _mean(shares),
            **{f"coverage_{margin}": _mean(shares[:, k]) for k, margin in enumerate(("mem", "gen", "delay"))},
        }
    )


def refill_seconds(n: int) -> dict[str, object]:
    """Seconds of a refill of 8 after n trials of `critical`, 16 more running: the first of a process, and a later one
    that starts from it."""
    truth = TRUTHS["critical"]
    space, unit = Space.of_axes(truth.axes), np.random.default_rng(0).random((n + 24, 2))
    running, warm, seconds = places(unit[n + 8 :]), None, []
    for finished in (n, n + 8):
        seen = observations(truth, unit[:finished], 0)
        began = time.perf_counter()
        made = refill(
            space, seen, running, question(truth), start=n + 16, n=BATCH, settings=Settings(seed=0), warm=warm
        )
        seconds.append(time.perf_counter() - began)
        warm = made.warm
    return record.rounded({"trials": n, "cold": seconds[0], "warm": seconds[1], "bar": BARS["refill"][n]})


def _mean(values: np.ndarray) -> float | None:
    return None if np.isnan(values).all() else float(np.nanmean(values))


if __name__ == "__main__":
    main()
