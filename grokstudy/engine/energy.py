"""The energy of a pack's members at any parameters, for optimizers that use no gradient."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.engine.batch import Rows
from grokstudy.engine.layout import Layout
from grokstudy.spec.interfaces import Loss, Model, Regularizer, Shape


class Energy:
    """Loss on an update's rows plus the energies of the regularization terms; one member at a time, in memory of its
    own."""

    def __init__(self, model: Model, loss: Loss, layout: Layout, shape: Shape) -> None:
        self._model, self._loss, self._layout, self._answers = model, loss, layout, shape.answers

    def __call__(
        self, params: Float[Tensor, "members size"], rows: Rows, terms: Sequence[tuple[Regularizer, Tensor]]
    ) -> Float[Tensor, "members 1"]:
        """Float64."""
        own = torch.empty_like(params[:1])
        views = {name: view[0] for name, view in self._layout.views(own).items()}
        out = torch.empty(len(params), 1, dtype=torch.float64, device=params.device)
        for lane in range(len(params)):
            own.copy_(params[lane])
            own_rows = rows.member(lane)
            logits = self._model.apply(views, own_rows.inputs, answers=self._answers)
            losses = own_rows.seen_by(self._loss).per_row(logits, own_rows.labels)
            out[lane, 0] = (losses.double() * own_rows.weights.double()).sum()
            for term, strength in terms:
                addition = term.energy(own, strength[lane : lane + 1])
                if addition is not None:
                    out[lane] += addition[0]
        return out
