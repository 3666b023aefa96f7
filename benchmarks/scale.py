"""What grows with a study: the same plane with 10,000 trials and with 500, of 200 updates each, on this machine.

    python benchmarks/scale.py [--trials N] [--against N] [--quick] [--to FOLDER]

Every study is one `grokstudy run` in a fresh process with a home and a storage of its own, Ray and MLflow as they come.
The plane is weight decay x train fraction with five seeds; a larger one has more cells. No measures. Of the checkpoints
only the end is kept (`checkpoint.schedule=false checkpoint.ring=false`), as one does in a study of this size: 17
scheduled ones of 35 kB would be 6 GB, and writing them part of the time.

- **Time per trial** at N against that of the small study: of the whole command, and of what comes after the first
  update, in which the start of Ray does not dilute what the study itself costs.
- **Before the first update** and **after the last row**: planning and starting; report, MLflow's rest, compaction.
- **Memory of the driver**: of its process alone, without Ray's processes and workers, largest of a look every two
  seconds. PSS counts pages that it shares with others in parts, RSS in full.
- **MLflow's share** of wall time: the same study once more with `tracking=none`; whatever MLflow costs, in whichever
  process, is the difference. (What its thread takes from packs on busy cores would not show in a stopwatch around it.)
- **Nothing to do**: the command of the finished study again.
- **Files and bytes** of the study folder as the run leaves it, MLflow's database beside it.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import sys
import tempfile
import time
from pathlib import Path

import record
import tables
from command import Measured, measured
from study_overhead import stepped

import grokstudy as gs

SEEDS = 5
STEPS = 200
NAME = "scale"
WORTH_NAMING = 0.01
"""Of the bytes on the disk: a folder with less has no line of its own."""
BARS = {"slower": 1.2, "driver": 1.0, "resume": 10.0}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """One study, run to its end."""

    trials: int
    command: Measured
    before: float
    """Seconds from the start of the command to the first update."""
    training: float
    """To the last row."""

    @property
    def after(self) -> float:
        """Seconds from the last row to the end of the command."""
        return self.command.seconds - self.before - self.training


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One number of the table."""

    what: str
    trials: int
    value: float
    unit: str
    bar: float | None = None


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", type=int, default=10_000, metavar="N", help="of the large study")
    parser.add_argument("--against", type=int, default=500, metavar="N", help="of the small one")
    parser.add_argument("--quick", action="store_true", help="200 trials against 50; printed only")
    parser.add_argument("--to", type=Path, metavar="FOLDER", help="keep the studies in this folder")
    given = parser.parse_args()
    large, small = (200, 50) if given.quick else (given.trials, given.against)
    with tempfile.TemporaryDirectory(prefix="grokstudy-scale-") as scratch:
        found = figures(large, small, (given.to or Path(scratch)).resolve())
    numbers = {"results": [record.rounded(dataclasses.asdict(figure)) for figure in found]}
    print(tables.scale_table(numbers))
    if not given.quick and (large, small) == (parser.get_default("trials"), parser.get_default("against")):
        record.write("scale", numbers)


def figures(large: int, small: int, to: Path) -> list[Figure]:
    """Runs the studies and puts their numbers together."""
    few, many = run(small, to / "small"), run(large, to / "large")
    plain, again = run(large, to / "plain", "tracking=none"), command(large, to / "large")
    if "nothing to do" not in again.output:
        raise RuntimeError(f"the finished study was not finished:\n{again.output[-2000:]}")
    per_trial = {one.trials: one.command.seconds / one.trials for one in (few, many)}
    stepping = {one.trials: (one.training + one.after) / one.trials for one in (few, many)}
    files = sizes(to / "large" / "storage")
    disk = sum(size for _, size in files.values())
    return [
        *(Figure(what="whole command", trials=one.trials, value=one.command.seconds, unit="s") for one in (few, many)),
        *(Figure(what="before the first update", trials=one.trials, value=one.before, unit="s") for one in (few, many)),
        *(Figure(what="after the last row", trials=one.trials, value=one.after, unit="s") for one in (few, many)),
        *(Figure(what="time per trial", trials=n, value=1000 * seconds, unit="ms") for n, seconds in per_trial.items()),
        *(
            Figure(what="time per trial from the first update on", trials=n, value=1000 * seconds, unit="ms")
            for n, seconds in stepping.items()
        ),
        Figure(
            what=f"time per trial, times that of {small:,}",
            trials=large,
            value=per_trial[large] / per_trial[small],
            unit="",
            bar=BARS["slower"],
        ),
        Figure(
            what=f"from the first update on, times that of {small:,}",
            trials=large,
            value=stepping[large] / stepping[small],
            unit="",
            bar=BARS["slower"],
        ),
        Figure(what="driver, PSS", trials=large, value=many.command.driver_pss, unit="GB", bar=BARS["driver"]),
        Figure(what="driver, RSS", trials=large, value=many.command.driver_rss, unit="GB"),
        Figure(what="driver, PSS", trials=small, value=few.command.driver_pss, unit="GB"),
        Figure(what="all processes, PSS", trials=large, value=many.command.all_pss, unit="GB"),
        Figure(what="whole command without MLflow", trials=large, value=plain.command.seconds, unit="s"),
        Figure(
            what="MLflow's share of wall time",
            trials=large,
            value=100 * (1 - plain.command.seconds / many.command.seconds),
            unit="%",
        ),
        Figure(what="nothing to do", trials=large, value=again.seconds, unit="s", bar=BARS["resume"]),
        Figure(what="files", trials=large, value=sum(count for count, _ in files.values()), unit=""),
        Figure(what="on the disk", trials=large, value=disk / 1e6, unit="MB"),
        *(
            Figure(what=f"of it {name} ({count:,} files)", trials=large, value=size / 1e6, unit="MB")
            for name, (count, size) in files.items()
            if size > WORTH_NAMING * disk
        ),
    ]


def run(trials: int, to: Path, *words: str) -> Run:
    """One study, from nothing to its report."""
    since = time.time()
    took = command(trials, to, *words)
    rows = gs.open(NAME, root=str(to / "storage")).trials()
    if len(rows) != trials or (rows["steps_run"] != STEPS).any():
        raise RuntimeError(f"{len(rows)} of {trials} trials, or some without {STEPS} updates:\n{took.output[-2000:]}")
    first, last = stepped(rows)
    return Run(trials=trials, command=took, before=first - since, training=last - first)


def command(trials: int, to: Path, *words: str) -> Measured:
    """`grokstudy run` of a plane of so many trials."""
    columns, rows = plane(trials)
    axes = [
        f"regularization.weight_decay=log(0.1,10,{columns})",
        f"task.frac_train=lin(0.3,0.7,{rows})",
        f"seed=seeds({SEEDS})",
    ]
    kept = ["checkpoint.schedule=false", "checkpoint.ring=false"]
    called = ["--steps", str(STEPS), "--name", NAME]
    grokstudy = [sys.executable, "-m", "grokstudy.cli.app"]
    return measured([*grokstudy, "run", "preset=quad23", *axes, *kept, *words, *called], to)


def plane(trials: int) -> tuple[int, int]:
    """Columns and rows, as near to a square as their product allows.

    Raises:
        SystemExit: so many trials are no plane with `SEEDS` seeds.
    """
    cells, rest = divmod(trials, SEEDS)
    columns = next((n for n in range(math.isqrt(cells), 1, -1) if cells % n == 0), None)
    if rest or columns is None:
        raise SystemExit(f"--trials: got {trials}, must be {SEEDS} times a product of two numbers, e.g. 500 or 2000.")
    return columns, cells // columns


def sizes(root: Path) -> dict[str, tuple[int, int]]:
    """Files and bytes by folder of the study, and of what lies beside it."""
    found: dict[str, tuple[int, int]] = {}
    for path in sorted(root.rglob("*")):
        if path.is_file():
            where, *below = path.relative_to(root).parts
            name = below[0] + "/" if where == NAME and len(below) > 1 else f"{NAME}/*" if where == NAME else where
            count, size = found.get(name, (0, 0))
            found[name] = count + 1, size + path.stat().st_size
    return found


if __name__ == "__main__":
    main()
