"""What a plug-in of each kind must offer.

Interfaces have no fields; concrete classes are frozen dataclasses and are never subclassed.

Nothing here imports torch, so that reading and checking a config is quick.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from grokstudy.spec.axes import Axis, Point
    from grokstudy.spec.rows import MeasureValue, Outcome
    from grokstudy.spec.trial import Seeds, TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plugin(ABC):  # noqa: B024  (each kind adds its own methods)
    """Base of every plug-in. Its docstring's first line is its description, its last line names the source."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Shapes of a task that a model must fit."""

    positions: int
    """Inputs per row (2 for `a b`)."""
    vocab: int
    """Distinct input tokens; 0 when the inputs are real numbers."""
    classes: int
    """Answers."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TaskData:
    """All inputs of a task with their labels, and one split. Row r of a modular task is the pair (r // p, r % p)."""

    shape: Shape
    inputs: Int[np.ndarray, "rows positions"]
    labels: Int[np.ndarray, " rows"]
    """Clean labels of every row."""
    train: Int[np.ndarray, " train"]
    """Rows trained on, in the order of the seed's permutation (so that smaller train sets are prefixes of larger)."""
    test: Int[np.ndarray, " test"]
    """Rows tested on (clean labels). Empty when everything is trained on and nothing held out."""
    train_labels: Int[np.ndarray, " train"]
    """Labels trained on: `labels[train]`, or corrupted."""

    def train_mask(self) -> Bool[np.ndarray, " rows"]:
        mask = np.zeros(len(self.labels), dtype=bool)
        mask[self.train] = True
        return mask


class Task(Plugin):
    """A finite input-output rule with its split."""

    @abstractmethod
    def shape(self) -> Shape:
        """Shapes that the model must fit. Depends on the task's settings only."""

    @abstractmethod
    def data(self, seeds: Seeds) -> TaskData:
        """Inputs, labels and split: a pure function of the task's settings and `seeds.data`."""

    @abstractmethod
    def rows(self) -> int:
        """Number of rows, without drawing anything."""

    @abstractmethod
    def train_rows(self) -> int:
        """Number of train rows, without drawing anything."""


class Model(Plugin):
    """A network, written as if it were alone: pure functions of a dict of tensors. The engine maps it over a pack."""

    @abstractmethod
    def check(self, shape: Shape) -> None:
        """Raises BadInput if this model cannot learn a task of this shape."""

    @abstractmethod
    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        """Float64 parameters by name; each drawn by `draws.generator(seed, "init", name)`."""

    @abstractmethod
    def apply(
        self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"]
    ) -> Float[Tensor, "rows outputs"]:
        """Logits. `outputs` may exceed the task's classes (a transformer also scores its "=" token)."""

    @abstractmethod
    def activations(self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"]) -> dict[str, Tensor]:
        """Named activations of one forward pass, TransformerLens names where the field has them.

        Always holds `neurons` [rows, width]: the last hidden layer after its non-linearity, which `W_L` maps to logits.
        """

    @abstractmethod
    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        """The matrices that Fourier measures read."""

    @abstractmethod
    def last_layer(self) -> str:
        """Name of the parameter that produces the logits."""

    def gradient_by_hand(self, shape: Shape) -> HandWritten | None:
        """The gradient written out, where that beats automatic differentiation; None = it is derived from `apply`."""
        return None


class HandWritten(Protocol):
    """The gradient of a model, written out for one member: its packmates cannot change it."""

    def prepare(self, inputs: Int[Tensor, "members rows positions"], dtype: torch.dtype) -> tuple[Tensor, ...]:
        """What can be computed from the inputs once, e.g. their one-hot form; first axis members everywhere."""

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Int[Tensor, " rows"],
        weights: Float[Tensor, " rows"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        """Writes d sum(weights * loss) / d params of one member into `out`, by name; equals that of `apply`.

        `params` and `out` are contiguous views with the model's shapes; `prepared` is this member's.
        """


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class ReadMatrices:
    """Embedding and neuron-to-logit map over the p answers."""

    W_E: Float[Tensor, "width vocab"]
    """Embedding of the residues. For a quadratic MLP: the two input blocks U and V stacked along the width."""
    W_L: Float[Tensor, "classes neurons"]
    """Neuron-logit map: logits = W_L @ neurons, skip connections aside."""


class Loss(Plugin):
    """A loss per row and its gradient with respect to the logits, in closed form."""

    @abstractmethod
    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, " *batch"]:
        """Loss of each row in the loss's own precision (nats for cross entropies)."""

    @abstractmethod
    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Int[Tensor, " *batch"]
    ) -> Float[Tensor, "*batch outputs"]:
        """d per_row / d logits in the dtype of the logits."""


class Optimizer(Plugin):
    """An update rule over flat parameters of a pack; settings may differ between members."""

    @abstractmethod
    def state_names(self) -> Sequence[str]:
        """Names of the state tensors, each of the shape of the parameters and zero at the start."""

    @abstractmethod
    def update(
        self,
        params: Float[Tensor, "members size"],
        grads: Float[Tensor, "members size"],
        state: Mapping[str, Tensor],
        step: int,
        settings: Mapping[str, Tensor],
    ) -> None:
        """One step in place. `step` counts the updates done before; `settings` has a column [members, 1] (tuples:
        [members, 1, n]) in the parameters' dtype for every per-member field, and `lr_now`, the lr after warm-up."""

    @abstractmethod
    def lr_factor(self, step: int) -> float:
        """Factor on lr for the update that turns step into step + 1 (warm-up)."""


class Regularizer(Plugin):
    """One term of the `regularization` record; the file name is the field, its strength a number per member."""

    exact_at_zero: ClassVar[bool]
    """True if strength 0 leaves every bit as it is, so that members with and without it may share a pack."""

    @abstractmethod
    def gradient(self, params: Tensor, strength: Float[Tensor, "members 1"]) -> Tensor | None:
        """What it adds to the gradient, or None."""

    @abstractmethod
    def decay(self, params: Tensor, lr: Float[Tensor, "members 1"], strength: Float[Tensor, "members 1"]) -> None:
        """What it does to the parameters, in place, before the optimizer's update."""


class Sampler(Plugin):
    """Proposes the points of a study. Pure: the same arguments give the same points."""

    @abstractmethod
    def propose(self, axes: Sequence[Axis], start: int, told: Sequence[Outcome]) -> list[Point] | None:
        """Points number `start`, `start + 1`, ... that can be given now; None when there are no more.

        Index-based samplers ignore `told` and return all remaining points at once; an adaptive one returns an empty
        list while it waits for outcomes.
        """

    @abstractmethod
    def check(self, axes: Sequence[Axis]) -> None:
        """Raises BadInput if an axis does not fit this sampler (an interval on a grid)."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Subject:
    """What a measure looks at: one network at one step, on its own task and split."""

    spec: TrialSpec
    data: TaskData
    params: Mapping[str, Tensor]
    """Float64, on the CPU."""
    key_freqs: tuple[int, ...] | None
    """Key frequencies of the trial's last generalised checkpoint; None if there are none (then `keys_reason` says
    why)."""
    keys_reason: str | None = None


class Measure(Plugin):
    """One family of post-hoc numbers: a pure function of a network."""

    version: ClassVar[int]
    """Raised when the numbers change; stored with every value."""
    names: ClassVar[tuple[str, ...]]
    """Names of the values that `measure` returns."""

    @abstractmethod
    def applies(self, spec: TrialSpec) -> str | None:
        """None if the measure is defined for such trials, else the reason why not."""

    @abstractmethod
    def measure(self, subject: Subject) -> list[MeasureValue]:
        """The values. A value that is undefined here has `value=None` and a reason."""


ROOMS: Mapping[str, type[Plugin]] = {
    "tasks": Task,
    "models": Model,
    "losses": Loss,
    "optimizers": Optimizer,
    "regularizers": Regularizer,
    "samplers": Sampler,
    "circuits": Measure,
}
"""The plug-in rooms and the interface of each."""

GROUPS: Mapping[str, Literal["tasks", "models", "losses", "optimizers", "samplers"]] = {
    "task": "tasks",
    "model": "models",
    "loss": "losses",
    "optimizer": "optimizers",
    "sampler": "samplers",
}
"""Config groups whose options are plug-ins, with their rooms."""
