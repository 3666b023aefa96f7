"""The loss a trial is trained on, as a function of its weights: value, gradient and curvature in float64.

It is the mean over all train rows, with the labels trained on and the task's weights, of the trial's own loss over all
outputs, in that loss's own precision. Nothing is dropped, and no regularization term is part of it.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Protocol

import torch
from jaxtyping import Float, Num
from torch import Tensor

from grokstudy.spec.interfaces import Loss, Model, TaskData
from grokstudy.spec.measure import Subject

NO_START = "no_start"
NO_GRADIENT = "no_gradient"


class Landscape(Protocol):
    """A loss over flat vectors of weights."""

    def loss_and_gradient(self, w: Float[Tensor, " size"]) -> tuple[float, Float[Tensor, " size"]]:
        """The loss at `w` and its gradient there."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class TrainLoss:
    """A trial's loss on its train rows."""

    model: Model
    loss: Loss
    inputs: Num[Tensor, "rows positions"]
    labels: Num[Tensor, "rows *answers"]
    weights: Float[Tensor, "rows *answers"]
    """They sum to 1."""
    answers: int
    start: Float[Tensor, "rows *answers outputs"] | None
    """f0: the logits at the start, where the loss reads alpha (f - f0); None = nothing is subtracted."""
    shapes: Sequence[tuple[str, torch.Size]]
    """The parameters in the order in which they lie in a flat vector."""

    @classmethod
    def of(cls, subject: Subject) -> TrainLoss:
        """That of the subject's trial; where f0 is subtracted its weights at step 0 must be known (`unless_start`)."""
        data, model = subject.data, subject.spec.model
        inputs, answers = model_inputs(data)[torch.from_numpy(data.train)], data.shape.answers
        start = None
        if model.subtract_start:
            assert subject.start is not None
            with torch.no_grad():
                start = model.apply(subject.start, inputs, answers=answers)
        return cls(
            model=model,
            loss=subject.spec.loss,
            inputs=inputs,
            labels=torch.from_numpy(data.train_labels),
            weights=_train_weights(data),
            answers=answers,
            start=start,
            shapes=[(name, tensor.shape) for name, tensor in subject.params.items()],
        )

    def seen(self, params: Mapping[str, Tensor]) -> Float[Tensor, "rows *answers outputs"]:
        """What the loss reads: alpha (f - f0) on the train rows."""
        logits = self.model.apply(params, self.inputs, answers=self.answers)
        return (logits if self.start is None else logits - self.start) * self.model.output_scale

    def loss_and_gradient(self, w: Float[Tensor, " size"]) -> tuple[float, Float[Tensor, " size"]]:
        """The gradient is the one trained with: the loss's own closed form, in its own precision."""
        leaf = w.detach().requires_grad_()
        with torch.enable_grad():
            seen = self.seen(self.views(leaf))
        fixed = seen.detach()
        slope = self.loss.logit_gradient(fixed, self.labels) * self.weights[..., None]
        (gradient,) = torch.autograd.grad(seen, leaf, slope)
        return float(self._mean(fixed)), gradient

    def curvature_along(self, w: Float[Tensor, " size"], u: Float[Tensor, " size"]) -> Float[Tensor, " size"]:
        """H u, H the Hessian of the loss at w, by differentiating the slope along u once more."""
        leaf = w.detach().requires_grad_()
        with torch.enable_grad():
            (gradient,) = torch.autograd.grad(self._mean(self.seen(self.views(leaf))), leaf, create_graph=True)
            if not gradient.requires_grad:  # a loss that is linear in every weight
                return torch.zeros_like(w)
            along = gradient @ u
        (product,) = torch.autograd.grad(along, leaf)
        return product

    def views(self, w: Float[Tensor, " size"]) -> dict[str, Tensor]:
        """The parameters of a flat vector by name."""
        return dict(_views(w, self.shapes))

    def _mean(self, seen: Float[Tensor, "rows *answers outputs"]) -> Float[Tensor, ""]:
        return (self.loss.per_row(seen, self.labels).double() * self.weights).sum()


def unless_start(subject: Subject) -> str | None:
    """None if the trial's loss can be computed, else why not: it subtracts logits that were not kept."""
    return NO_START if subject.spec.model.subtract_start and subject.start is None else None


def flat(params: Mapping[str, Tensor]) -> Float[Tensor, " size"]:
    """All parameters as one vector, in their order."""
    return torch.cat([tensor.double().flatten() for tensor in params.values()])


def model_inputs(data: TaskData) -> Num[Tensor, "rows positions"]:
    """All inputs as a float64 model reads them."""
    inputs = torch.from_numpy(data.inputs)
    return inputs.long() if data.shape.vocab else inputs.double()


def _views(w: Float[Tensor, " size"], shapes: Sequence[tuple[str, torch.Size]]) -> Iterator[tuple[str, Tensor]]:
    parts = w.split([shape.numel() for _, shape in shapes])
    yield from ((name, part.view(shape)) for (name, shape), part in zip(shapes, parts, strict=True))


def _train_weights(data: TaskData) -> Float[Tensor, "train *answers"]:
    if data.weights is None:
        counted = data.train_labels.shape[:-1] if data.shape.real_targets else data.train_labels.shape
        return torch.full(counted, 1.0).double() / torch.Size(counted).numel()
    weights = torch.from_numpy(data.weights[data.train]).double()
    return weights / weights.sum()
