"""A chain of fully connected layers: its names, its start, and its forward pass for automatic differentiation."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from jaxtyping import Float

from grokstudy.models._nonlinearity import NonLinearity, activate
from grokstudy.models._patch import NEURONS, replaced
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

Bias: TypeAlias = Literal["all", "hidden", "none"]
Scheme: TypeAlias = Literal["torch", "lecun", "he"]
"""How a layer starts. torch: weights and biases uniform in +-1/sqrt(fan_in), as torch.nn.Linear; lecun and he: weights
normal with variance 1/fan_in and 2/fan_in, biases 0."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Layer:
    """x W + b."""

    W: str
    """Name of the weights [fan_in, fan_out]."""
    b: str | None = None
    """Name of the bias [fan_out]."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Chain:
    """Fully connected layers with a non-linearity between any two."""

    widths: tuple[int, ...]
    """Of every layer of neurons, inputs and outputs included."""
    bias: Bias

    def layers(self) -> tuple[Layer, ...]:
        """The last one gives the logits."""
        last = len(self.widths) - 2
        return tuple(
            Layer(
                W=f"layers.{i}.W",
                b=f"layers.{i}.b" if self.bias == "all" or (self.bias == "hidden" and i < last) else None,
            )
            for i in range(last + 1)
        )

    def init(self, seed: int, scheme: Scheme) -> dict[str, Tensor]:
        """Float64 parameters in the order of the layers."""
        params = {}
        for layer, fan_in, fan_out in zip(self.layers(), self.widths, self.widths[1:], strict=False):
            params[layer.W] = drawn(scheme, seed, layer.W, (fan_in, fan_out), fan_in)
            if layer.b is not None:
                params[layer.b] = _bias(scheme, seed, layer.b, fan_out, fan_in)
        return params


def hidden_sites(widths: Sequence[int]) -> dict[str, tuple[int, ...]]:
    """Hidden layers, whose widths these are, by name: hidden.0, hidden.1 ... and `neurons`, the last."""
    return {name: (width,) for name, width in zip(_hidden_names(len(widths)), widths, strict=True)}


def run(
    params: Mapping[str, Tensor],
    layers: Sequence[Layer],
    pre: Float[Tensor, "rows width"],
    kind: NonLinearity,
    keep: Mapping[str, Tensor] | None,
    patch: Mapping[str, Tensor] | None = None,
) -> dict[str, Tensor]:
    """Activations from the first pre-activation to the logits, by name; `layers` are those after the first.

    A dropped neuron is 0 to the next layer; what is returned of it is its value after dropping, or `patch`'s.
    """
    seen = {}
    for name, layer in zip(_hidden_names(len(layers)), layers, strict=True):
        post = activate(kind, pre)
        seen[name] = replaced(patch or {}, name, post if keep is None else post * keep[name])
        pre = affine(params, layer, seen[name])
    return seen | {"logits": pre}


def affine(
    params: Mapping[str, Tensor], layer: Layer, x: Float[Tensor, "rows fan_in"]
) -> Float[Tensor, "rows fan_out"]:
    """x W + b."""
    import torch

    W = params[layer.W]
    return x @ W if layer.b is None else torch.addmm(params[layer.b], x, W)


def drawn(scheme: Scheme, seed: int, name: str, shape: tuple[int, ...], fan_in: int) -> Float[Tensor, "*shape"]:
    """Initial weights of a layer with `fan_in` inputs."""
    import torch

    draw, std = generator(seed, "init", name), 1 / math.sqrt(fan_in)
    if scheme == "torch":
        return torch.from_numpy(draw.uniform(-std, std, shape))
    return torch.from_numpy(draw.normal(0.0, std * math.sqrt(2) if scheme == "he" else std, shape))


def _bias(scheme: Scheme, seed: int, name: str, fan_out: int, fan_in: int) -> Float[Tensor, " fan_out"]:
    import torch

    return drawn(scheme, seed, name, (fan_out,), fan_in) if scheme == "torch" else torch.zeros(fan_out).double()


def _hidden_names(count: int) -> Iterator[str]:
    yield from (f"hidden.{i}" for i in range(count - 1))
    yield NEURONS


def check_size(name: str, value: int, least: int) -> None:
    """Raises BadInput for a width or depth below `least`."""
    if value < least:
        raise BadInput(f"model.{name}: got {value}, must be >= {least}.")
