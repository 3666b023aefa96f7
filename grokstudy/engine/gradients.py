"""Gradients of a pack: written out by the model, one member at a time, or mapped over a few members at a time."""

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
"""Mapped members are stepped in chunks whose widest activations fit about this much: larger chunks fall out of the
cache."""

PackGradient: TypeAlias = Callable[[Tensor, Rows, Tensor], None]
"""(parameters [members, size], rows, out [members, size])."""
ChunkGradient: TypeAlias = Callable[[Mapping[str, Tensor], Tensor, Tensor, Tensor], Mapping[str, Tensor]]
"""(parameters, inputs, labels, weights) of a chunk -> gradients by name; first axis members everywhere."""


class Gradient:
    """The gradient of one pack's loss as a function of its flat parameters.

    A member's arithmetic never depends on its packmates: chunks only decide how many members share a kernel call.
    A compiled gradient is always the mapped one: the compiler sees through it.
    """

    def __init__(self, model: Model, loss: Loss, layout: Layout, shape: Shape, *, compiled: bool) -> None:
        hand = None if compiled else model.gradient_by_hand(shape)
        self._compute: PackGradient = (
            _Mapped(model, loss, layout, compiled=compiled) if hand is None else _ByHand(hand, loss, layout)
        )

    def __call__(self, params: Float[Tensor, "members size"], rows: Rows, out: Float[Tensor, "members size"]) -> None:
        """Writes d loss / d params into `out`. The loss is the weighted sum over each member's own rows."""
        self._compute(params, rows, out)


class _ByHand:
    """One member after another, in memory of its own.

    Members lie at any address of a pack, and libraries choose kernels by alignment: a member computed in place has
    other bits as packmate number 3 than alone.
    """

    def __init__(self, hand: HandWritten, loss: Loss, layout: Layout) -> None:
        self._hand = hand
        self._loss = loss
        self._layout = layout
        self._prepared: tuple[Rows, tuple[Tensor, ...]] | None = None

    def __call__(self, params: Tensor, rows: Rows, out: Tensor) -> None:
        prepared = self._prepare(rows, params.dtype)
        own, own_out = torch.empty_like(params[:1]), torch.empty_like(params[:1])
        weights_of, gradient_of = self._one(own), self._one(own_out)
        for lane in range(len(params)):
            own.copy_(params[lane])
            inputs = [tensor[lane] for tensor in prepared]
            self._hand.write_gradient(
                weights_of, inputs, rows.labels[lane], rows.weights[lane], self._loss, gradient_of
            )
            out[lane] = own_out[0]

    def _prepare(self, rows: Rows, dtype: torch.dtype) -> tuple[Tensor, ...]:
        if self._prepared is None or self._prepared[0] is not rows:  # a full batch is prepared once
            self._prepared = (rows, self._hand.prepare(rows.inputs, dtype))
        return self._prepared[1]

    def _one(self, flat: Float[Tensor, "1 size"]) -> dict[str, Tensor]:
        """The tensors of the only member."""
        return {name: view[0] for name, view in self._layout.views(flat).items()}


class _Mapped:
    """Automatic differentiation of one member, mapped over chunks of members."""

    def __init__(self, model: Model, loss: Loss, layout: Layout, *, compiled: bool) -> None:
        self._layout = layout
        mapped: ChunkGradient = torch.func.vmap(_alone(model, loss))
        self._chunk_gradient = torch.compile(mapped, dynamic=False) if compiled else mapped

    def __call__(self, params: Tensor, rows: Rows, out: Tensor) -> None:
        chunk = self._members_per_chunk(rows, params.element_size())
        for start in range(0, len(params), chunk):
            part = slice(start, start + chunk)
            views = self._layout.views(params[part])
            grads = self._chunk_gradient(views, rows.inputs[part], rows.labels[part], rows.weights[part])
            for name, target in self._layout.views(out[part]).items():
                target.copy_(grads[name])

    def _members_per_chunk(self, rows: Rows, element_size: int) -> int:
        widest = max(max(shape) for _, shape in self._layout.shapes)
        return max(1, CACHE_BYTES // (rows.labels.shape[1] * widest * element_size * 8))


def _alone(model: Model, loss: Loss) -> ChunkGradient:
    """The gradient of one member, from `apply` and the loss's closed form."""

    def gradient(params: Mapping[str, Tensor], inputs: Tensor, labels: Tensor, weights: Tensor) -> Mapping[str, Tensor]:
        logits, pull, *_ = torch.func.vjp(lambda p: model.apply(p, inputs), params)
        out: Mapping[str, Tensor] = pull(loss.logit_gradient(logits, labels) * weights[:, None])[0]
        return out

    return gradient
