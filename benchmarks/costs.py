"""What a trial costs besides its updates (evaluations, curves, checkpoints, snapshots), and a pack's peak memory.

    python benchmarks/costs.py [--quick]

Packs run as a worker runs them, at default settings, in a storage root of their own. Every part is timed inside the
same run by a stopwatch around the function that does it. quad23 runs to the end of its budget; of the others so many
updates that each part was done, and the calls of a whole budget are counted from the schedule. Writes results.json and
the tables in README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import functools
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from typing import Any

import numpy as np
import record
import tables
import torch

from grokstudy.engine.evaluate import COLUMNS, TRAIN_ACC, Evaluation
from grokstudy.engine.loop import Checkpoint, Tick, run_pack
from grokstudy.engine.ring import CAPACITY, Ring
from grokstudy.engine.state import Member, PackState
from grokstudy.engine.step import Update
from grokstudy.execution.job import PackJob
from grokstudy.execution.pack import Pack
from grokstudy.execution.work import work
from grokstudy.spec.compose import compose_study
from grokstudy.spec.identity import trial_id
from grokstudy.spec.schedule import evaluations, is_checkpoint
from grokstudy.spec.study import StudySpec, with_values
from grokstudy.store.checkpoints import Kind, put_checkpoint
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import SnapshotMeta, put_snapshot

GB = 1e9


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Study:
    """One pack of a study at its default settings."""

    name: str
    words: tuple[str, ...]
    members: int
    updates: int | None
    """Made; None = the whole budget. A step that has a checkpoint anyway, so that its time is counted once."""


STUDIES = (
    Study(name="quad23, 64 members, budget 2,000", words=("preset=quad23", "budget=2000"), members=64, updates=None),
    Study(name="small31, 16 members, budget 3,000", words=("preset=small31",), members=16, updates=200),
    Study(name="nanda2023, 1 member, budget 40,000", words=("preset=nanda2023",), members=1, updates=100),
)
QUICK = (
    Study(name="quad23, 8 members, budget 300", words=("preset=quad23", "budget=300"), members=8, updates=None),
    Study(name="nanda2023, 1 member, budget 40,000", words=("preset=nanda2023",), members=1, updates=20),
)
PACKS = (("quad23", ("preset=quad23",), 256), ("nanda2023", ("preset=nanda2023",), 16))
MEMORY_UPDATES = 3


@dataclasses.dataclass(slots=True, eq=False)
class Stopwatch:
    """Seconds and calls of one function; what another stopwatch inside it took is counted there as well."""

    seconds: float = 0.0
    calls: int = 0

    def around(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, timed."""

        @functools.wraps(function)
        def timed(*args: Any, **kwargs: Any) -> Any:
            start = time.perf_counter()
            try:
                return function(*args, **kwargs)
            finally:
                self.seconds += time.perf_counter() - start
                self.calls += 1

        return timed

    @property
    def per_call(self) -> float:
        return self.seconds / self.calls if self.calls else 0.0


PARTS: dict[str, tuple[type, str]] = {
    "updates": (Update, "__call__"),
    "evaluations": (Evaluation, "__call__"),
    "checkpoints": (Pack, "_store_weights"),
    "ring pushes": (Ring, "push"),
    "rings": (Pack, "_store_transition"),
    "leaving": (Pack, "_leave"),
    "snapshots": (Pack, "_snapshot"),
    "final snapshot": (Pack, "_final_snapshot"),
}
"""Where each part is done. `leaving` holds the last checkpoint, the curves, the rows and the final snapshot."""


def costs(study: Study) -> dict[str, object]:
    """Seconds of updates over the budget, and everything else as a share of them."""
    watches = {}
    for part, (owner, method) in PARTS.items():
        watches[part] = Stopwatch()
        setattr(owner, method, watches[part].around(getattr(owner, method)))
    spec = compose_study(study.words)
    whole = study.updates is None
    with tempfile.TemporaryDirectory(prefix="grokstudy-costs-") as root:
        job = _job(spec, study.members, spec.budget if study.updates is None else study.updates, root)
        start = time.perf_counter()
        for _ in work(job):
            pass
        wall = time.perf_counter() - start
    updates = watches["updates"].per_call * spec.budget
    seconds = _whole_budget(spec, study.members, watches, updates, ended=whole)
    shares = {part: value / updates for part, value in seconds.items()}
    everything = wall / updates - 1 if whole else sum(shares.values())
    return {"name": study.name, "updates": updates, **shares, "all": everything}


def _whole_budget(
    spec: StudySpec, members: int, watches: dict[str, Stopwatch], updates: float, *, ended: bool
) -> dict[str, float]:
    """Seconds of every part but the updates, over the budget: as measured if the run has ended, else per call times the
    calls that the schedule asks for."""
    seconds = {part: watch.seconds for part, watch in watches.items()}
    rows = seconds["leaving"] - seconds["final snapshot"]
    if ended:
        return {
            "evaluations": seconds["evaluations"],
            "rows": rows,
            "checkpoints": seconds["checkpoints"],
            "ring": seconds["ring pushes"] + seconds["rings"],
            "snapshots": seconds["snapshots"] + seconds["final snapshot"],
        }
    calls, each = len(evaluations(spec.budget)), {part: watch.per_call for part, watch in watches.items()}
    scheduled = sum(map(is_checkpoint, range(spec.budget + 1)))
    # A curve of the whole budget has more steps than this run's; they are a few hundred numbers either way.
    snapshots = updates / spec.cluster.snapshot_seconds + 1
    return {
        "evaluations": each["evaluations"] * calls,
        "rows": rows,
        "checkpoints": each["checkpoints"] * scheduled,
        # At most: as if memorised from the start and generalised at the very end.
        "ring": (_push_seconds(spec) * calls) * members,
        "snapshots": each["final snapshot"] * snapshots,
    }


def _push_seconds(spec: StudySpec) -> float:
    """Of the weights of one member into its ring."""
    params, ring = torch.zeros(_parameters(spec)), Ring()
    start = time.perf_counter()
    for step in range(2 * CAPACITY):
        ring.push(step, params)
    return (time.perf_counter() - start) / (2 * CAPACITY)


def _parameters(spec: StudySpec) -> int:
    trial = spec.trial({})
    return sum(tensor.numel() for tensor in trial.model.init(trial.task.shape(), 0).values())


def memory(name: str, words: Sequence[str], members: int) -> dict[str, object]:
    """Peak memory of a fresh process that steps a pack with full rings, and stores checkpoints and snapshots."""
    spec = compose_study(words)
    torch.set_num_threads(1)
    before, trials = _peak(), [spec.trial({"seed": seed}) for seed in range(members)]
    pack = [Member(trial_id=trial_id(trial), spec=trial) for trial in trials]
    with tempfile.TemporaryDirectory(prefix="grokstudy-memory-") as root:
        folder, filled = StudyFolder.open(root, spec.name), False
        for event in run_pack(pack, MEMORY_UPDATES, spec.engine, spec.checkpoint):
            if isinstance(event, Checkpoint):
                kinds: list[Kind] = ["scheduled"] * members
                put_checkpoint(folder, "pack", event.step, event.tensors, event.trial_ids, kinds)
            elif isinstance(event, Tick):
                if not filled:
                    _fill_rings(event.state)
                    filled = True
                put_snapshot(folder, "pack", event.state.tensors(), _meta(event.state))
    return {"name": name, "members": members, "peak_gb": _peak() / GB, "before_gb": before / GB}


def _fill_rings(state: PackState) -> None:
    """As late in a long transition: every member memorised, none generalised, every ring full."""
    memorised = np.zeros(len(COLUMNS))
    memorised[TRAIN_ACC] = 1
    for lane, watch in enumerate(state.watches):
        step = 0
        while not watch.in_transition:
            watch.push(step, memorised)
            step += 1
        for entry in range(CAPACITY):
            watch.ring.push(entry, state.params[lane])


def _meta(state: PackState) -> SnapshotMeta:
    ids = tuple(member.trial_id for member in state.members)
    return SnapshotMeta(pack_id="pack", step=state.step, trial_ids=ids, written_at="", numerics="")


def _peak() -> int:
    """Most bytes that this process has held at a time."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024  # kibibytes but on macOS


def _job(spec: StudySpec, members: int, updates: int, root: str) -> PackJob:
    points = [{"seed": seed} for seed in range(members)]
    return PackJob(
        study=spec.name,
        storage=root,
        trials=tuple((trial_id(spec.trial(point)), with_values(spec.base, point)) for point in points),
        budget=updates,
        start_step=0,
        lanes=(),
        engine=spec.engine,
        checkpoint=spec.checkpoint,
        early_end=spec.early_end,
        snapshot_seconds=spec.cluster.snapshot_seconds,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="less of everything but memory, nothing written")
    quick = parser.parse_args().quick
    context = multiprocessing.get_context("spawn")  # a fork would inherit this process's peak
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
        numbers = {
            "costs": [processes.submit(costs, study).result() for study in (QUICK if quick else STUDIES)],
            "memory": [processes.submit(memory, *pack).result() for pack in PACKS],
        }
    numbers = {question: [record.rounded(row) for row in rows] for question, rows in numbers.items()}
    print(tables.cost_table(numbers), tables.memory_table(numbers), sep="\n\n")
    if not quick:
        record.write("costs", numbers)


if __name__ == "__main__":
    main()
