"""Langevin dynamics: gradient descent whose noise has a temperature."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.optimizers._energy import terms_that_are_no_force
from grokstudy.optimizers._warmup import check_rate, warmed_up
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Optimizer, Step
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Langevin(Optimizer):
    """Langevin dynamics: theta -= lr * dE/dtheta, then sqrt(2 lr T) xi with T = noise.temperature, a temperature here.

    E is the loss plus the regularization terms; weight decay is (weight_decay / 2) |theta|^2, which for a plain step is
    what decoupled decay does. Weights converge to exp(-E / T) as lr -> 0; one that only weight decay lambda acts on
    has variance T / (lambda (1 - lr lambda / 2)) exactly. With mini-batches it is SGLD.
    Source: Welling & Teh 2011 (SGLD), equation 4 with T = 1 / (number of rows).
    """

    lr: float = setting(0.01, per_member=True, help="learning rate: the time that one update stands for")
    warmup: int = setting(0, help="updates until lr is reached; 0 = none")

    def __post_init__(self) -> None:
        check_rate(self.lr, self.warmup)

    def check(self, spec: TrialSpec) -> None:
        if self.filter != "none":
            raise BadInput(
                f"optimizer.filter: got {self.filter}, but a filtered gradient is not that of an energy. "
                "Use optimizer=sgd with this filter and noise."
            )
        for name in terms_that_are_no_force(spec):
            raise BadInput(
                f"regularization.{name}: no term of an energy, so noise.temperature would be no temperature. "
                f"Set regularization.{name}=0, or use optimizer=sgd with noise."
            )

    def lr_factor(self, step: int) -> float:
        return warmed_up(step, self.warmup)

    def state_names(self) -> Sequence[str]:
        return ()

    def update(self, step: Step) -> None:
        step.params.sub_(step.grads * step.settings["lr_now"].to(step.params.dtype))
