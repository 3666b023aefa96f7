"""The Metropolis algorithm: training without gradients."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, ClassVar, Literal

from jaxtyping import Float

from grokstudy.optimizers._energy import terms_without_energy
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Optimizer, Step
from grokstudy.spec.trial import TrialSpec

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Metropolis(Optimizer):
    """Metropolis sampling: a random move is kept with probability min(1, exp(-(E_new - E_old) / T)); no gradient.

    E is the loss on all train rows plus the energies of the regularization terms. The temperature is a setting of its
    own, not noise.temperature: nothing is added to the weights. With a horizon it cools geometrically:
    T(s) = temperature * (end / temperature)^min(s / horizon, 1). For networks of up to some hundred weights.
    Source: Metropolis et al. 1953; annealing by Kirkpatrick et al. 1983 (Science 220).
    """

    temperature: float = setting(1e-5, per_member=True, help="T at the start")
    horizon: int = setting(0, per_member=True, help="updates until T reaches end; 0 = T stays")
    end: float = setting(0.0, per_member=True, help="T from horizon on")
    proposal: float = setting(0.01, per_member=True, help="standard deviation of a move, per weight")
    moves: Literal["all", "one_tensor"] = setting("all", help="what one move changes: all weights, or a random tensor")

    uses_gradient: ClassVar[bool] = False

    def __post_init__(self) -> None:
        for name in ("temperature", "proposal"):
            if getattr(self, name) <= 0:
                raise BadInput(f"optimizer.{name}: got {getattr(self, name)}, must be > 0.")
        if self.horizon < 0:
            raise BadInput(f"optimizer.horizon: got {self.horizon}, must be >= 0.")
        if self.horizon == 0 and self.end != 0:
            raise BadInput("optimizer.end: nothing reads it with optimizer.horizon=0; set a horizon, or leave it out.")
        if self.horizon > 0 and not self.end > 0:
            raise BadInput(f"optimizer.end: got {self.end}, with optimizer.horizon it must be a temperature > 0.")
        if self.horizon > 0 and self.end == self.temperature:
            raise BadInput("optimizer.end: equals optimizer.temperature, so horizon changes nothing; leave both out.")

    def check(self, spec: TrialSpec) -> None:
        if spec.batch_size is not None:
            raise BadInput(
                f"batch_size: got {spec.batch_size}, but metropolis compares energies of the same rows; leave it null."
            )
        for name in terms_without_energy(spec):
            raise BadInput(
                f"regularization.{name}: has no energy for metropolis to sample. Set regularization.{name}=0."
            )

    def lr_factor(self, step: int) -> float:
        return 1.0

    def state_names(self) -> Sequence[str]:
        return ()

    def update(self, step: Step) -> None:
        import torch

        moved = step.params + self._move(step)
        gain = step.energy(step.params) - step.energy(moved)
        # A NaN gain (the energy overflowed) compares false: such a move is refused.
        kept = step.uniform("accept") < (gain / temperature(step)).exp()
        step.params.copy_(torch.where(kept, moved, step.params))

    def _move(self, step: Step) -> Float[Tensor, "members size"]:
        import torch

        move = step.normal("proposal") * step.settings["proposal"].to(step.params.dtype)
        if self.moves == "one_tensor":
            sizes = torch.tensor([torch.Size(shape).numel() for _, shape in step.shapes], device=move.device)
            owner = torch.arange(len(sizes), device=move.device).repeat_interleave(sizes)
            move = torch.where(owner == (step.uniform("tensor") * len(sizes)).floor(), move, 0.0)
        return move


def temperature(step: Step) -> Float[Tensor, "members 1"]:
    """T of every member at this update."""
    start, end, horizon = (step.settings[name] for name in ("temperature", "end", "horizon"))
    done = (step.number / horizon.clamp(min=1)).clamp(max=1) * (horizon > 0)
    return start * (end / start) ** done  # 0^0 = 1: without a horizon end is 0 and T stays
