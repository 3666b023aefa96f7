"""Gradient descent, with or without momentum."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.optimizers._warmup import check_rate, warmed_up
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Optimizer, Step
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class SGD(Optimizer):
    """Gradient descent: b <- momentum * b + g, theta -= lr * b (with nesterov: lr * (g + momentum * b)).

    `lr_over_scale2` divides lr by model.output_scale^2, so that the speed in function space does not depend on alpha;
    weight decay and noise use the divided lr. At momentum 0 decoupled weight decay equals `l2`.
    Source: Sutskever et al. 2013, equations 1-4 in PyTorch's form; Kumar et al. 2024 (arXiv 2310.06110), section 3.
    """

    lr: float = setting(0.1, per_member=True, help="learning rate")
    momentum: float = setting(0.0, per_member=True, help="decay of the sum of gradients; 0 = plain descent")
    nesterov: bool = setting(False, help="look ahead along the momentum")
    warmup: int = setting(0, help="updates until lr is reached; 0 = none")
    lr_over_scale2: bool = setting(False, neutral=False, help="divide lr by model.output_scale^2")

    def __post_init__(self) -> None:
        check_rate(self.lr, self.warmup)
        if not 0 <= self.momentum < 1:
            raise BadInput(f"optimizer.momentum: got {self.momentum}, must be in [0, 1).")
        if self.nesterov and self.momentum == 0:
            raise BadInput("optimizer.nesterov: changes nothing with optimizer.momentum=0; raise that, e.g. to 0.9.")

    def check(self, spec: TrialSpec) -> None:
        if self.lr_over_scale2 and self.fix_lr_wd is not None:
            raise BadInput(
                "optimizer.fix_lr_wd: takes lr as given, and optimizer.lr_over_scale2 divides it; "
                "set regularization.weight_decay instead."
            )

    def lr_factor(self, step: int) -> float:
        return warmed_up(step, self.warmup)

    def state_names(self) -> Sequence[str]:
        return ("momentum_buffer",)

    def update(self, step: Step) -> None:
        dtype, buffer = step.params.dtype, step.state["momentum_buffer"]
        momentum, lr = step.settings["momentum"].to(dtype), step.settings["lr_now"].to(dtype)
        buffer.mul_(momentum).add_(step.grads)
        direction = (buffer * momentum).add_(step.grads) if self.nesterov else buffer
        step.params.sub_(direction * lr)
