"""What a plug-in of each kind must offer.

Concrete classes are frozen dataclasses and are never subclassed. Interfaces have no fields, but for the few settings
that every model or every optimizer has.

Nothing here imports torch, so that reading and checking a config is quick.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, ClassVar, Literal, Protocol

import numpy as np
from jaxtyping import Bool, Float, Int, Num

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting

if TYPE_CHECKING:
    import torch
    from torch import Tensor

    from grokstudy.spec.axes import Axis, Point
    from grokstudy.spec.rows import Outcome
    from grokstudy.spec.trial import Seeds, TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Plugin(ABC):  # noqa: B024  (each kind adds its own methods)
    """Base of every plug-in. Its docstring's first line is its description, its last line names the source."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Shape:
    """Shapes of a task that a model must fit."""

    positions: int
    """Inputs per row: tokens (2 for `a b`), or features when the inputs are real numbers."""
    vocab: int
    """Distinct input tokens; 0 when the inputs are real numbers."""
    classes: int
    """Possible values of an answer; numbers per answer when the targets are real."""
    answers: int = 0
    """0: one answer per row. n > 0: the row is a sequence with its own separators and has n answers, read at its last n
    positions; then labels, weights and logits have one more axis, `answers`, after `rows`."""
    real_targets: bool = False
    """Labels are real vectors of length `classes` (regression)."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TaskData:
    """All inputs of a task with their labels, and one split. Row r of a modular task is the pair (r // p, r % p).

    Labels are int64 [rows, *answers], or float64 [rows, *answers, classes] with real targets.
    """

    shape: Shape
    inputs: Num[np.ndarray, "rows positions"]
    """int64 tokens, or float64 features."""
    labels: Num[np.ndarray, "rows *answers"]
    """Clean labels of every row."""
    train: Int[np.ndarray, " train"]
    """Rows trained on, in the order of the seed's permutation (so that smaller train sets are prefixes of larger)."""
    test: Int[np.ndarray, " test"]
    """Rows tested on (clean labels). Empty when everything is trained on and nothing held out."""
    train_labels: Num[np.ndarray, "train *answers"]
    """Labels trained on: `labels[train]`, or corrupted."""
    weights: Float[np.ndarray, "rows *answers"] | None = None
    """Relative weight of every answer in the loss; None = equal. The engine makes those of a batch sum to 1."""
    slices: tuple[str, ...] = ()
    """Names of the parts that are evaluated apart (operations, digits ...)."""
    slice_of: Int[np.ndarray, "rows *answers"] | None = None
    """Index into `slices` of every answer."""
    tolerance: float = 0.0
    """With real targets: an answer is right if no number is off by this or more."""

    def train_mask(self) -> Bool[np.ndarray, " rows"]:
        return self._mask(self.train)

    def test_mask(self) -> Bool[np.ndarray, " rows"]:
        return self._mask(self.test)

    def _mask(self, rows: Int[np.ndarray, " n"]) -> Bool[np.ndarray, " rows"]:
        mask = np.zeros(len(self.labels), dtype=bool)
        mask[rows] = True
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

    def slices(self) -> tuple[str, ...]:
        """Names of the parts that are evaluated apart (operations, digits ...), as in its `TaskData`."""
        return ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Model(Plugin):
    """A network, written as if it were alone: pure functions of a dict of tensors. The engine maps it over a pack.

    Logits are [rows, outputs], or [rows, answers, outputs] for a task whose rows have several answers.
    """

    output_scale: float = setting(
        1.0, neutral=1.0, per_member=True, help="alpha: the loss reads alpha * logits (Kumar et al. 2024)"
    )
    subtract_start: bool = setting(
        False, neutral=False, help="the loss reads alpha * (logits - logits at the start) (Chizat et al. 2019)"
    )

    @abstractmethod
    def check(self, shape: Shape) -> None:
        """Raises BadInput if this model cannot learn a task of this shape."""

    @abstractmethod
    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        """Float64 parameters by name; each drawn by `draws.generator(seed, "init", name)`."""

    @abstractmethod
    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Num[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None = None,
        *,
        answers: int = 0,
    ) -> Float[Tensor, "rows *answers outputs"]:
        """Logits. `outputs` may exceed the task's classes (a transformer also scores its "=" token).

        `answers` is that of the task's `Shape`; a model that refuses several answers, or whose parameters say their
        number, need not read it. `keep` holds one mask [rows, ...] for every site of `dropout_sites`, to be multiplied
        into that activation; its entries are 0 or 1 / (1 - dropout). None = nothing is dropped.
        """

    @abstractmethod
    def activations(
        self,
        params: Mapping[str, Tensor],
        inputs: Num[Tensor, "rows positions"],
        *,
        answers: int = 0,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """Named activations of one forward pass, TransformerLens names where the field has them.

        Always holds `logits`, and `neurons` [rows, *answers, width]: the last hidden layer after its non-linearity,
        which `W_L` maps to logits. With tokens also `hook_embed` [rows, positions, width]: the embedding of every token
        of the task (a token's row of the first matrix, where the input is one-hot).

        `patch` replaces activations by name, in the shape in which they are returned, before the pass goes on. All but
        `logits` and attention patterns can be replaced; any other name raises BadInput.
        """

    @abstractmethod
    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        """The matrices that Fourier measures read."""

    @abstractmethod
    def last_layer(self) -> str:
        """Name of the parameter that produces the logits."""

    def dropout_sites(self, shape: Shape) -> Mapping[str, tuple[int, ...]]:
        """Activations that `regularization.dropout` drops, by name, with their shape per row; empty = it has none."""
        return {}

    def hidden_matrices(self) -> Sequence[str]:
        """Parameters that are matrices between hidden layers, in the order of `init`: what Muon orthogonalises.

        Each has two axes, or three with heads first ([heads, d_model, d_head]: one matrix per head).
        """
        return ()

    def embeddings(self) -> Sequence[str]:
        """Parameters that are tables with a learned vector per token; empty = it has none."""
        return ()

    def gradient_by_hand(self, shape: Shape) -> HandWritten | None:
        """The gradient written out, where that beats automatic differentiation; None = it is derived from `apply`."""
        return None


class HandWritten(Protocol):
    """The gradient of a model, written out for one member: its packmates cannot change it."""

    def prepare(self, inputs: Num[Tensor, "members rows positions"], dtype: torch.dtype) -> tuple[Tensor, ...]:
        """What can be computed from the inputs once, e.g. their one-hot form; first axis members everywhere."""

    def logits(
        self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]
    ) -> Float[Tensor, "rows *answers outputs"]:
        """Those of `apply`, up to rounding; evaluations read these."""

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Num[Tensor, "rows *answers"],
        weights: Float[Tensor, "rows *answers"],
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
    """A loss per answer and its gradient with respect to the logits, in closed form.

    Labels are class indices [*batch], or real vectors [*batch, outputs] where the loss takes them (`check`).
    """

    def check(self, shape: Shape) -> None:
        """Raises BadInput if this loss cannot compare with the labels of such a task. Here: it wants classes."""
        if shape.real_targets:
            raise BadInput("loss: this task has real targets, so there are no classes to score. Use loss=mse.")

    @abstractmethod
    def per_row(
        self, logits: Float[Tensor, "*batch outputs"], labels: Num[Tensor, "*batch"]
    ) -> Float[Tensor, " *batch"]:
        """Loss of each answer in the loss's own precision (nats for cross entropies)."""

    @abstractmethod
    def logit_gradient(
        self, logits: Float[Tensor, "*batch outputs"], labels: Num[Tensor, "*batch"]
    ) -> Float[Tensor, "*batch outputs"]:
        """d per_row / d logits in the dtype of the logits."""

    def collapsed(self, logits: Float[Tensor, "*batch outputs"]) -> Bool[Tensor, " *batch"] | None:
        """Where softmax has collapsed: one output absorbs all others in the loss's precision, so that their gradient is
        exactly zero (Prieto et al. 2025, section 3). None if the loss has no softmax."""
        return None


@dataclasses.dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Step:
    """What one update reads and writes. Lane i of every tensor belongs to member i."""

    params: Float[Tensor, "members size"]
    """Updated in place."""
    grads: Float[Tensor, "members size"]
    """Gradient of the loss and all coupled terms, filtered. Not to be changed."""
    state: Mapping[str, Tensor]
    """The tensors of `state_names`, updated in place."""
    number: int
    """Updates made before this one."""
    settings: Mapping[str, Float[Tensor, "members 1 *more"]]
    """A float64 column for every per-member field of the optimizer (tuples: [members, 1, n]); `lr_now`, the lr after
    warm-up; `weight_decay`."""
    shapes: Sequence[tuple[str, tuple[int, ...]]]
    """Names and shapes of the model's tensors in the order in which they lie in a row of `params`."""
    hidden: Sequence[str]
    """`Model.hidden_matrices()`."""
    embeddings: Sequence[str]
    """`Model.embeddings()`."""
    normal: Callable[[str], Float[Tensor, "members size"]]
    """Standard normal numbers, a function of (seeds.noise, the name given, step): one row per member."""
    uniform: Callable[[str], Float[Tensor, "members 1"]]
    """One uniform number per member, likewise."""
    energy: Callable[[Float[Tensor, "members size"]], Float[Tensor, "members 1"]]
    """Loss on this update's rows plus the energies of all terms, float64, at any parameters."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Optimizer(Plugin):
    """An update rule over flat parameters of a pack; settings may differ between members."""

    fix_lr_wd: float | None = setting(
        None, neutral=None, per_member=False, help="lr times weight decay: sets weight_decay to fix_lr_wd / lr"
    )
    filter: Literal["none", "orthograd", "grokfast_ema", "grokfast_ma"] = setting(
        "none", neutral="none", help="what is done to the loss's gradient before the optimizer sees it"
    )
    filter_alpha: float = setting(0.98, neutral=0.98, help="grokfast_ema: decay of the average")
    filter_lamb: float = setting(2.0, neutral=2.0, help="grokfast: weight of the slow part (MA in the paper: 5)")
    filter_window: int = setting(100, neutral=100, help="grokfast_ma: updates averaged over")

    uses_gradient: ClassVar[bool] = True
    """False if the update reads `Step.energy` alone; the gradient is then not computed."""

    @abstractmethod
    def state_names(self) -> Sequence[str]:
        """Names of the state tensors, each of the shape of the parameters and zero at the start."""

    @abstractmethod
    def update(self, step: Step) -> None:
        """One step in place. Members are independent rows: no arithmetic crosses them."""

    @abstractmethod
    def lr_factor(self, step: int) -> float:
        """Factor on lr for the update that turns step into step + 1 (warm-up)."""

    def undecayed(self, model: Model) -> Sequence[str]:
        """Tensors of the model that decoupled decay leaves alone."""
        return ()

    def check(self, spec: TrialSpec) -> None:
        """Raises BadInput if this optimizer cannot train such a trial (no hidden matrix, no energy ...)."""


class Regularizer(Plugin):
    """One term of the `regularization` record; the file name is the field, its strength a number per member.

    A term acts at any of the places below; those it does not define do nothing.
    """

    exact_at_zero: ClassVar[bool]
    """True if strength 0 leaves every bit as it is, so that members with and without it may share a pack."""
    needs_start: ClassVar[bool] = False
    """True if it reads the weights that training started from."""

    def check(self, spec: TrialSpec, strength: float) -> None:
        """Raises BadInput if the term cannot act in such a trial at this strength (which is > 0)."""

    def gradient(self, params: Tensor, strength: Float[Tensor, "members 1"]) -> Tensor | None:
        """What it adds to the gradient, or None."""
        return None

    def energy(
        self, params: Float[Tensor, "members size"], strength: Float[Tensor, "members 1"]
    ) -> Float[Tensor, "members 1"] | None:
        """What it adds to the energy that Metropolis samples, float64; None if it has none."""
        return None

    def decay(
        self,
        params: Float[Tensor, "members size"],
        start: Float[Tensor, "members size"] | None,
        lr: Float[Tensor, "members 1"],
        strength: Float[Tensor, "members 1"],
    ) -> None:
        """What it does to the parameters, in place, before the optimizer's update."""
        return None

    def project(
        self,
        params: Float[Tensor, "members size"],
        start: Float[Tensor, "members size"] | None,
        strength: Float[Tensor, "members 1"],
    ) -> None:
        """What it does to the parameters, in place, after the optimizer's update."""
        return None

    def drop_rate(self, strength: Float[Tensor, "members 1"]) -> Float[Tensor, "members 1"] | None:
        """Share of activations dropped at the model's `dropout_sites`; None = drops nothing."""
        return None


class Sampler(Plugin):
    """Proposes the points of a study. Pure: the same arguments give the same points."""

    @abstractmethod
    def check(self, axes: Sequence[Axis]) -> None:
        """Raises BadInput if an axis does not fit this sampler (an interval on a grid)."""

    @abstractmethod
    def propose(self, axes: Sequence[Axis], start: int, told: Sequence[Outcome]) -> list[Point] | None:
        """Points number `start`, `start + 1`, ...; None when there are no more.

        Point i is a function of the settings, the axes and i. `told` is read by nobody: a sampler that learns from
        outcomes is an `AdaptiveSampler` (`spec/proposal.py`).
        """
