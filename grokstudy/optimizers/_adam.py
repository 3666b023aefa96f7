"""The update of Adam, for the optimizers built on it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from jaxtyping import Float

from grokstudy.spec.errors import BadInput

if TYPE_CHECKING:
    from torch import Tensor

CACHE_NUMBERS = 1 << 17
"""Members are updated in chunks of about so many parameters: what one kernel wrote is still cached for the next."""


def check_moments(betas: tuple[float, float], eps: float, prefix: str = "") -> None:
    """Raises BadInput for decays or an epsilon that Adam cannot use; `prefix` starts the fields' names."""
    if not all(0 <= beta < 1 for beta in betas):
        raise BadInput(f"optimizer.{prefix}betas: got {list(betas)}, both must be in [0, 1).")
    if eps <= 0:
        raise BadInput(f"optimizer.{prefix}eps: got {eps}, must be > 0 (0 divides by zero on unused weights).")


def adam_update(
    params: Float[Tensor, "members size"],
    grads: Float[Tensor, "members size"],
    exp_avg: Float[Tensor, "members size"],
    exp_avg_sq: Float[Tensor, "members size"],
    *,
    number: int,
    lr: Float[Tensor, "members 1"],
    betas: Float[Tensor, "members 1 2"],
    eps: Float[Tensor, "members 1"],
) -> None:
    """Adam with bias correction after `number` updates; params and both moments in place.

    theta -= lr * m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + eps) with t = number + 1.
    """
    import torch

    # Scalars per member are computed in float64 and rounded once, as torch.optim.AdamW does with Python floats.
    beta1, beta2 = betas[..., 0], betas[..., 1]
    columns = (
        lr / (1 - beta1 ** (number + 1)),
        (1 - beta2 ** (number + 1)).sqrt(),
        1 - beta1,
        beta2,
        1 - beta2,
        eps,
    )
    rounded = [column.to(params.dtype) for column in columns]
    lanes = max(1, CACHE_NUMBERS // params.shape[1])
    scratch = torch.empty_like(params[:lanes])
    for start in range(0, len(params), lanes):
        part = slice(start, start + lanes)
        step_size, root, keep1, decay2, keep2, epsilon = (column[part] for column in rounded)
        g, m, v = grads[part], exp_avg[part], exp_avg_sq[part]
        work = scratch[: len(g)]
        m.lerp_(g, keep1.expand_as(g))
        v.mul_(decay2).add_(torch.mul(g, g, out=work).mul_(keep2))
        torch.sqrt(v, out=work).div_(root).add_(epsilon)
        params[part].sub_(torch.mul(m, step_size).div_(work))
