"""Norms of the residual stream, forwards and backwards."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TYPE_CHECKING

from jaxtyping import Float

from grokstudy.models._norm import EPS, Norms

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Normed:
    """What `Norms.at` returned, and what its derivative reads; x itself where the network has no such norm."""

    y: Float[Tensor, "*batch width"]
    x: Float[Tensor, "*batch width"]
    mean: Float[Tensor, "*batch 1"] | None = None
    """LayerNorm only."""
    scale: Float[Tensor, "*batch 1"] | None = None
    """1 / sqrt(variance + EPS), or 1 / sqrt(mean of squares + EPS)."""


def normed(
    norms: Norms, sites: tuple[str, ...], name: str, w: Mapping[str, Tensor], x: Float[Tensor, "*batch width"]
) -> Normed:
    """`norms.at(sites, name, w, x)`."""
    import torch

    if norms.site not in sites:
        return Normed(y=x, x=x)
    gain, bias = w.get(f"{name}.w"), w.get(f"{name}.b")
    if norms.kind == "layernorm":
        y, mean, scale = torch.native_layer_norm(x, x.shape[-1:], gain, bias, EPS)
        return Normed(y=y, x=x, mean=mean, scale=scale)
    scale = (x.square().mean(-1, keepdim=True) + EPS).rsqrt()
    unit = x * scale
    return Normed(y=unit if gain is None else unit * gain, x=x, scale=scale)


def pull_back_norm(
    name: str,
    w: Mapping[str, Tensor],
    d_w: Mapping[str, Tensor],
    d: Float[Tensor, "*batch width"],
    of: Normed,
) -> Float[Tensor, "*batch width"]:
    """d_x from d = d_y; writes the gradients of the gain and the bias. With u = x * scale and d_u = gain * d, RMSNorm
    has d_x = scale * (d_u - u * mean(u * d_u))."""
    import torch

    if of.scale is None:
        return d
    gain, bias = w.get(f"{name}.w"), w.get(f"{name}.b")
    if of.mean is not None:
        wanted = [True, gain is not None, bias is not None]
        d_x, d_gain, d_bias = torch.ops.aten.native_layer_norm_backward(
            d, of.x, of.x.shape[-1:], of.mean, of.scale, gain, bias, wanted
        )
        if gain is not None:
            d_w[f"{name}.w"].copy_(d_gain)
        if bias is not None:
            d_w[f"{name}.b"].copy_(d_bias)
        return d_x  # type: ignore[no-any-return]
    unit = of.x * of.scale
    if gain is not None:
        torch.sum((d * unit).flatten(0, -2), 0, out=d_w[f"{name}.w"])
        d = d * gain
    return of.scale * (d - unit * (unit * d).mean(-1, keepdim=True))
