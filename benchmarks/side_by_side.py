"""The same grid of trainings by grokstudy and by Ray Tune with MLflow's callback: trials per hour of both.

    python benchmarks/side_by_side.py [--trials 36|360] [--quick] [--to FOLDER]

Two commands as users type them, one after the other, each in a fresh process with a home and a storage of its own: wall
time from its start to its end, starting Ray and creating MLflow's database included.

- `grokstudy run preset=quad23 ...` at its default settings. No measures, since the other side has none; but weights at
  scheduled steps, snapshots and the report come with it, which the other side does not have.
- `python benchmarks/tune_baseline.py ...`, which says what it does and why.

Both train the same trials: 2,000 updates, evaluated at the same steps. From the curves of both the rule of
`grokstudy.spec.outcome` reads the outcome of every cell (of most of its seeds). They must agree in 90 % of the cells,
and where they do not, a boundary must pass: two sums in another order are enough to move a trial across it.
"""

from __future__ import annotations

import argparse
import dataclasses
import subprocess
import sys
import tempfile
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TypeAlias

import numpy as np
import record
import tables
from command import Measured, measured
from tune_baseline import CURVES

import grokstudy as gs
from grokstudy.spec.outcome import LABELS, TAU, Label, outcome, sustained

WD, FRAC = (0.1, 10.0), (0.3, 0.8)
"""Ends of the axes: the plane holds memorization, grokking and comprehension."""
NAME = "side_by_side"
AGREE = 0.9
WARM = "import grokstudy.study.run, grokstudy.study.report, mlflow.tracking, ray.tune, torch"
"""Run before both sides: whichever came first would else read the libraries of both from the disk."""

Setting: TypeAlias = tuple[float, float]
"""Weight decay and train fraction, rounded."""
Cell: TypeAlias = tuple[int, int]
"""Position on the two axes."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Grid:
    """What both sides train."""

    columns: int
    """Weight decays, log-spaced."""
    rows: int
    """Train fractions, evenly spaced."""
    seeds: int
    steps: int = 2000
    bar: float = 0.0
    """Times as many trials per hour that are asked for."""
    goal: float = 0.0

    @property
    def trials(self) -> int:
        return self.columns * self.rows * self.seeds

    def ours(self) -> list[str]:
        """Words of `grokstudy run`."""
        return [
            "preset=quad23",
            f"regularization.weight_decay=log({WD[0]:g},{WD[1]:g},{self.columns})",
            f"task.frac_train=lin({FRAC[0]:g},{FRAC[1]:g},{self.rows})",
            f"seed=seeds({self.seeds})",
            *("--steps", str(self.steps), "--name", NAME),
        ]

    def theirs(self) -> list[str]:
        """Words of `tune_baseline.py`."""
        axes = {"--wd": (*WD, self.columns), "--frac": (*FRAC, self.rows), "--seeds": (self.seeds,)}
        return [str(word) for name, values in axes.items() for word in (name, *values)] + ["--steps", str(self.steps)]


GRIDS = {
    36: Grid(columns=6, rows=6, seeds=1, bar=6, goal=8),
    360: Grid(columns=12, rows=10, seeds=3, bar=12, goal=20),
}
QUICK = Grid(columns=3, rows=2, seeds=1, steps=200)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Curve:
    """One trial."""

    weight_decay: float
    frac_train: float
    step: np.ndarray
    train_acc: np.ndarray
    test_acc: np.ndarray

    @property
    def setting(self) -> Setting:
        return float(f"{self.weight_decay:.6g}"), float(f"{self.frac_train:.6g}")

    def outcome(self) -> Label:
        mem, gen = (sustained(self.step, acc >= TAU) for acc in (self.train_acc, self.test_acc))
        return outcome(mem and mem.t, gen and gen.t)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """A cell in which the two sides have different outcomes."""

    setting: Setting
    ours: Label
    theirs: Label
    at_boundary: bool
    """On both sides a neighbour of the cell has another outcome than the cell."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """Two maps of the same grid."""

    cells: int
    outcomes: Mapping[Label, int]
    """Cells by outcome on our side."""
    different: tuple[Difference, ...]

    @property
    def share(self) -> float:
        """Of the cells in which both have the same outcome."""
        return 1 - len(self.different) / self.cells

    @property
    def holds(self) -> bool:
        """Whether the two sides show the same phases."""
        return self.share >= AGREE and all(one.at_boundary for one in self.different)


def compared(ours: Mapping[Setting, Label], theirs: Mapping[Setting, Label]) -> Comparison:
    """Where two maps differ, and whether a boundary passes there on both of them.

    An isolated cell that is wrong on one side has other neighbours there by itself: that is why the other side counts.

    Raises:
        ValueError: they are maps of different grids.
    """
    if ours.keys() != theirs.keys():
        raise ValueError(f"different cells: {sorted(ours.keys() ^ theirs.keys())[:4]} ...")
    columns, rows = (sorted(set(values)) for values in zip(*ours, strict=True))
    place = {setting: (columns.index(setting[0]), rows.index(setting[1])) for setting in ours}
    edges = [_edges({place[setting]: label for setting, label in side.items()}) for side in (ours, theirs)]
    different = tuple(
        Difference(
            setting=setting,
            ours=label,
            theirs=theirs[setting],
            at_boundary=all(place[setting] in edge for edge in edges),
        )
        for setting, label in sorted(ours.items())
        if label != theirs[setting]
    )
    return Comparison(cells=len(ours), outcomes=dict(Counter(ours.values())), different=different)


def _edges(labels: Mapping[Cell, Label]) -> set[Cell]:
    """Cells of which a neighbour (left, right, above, below) has another outcome."""
    return {cell for cell, label in labels.items() if any(labels.get(near, label) != label for near in _near(cell))}


def _near(cell: Cell) -> Iterator[Cell]:
    x, y = cell
    yield from ((x - 1, y), (x + 1, y), (x, y - 1), (x, y + 1))


def outcomes(curves: Iterable[Curve]) -> dict[Setting, Label]:
    """The outcome of most seeds of every cell; of several the first in `LABELS`."""
    seen: dict[Setting, Counter[Label]] = defaultdict(Counter)
    for curve in curves:
        seen[curve.setting][curve.outcome()] += 1
    return {setting: max(LABELS, key=lambda label, counts=counts: counts[label]) for setting, counts in seen.items()}


def our_curves(folder: Path) -> Iterator[Curve]:
    """Those that `grokstudy run` stored."""
    study = gs.open(NAME, root=str(folder / "storage"))
    trials = study.trials().set_index("trial_id")
    for trial_id, rows in study.curves().sort_values("step").groupby("trial_id"):
        yield Curve(
            weight_decay=float(trials.at[trial_id, "regularization.weight_decay"]),
            frac_train=float(trials.at[trial_id, "task.frac_train"]),
            step=rows["step"].to_numpy(),
            train_acc=rows["train_acc"].to_numpy(),
            test_acc=rows["test_acc"].to_numpy(),
        )


def their_curves(folder: Path) -> Iterator[Curve]:
    """Those that `tune_baseline.py` saved."""
    for path in sorted((folder / CURVES).glob("*.npz")):
        with np.load(path) as stored:
            yield Curve(**{field.name: stored[field.name] for field in dataclasses.fields(Curve)})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, choices=GRIDS, default=36)
    parser.add_argument("--quick", action="store_true", help=f"{QUICK.trials} trials of {QUICK.steps} updates")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="keep both results in this folder")
    given = parser.parse_args()
    grid = QUICK if given.quick else GRIDS[given.trials]
    with tempfile.TemporaryDirectory(prefix="grokstudy-side-") as scratch:
        numbers = run(grid, (given.to or Path(scratch)).resolve())
    print(tables.side_by_side_table(numbers))
    if not given.quick:
        record.write(f"side_by_side_{grid.trials}", numbers)


def run(grid: Grid, to: Path) -> dict[str, object]:
    """Runs both sides and compares them."""
    ours, theirs = to / "grokstudy", to / "tune"
    subprocess.run([sys.executable, "-c", WARM], check=True)
    script = Path(__file__).with_name("tune_baseline.py")
    sides = {
        "grokstudy run": measured([sys.executable, "-m", "grokstudy.cli.entry", "run", *grid.ours()], ours),
        "Ray Tune, MLflow's callback": measured([sys.executable, script, *grid.theirs(), "--to", theirs], theirs),
    }
    curves = list(our_curves(ours)), list(their_curves(theirs))
    for side in curves:
        if len(side) != grid.trials or any(curve.step[-1] != grid.steps for curve in side):
            raise RuntimeError(f"{len(side)} of {grid.trials} trials, or some without {grid.steps} updates")
    comparison = compared(*map(outcomes, curves))
    first, second = sides.values()
    return {
        "results": [_row(way, one, grid.trials) for way, one in sides.items()],
        "ratio": float(f"{second.seconds / first.seconds:.3g}"),
        "bar": grid.bar,
        "goal": grid.goal,
        "agreement": {**dataclasses.asdict(comparison), "share": comparison.share, "holds": comparison.holds},
    }


def _row(way: str, one: Measured, trials: int) -> dict[str, object]:
    return record.rounded(
        {
            "way": way,
            "trials": trials,
            "seconds": one.seconds,
            "per_hour": trials / one.seconds * 3600,
            "all_pss": one.all_pss,
            "driver_pss": one.driver_pss,
        }
    )


if __name__ == "__main__":
    main()
