"""Milliseconds per member and update: the engine against a plain PyTorch loop, side by side in one run.

    python benchmarks/step_time.py [--quick] [--only KEY ...] [--threads N] [--compile] [--profile]

Engine and plain loop take turns, so that whatever else the machine does hits both; a ratio is the median over rounds
of the two times of one round. Every setting has a process of its own. Prints a Markdown table, writes results.json and
the table in README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Callable
from concurrent.futures import Executor, ProcessPoolExecutor

import record
import tables
import torch
from pack import Pack
from plain_loop import PlainLoop
from products import QUICK_SIZES, SIZES, product_flops, sgemm_peak
from profiled import profiled
from settings import SETTINGS, Setting

from grokstudy.spec.compose import compose_study
from grokstudy.spec.schedule import evaluations

AGREE_STEPS = 15
"""Past the ten updates of warm-up."""
PROFILED = ("nanda2023", "quad23")
PROFILED_UPDATES = 30


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Medians over rounds, in ms per member and update; `*_ratio` says how many times faster than the plain loop."""

    key: str
    name: str
    members: int
    threads: int
    plain: float
    eager: float
    eager_ratio: float
    compiled: float | None
    compiled_ratio: float | None
    evaluation: float
    """ms per member and evaluation of all rows."""
    evaluation_share: float
    """Time of all evaluations over time of all updates, up to the preset's budget."""
    plain_gflop: float
    """Billions of operations in the matrix products of one update."""
    gflop: float
    """The same, of one member of the engine."""
    peak: float
    """Billions of operations a second of the machine's fastest large product, in this process and with these
    threads."""

    @property
    def gflops(self) -> float:
        """Billions of operations a second that the engine makes in products, over the whole time of an update."""
        return self.gflop / self.eager * 1000


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Effort:
    """How long to measure."""

    seconds: float
    """Per round, for each side."""
    rounds: int
    peak_sizes: tuple[int, ...]


FULL = Effort(seconds=0.5, rounds=7, peak_sizes=SIZES)
QUICK = Effort(seconds=0.05, rounds=3, peak_sizes=QUICK_SIZES)


def measure(setting: Setting, effort: Effort, with_compile: bool) -> Result:
    """One setting: checks that engine and plain loop train alike, then times them in turns."""
    _set_threads(setting)
    study = compose_study(setting.words)
    specs = [study.trial({"seed": seed}) for seed in range(setting.members)]
    plain, packs = PlainLoop(specs[0]), {"eager": Pack(specs)}
    if with_compile:
        packs["compiled"] = Pack(specs, compiled=True)
    steps: dict[str, Callable[[], object]] = {"plain": plain.step} | {name: pack.step for name, pack in packs.items()}
    for step in steps.values():
        for _ in range(AGREE_STEPS):
            step()
    for name, pack in packs.items():
        _check_alike(setting, name, pack.evaluate(), plain.train_loss())

    steps["evaluation"] = packs["eager"].evaluate
    repeats = {name: max(1, round(effort.seconds / _seconds(step, 2))) for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(effort.rounds):
        for name, step in steps.items():
            per_step = _seconds(step, repeats[name])
            times[name].append(per_step * 1000 / (1 if name == "plain" else setting.members))
    ratios = {name: _ratio(times["plain"], own) for name, own in times.items()}
    medians = {name: statistics.median(own) for name, own in times.items()}
    return Result(
        key=setting.key,
        name=setting.name,
        members=setting.members,
        threads=setting.threads,
        plain=medians["plain"],
        eager=medians["eager"],
        eager_ratio=ratios["eager"],
        compiled=medians.get("compiled"),
        compiled_ratio=ratios.get("compiled"),
        evaluation=medians["evaluation"],
        evaluation_share=_ratio(times["evaluation"], times["eager"]) * len(evaluations(study.budget)) / study.budget,
        plain_gflop=product_flops(plain.step) / 1e9,
        gflop=product_flops(packs["eager"].step) / 1e9 / setting.members,
        peak=sgemm_peak(effort.peak_sizes) / 1e9,
    )


def shares(setting: Setting, updates: int) -> dict[str, float]:
    """Where an update's time goes."""
    _set_threads(setting)
    study = compose_study(setting.words)
    return profiled(Pack([study.trial({"seed": seed}) for seed in range(setting.members)]), updates).shares()


def _set_threads(setting: Setting) -> None:
    torch.set_num_threads(setting.threads)
    torch.set_float32_matmul_precision("highest")


def _check_alike(setting: Setting, name: str, loss: float, reference: float) -> None:
    if setting.agree is not None and abs(loss - reference) > setting.agree * abs(reference):
        raise SystemExit(
            f"{setting.key}: after {AGREE_STEPS} updates the {name} engine has train loss {loss}, the plain loop "
            f"{reference}; they must agree to {setting.agree:g}, else their times cannot be compared."
        )


def _seconds(step: Callable[[], object], repeats: int) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def _ratio(one: list[float], other: list[float]) -> float:
    """Median over rounds."""
    return statistics.median(a / b for a, b in zip(one, other, strict=True))


def _chosen(only: list[str] | None, threads: int | None) -> list[Setting]:
    known = {setting.key: setting for setting in SETTINGS}
    for key in only or []:
        if key not in known:
            raise SystemExit(f"--only: no '{key}'. Allowed: {', '.join(known)}.")
    chosen = [known[key] for key in only] if only else list(SETTINGS)
    if threads is None:
        return chosen
    forced = {(setting.words, setting.members): dataclasses.replace(setting, threads=threads) for setting in chosen}
    return list(forced.values())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds per setting, nothing written")
    parser.add_argument("--only", nargs="+", metavar="KEY", help="these settings; nothing written")
    parser.add_argument("--threads", type=int, help="threads of every setting; default 1, and 2 for nanda2023-2t")
    parser.add_argument(
        "--compile", action="store_true", help="also the compiled engine (10-80 s per setting to compile)"
    )
    parser.add_argument("--profile", action="store_true", help="where the time of an update goes, instead of times")
    given = parser.parse_args()
    effort = QUICK if given.quick else FULL
    only = given.only or (list(PROFILED) if given.profile else None)
    settings = _chosen(only, given.threads)
    recorded = not (given.quick or given.only or given.threads)

    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
        if given.profile:
            question, numbers = "profile", _profiles(processes, settings)
        else:
            question, numbers = "step_time", _times(processes, settings, effort, given.compile)
    if recorded:
        record.write(question, numbers)


def _profiles(processes: Executor, settings: list[Setting]) -> dict[str, object]:
    found = {setting.key: processes.submit(shares, setting, PROFILED_UPDATES).result() for setting in settings}
    numbers: dict[str, object] = {"shares": {key: record.rounded(by_kind) for key, by_kind in found.items()}}
    print(tables.profile_table(numbers))
    return numbers


def _times(processes: Executor, settings: list[Setting], effort: Effort, with_compile: bool) -> dict[str, object]:
    rows = []
    print(tables.head(tables.STEP_COLUMNS), flush=True)
    for setting in settings:
        result = processes.submit(measure, setting, effort, with_compile).result()
        rows.append(record.rounded({**dataclasses.asdict(result), "gflops": result.gflops}))
        print(tables.row(tables.STEP_COLUMNS, rows[-1]), flush=True)
    numbers: dict[str, object] = {"results": rows}
    print("", tables.product_table(numbers), sep="\n")
    return numbers


if __name__ == "__main__":
    main()
