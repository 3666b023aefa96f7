"""TrialSpec: everything that a trial's numbers depend on, and nothing else."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping
from typing import Literal

from grokstudy.spec import plugins
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Loss, Model, Optimizer, Plugin, Task


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Seeds:
    """The four streams of randomness. `seed` (the master) sets each that is not given."""

    data: int = setting(0, help="split and label noise")
    init: int = setting(0, help="initial weights")
    batch: int = setting(0, help="order of mini-batches")
    noise: int = setting(0, help="noise added to updates")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Init:
    """How weights start."""

    scale: float = setting(1.0, neutral=1.0, per_member=True, help="factor on every initial weight")

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise BadInput(f"init.scale: got {self.scale}, must be > 0.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Numerics:
    """Settings of the engine that change a trial's numbers."""

    dtype: Literal["float32", "float64"] = setting(
        "float32", neutral="float32", help="precision of weights and updates"
    )


@dataclasses.dataclass(frozen=True, slots=True)
class Regularization(Mapping[str, float]):
    """Strength of every term in `regularizers/`; terms combine, and a term that is not named has strength 0."""

    strengths: tuple[tuple[str, float], ...] = ()

    def __post_init__(self) -> None:
        known = plugins.names("regularizers")
        given = dict(self.strengths)
        for name, strength in given.items():
            if name not in known:
                raise unknown(f"regularization.{name}", name, known)
            if not 0 <= strength < float("inf"):
                raise BadInput(f"regularization.{name}: got {strength}, must be a number >= 0.")
        object.__setattr__(self, "strengths", tuple((name, float(given.get(name, 0.0))) for name in known))

    def __getitem__(self, name: str) -> float:
        return dict(self.strengths)[name]

    def __iter__(self) -> Iterator[str]:
        return iter(name for name, _ in self.strengths)

    def __len__(self) -> int:
        return len(self.strengths)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialSpec:
    """One training. Budget, evaluation, packs, threads and storage are not part of it: they never change its
    numbers."""

    task: Task
    model: Model
    optimizer: Optimizer
    regularization: Regularization = dataclasses.field(default_factory=Regularization)
    loss: Loss
    init: Init = dataclasses.field(default_factory=Init)
    seed: int = 0
    seeds: Seeds = dataclasses.field(default_factory=Seeds)
    batch_size: int | None = setting(None, neutral=None, help="rows per update; null = all train rows")
    engine: Numerics = dataclasses.field(default_factory=Numerics)

    def __post_init__(self) -> None:
        self.model.check(self.task.shape())
        rows = self.task.train_rows()
        if self.batch_size is not None and not 1 <= self.batch_size <= rows:
            raise BadInput(f"batch_size: got {self.batch_size}, must be 1..{rows} (the train rows) or null for all.")


def plugin_name(plugin: Plugin) -> str:
    """The name a plug-in goes by in configs: its file's name."""
    return type(plugin).__module__.rpartition(".")[2]
