"""One real plane twice: as few trials as the boundary sampler needs, and a dense grid with seeds. Do they agree?

    python benchmarks/boundary_study.py [--quick] [--to FOLDER]

Trains `study=quad23_boundary` to its stop rule, then a grid over the same plane under the same budget, and compares the
boundary p_gen = .5 and the map of outcomes. Prints a table and writes results.json; needs an idle machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import tempfile
from pathlib import Path

import numpy as np
import pandas as pd
import record
import tables

import grokstudy as gs
from grokstudy.phase.posterior_fit import Fitted, fitted
from grokstudy.phase.query import PhaseQuery, readings
from grokstudy.samplers.surrogate.contours import crossings_1d
from grokstudy.samplers.surrogate.stream import pool
from grokstudy.spec.outcome import LABELS
from grokstudy.store.views import asked
from grokstudy.study.api import Study

WD, FRAC = "regularization.weight_decay", "task.frac_train"
GRID = ("log(0.05,30,16)", "lin(0.25,0.8,12)", "seeds(5)")
QUICK_GRID = ("log(0.05,30,6)", "lin(0.25,0.8,6)", "seeds(2)")
QUICK = ("budget=1000", "task.p=11", "model.width=32")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Side:
    """What one way of looking at the plane took."""

    way: str
    trials: int
    steps: int
    """Updates of all trials."""
    cpu_seconds: float
    """Stepping time of all trials."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """The sampler's boundary beside the grid's majorities."""

    expected_error: float
    """Of the sampler's map, by its own account."""
    differ: float
    """Share of the grid's cells in which the map has another outcome than most seeds."""
    cells: int
    columns: int
    """Weight decays at which the grid sees p_gen pass .5 once."""
    within: int
    """Those at which the sampler's 95 % band meets the two train fractions between which it passes."""
    half_width: float
    """Median half-width of the band there, in units of frac_train."""
    spacing: float
    """Distance of two train fractions of the grid."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a smaller network and grid; printed only")
    parser.add_argument("--to", metavar="FOLDER", help="keep the studies in this folder")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="grokstudy-boundary-") as scratch:
        adaptive, grid = trained(Path(given.to or scratch), quick=given.quick)
        sides, agreement = [side("boundary sampler", adaptive), side("grid", grid)], agree(adaptive, grid)
    numbers = {
        "results": [record.rounded(dataclasses.asdict(one)) for one in sides],
        "agreement": record.rounded(dataclasses.asdict(agreement)),
    }
    print(tables.boundary_study_table(numbers))
    if not given.quick:
        record.write("boundary_study", numbers)


def trained(root: Path, *, quick: bool = False) -> tuple[Study, Study]:
    """The adaptive study and the grid, trained on this machine or found there."""
    words = ["study=quad23_boundary", "tracking=none", *(QUICK if quick else ())]
    across, up, seeds = QUICK_GRID if quick else GRID
    plane = [f"{WD}={across}", f"{FRAC}={up}", f"seed={seeds}", "sampler=grid"]
    adaptive = gs.run(*words, *(["sampler.n_trials=60"] if quick else []), name="adaptive", root=str(root))
    return adaptive, gs.run(*words, *plane, name="grid", root=str(root))


def side(way: str, study: Study) -> Side:
    trials = study.trials()
    return Side(
        way=way,
        trials=len(trials),
        steps=int(trials["steps_run"].sum()),
        cpu_seconds=float(trials["seconds"].sum()),
    )


def agree(adaptive: Study, grid: Study) -> Agreement:
    """How far the map of one study is that of the other."""
    found, budget = posterior_of(adaptive), adaptive.spec.budget
    cells = table_of(grid, budget)
    at = cells.groupby(["x", "y"])
    most = at["outcome"].agg(lambda outcomes: outcomes.mode().iloc[0]).reset_index()
    places = found.plane.of_trials(most)
    named = np.array(LABELS)[found.posterior.labels(places)]
    share = at["t_gen"].agg(lambda times: times.notna().mean()).unstack()
    bands = [band for wd, row in share.iterrows() if (band := _beside(found, float(wd), row)) is not None]
    space = found.plane.space
    return Agreement(
        expected_error=found.posterior.expected_error(pool(space, 0, 0)),
        differ=float((named != most["outcome"].astype(str).to_numpy()).mean()),
        cells=len(most),
        columns=len(bands),
        within=sum(meets for meets, _ in bands),
        half_width=float(np.nanmedian([width for _, width in bands])),
        spacing=float(np.diff(share.columns.to_numpy(dtype=float)).mean()),
    )


def _beside(found: Fitted, wd: float, row: pd.Series) -> tuple[bool, float] | None:
    """Whether the band at one weight decay meets the grid's bracket, and its half-width; None without one bracket."""
    above = row.to_numpy() >= 0.5
    flips = np.flatnonzero(above[1:] != above[:-1])
    if len(flips) != 1:
        return None
    low, high = row.index[flips[0]], row.index[flips[0] + 1]
    crossed = crossings_1d(found.posterior, found.plane.space, {WD: wd}, "gen")
    meets = any(one.low <= high and one.high >= low for one in crossed)
    near = min(crossed, key=lambda one: abs(one.value - (low + high) / 2), default=None)
    return meets, float("nan") if near is None else (near.high - near.low) / 2


def posterior_of(study: Study) -> Fitted:
    return fitted(table_of(study, study.spec.budget), study.spec.axes)


def table_of(study: Study, budget: int) -> pd.DataFrame:
    query, axes = PhaseQuery(x=WD, y=FRAC, budget=budget), study.spec.axes
    return asked([study.folder], lambda connection: readings(connection, query, axes))


if __name__ == "__main__":
    main()
