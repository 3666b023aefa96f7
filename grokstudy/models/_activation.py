"""Non-linearities of hidden neurons, by name."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from jaxtyping import Float

if TYPE_CHECKING:
    from torch import Tensor

Activation = Literal["relu", "gelu", "silu", "quad"]


def activate(name: Activation, pre: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
    """relu; gelu(x) = x Phi(x) with the exact normal distribution function; silu(x) = x sigmoid(x); quad(x) = x^2."""
    import torch

    if name == "relu":
        return pre.relu()
    if name == "quad":
        return pre * pre
    return torch.nn.functional.gelu(pre) if name == "gelu" else torch.nn.functional.silu(pre)
