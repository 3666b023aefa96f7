"""The logits of one member on all rows of its task, as evaluations and f0 read them."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, Num
from torch import Tensor

from grokstudy.spec.interfaces import Model, Shape


class Forward:
    """A model's forward pass, through its hand-written products where it has them."""

    def __init__(self, model: Model, shape: Shape, dtype: torch.dtype, device: torch.device) -> None:
        self._model, self._answers, self._dtype = model, shape.answers, dtype
        self._hand = None if device.type == "cuda" else model.gradient_by_hand(shape)
        self._prepared: dict[int, tuple[Tensor, tuple[Tensor, ...]]] = {}

    @torch.no_grad()
    def __call__(
        self, params: Mapping[str, Tensor], inputs: Num[Tensor, "rows positions"]
    ) -> Float[Tensor, "rows *answers outputs"]:
        """What can be prepared of `inputs` is kept: members of a pack mostly share them."""
        if self._hand is None:
            return self._model.apply(params, inputs, answers=self._answers)
        if id(inputs) not in self._prepared:
            prepared = self._hand.prepare(inputs[None], self._dtype)
            self._prepared[id(inputs)] = inputs, tuple(tensor[0] for tensor in prepared)
        return self._hand.logits(params, self._prepared[id(inputs)][1])
