"""What a study costs besides stepping: the demo study, from its config to its report, in a storage root of its own.

    python benchmarks/study_overhead.py [--quick]

Overhead = wall time - stepping / slots, where stepping is the sum of the trials' `seconds` (evaluations and the writing
of checkpoints included) and slots are the packs at a time. Prints where the wall time went and writes results.json.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import threading
import time
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import record

if TYPE_CHECKING:
    import pandas as pd

    from grokstudy.study.board import Board

QUICK = ("study=demo", "budget=200", "seed=seeds(1)")
WATCH_SECONDS = 0.01


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="30 trials of 200 steps, nothing written")
    quick = parser.parse_args().quick
    # A home and a storage root of its own: nothing that this user has stored or set may count.
    with tempfile.TemporaryDirectory(prefix="grokstudy-overhead-") as place:
        os.environ.update(HOME=place, GROKSTUDY_STORAGE=f"{place}/storage", RAY_AUTH_MODE="disabled")
        stages, numbers = run(QUICK if quick else ("study=demo",))
    for name, seconds in stages.items():
        print(f"{name:36} {seconds:8.2f} s")
    print("\n".join(f"{name:36} {value:8.2f}" for name, value in numbers.items()))
    if not quick:
        rounded = {name: round(value, 2) for name, value in (numbers | stages).items()}
        record.write("study_overhead", rounded)


def run(words: tuple[str, ...]) -> tuple[dict[str, float], dict[str, float]]:
    """Seconds by stage, in order and without gaps, and the totals."""
    start = time.time()
    from grokstudy.execution.executor import executor
    from grokstudy.spec.compose import compose_study
    from grokstudy.study import api
    from grokstudy.study.board import Board
    from grokstudy.study.run import run_study

    imported = time.time()
    spec = compose_study(words)
    composed = time.time()
    with executor(spec.cluster) as execution:
        slots = execution.slots()
    board = Board(study=spec.name)
    watch = _Watch(board)
    result = run_study(spec, board)
    end = time.time()
    entered = watch.ended()

    trials = api.open(spec.name).trials()
    first, last = stepped(trials)
    report = Path(result.folder.storage.uri) / spec.name / "report"
    reported = max(file.stat().st_mtime for file in report.iterdir())
    moments = {
        "imports": imported,
        "config": composed,
        "planning": entered["training"],
        "Ray and workers start": first,
        "training": last,
        "Tune ends": entered["measuring"],
        "measuring": entered["reporting"],
        "report": reported,
        "MLflow after the report": entered["finished"],
        "Ray stops": end,
    }
    ends = [start, *moments.values()]
    stages = {name: after - before for name, before, after in zip(moments, ends[:-1], ends[1:], strict=True)}
    stepping = float(trials["seconds"].sum())
    wall = end - start
    totals = {
        "trials": float(len(trials)),
        "slots": float(slots),
        "wall": wall,
        "stepping": stepping,
        "overhead": wall - stepping / slots,
    }
    return stages, totals


def stepped(trials: pd.DataFrame) -> tuple[float, float]:
    """When the first pack began to step and the last one ended, in seconds since the epoch."""
    written = trials["written_at"].map(lambda text: datetime.fromisoformat(str(text)).timestamp())
    ends = written.groupby(trials["pack_id"]).max()
    lasted = trials["seconds"].groupby(trials["pack_id"]).sum()
    return float((ends - lasted).min()), float(ends.max())


class _Watch:
    """Notes when the board enters a stage, to WATCH_SECONDS."""

    def __init__(self, board: Board) -> None:
        self._board, self._entered, self._end = board, dict[str, float](), threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def ended(self) -> dict[str, float]:
        """Seconds since the epoch by stage."""
        self._end.set()
        self._thread.join()
        return self._entered

    def _run(self) -> None:
        while not self._end.wait(WATCH_SECONDS):
            self._entered.setdefault(self._board.stage, time.time())
        self._entered.setdefault(self._board.stage, time.time())


if __name__ == "__main__":
    main()
