"""Adam, without decoupled weight decay."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.optimizers._adam import adam_update, check_moments
from grokstudy.optimizers._warmup import check_rate, warmed_up
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Optimizer, Step
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Adam(Optimizer):
    """Adam with PyTorch's defaults; weight decay only as `regularization.l2`, whose gradient the moments see.

    Source: Kingma & Ba 2015 (arXiv 1412.6980), algorithm 1.
    """

    lr: float = setting(1e-3, per_member=True, help="learning rate")
    betas: tuple[float, float] = setting((0.9, 0.999), per_member=True, help="decay of the two moments")
    eps: float = setting(1e-8, per_member=True, help="added to the root of the second moment")
    warmup: int = setting(0, help="updates until lr is reached; 0 = none")

    def __post_init__(self) -> None:
        check_rate(self.lr, self.warmup)
        check_moments(self.betas, self.eps)

    def check(self, spec: TrialSpec) -> None:
        decay = spec.strengths()["weight_decay"]
        if decay > 0:
            given = f"regularization.weight_decay: got {decay}"
            if self.fix_lr_wd is not None:
                given = f"optimizer.fix_lr_wd: got {self.fix_lr_wd}, which sets regularization.weight_decay"
            raise BadInput(
                f"{given}, but Adam with decoupled weight decay is AdamW. "
                "Use optimizer=adamw, or regularization.l2 in its place."
            )

    def lr_factor(self, step: int) -> float:
        return warmed_up(step, self.warmup)

    def state_names(self) -> Sequence[str]:
        return ("exp_avg", "exp_avg_sq")

    def update(self, step: Step) -> None:
        settings, moments = step.settings, (step.state["exp_avg"], step.state["exp_avg_sq"])
        lr, betas, eps = settings["lr_now"], settings["betas"], settings["eps"]
        adam_update(step.params, step.grads, *moments, number=step.number, lr=lr, betas=betas, eps=eps)
