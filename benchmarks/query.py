"""What asking costs on large studies, which `synthetic_study.py` makes up in a temporary folder.

    python benchmarks/query.py [--quick]

Warm: the median of calls in one process, each from the open study to the answer. Cold: the first call of a process that
has its imports, on files that the system has read before; the median of processes. MLflow answers one of the questions
too, from a store of as many runs. Prints a table and writes results.json; needs an idle machine.
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import record
import tables
from explorer_page import waits
from mlflow_store import MlflowStore
from synthetic_study import Size, X, Y, write_study

import grokstudy as gs
from grokstudy.phase import accessor  # noqa: F401  (the import that the first diagram of a process makes)
from grokstudy.phase.cell import cell_trials
from grokstudy.phase.cell_curves import cell_curves
from grokstudy.phase.cell_curves_plotly import cell_curves_figure
from grokstudy.phase.query import PhaseQuery
from grokstudy.store.views import connect
from grokstudy.study.api import Study

LARGE = (Size(curve_rows=20_000_000), Size(trials=1_000_000), Size(trials=10_000, across=20, up=10))
"""A study with curves, one with very many trials, one for MLflow."""
QUICK = (
    Size(trials=2_000, curve_rows=200_000, across=10, up=4),
    Size(trials=5_000),
    Size(trials=200, across=5, up=4),
)
CALLS, PROCESSES = 15, 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """Seconds of one question; `bar` is what was asked for."""

    question: str
    seconds: float
    bar: float | None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="small studies; printed only")
    parser.add_argument("--cold", metavar="FOLDER", help=argparse.SUPPRESS)  # the process of one cold call
    given = parser.parse_args()
    if given.cold:
        print(seconds(lambda: diagram(gs.open(given.cold))))
        return
    with tempfile.TemporaryDirectory(prefix="grokstudy-query-") as root:
        answers = asked(root, *(QUICK if given.quick else LARGE))
    numbers = {"results": [record.rounded(dataclasses.asdict(answer)) for answer in answers]}
    print(tables.query_table(numbers))
    if not given.quick:
        record.write("query", numbers)


def asked(root: str, with_curves: Size, many: Size, for_mlflow: Size) -> list[Answer]:
    """Every question's time."""
    one, large, small = (
        made(root, name, size) for name, size in (("curves", with_curves), ("many", many), ("small", for_mlflow))
    )
    about = f"{with_curves.trials:,} trials x {with_curves.columns} columns"
    curves = f"{with_curves.curve_rows:,} rows of curves"
    middle = with_curves.across // 2, with_curves.up // 2
    return [
        Answer(question=f"diagram of {about}, cold", seconds=cold(one), bar=0.5),
        Answer(question=f"diagram of {about}, warm", seconds=warm(lambda: diagram(one)), bar=0.05),
        Answer(question=f"diagram of {many.trials:,} trials, cold", seconds=cold(large), bar=None),
        Answer(question=f"diagram of {many.trials:,} trials, warm", seconds=warm(lambda: diagram(large)), bar=1.0),
        Answer(question=f"another tau: {curves} read again", seconds=warm(lambda: diagram(one, tau=0.99), 5), bar=1.0),
        Answer(
            question=f"a cell's curves and their figure, out of {curves}",
            seconds=warm(lambda: click(one, *middle)),
            bar=0.8,
        ),
        *in_a_browser(one, about, curves),
        *beside_mlflow(root, small, for_mlflow),
    ]


def in_a_browser(study: Study, about: str, curves: str) -> list[Answer]:
    """What a person waits for in the explorer."""
    waited = waits(study)
    page = f"explorer, {about}"
    return [
        Answer(question=f"{page}: first paint, cold server", seconds=waited.first_paint, bar=2.0),
        Answer(question=f"{page}: diagram drawn, cold server", seconds=waited.first_diagram, bar=None),
        Answer(question=f"{page}: diagram drawn again", seconds=waited.diagram, bar=None),
        Answer(question=f"explorer: click to a cell's curves out of {curves}", seconds=waited.click, bar=0.8),
    ]


def made(root: str, name: str, size: Size) -> Study:
    return Study(folder=write_study(root, name, size))


def diagram(study: Study, tau: float = 0.95) -> np.ndarray:
    """Shares generalised by cell, rows of train fractions."""
    shares: np.ndarray = study.phase_diagram(X, Y, tau=tau)["p_gen"].to_numpy()
    return shares


def click(study: Study, across: int, up: int) -> None:
    """What the explorer shows of one cell: every trial's curve."""
    levels = [axis.values for axis in study.spec.axes]
    with connect([study.folder]) as connection:
        trials = cell_trials(connection, PhaseQuery(x=X, y=Y), levels[0][across], levels[1][up])
        cell_curves_figure(cell_curves(connection, trials)).to_json()


def beside_mlflow(root: str, study: Study, size: Size) -> list[Answer]:
    """The share generalised of every cell, asked of the study and of MLflow; they must agree."""
    store = MlflowStore.filled(Path(root) / "mlflow.db", study)
    expected, found = diagram(study), store.shares(X, Y)
    np.testing.assert_array_equal(expected, found)
    what = f"share generalised by cell, {size.trials:,}"
    ours = Answer(question=f"{what} trials, warm", seconds=warm(lambda: diagram(study)), bar=None)
    theirs = warm(lambda: store.shares(X, Y), 3)
    return [ours, Answer(question=f"{what} runs, mlflow.search_runs", seconds=theirs, bar=None)]


def seconds(call: Callable[[], object]) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began


def warm(call: Callable[[], object], calls: int = CALLS) -> float:
    call()
    return statistics.median(seconds(call) for _ in range(calls))


def cold(study: Study) -> float:
    """Seconds of the first diagram of a process, after its imports."""
    diagram(study)  # the system has read the files
    command = [sys.executable, __file__, "--cold", study.folder.where("")]
    runs = (subprocess.run(command, capture_output=True, text=True, check=True) for _ in range(PROCESSES))
    return statistics.median(float(run.stdout) for run in runs)


if __name__ == "__main__":
    main()
