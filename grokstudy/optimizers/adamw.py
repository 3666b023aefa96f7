"""Adam; with decoupled weight decay from `regularization.weight_decay` it is AdamW."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Optimizer

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AdamW(Optimizer):
    """Adam with bias correction and linear warm-up: the update after s updates has lr * min(s / warmup, 1).

    The first update therefore has lr 0 (and still feeds the moments), as in the papers' code. Weight decay multiplies
    every tensor by 1 - lr_now * weight_decay before the update.
    Source: Loshchilov & Hutter 2019 (arXiv 1711.05101); defaults of Nanda et al. 2023.
    """

    lr: float = setting(1e-3, per_member=True, help="learning rate")
    betas: tuple[float, float] = setting((0.9, 0.98), per_member=True, help="decay of the two moments")
    eps: float = setting(1e-8, per_member=True, help="added to the root of the second moment")
    warmup: int = setting(10, help="updates until lr is reached; 0 = none")

    def __post_init__(self) -> None:
        if self.lr <= 0:
            raise BadInput(f"optimizer.lr: got {self.lr}, must be > 0.")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise BadInput(f"optimizer.betas: got {list(self.betas)}, both must be in [0, 1).")
        if self.eps <= 0:
            raise BadInput(f"optimizer.eps: got {self.eps}, must be > 0 (0 divides by zero on unused weights).")
        if self.warmup < 0:
            raise BadInput(f"optimizer.warmup: got {self.warmup}, must be >= 0.")

    def lr_factor(self, step: int) -> float:
        return min(step / self.warmup, 1.0) if self.warmup else 1.0

    def state_names(self) -> Sequence[str]:
        return ("exp_avg", "exp_avg_sq")

    def update(
        self,
        params: Float[Tensor, "members size"],
        grads: Float[Tensor, "members size"],
        state: Mapping[str, Tensor],
        step: int,
        settings: Mapping[str, Tensor],
    ) -> None:
        # Scalars per member are computed in float64 and rounded once, as torch.optim.AdamW does with Python floats.
        betas = settings["betas"]
        beta1, beta2 = betas[..., 0], betas[..., 1]
        step_size = (settings["lr_now"] / (1 - beta1 ** (step + 1))).to(params.dtype)
        root = (1 - beta2 ** (step + 1)).sqrt().to(params.dtype)
        m, v = state["exp_avg"], state["exp_avg_sq"]
        m.lerp_(grads, (1 - beta1).to(params.dtype).expand_as(grads))
        v.mul_(beta2.to(params.dtype)).add_(grads.square().mul_((1 - beta2).to(params.dtype)))
        denominator = v.sqrt().div_(root).add_(settings["eps"].to(params.dtype))
        params.sub_(m.mul(step_size).div_(denominator))
