"""TrialSpec: everything that a trial's numbers depend on, and nothing else."""

from __future__ import annotations

import dataclasses
import math
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from grokstudy.spec import plugins
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Loss, Model, Optimizer, Plugin, Regularizer, Task

FORK = re.compile(r"([0-9a-f]{16})@(0|[1-9][0-9]*)(\+[1-9][0-9]*)?")
"""A parent as it enters a trial_id: its full trial_id and a step; then, of a parent that is itself a fork with its
parent's optimizer state, the updates that this state had seen before the parent's first one."""
REFERENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*@(0|[1-9][0-9]*|end|t_mem|t_gen)")
"""A parent as a person names it: planning looks it up in the study folders and puts a `FORK` in its place."""


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

    scale: float = setting(1.0, neutral=1.0, per_member=True, help="factor on every initial weight and bias")
    from_: str | None = setting(
        None,
        neutral=None,
        per_member=True,
        help="TRIAL@STEP or STUDY@STEP: a fork starts from this checkpoint; null = drawn weights",
    )
    optimizer_state: Literal["reset", "keep"] = setting(
        "reset", neutral="reset", help="of a fork: keep also goes on with the parent's optimizer state and step count"
    )

    def __post_init__(self) -> None:
        if self.scale <= 0:
            raise BadInput(f"init.scale: got {self.scale}, must be > 0.")
        if self.from_ is None and self.optimizer_state == "keep":
            raise BadInput("init.optimizer_state: got keep, but there is no parent to keep it from; set init.from.")
        if self.from_ is not None and not (self.is_resolved or REFERENCE.fullmatch(self.from_)):
            raise BadInput(
                f"init.from: got '{self.from_}', must be TRIAL@STEP or STUDY@STEP, e.g. 3f2a@400, with a step "
                "that has a checkpoint, or end, t_mem or t_gen."
            )

        if "+" in (self.from_ or "") and self.optimizer_state == "reset":
            raise BadInput(
                f"init.from: got '{self.from_}', +UPDATES only means something with init.optimizer_state=keep."
            )

    @property
    def is_resolved(self) -> bool:
        """False while `from_` still has to be looked up; such an Init is only good for checking a config."""
        return self.from_ is None or FORK.fullmatch(self.from_) is not None

    @property
    def parent(self) -> tuple[str, int] | None:
        """The parent's trial_id and the step of its weights."""
        if self.from_ is None:
            return None
        match = self._match()
        return match[1], int(match[2])

    @property
    def offset(self) -> int:
        """Updates that the optimizer has made before this trial's first one, in its parent and that one's parents."""
        if self.from_ is None or self.optimizer_state == "reset":
            return 0
        match = self._match()
        return int(match[2]) + int(match[3] or 0)

    def _match(self) -> re.Match[str]:
        match = FORK.fullmatch(self.from_ or "")
        if match is None:
            raise ValueError(f"init.from: '{self.from_}' has not been looked up in a study folder yet.")
        return match


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Noise:
    """Gaussian noise added after every update: theta += sqrt(2 lr T) xi.

    With `optimizer=langevin` T is a temperature; after any other update rule it is an amplitude.
    Source: Welling & Teh 2011 (SGLD), equation 4 with T = 1 / (number of rows).
    """

    temperature: float = setting(0.0, neutral=0.0, per_member=True, help="T at the start; 0 = no noise")
    schedule: Literal["const", "linear", "exponential", "cosine"] = setting(
        "const", neutral="const", help="how T goes from temperature to end within horizon updates"
    )
    horizon: int | None = setting(None, neutral=None, per_member=True, help="updates until T reaches end")
    end: float = setting(0.0, neutral=0.0, per_member=True, help="T from horizon on")

    def __post_init__(self) -> None:
        for name in ("temperature", "end"):
            if getattr(self, name) < 0:
                raise BadInput(f"noise.{name}: got {getattr(self, name)}, a temperature must be >= 0.")
        if self.schedule == "const":
            if self.horizon is not None or self.end != 0:
                raise BadInput(
                    "noise.horizon, noise.end: nothing reads them with noise.schedule=const; leave them out."
                )
        elif self.horizon is None or self.horizon < 1:
            raise BadInput(f"noise.horizon: got {self.horizon}, noise.schedule={self.schedule} needs updates >= 1.")
        elif self.temperature == 0 and self.end == 0:
            raise BadInput(f"noise.temperature: got 0, so noise.schedule={self.schedule} changes nothing; raise it.")
        if self.schedule != "const" and self.temperature == self.end:
            raise BadInput(f"noise.end: got {self.end}, equals noise.temperature; use noise.schedule=const.")
        if self.schedule == "exponential" and (self.end == 0 or self.temperature == 0):
            raise BadInput("noise.end: an exponential schedule needs noise.temperature > 0 and noise.end > 0.")

    @property
    def acts(self) -> bool:
        """Whether any update is noisy."""
        return self.temperature > 0 or self.end > 0

    def at(self, step: int) -> float:
        """T of the update made after `step` updates. A function of the step, never of the budget."""
        if self.schedule == "const" or self.horizon is None:
            return self.temperature
        done = min(step / self.horizon, 1.0)
        if self.schedule == "exponential":
            return float(self.temperature * (self.end / self.temperature) ** done)
        left = (1 + math.cos(math.pi * done)) / 2 if self.schedule == "cosine" else 1 - done
        return self.end + (self.temperature - self.end) * left


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
    noise: Noise = dataclasses.field(default_factory=Noise)
    seed: int = 0
    seeds: Seeds = dataclasses.field(default_factory=Seeds)
    batch_size: int | None = setting(None, neutral=None, help="rows per update; null = all train rows")
    engine: Numerics = dataclasses.field(default_factory=Numerics)

    def __post_init__(self) -> None:
        scale, shape = self.model.output_scale, self.task.shape()
        if not scale > 0:
            raise BadInput(f"model.output_scale: got {scale}, must be > 0 (1 = the logits as they are).")
        self.model.check(shape)
        self.loss.check(shape)
        self._check_optimizer()
        for name, strength in self.strengths().items():
            if strength > 0:
                term = plugins.load("regularizers", name)()
                assert isinstance(term, Regularizer)
                term.check(self, strength)
        rows = self.task.train_rows()
        if self.batch_size is not None and not 1 <= self.batch_size <= rows:
            raise BadInput(f"batch_size: got {self.batch_size}, must be 1..{rows} (the train rows) or null for all.")

    def strengths(self) -> dict[str, float]:
        """Strength of every regularization term as trained with: weight decay follows `optimizer.fix_lr_wd`."""
        fixed = self.optimizer.fix_lr_wd
        strengths = dict(self.regularization)
        return strengths if fixed is None else strengths | {"weight_decay": fixed / self.lr}

    @property
    def lr(self) -> float:
        """The learning rate after warm-up; 0 for an optimizer that has none."""
        return float(getattr(self.optimizer, "lr", 0.0))

    @property
    def is_random(self) -> bool:
        """Whether training draws from `seeds.noise`."""
        return self.noise.acts or not self.optimizer.uses_gradient or self.regularization.get("dropout", 0.0) > 0

    def _check_optimizer(self) -> None:
        optimizer = self.optimizer
        if optimizer.fix_lr_wd is not None:
            if not optimizer.fix_lr_wd > 0 or self.lr == 0:
                raise BadInput(
                    f"optimizer.fix_lr_wd: got {optimizer.fix_lr_wd}, must be > 0, with an optimizer that has lr."
                )
            if self.regularization["weight_decay"] > 0:
                raise BadInput(
                    "optimizer.fix_lr_wd: sets weight_decay = fix_lr_wd / lr; set regularization.weight_decay=0."
                )
        if optimizer.filter != "none" and not optimizer.uses_gradient:
            raise BadInput(f"optimizer.filter: got {optimizer.filter}, but this optimizer uses no gradient to filter.")
        reads = {"grokfast_ema": ("filter_alpha", "filter_lamb"), "grokfast_ma": ("filter_lamb", "filter_window")}
        for field in dataclasses.fields(Optimizer):
            changed = getattr(optimizer, field.name) != field.default
            if field.name.startswith("filter_") and changed and field.name not in reads.get(optimizer.filter, ()):
                raise BadInput(f"optimizer.{field.name}: nothing reads it with optimizer.filter={optimizer.filter}.")
        if not 0 <= optimizer.filter_alpha < 1:
            raise BadInput(f"optimizer.filter_alpha: got {optimizer.filter_alpha}, must be in [0, 1).")
        if not 0 < optimizer.filter_lamb < float("inf"):
            raise BadInput(f"optimizer.filter_lamb: got {optimizer.filter_lamb}, must be > 0.")
        if optimizer.filter_window < 1:
            raise BadInput(f"optimizer.filter_window: got {optimizer.filter_window}, must be >= 1.")
        if self.noise.acts and self.lr == 0:
            raise BadInput("noise.temperature: noise scales with the learning rate, and this optimizer has none.")
        optimizer.check(self)


def plugin_name(plugin: Plugin) -> str:
    """The name a plug-in goes by in configs: its file's name."""
    return type(plugin).__module__.rpartition(".")[2]
