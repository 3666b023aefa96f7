"""Milliseconds per member and update: the engine against a plain PyTorch loop, side by side in one run.

    python benchmarks/step_time.py [--quick] [--threads N] [--compile]

Engine and plain loop take turns, so that whatever else the machine does hits both; a ratio is the median over rounds
of the two times of one round. Every setting has a process of its own. Prints a Markdown table, writes results.json.
"""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import statistics
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ProcessPoolExecutor

import record
import torch
from plain_loop import plain_step

from grokstudy.engine.batch import PackData
from grokstudy.engine.evaluate import TRAIN_LOSS, evaluate
from grokstudy.engine.gradients import Gradient
from grokstudy.engine.state import Member, PackState
from grokstudy.engine.step import Update
from grokstudy.spec.compose import compose_study
from grokstudy.spec.identity import trial_id
from grokstudy.spec.trial import TrialSpec

AGREE_STEPS = 15
"""Past the ten updates of warm-up."""
AGREE = 1e-3
"""Largest relative difference of the train losses after AGREE_STEPS: rounding gives 1e-5, another network 1e-2."""
EVALUATIONS = 5


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """What is stepped. The plain loop always trains one trial; `members` are stepped together by the engine."""

    name: str
    words: tuple[str, ...]
    members: int
    threads: int = 1


P59 = ("preset=small31", "task.p=59", "task.frac_train=0.5", "optimizer.lr=0.001")
SETTINGS: tuple[Setting, ...] = (
    Setting(name="transformer p=113 d=128", words=("preset=nanda2023",), members=1),
    Setting(name="transformer p=113 d=128", words=("preset=nanda2023",), members=1, threads=2),
    Setting(name="transformer p=59 d=64", words=P59, members=1),
    Setting(name="transformer p=31 d=64", words=("preset=small31",), members=16),
    Setting(name="quadratic MLP p=23 N=128", words=("preset=quad23",), members=64),
    Setting(name="quadratic MLP p=23 N=128", words=("preset=quad23",), members=1),
)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """Medians over rounds, in ms per member and update; `*_ratio` says how many times faster than the plain loop."""

    name: str
    members: int
    threads: int
    plain: float
    eager: float
    eager_ratio: float
    compiled: float | None
    compiled_ratio: float | None
    evaluation: float
    """ms per member and evaluation of all rows; from step 3,334 on there is one per 100 updates."""


class Engine:
    """A pack stepped as `run_pack` steps it, evaluations aside."""

    def __init__(self, specs: list[TrialSpec], *, compiled: bool) -> None:
        members = [Member(trial_id=trial_id(spec), spec=spec) for spec in specs]
        self.state = PackState.start(members, torch.float32, torch.device("cpu"))
        self.data = PackData.build(specs, torch.float32, torch.device("cpu"))
        self.model, self.loss = specs[0].model, specs[0].loss
        gradient = Gradient(self.model, self.loss, self.state.layout, self.data.shape, compiled=compiled)
        self.update = Update(specs, gradient, self.state.params)

    def step(self) -> None:
        state = self.state
        self.update(state.params, state.optimizer, state.step, self.data.batch(state.step))
        state.step += 1

    def evaluate(self) -> float:
        """Train loss of the first member."""
        columns = evaluate(self.model, self.loss, self.state.layout, self.state.params, self.data.table)
        return float(columns[0, TRAIN_LOSS])


def measure(setting: Setting, seconds: float, rounds: int, with_compile: bool) -> Result:
    """One setting: checks that engine and plain loop train alike, then times them in turns of about `seconds`."""
    torch.set_num_threads(setting.threads)
    torch.set_float32_matmul_precision("highest")
    study = compose_study(setting.words)
    specs = [study.trial({"seed": seed}) for seed in range(setting.members)]
    plain = plain_step(specs[0])
    engines = {"eager": Engine(specs, compiled=False)}
    if with_compile:
        engines["compiled"] = Engine(specs, compiled=True)
    steps: dict[str, Callable[[], object]] = {"plain": plain} | {name: engine.step for name, engine in engines.items()}
    for step in steps.values():
        for _ in range(AGREE_STEPS):
            step()
    reference = plain()
    for name, engine in engines.items():
        _check_alike(setting, name, engine.evaluate(), reference)

    repeats = {name: max(1, round(seconds / _seconds(step, 3))) for name, step in steps.items()}
    times: dict[str, list[float]] = {name: [] for name in steps}
    for _ in range(rounds):
        for name, step in steps.items():
            per_step = _seconds(step, repeats[name])
            times[name].append(per_step * 1000 / (1 if name == "plain" else setting.members))
    evaluation = _seconds(engines["eager"].evaluate, EVALUATIONS) * 1000 / setting.members
    return _result(setting, times, evaluation)


def _check_alike(setting: Setting, name: str, loss: float, reference: float) -> None:
    if abs(loss - reference) > AGREE * reference:
        raise SystemExit(
            f"{setting.name}: after {AGREE_STEPS} updates the {name} engine has train loss {loss}, the plain loop "
            f"{reference}; they must agree to {AGREE:g}, else their times cannot be compared."
        )


def _seconds(step: Callable[[], object], repeats: int) -> float:
    """Seconds per call."""
    start = time.perf_counter()
    for _ in range(repeats):
        step()
    return (time.perf_counter() - start) / repeats


def _result(setting: Setting, times: Mapping[str, list[float]], evaluation: float) -> Result:
    def ratio(name: str) -> float:
        return statistics.median(p / e for p, e in zip(times["plain"], times[name], strict=True))

    compiled = "compiled" in times
    return Result(
        name=setting.name,
        members=setting.members,
        threads=setting.threads,
        plain=statistics.median(times["plain"]),
        eager=statistics.median(times["eager"]),
        eager_ratio=ratio("eager"),
        compiled=statistics.median(times["compiled"]) if compiled else None,
        compiled_ratio=ratio("compiled") if compiled else None,
        evaluation=evaluation,
    )


def _print_head(with_compile: bool) -> None:
    names = ["setting", "members", "threads", "plain ms", "engine ms", "times faster"]
    names += ["compiled ms", "times faster"] if with_compile else []
    names.append("one evaluation ms")
    print(f"| {' | '.join(names)} |", f"|---{'|---:' * (len(names) - 1)}|", sep="\n", flush=True)


def _print_row(result: Result) -> None:
    cells = [result.name, str(result.members), str(result.threads), f"{result.plain:.3g}", f"{result.eager:.3g}"]
    cells.append(f"{result.eager_ratio:.2f}")
    if result.compiled is not None and result.compiled_ratio is not None:
        cells += [f"{result.compiled:.3g}", f"{result.compiled_ratio:.2f}"]
    cells.append(f"{result.evaluation:.3g}")
    print(f"| {' | '.join(cells)} |", flush=True)


def _rounded(result: Result) -> dict[str, object]:
    """Three digits: the rest is noise."""
    values = dataclasses.asdict(result)
    return {name: float(f"{value:.3g}") if isinstance(value, float) else value for name, value in values.items()}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="a few seconds per setting, nothing written")
    parser.add_argument("--threads", type=int, help="threads of every setting; default 1, and 2 for p = 113")
    parser.add_argument(
        "--compile", action="store_true", help="also the compiled engine (10-80 s per setting to compile)"
    )
    given = parser.parse_args()
    settings = SETTINGS
    if given.threads is not None:
        settings = tuple(dict.fromkeys(dataclasses.replace(s, threads=given.threads) for s in SETTINGS))
    seconds, rounds = (0.1, 3) if given.quick else (0.7, 9)

    results = []
    _print_head(given.compile)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(1, mp_context=context, max_tasks_per_child=1) as processes:
        for setting in settings:
            results.append(processes.submit(measure, setting, seconds, rounds, given.compile).result())
            _print_row(results[-1])
    if not given.quick:
        record.write("step_time", {"results": [_rounded(result) for result in results]})


if __name__ == "__main__":
    main()
