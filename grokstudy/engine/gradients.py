"""Gradients of a pack, a few members at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.engine.batch import Rows
from grokstudy.engine.layout import Layout
from grokstudy.spec.interfaces import HandWritten, Loss, Model, Shape

CACHE_BYTES = 4 << 20
"""Members are stepped in chunks whose widest activations fit about this much: larger chunks fall out of the cache."""

ChunkGradient: TypeAlias = Callable[[Mapping[str, Tensor], Tensor, Tensor, Tensor], Mapping[str, Tensor]]
"""(parameters, inputs, labels, weights) of a chunk -> gradients by name; first axis members everywhere."""


class Gradient:
    """The gradient of one pack's loss as a function of its flat parameters.

    A member's arithmetic never depends on its packmates: chunks only decide how many members share a kernel call.
    """

    def __init__(self, model: Model, loss: Loss, layout: Layout, shape: Shape, *, compiled: bool) -> None:
        self._layout = layout
        self._shape = shape
        self._model = model
        self._hand = model if isinstance(model, HandWritten) and not compiled else None
        self._prepared: tuple[Rows, Tensor] | None = None
        self._chunk_gradient = _by_hand(self._hand, loss) if self._hand is not None else _mapped(model, loss)
        if compiled:
            self._chunk_gradient = torch.compile(self._chunk_gradient, dynamic=False)

    def __call__(self, params: Float[Tensor, "members size"], rows: Rows, out: Float[Tensor, "members size"]) -> None:
        """Writes d loss / d params into `out`. The loss is the weighted sum over each member's own rows."""
        inputs = self._inputs(rows, params.dtype)
        chunk = self._members_per_chunk(rows, params.element_size())
        for start in range(0, len(params), chunk):
            part = slice(start, start + chunk)
            views = self._layout.views(params[part])
            grads = self._chunk_gradient(views, inputs[part], rows.labels[part], rows.weights[part])
            for name, target in self._layout.views(out[part]).items():
                target.copy_(grads[name])

    def _inputs(self, rows: Rows, dtype: torch.dtype) -> Tensor:
        if self._hand is None:
            return rows.inputs
        if self._prepared is None or self._prepared[0] is not rows:  # a full batch is prepared once
            self._prepared = (rows, self._hand.prepare(rows.inputs, self._shape, dtype))
        return self._prepared[1]

    def _members_per_chunk(self, rows: Rows, element_size: int) -> int:
        widest = max(max(shape) for _, shape in self._layout.shapes)
        return max(1, CACHE_BYTES // (rows.labels.shape[1] * widest * element_size * 8))


def _by_hand(model: HandWritten, loss: Loss) -> ChunkGradient:
    def gradient(params: Mapping[str, Tensor], inputs: Tensor, labels: Tensor, weights: Tensor) -> Mapping[str, Tensor]:
        return model.pack_gradients(params, inputs, labels, weights, loss)

    return gradient


def _mapped(model: Model, loss: Loss) -> ChunkGradient:
    def alone(params: Mapping[str, Tensor], inputs: Tensor, labels: Tensor, weights: Tensor) -> Mapping[str, Tensor]:
        logits, pull, *_ = torch.func.vjp(lambda p: model.apply(p, inputs), params)
        gradient: Mapping[str, Tensor] = pull(loss.logit_gradient(logits, labels) * weights[:, None])[0]
        return gradient

    mapped: ChunkGradient = torch.func.vmap(alone)
    return mapped
