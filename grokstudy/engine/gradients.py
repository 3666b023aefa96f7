"""Gradients of a pack: one member after another on the CPU, all members mapped at once on CUDA."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Protocol, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.engine.batch import Rows
from grokstudy.engine.layout import Layout
from grokstudy.engine.scaled import ScaledLoss
from grokstudy.spec.interfaces import HandWritten, Loss, Model, Shape

CPU = torch.device("cpu")
MAPPED_BYTES = 1 << 30
"""On CUDA members are mapped in chunks whose widest activations fit about this much."""

Derived: TypeAlias = Callable[
    [Mapping[str, Tensor], Tensor, Tensor, Tensor, Mapping[str, Tensor]], Mapping[str, Tensor]
]
"""(parameters, inputs, labels, weights, extras) of one member -> gradients by name.

Extras are what few trials have: `scale` and `start` of the output, and a mask per dropout site."""


class Gradient:
    """The gradient of one pack's loss as a function of its flat parameters.

    On the CPU it is the model's hand-written one, unless it is to be compiled (the compiler sees through the derived
    one) or drops activations.
    """

    def __init__(
        self,
        model: Model,
        loss: Loss,
        layout: Layout,
        shape: Shape,
        *,
        compiled: bool,
        device: torch.device = CPU,
        dropout: bool = False,
    ) -> None:
        hand = None if compiled or dropout else model.gradient_by_hand(shape)
        self._compute: _Mapped | _OneByOne
        if device.type == "cuda":
            self._compute = _Mapped(derived(model, loss, shape), layout, compiled=compiled)
        elif hand is not None:
            self._compute = _OneByOne(_ByHand(hand, loss), layout)
        else:
            self._compute = _OneByOne(_ByDerivation(derived(model, loss, shape), compiled=compiled), layout)

    def __call__(
        self,
        params: Float[Tensor, "members size"],
        rows: Rows,
        out: Float[Tensor, "members size"],
        keep: Mapping[str, Tensor] | None = None,
    ) -> None:
        """Writes d loss / d params into `out`. The loss is the weighted sum over each member's own rows.

        `keep` holds a dropout mask [members, rows, ...] for every site of the model.
        """
        self._compute(params, rows, out, keep or {})


class _Member(Protocol):
    """The gradient of one member at a time."""

    def __call__(
        self, params: Mapping[str, Tensor], lane: int, rows: Rows, keep: Mapping[str, Tensor], out: Mapping[str, Tensor]
    ) -> None: ...


class _OneByOne:
    """One member after another, in memory of its own.

    Members lie at any address of a pack, and libraries choose kernels by alignment: a member computed in place, or in a
    batched product, has other bits as packmate number 3 than alone. It also keeps a member's activations in the cache.
    """

    def __init__(self, member: _Member, layout: Layout) -> None:
        self._member, self._layout = member, layout

    def __call__(self, params: Tensor, rows: Rows, out: Tensor, keep: Mapping[str, Tensor]) -> None:
        own, own_out = torch.empty_like(params[:1]), torch.empty_like(params[:1])
        weights_of, gradient_of = self._one(own), self._one(own_out)
        for lane in range(len(params)):
            own.copy_(params[lane])
            self._member(weights_of, lane, rows, keep, gradient_of)
            out[lane] = own_out[0]

    def _one(self, flat: Float[Tensor, "1 size"]) -> dict[str, Tensor]:
        """The tensors of the only member."""
        return {name: view[0] for name, view in self._layout.views(flat).items()}


class _ByHand:
    """As the model wrote it."""

    def __init__(self, hand: HandWritten, loss: Loss) -> None:
        self._hand, self._loss = hand, loss
        self._prepared: tuple[Rows, list[tuple[Rows, Sequence[Tensor]]]] | None = None

    def __call__(
        self, params: Mapping[str, Tensor], lane: int, rows: Rows, keep: Mapping[str, Tensor], out: Mapping[str, Tensor]
    ) -> None:
        assert not keep
        if self._prepared is None or self._prepared[0] is not rows:  # a full batch is prepared once
            self._prepared = rows, [self._prepare(rows.member(i)) for i in range(len(rows.inputs))]
        own, inputs = self._prepared[1][lane]
        self._hand.write_gradient(params, inputs, own.labels, own.weights, own.seen_by(self._loss), out)

    def _prepare(self, own: Rows) -> tuple[Rows, Sequence[Tensor]]:
        prepared = self._hand.prepare(own.inputs.clone()[None], own.weights.dtype)
        return own, [tensor[0] for tensor in prepared]


class _ByDerivation:
    """Automatic differentiation."""

    def __init__(self, gradient: Derived, *, compiled: bool) -> None:
        self._gradient = torch.compile(gradient, dynamic=False) if compiled else gradient

    def __call__(
        self, params: Mapping[str, Tensor], lane: int, rows: Rows, keep: Mapping[str, Tensor], out: Mapping[str, Tensor]
    ) -> None:
        # Copies: a lane of the pack's tensors would have another alignment for every member.
        own = rows.member(lane)
        masks = {site: mask[lane, : len(own.inputs)] for site, mask in keep.items()}
        extras = {name: x.clone() for name, x in _extras(own, masks).items()}
        gradients = self._gradient(params, own.inputs.clone(), own.labels.clone(), own.weights.clone(), extras)
        for name, target in out.items():
            target.copy_(gradients[name])


class _Mapped:
    """Automatic differentiation of one member, mapped over all: a GPU is idle with one small network at a time."""

    def __init__(self, gradient: Derived, layout: Layout, *, compiled: bool) -> None:
        self._layout = layout
        mapped: Derived = torch.func.vmap(gradient)
        # The launches of a small network's kernels cost more than the kernels: record them once, as a CUDA graph.
        self._gradient = torch.compile(mapped, dynamic=False, mode="reduce-overhead") if compiled else mapped

    def __call__(self, params: Tensor, rows: Rows, out: Tensor, keep: Mapping[str, Tensor]) -> None:
        extras = _extras(rows, keep)
        widest = max(max(shape, default=1) for _, shape in self._layout.shapes)
        largest = max(1, MAPPED_BYTES // (rows.inputs.shape[1] * widest * params.element_size() * 8))
        for part in chunks(len(params), largest):
            own = {name: extra[part] for name, extra in extras.items()}
            views = self._layout.views(params[part])
            gradients = self._gradient(views, rows.inputs[part], rows.labels[part], rows.weights[part], own)
            for name, target in self._layout.views(out[part]).items():
                target.copy_(gradients[name])


def chunks(members: int, largest: int) -> Iterator[slice]:
    """Lanes of every chunk; each holds a power of two of members, so that a pack which shrinks as its members finish is
    compiled for a handful of sizes and not for every one."""
    start = 0
    while start < members:
        size = 1 << (min(largest, members - start).bit_length() - 1)
        yield slice(start, start + size)
        start += size


def derived(model: Model, loss: Loss, shape: Shape) -> Derived:
    """The gradient of one member, from `apply` and the loss's closed form."""

    def gradient(
        params: Mapping[str, Tensor], inputs: Tensor, labels: Tensor, weights: Tensor, extras: Mapping[str, Tensor]
    ) -> Mapping[str, Tensor]:
        keep = {name.removeprefix("keep."): x for name, x in extras.items() if name.startswith("keep.")} or None
        logits, pull, *_ = torch.func.vjp(lambda p: model.apply(p, inputs, keep, answers=shape.answers), params)
        seen = loss
        if "scale" in extras:
            seen = ScaledLoss(loss=loss, scale=extras["scale"], start=extras.get("start"))
        out: Mapping[str, Tensor] = pull(seen.logit_gradient(logits, labels) * weights[..., None])[0]
        return out

    return gradient


def _extras(rows: Rows, keep: Mapping[str, Tensor]) -> dict[str, Tensor]:
    given = {"scale": rows.scale, "start": rows.start} | {f"keep.{site}": mask for site, mask in keep.items()}
    return {name: x for name, x in given.items() if x is not None}
