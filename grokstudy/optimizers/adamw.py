"""Adam; with decoupled weight decay from `regularization.weight_decay` it is AdamW."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.optimizers._adam import adam_update, check_moments
from grokstudy.optimizers._warmup import check_rate, warmed_up
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Optimizer, Step


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
        check_rate(self.lr, self.warmup)
        check_moments(self.betas, self.eps)

    def lr_factor(self, step: int) -> float:
        return warmed_up(step, self.warmup)

    def state_names(self) -> Sequence[str]:
        return ("exp_avg", "exp_avg_sq")

    def update(self, step: Step) -> None:
        settings, moments = step.settings, (step.state["exp_avg"], step.state["exp_avg_sq"])
        lr, betas, eps = settings["lr_now"], settings["betas"], settings["eps"]
        adam_update(step.params, step.grads, *moments, number=step.number, lr=lr, betas=betas, eps=eps)
