"""The gradient of fully connected networks, written out for one member.

Exact up to rounding, and faster than automatic differentiation: every product goes through oneDNN, every element-wise
step works in place, and nothing is kept but what a derivative reads.

`d_x` is the derivative of the loss by x.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Num

from grokstudy.models._layers import Layer
from grokstudy.models._nonlinearity import Hidden, NonLinearity, activate_, pull_back_
from grokstudy.models._products import product, product_over_rows, relu_product
from grokstudy.spec.interfaces import Loss

if TYPE_CHECKING:
    import torch
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RealInputsGradient:
    """`HandWritten` of a network that reads real numbers."""

    layers: tuple[Layer, ...]
    kind: NonLinearity

    def prepare(
        self, inputs: Float[Tensor, "members rows features"], dtype: torch.dtype
    ) -> tuple[Float[Tensor, "members rows features"], Float[Tensor, "members features rows"]]:
        """The inputs and their transposes, which the first layer's gradient reads."""
        x = inputs.to(dtype).contiguous()
        return x, x.transpose(1, 2).contiguous()

    def logits(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows outputs"]:
        hidden = hidden_layer(params, self.layers[0], prepared[0], self.kind)
        return chain_logits(params, self.layers[1:], hidden, self.kind)

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Num[Tensor, "rows *outputs"],
        weights: Float[Tensor, " rows"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        import torch

        x, x_T = prepared
        first = self.layers[0]
        hidden = hidden_layer(params, first, x, self.kind)
        d_pre = write_chain(params, self.layers[1:], hidden, self.kind, labels, weights, loss, out)
        out[first.W].copy_(product(x_T, d_pre))
        if first.b is not None:
            torch.sum(d_pre, 0, out=out[first.b])


def chain_logits(
    params: Mapping[str, Tensor], layers: Sequence[Layer], first: Hidden, kind: NonLinearity
) -> Float[Tensor, "rows outputs"]:
    """Logits of the layers after the first hidden one."""
    x = first.post
    for layer in layers[:-1]:
        x = hidden_layer(params, layer, x, kind).post
    return affine_product(params, layers[-1], x)


def write_chain(
    params: Mapping[str, Tensor],
    layers: Sequence[Layer],
    first: Hidden,
    kind: NonLinearity,
    labels: Num[Tensor, "rows *outputs"],
    weights: Float[Tensor, " rows"],
    loss: Loss,
    out: Mapping[str, Tensor],
) -> Float[Tensor, "rows width"]:
    """Writes the gradients of all layers after the first hidden one; returns its d_pre."""
    hidden = [first]
    for layer in layers[:-1]:
        hidden.append(hidden_layer(params, layer, hidden[-1].post, kind))
    logits = affine_product(params, layers[-1], hidden[-1].post)
    d = loss.logit_gradient(logits, labels).mul_(weights[:, None])
    for layer, below in zip(reversed(layers), reversed(hidden), strict=True):
        write_layer(layer, below.post, d, out)
        d = pull_back_(kind, product(d, params[layer.W].T), below)
    return d


def hidden_layer(
    params: Mapping[str, Tensor], layer: Layer, x: Float[Tensor, "rows fan_in"], kind: NonLinearity
) -> Hidden:
    """The neurons of one layer, non-linearity included."""
    if kind == "relu":
        post = relu_product(x, params[layer.W], None if layer.b is None else params[layer.b])
        return Hidden(post=post, kept=post)
    return activate_(kind, affine_product(params, layer, x))


def affine_product(
    params: Mapping[str, Tensor], layer: Layer, x: Float[Tensor, "rows fan_in"]
) -> Float[Tensor, "rows fan_out"]:
    """x W + b, to be differentiated by hand."""
    return product(x, params[layer.W], bias=None if layer.b is None else params[layer.b])


def write_layer(
    layer: Layer, x: Float[Tensor, "rows fan_in"], d: Float[Tensor, "rows fan_out"], out: Mapping[str, Tensor]
) -> None:
    """d_W = x^T d and d_b = sum over rows of d."""
    import torch

    out[layer.W].copy_(product_over_rows(x, d))
    if layer.b is not None:
        torch.sum(d, 0, out=out[layer.b])
