"""A zoo of networks whose algorithm is known: grokked, memorised, with random labels, untrained; all trained here."""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, Literal

from grokstudy.circuits._network import accuracy, network
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec
from tests.packs import Trained, run
from tests.trials import trial

State = Literal["grokked", "memorised", "random", "untrained"]

KNOWS = 0.95
"""Accuracy from which a split counts as known."""
GUESSES = 0.4
"""Share of the way from chance to 1 below which the test rows count as unknown."""


@dataclasses.dataclass(frozen=True, slots=True)
class Enclosure:
    """Trainings of one shape that are stepped together."""

    name: str
    preset: str
    changes: Mapping[str, Any]
    variants: Sequence[Mapping[str, Any]]
    """Further changes; every variant is trained with every seed."""
    seeds: int
    """How many: 10, 11, ... Thresholds of detectors were chosen on networks of seeds 0, 1 and 2."""
    steps: int
    """A step with a scheduled checkpoint."""
    algorithm: str
    """What those that generalise run, by construction of task and model."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Specimen:
    """One network with what is known of it."""

    name: str
    state: State
    algorithm: str
    """An entry of `LABELS`."""
    subject: Subject


FIRST_SEED = 10
USUAL: Mapping[str, Any] = {}
RANDOM = {"task.label_noise": 1.0}
NO_DECAY = {"regularization.weight_decay": 0.0}
PRIME31 = {"task.p": 31, "model.width": 256}
INDUCTION = {
    "task.tokens": 16,
    "task.length": 12,
    "task.block": 4,
    "task.train": 1024,
    "task.test": 300,
    "model.d_model": 32,
    "model.n_heads": 2,
    "optimizer.lr": 0.01,
}
EMBEDDED = {
    "model": {"name": "embed_mlp", "d_embed": 64, "width": 128, "embedding": "shared", "combine": "sum"},
    "task.p": 31,
    "task.frac_train": 0.7,
    "optimizer.lr": 0.003,
}


def group(name: str, frac_train: float) -> dict[str, Any]:
    return {"task.group": name, "task.frac_train": frac_train}


def attention(rate: float) -> dict[str, Any]:
    return {"task.p": 31, "model.d_model": 64, "model.d_mlp": 128, "optimizer.lr": 0.003, "model.attn_rate": rate}


ENCLOSURES = (
    Enclosure("quad23", "quad23", {}, (USUAL, RANDOM, NO_DECAY), 3, 900, "fourier"),
    Enclosure("random table", "quad23", {"task.op": "random"}, (USUAL,), 2, 700, "fourier"),
    Enclosure("sums and differences", "quad41", {}, (USUAL, {"task.op": "sub"}), 2, 300, "fourier"),
    Enclosure("products", "quad23", {**PRIME31, "task.op": "mul"}, (USUAL, RANDOM), 2, 900, "fourier"),
    Enclosure("quotients", "quad23", {**PRIME31, "task.op": "div"}, (USUAL,), 2, 900, "fourier"),
    Enclosure("equals sign", "small31", {}, (USUAL,), 3, 1500, "clock"),
    Enclosure("attention", "zhong2023", attention(1.0), (USUAL,), 5, 1500, "clock"),
    Enclosure("no attention", "zhong2023", attention(0.0), (USUAL,), 4, 1500, "pizza"),
    Enclosure("embedded sum", "small31", EMBEDDED, (USUAL, RANDOM), 3, 3000, "pizza"),
    Enclosure("S4", "group_s4", group("S4", 0.6), (USUAL, RANDOM), 3, 1500, "irrep"),
    Enclosure("D12", "group_s4", group("D12", 0.5), (USUAL,), 2, 1000, "irrep"),
    Enclosure("A5", "group_s4", group("A5", 0.5), (USUAL,), 2, 300, "irrep"),
    Enclosure("parity", "parity30", {"optimizer.lr": 0.01}, (USUAL, RANDOM, NO_DECAY), 4, 3000, "sparse_input"),
    Enclosure("induction", "induction", INDUCTION, (USUAL,), 3, 200, "induction_head"),
    Enclosure(
        "induction from few rows", "induction", {**INDUCTION, "task.train": 64}, (USUAL,), 2, 200, "induction_head"
    ),
)
QUICK = ("quad23", "embedded sum", "S4", "parity")
"""Enclosures that are trained in seconds."""


def zoo(names: Collection[str] | None = None) -> Iterator[Specimen]:
    """Trains the enclosures of these names (None for all) and yields what came out of each training."""
    for enclosure in ENCLOSURES:
        if names is None or enclosure.name in names:
            yield from specimens(enclosure)


def specimens(enclosure: Enclosure) -> Iterator[Specimen]:
    """Each trial's start, its first memorising checkpoint and its end, where these are clear cases."""
    specs = [
        trial(enclosure.preset, {**enclosure.changes, **variant}, seed=seed)
        for variant in enclosure.variants
        for seed in range(FIRST_SEED, FIRST_SEED + enclosure.seeds)
    ]
    for number, (spec, trained) in enumerate(zip(specs, run(specs, enclosure.steps).trials, strict=True)):
        for step, (state, subject) in _clear_cases(spec, trained).items():
            algorithm = {"grokked": enclosure.algorithm, "untrained": "unknown"}.get(state, "lookup_table")
            name = f"{enclosure.name} {number} at step {step}"
            yield Specimen(name=name, state=state, algorithm=algorithm, subject=subject)


def _clear_cases(spec: TrialSpec, trained: Trained) -> dict[int, tuple[State, Subject]]:
    data = spec.task.data(spec.seeds)
    cases: dict[int, tuple[State, Subject]] = {}
    for step, weights in sorted(trained.checkpoints.items()):
        params = {name: tensor.double() for name, tensor in weights.items()}
        subject = Subject(spec=spec, data=data, params=params, key_freqs=None, keys_reason="not_asked")
        state = "untrained" if step == 0 else _state(subject)
        known = {case for case, _ in cases.values()}
        if state is not None and (step == trained.step or state not in {*known, "grokked"}):
            cases[step] = state, subject
    return cases


def _state(subject: Subject) -> State | None:
    """None if it is neither clearly grokked nor clearly memorised."""
    net, task = network(subject), subject.spec.task
    train, test = accuracy(net.logits, net.train), accuracy(net.logits, net.test)
    if train >= KNOWS and test < 1 / net.p + GUESSES * (1 - 1 / net.p):
        is_random = getattr(task, "label_noise", 0.0) == 1 or getattr(task, "op", "") == "random"
        return "random" if is_random else "memorised"
    return "grokked" if test >= KNOWS else None
