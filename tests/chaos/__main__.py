"""The campaign: `python -m tests.chaos --seed 7 --kills 100`. Prints every event and, in the end, the report."""

from __future__ import annotations

import argparse
import itertools
import random
import signal
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from grokstudy.spec.errors import BadInput
from tests.chaos import disk_world
from tests.chaos.cluster_world import cluster_world
from tests.chaos.killer import Killer, endless
from tests.chaos.local_world import local_driver
from tests.chaos.one_machine_world import one_machine_world
from tests.chaos.plan import CLUSTER, DISK, MACHINE, NAMESPACES, Plan, obstacles, planned
from tests.chaos.report import Event, Report, Verdict
from tests.chaos.study import Size
from tests.e2e.stored import tables
from tests.services.process import in_environment

SIZE = Size(seeds=3, steps=3000, pack_size=3)
KILLS_PER_STUDY = 30
DISK_EVENTS = 6
GAP = 7.0


def main() -> int:
    """1 if an invariant does not hold, 2 if the campaign cannot run here."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="of the killer's choices (default: a new one)")
    parser.add_argument("--kills", type=int, default=100, help="kills in all (default 100)")
    parser.add_argument("--gap", type=float, default=GAP, help=f"mean seconds between events (default {GAP:g})")
    parser.add_argument("--folder", type=Path, default=None, help="for everything that is written (default: a new one)")
    parser.add_argument(
        "--world",
        choices=(NAMESPACES, MACHINE),
        help="hosts in namespaces, which need root, or nodes that share this machine (default: hosts where allowed)",
    )
    parser.add_argument("--only", choices=(CLUSTER, DISK), help="half of the campaign (default: both)")
    asked = parser.parse_args()
    try:
        plan = planned(asked.world, asked.only, obstacles())
    except BadInput as error:
        print(error, file=sys.stderr)
        return 2
    signal.signal(signal.SIGTERM, lambda number, frame: sys.exit(128 + number))  # so that what was started is ended
    seed = random.SystemRandom().randrange(10_000) if asked.seed is None else asked.seed
    folder = (asked.folder or Path(tempfile.mkdtemp(prefix="gs-chaos-"))).absolute()
    print(f"world: {plan.world or 'no cluster'}, seed {seed}, {asked.kills} kills, in {folder}", flush=True)
    print(*plan.remarks, sep="\n", end="\n" if plan.remarks else "", flush=True)
    report = campaign(folder, plan, seed, asked.kills, asked.gap)
    print("\n" + report.markdown())
    if report.broken:
        print(f"BROKEN, seed {seed}; everything is kept in {folder}:", *report.broken, sep="\n  ")
    return bool(report.broken)


def campaign(folder: Path, plan: Plan, seed: int, kills: int, gap: float = GAP, size: Size = SIZE) -> Report:
    """Studies on a cluster until there have been so many kills, then one on a disk that fills up."""
    begin = time.monotonic()
    undisturbed = _undisturbed(folder / "undisturbed", size)
    print(f"{time.monotonic() - begin:7.1f} s  undisturbed: {len(undisturbed['trials'])} trials", flush=True)
    events: list[Event] = []
    verdicts: list[Verdict] = []
    report = Report(seed=seed, world=plan.world, remarks=plan.remarks, events=events, verdicts=verdicts)
    if plan.world is not None:
        enter = cluster_world if plan.world == NAMESPACES else one_machine_world
        with (
            enter(folder) as world,
            in_environment({**world.s3.environment(), "XDG_CACHE_HOME": str(folder / "cache")}),
        ):
            print(f"{time.monotonic() - begin:7.1f} s  {world.made_of} are up", flush=True)
            kinds = endless(chance := random.Random(seed), world.weights)
            killer = Killer(world=world, chance=chance, kinds=kinds, gap=gap, events=events, began=begin)
            while report.kills < kills:
                name = f"cluster{len(verdicts) + 1}"
                # With max_packs the driver waits for nodes: after the head they come back one by one.
                words = size.words(
                    name, "cluster=ray", "cluster.retries=5", "tracking=mlflow", f"tracking.uri={world.mlflow.uri}"
                )
                verdicts.append(killer.run(name, words, undisturbed, min(KILLS_PER_STUDY, kills - report.kills)))
                report.write(folder)
    if plan.disk:
        with disk_world.disk_world(folder / "small-disk") as small:
            kinds = itertools.islice(endless(chance := random.Random(seed), disk_world.WEIGHTS), DISK_EVENTS)
            killer = Killer(world=small, chance=chance, kinds=kinds, gap=gap, events=events, began=begin)
            words = size.words("disk", "cluster=local", "tracking=mlflow")
            verdicts.append(killer.run("disk", words, undisturbed, DISK_EVENTS))
    report.write(folder)
    return report


def _undisturbed(folder: Path, size: Size) -> Mapping[str, pd.DataFrame]:
    """What the study is when nobody disturbs it."""
    root = str(folder / "data")
    local_driver(folder, root).run(size.words("undisturbed", "cluster=none", "tracking=none"), 900)
    return tables(root, "undisturbed")


if __name__ == "__main__":
    sys.exit(main())
