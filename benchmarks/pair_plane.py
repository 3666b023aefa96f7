"""The 1,125 trials of the sparse-parity plane (claim 47): one process per trial, beside what packs took.

    grokstudy claim run pair_plane 'seed=seeds(3)' tracking=none
    python benchmarks/pair_plane.py [--storage FOLDER]

One process per trial is the ordinary script: plain torch, one thread, the loss of all train rows every 100 updates. Its
time is measured for each of the 25 shapes (rows x neurons; weight decay changes no time) in two lengths, one after the
other on an idle machine: the difference gives the time per update, what is left the start. The plane takes five weight
decays and nine seeds of every shape, shared by the cores. That favours it: processes side by side share caches, and no
test loss is computed. The time of packs is that of the rows of the study that was run, with both losses at every
evaluation: the seconds that its trials were stepped, over the slots.
"""

from __future__ import annotations

import argparse
import math
import os
import sys
import tempfile
from pathlib import Path
from typing import Any

import record
import torch
from command import measured
from plain_loop import PlainLoop

import grokstudy as gs
from grokstudy.spec.axes import Value
from grokstudy.spec.compose import compose_study

STUDY = "pair_plane"
ROWS, NEURONS, DECAY, SEED = "task.train", "model.width", "regularization.weight_decay", "seed"
"""Axes of the study."""
SHORT, LONG = 1000, 5000
"""Updates of the two lengths."""
EVERY = 100
"""Updates between evaluations."""


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--storage", type=Path, help="where the claim was run; default the usual root")
    parser.add_argument("--one", nargs=3, type=int, metavar=("ROWS", "NEURONS", "UPDATES"), help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.one:
        train(*given.one)
        return
    study = compose_study([f"study=claims/{STUDY}"])
    axes = {axis.path: axis.values for axis in study.axes}
    trials, slots = math.prod(map(len, axes.values())), os.cpu_count() or 1
    packs = stepping(given.storage, trials // len(axes[SEED])) * trials / slots
    results = [shape(rows, neurons, study.budget) for rows in axes[ROWS] for neurons in axes[NEURONS]]
    alone = sum(row["trial"] for row in results) * len(axes[DECAY]) * len(axes[SEED]) / slots
    hours = {"alone_hours": alone / 3600, "packs_hours": packs / 3600, "ratio": alone / packs}
    counts = {"trials": trials, "slots": slots}
    record.write("pair_plane", counts | record.rounded(hours) | {"results": [record.rounded(row) for row in results]})


def train(rows: int, neurons: int, updates: int) -> None:
    """The ordinary script: one trial of the plane."""
    torch.set_num_threads(1)
    point = {ROWS: rows, NEURONS: neurons, DECAY: 0.1, SEED: 0}
    spec = compose_study([f"study=claims/{STUDY}"]).trial(point)
    loop = PlainLoop(spec)
    for update in range(1, updates + 1):
        loop.step()
        if update % EVERY == 0:
            loop.train_loss()


def shape(rows: Value, neurons: Value, budget: int) -> dict[str, Any]:
    """Milliseconds of an update and seconds of one trial in a process of its own."""
    short, long = (_seconds(rows, neurons, updates) for updates in (SHORT, LONG))
    update = (long - short) / (LONG - SHORT)
    start = short - SHORT * update
    print(f"{rows} rows, {neurons} neurons: {update * 1000:.3f} ms an update, {start:.1f} s start", flush=True)
    return {"rows": rows, "neurons": neurons, "ms": 1000 * update, "trial": start + budget * update}


def _seconds(*one: Value) -> float:
    with tempfile.TemporaryDirectory(prefix="grokstudy-pair-") as place:
        return measured([sys.executable, __file__, "--one", *map(str, one)], Path(place)).seconds


def stepping(storage: Path | None, plane: int) -> float:
    """Mean seconds of stepping of a trial of the study that was run, for planes of so many trials.

    Raises:
        SystemExit: there is no trial, or not of whole planes.
    """
    found = gs.open(STUDY, None if storage is None else str(storage))
    mean, trials = found.sql("SELECT avg(seconds), count(*) FROM trials WHERE status = 'done'").iloc[0]
    if not trials or trials % plane:
        sys.exit(f"{STUDY}: {trials:.0f} trials are not a number of whole planes of {plane}.")
    return float(mean)


if __name__ == "__main__":
    main()
