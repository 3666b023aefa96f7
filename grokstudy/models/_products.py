"""Matrix products of hand-written gradients: one place decides which library computes them.

On the CPU in float32 they go through oneDNN, which uses AVX-512 on processors of every maker and adds the bias, another
matrix or a ReLU while a tile of the product is still in registers. Everything else is torch's own product.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float

from grokstudy.spec.settings import has_onednn

if TYPE_CHECKING:
    from torch import Tensor


def product(
    a: Float[Tensor, "m k"],
    b: Float[Tensor, "k n"],
    *,
    bias: Float[Tensor, " n"] | None = None,
    plus: Float[Tensor, "m n"] | None = None,
) -> Float[Tensor, "m n"]:
    """a @ b + bias + plus. oneDNN copies `a` unless it is contiguous; `b` may be transposed at no cost."""
    import torch

    out: Tensor
    if _by_onednn(a):
        if plus is None:
            out = torch.ops.mkldnn._linear_pointwise(a, b.T, bias, "none", [], "")
        else:
            out = torch.ops.mkldnn._linear_pointwise.binary(a, plus, b.T, bias, "add")
        return out
    out = a @ b if bias is None else torch.addmm(bias, a, b)
    return out if plus is None else out.add_(plus)


def relu_product(
    a: Float[Tensor, "m k"], b: Float[Tensor, "k n"], bias: Float[Tensor, " n"] | None
) -> Float[Tensor, "m n"]:
    """relu(a @ b + bias)."""
    import torch

    if _by_onednn(a):
        out: Tensor = torch.ops.mkldnn._linear_pointwise(a, b.T, bias, "relu", [], "")
        return out
    return (a @ b if bias is None else torch.addmm(bias, a, b)).relu_()


def product_over_rows(x: Float[Tensor, "rows m"], d: Float[Tensor, "rows n"]) -> Float[Tensor, "m n"]:
    """x^T d. A product copies a transposed left factor: let it be the narrower one."""
    if d.shape[1] < x.shape[1]:
        return product(d.T.contiguous(), x).T
    return product(x.T.contiguous(), d)


def _by_onednn(a: Tensor) -> bool:
    import torch

    return a.dtype == torch.float32 and a.device.type == "cpu" and has_onednn()
