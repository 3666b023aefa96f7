"""Non-linearities of fully connected layers, forwards and backwards."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING, Literal, TypeAlias

from jaxtyping import Float

from grokstudy.models import _activation

if TYPE_CHECKING:
    from torch import Tensor

NonLinearity: TypeAlias = Literal["relu", "gelu", "silu", "tanh", "quad"]
"""Those of `_activation`, and tanh."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Hidden:
    """One hidden layer of a forward pass whose gradient is written out."""

    post: Float[Tensor, "rows width"]
    """After the non-linearity."""
    kept: Float[Tensor, "rows width"]
    """What its derivative is a function of: `post` itself for relu and tanh, else the pre-activation."""


def activate(kind: NonLinearity, pre: Float[Tensor, "*batch width"]) -> Float[Tensor, "*batch width"]:
    """The non-linearity as a new tensor, to be differentiated automatically."""
    return pre.tanh() if kind == "tanh" else _activation.activate(kind, pre)


def activate_(kind: NonLinearity, pre: Float[Tensor, "rows width"]) -> Hidden:
    """The non-linearity of a pre-activation that nobody else needs: overwritten where its derivative does not read
    it."""
    if kind == "relu":
        return Hidden(post=pre.relu_(), kept=pre)
    if kind == "tanh":
        return Hidden(post=pre.tanh_(), kept=pre)
    return Hidden(post=activate(kind, pre), kept=pre)


def pull_back_(kind: NonLinearity, d: Float[Tensor, "rows width"], hidden: Hidden) -> Float[Tensor, "rows width"]:
    """Turns d loss / d post into d loss / d pre, in place."""
    import torch

    aten, kept = torch.ops.aten, hidden.kept
    if kind == "quad":
        return d.mul_(kept).mul_(2)
    if kind == "gelu":
        aten.gelu_backward.grad_input(d, kept, approximate="none", grad_input=d)
    elif kind == "silu":
        aten.silu_backward.grad_input(d, kept, grad_input=d)
    elif kind == "tanh":
        aten.tanh_backward.grad_input(d, kept, grad_input=d)
    else:
        aten.threshold_backward.grad_input(d, kept, 0, grad_input=d)  # 0 where relu was 0
    return d
