"""What measuring a network costs, against the same numbers computed as a notebook does (`plain_measures.py`).

    python benchmarks/measures.py [--quick] [--threads N]

One checkpoint at p = 113, and 64 members of quad23 at several checkpoints each. First both must give equal numbers, or
the script stops. Then the Fourier measures are timed on both sides, and on ours all default measures as well. The
weights are those of a start: no time depends on what they are. Writes results.json and the tables in README.md.
"""

from __future__ import annotations

import argparse
import dataclasses
import math
import os
import statistics
import time
from collections.abc import Callable, Sequence

import plain_measures
import record
import tables
import torch

from grokstudy.circuits._keys import random_key_sets
from grokstudy.circuits._measure import measure_network
from grokstudy.spec.compose import compose_study
from grokstudy.spec.measure import Subject

COMPARED = (
    "cross_entropy", "fourier_losses", "furuta", "fve", "gini", "ipr", "key_freqs", "neuron_freqs", "w_l_rank",
)  # fmt: skip
NOT_PLAIN = ("uniform_loss", "logit_alphas.unit", "keys_saturated", "key_rules_disagree", "ipr")
"""Values of these plug-ins that follow from others, or are defined for one model only."""
TOLERANCE = 1e-8
"""Relative. The plain side sums 113^3 products one after the other, and loses digits where it subtracts."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """Networks of one preset."""

    name: str
    preset: str
    keys: tuple[int, ...]
    members: int
    checkpoints: int
    plain: int
    """Networks that the plain side measures: it needs as long for each."""
    rounds: int


SETTINGS = (
    Setting(name="transformer, p = 113, 1 checkpoint", preset="nanda2023", keys=(14, 35, 41, 42, 52), members=1,
            checkpoints=1, plain=1, rounds=7),
    Setting(name="quadratic MLP, p = 23, 64 members x 4 checkpoints", preset="quad23", keys=(2, 5, 9), members=64,
            checkpoints=4, plain=16, rounds=3),
)  # fmt: skip


def subjects(setting: Setting) -> list[Subject]:
    """Members that share task and model and differ in their seeds, each at several checkpoints."""
    study, found = compose_study([f"preset={setting.preset}"]), []
    for seed in range(setting.members):
        spec = study.trial({"seed": seed})
        data = spec.task.data(spec.seeds)
        for checkpoint in range(setting.checkpoints):
            drawn = spec.model.init(data.shape, seed + setting.members * checkpoint)
            params = {name: tensor.double() for name, tensor in drawn.items()}
            found.append(Subject(spec=spec, data=data, params=params, key_freqs=setting.keys))
    return found


def plain(subject: Subject) -> dict[str, float]:
    assert subject.key_freqs is not None
    p = subject.data.shape.classes
    return plain_measures.measures(subject, random_key_sets(subject.spec.seeds.init, p, len(subject.key_freqs)))


def check_equal(subject: Subject) -> int:
    """Values compared. Raises SystemExit at the first that differs."""
    expected, compared = plain(subject), 0
    for value in measure_network(subject, COMPARED):
        name = f"key_freqs {value.protocol}" if value.measure == "key_freqs" else value.measure
        if value.measure in NOT_PLAIN or value.value is None:
            continue
        if not math.isclose(value.value, expected[name], rel_tol=TOLERANCE, abs_tol=1e-12):
            raise SystemExit(f"{name}: {value.value} is not the notebook's {expected[name]}.")
        compared += 1
    return compared


def seconds(measure: Callable[[Subject], object], some: Sequence[Subject], rounds: int) -> float:
    """Per network; the median over rounds. Every round measures copies, which no cache knows."""
    taken = []
    for _ in range(rounds):
        copies = [dataclasses.replace(subject) for subject in some]
        start = time.perf_counter()
        for subject in copies:
            measure(subject)
        taken.append((time.perf_counter() - start) / len(some))
    return statistics.median(taken)


def result(setting: Setting, quick: bool) -> dict[str, object]:
    every = subjects(setting)
    compared = check_equal(every[0])
    few, rounds = (every[:8], 1) if quick else (every, setting.rounds)
    reference = seconds(plain, every[: setting.plain], 1)
    ours = seconds(lambda subject: measure_network(subject, COMPARED), few, rounds)
    return {
        "name": setting.name,
        "networks": len(few),
        "values": compared,
        "plain": reference,
        "ours": ours,
        "ratio": reference / ours,
        "default": seconds(measure_network, few, rounds),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--quick", action="store_true", help="few networks, nothing written")
    parser.add_argument("--threads", type=int, default=os.cpu_count(), help="of both sides (default: the cores)")
    asked = parser.parse_args()
    torch.set_num_threads(asked.threads)
    results = [record.rounded(result(setting, asked.quick)) for setting in SETTINGS]
    numbers = {"threads": asked.threads, "results": results}
    print(tables.measure_table(numbers))
    if not asked.quick and asked.threads == os.cpu_count():
        record.write("measures", numbers)


if __name__ == "__main__":
    main()
