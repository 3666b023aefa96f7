"""Every model, and every variant of it with one setting changed, on each of a few shapes of tasks that it accepts."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import Loss, Model, Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from tests.variants import every_small, variants

SHAPES = {
    "pairs": Shape(positions=2, vocab=7, classes=7),
    "more answers than tokens": Shape(positions=3, vocab=4, classes=9),
    "fewer answers than tokens": Shape(positions=2, vocab=7, classes=3),
    "one token": Shape(positions=1, vocab=5, classes=3),
    "sequence": Shape(positions=5, vocab=6, classes=6, answers=2),
    "real inputs": Shape(positions=6, vocab=0, classes=4),
    "real targets": Shape(positions=6, vocab=0, classes=3, real_targets=True),
    "every input rebuilt": Shape(positions=5, vocab=0, classes=1, answers=5, real_targets=True),
}
BY_THE_ENGINE = {"output_scale", "subtract_start"}
"""Settings of every model that the engine applies to what the loss sees; tests/laws/test_mlps.py tests them."""


@dataclasses.dataclass(frozen=True, kw_only=True)
class Case:
    """A model on a shape that it accepts, with inputs."""

    model: Model
    shape: Shape

    @property
    def inputs(self) -> Num[Tensor, "rows positions"]:
        """At least 40 different rows, where there are so many."""
        shape = self.shape
        if shape.vocab == 0:
            return torch.randn(40, shape.positions, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
        rows = torch.tensor(list(itertools.product(range(shape.vocab), repeat=shape.positions)))
        chosen = torch.randperm(len(rows), generator=torch.Generator().manual_seed(5))[:40]
        return rows if len(rows) <= 64 else rows[chosen]

    def params(self, seed: int = 0) -> dict[str, Tensor]:
        """The initial weights with nothing left at zero: a pass that forgets a bias must not look right."""
        noise = torch.Generator().manual_seed(seed)
        start = self.model.init(self.shape, seed)
        return {name: x + 0.1 * torch.randn(x.shape, generator=noise, dtype=x.dtype) for name, x in start.items()}

    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Num[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None = None,
    ) -> Float[Tensor, "rows *answers outputs"]:
        """Logits of the model, told how many answers a row has."""
        return self.model.apply(params, inputs, keep, answers=self.shape.answers)

    def activations(
        self,
        params: Mapping[str, Tensor],
        inputs: Num[Tensor, "rows positions"],
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        return self.model.activations(params, inputs, answers=self.shape.answers, patch=patch)

    def labels(self, rows: int, seed: int = 1) -> Num[Tensor, "rows *answers"]:
        draw, shape = torch.Generator().manual_seed(seed), self.shape
        size = (rows, shape.answers) if shape.answers else (rows,)
        if shape.real_targets:
            return torch.randn(*size, shape.classes, generator=draw, dtype=torch.float64)
        return torch.randint(shape.classes, size, generator=draw)

    def weights(self, rows: int, padding: int, seed: int = 2) -> Tensor:
        """Unequal weights; the last rows are padding."""
        size = (rows, self.shape.answers) if self.shape.answers else (rows,)
        weights = torch.rand(size, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)
        weights[rows - padding :] = 0
        return weights


def accepts(model: Model, shape: Shape) -> bool:
    try:
        model.check(shape)
    except BadInput:
        return False
    return True


MODELS = every_small("models", Model)  # type: ignore[type-abstract]
PARTNERS: Mapping[str, Mapping[str, Mapping[str, Any]]] = {
    "transformer": {
        "norm_kind": {"norm_site": "pre"},
        "norm_affine": {"norm_site": "pre"},
        "attn_only": {"d_mlp": 512},
        "mlp_in_std": {"d_mlp": 12},
    },
}
"""Settings that nothing reads, or that say the same as before, unless others have these values."""


def every_variant(name: str) -> Iterator[tuple[str, Model]]:
    """(field, the small model with another value of it, and with the settings that it needs)."""
    base, partners = MODELS[name], PARTNERS.get(name, {})
    yield from ((field, model) for field, model in variants(base) if field not in partners)
    for field, others in partners.items():
        yield field, dict(variants(dataclasses.replace(base, **others)))[field]


LOSSES = every_small("losses", Loss)  # type: ignore[type-abstract]
CASES = {
    f"{name}/{field}/{where}": Case(model=model, shape=shape)
    for name, base in MODELS.items()
    for field, model in [("", base), *every_variant(name)]
    for where, shape in SHAPES.items()
    if field not in BY_THE_ENGINE and accepts(model, shape)
}


def first_case(model: Model) -> Case:
    """On the first shape that the model accepts."""
    return Case(model=model, shape=next(shape for shape in SHAPES.values() if accepts(model, shape)))


def fits(loss: Loss, shape: Shape) -> bool:
    try:
        loss.check(shape)
    except BadInput:
        return False
    return True


def loss_for(case: Case) -> Loss:
    """Any loss whose gradient is exact in float64."""
    names = ("mse_onehot", "mse")
    return next(LOSSES[name] for name in names if name in LOSSES and fits(LOSSES[name], case.shape))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CaseTask(Task):
    """The rows of a case, all trained on but the last eight."""

    case: Case

    def shape(self) -> Shape:
        return self.case.shape

    def rows(self) -> int:
        return len(self.case.inputs)

    def train_rows(self) -> int:
        return max(self.rows() - 8, 1)

    def data(self, seeds: Seeds) -> TaskData:
        order, n = np.arange(self.rows()), self.train_rows()
        labels = self.case.labels(self.rows(), seeds.data).numpy()
        return TaskData(
            shape=self.case.shape,
            inputs=self.case.inputs.numpy(),
            labels=labels,
            train=order[:n],
            test=order[n:],
            train_labels=labels[:n],
            tolerance=0.1,
        )
