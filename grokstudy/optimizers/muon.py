"""Muon: orthogonalised momentum for the matrices between hidden layers."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float

from grokstudy.optimizers._adam import adam_update, check_moments
from grokstudy.optimizers._warmup import check_rate, warmed_up
from grokstudy.spec.columns import columns
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Optimizer, Step
from grokstudy.spec.trial import TrialSpec, plugin_name

if TYPE_CHECKING:
    from torch import Tensor

COEFFICIENTS = (3.4445, -4.7750, 2.0315)
"""a, b, c of X <- a X + b (X X^T) X + c (X X^T)^2 X: chosen for the steepest slope at 0; singular values end in
0.7 .. 1.2 rather than at 1."""
SMALLEST_NORM = 1e-7
"""Momentum with a smaller Frobenius norm is not scaled up to 1."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Muon(Optimizer):
    """Muon for the model's hidden matrices: momentum, orthogonalised by Newton-Schulz steps; AdamW for everything else.

    b <- momentum b + (1 - momentum) g; theta -= lr sqrt(max(1, outputs / inputs)) NS(b), with nesterov
    NS((1 - momentum) g + momentum b). Stacks of heads count as one matrix per head. NS runs in the precision of the
    weights (published code: bfloat16). Weight decay and noise follow `lr` on all tensors, those of AdamW too.
    Source: Jordan et al. 2024, "Muon: an optimizer for hidden layers"; repository KellerJordan/Muon.
    """

    lr: float = setting(0.02, per_member=True, help="learning rate of the hidden matrices")
    momentum: float = setting(0.95, per_member=True, help="decay of the average of gradients")
    nesterov: bool = setting(True, help="look ahead along the momentum")
    ns_steps: int = setting(5, help="Newton-Schulz steps")
    adam_lr: float = setting(3e-4, per_member=True, help="learning rate of all other tensors")
    adam_betas: tuple[float, float] = setting((0.9, 0.95), per_member=True, help="decay of their two moments")
    adam_eps: float = setting(1e-10, per_member=True, help="added to the root of their second moment")
    warmup: int = setting(0, help="updates until both learning rates are reached; 0 = none")

    def __post_init__(self) -> None:
        check_rate(self.lr, self.warmup)
        check_moments(self.adam_betas, self.adam_eps, "adam_")
        if self.adam_lr <= 0:
            raise BadInput(f"optimizer.adam_lr: got {self.adam_lr}, must be > 0.")
        if not 0 <= self.momentum < 1:
            raise BadInput(f"optimizer.momentum: got {self.momentum}, must be in [0, 1).")
        if self.nesterov and self.momentum == 0:
            raise BadInput("optimizer.nesterov: changes nothing with optimizer.momentum=0; set nesterov=false.")
        if self.ns_steps < 1:
            raise BadInput(f"optimizer.ns_steps: got {self.ns_steps}, must be >= 1.")

    def check(self, spec: TrialSpec) -> None:
        if not spec.model.hidden_matrices():
            raise BadInput(
                f"optimizer: muon orthogonalises matrices between hidden layers, and model={plugin_name(spec.model)} "
                "has none with these settings. Use optimizer=adamw, a model with more layers, or model=transformer."
            )

    def lr_factor(self, step: int) -> float:
        return warmed_up(step, self.warmup)

    def state_names(self) -> Sequence[str]:
        """Where a tensor is a hidden matrix `exp_avg` is its momentum, and `exp_avg_sq` stays zero."""
        return ("exp_avg", "exp_avg_sq")

    def update(self, step: Step) -> None:
        settings, m, v = step.settings, step.state["exp_avg"], step.state["exp_avg_sq"]
        adam_lr = settings["adam_lr"] * self.lr_factor(step.number)
        betas, eps = settings["adam_betas"], settings["adam_eps"]
        for part, shape in _parts(step):
            params, grads, average = step.params[:, part], step.grads[:, part], m[:, part]
            if shape is None:
                adam_update(params, grads, average, v[:, part], number=step.number, lr=adam_lr, betas=betas, eps=eps)
            else:
                params.sub_(self._direction(grads, average, settings["momentum"], shape) * _step_size(step, shape))

    def _direction(
        self, grads: Tensor, average: Tensor, momentum: Float[Tensor, "members 1"], shape: tuple[int, ...]
    ) -> Float[Tensor, "members size"]:
        """One orthogonalised matrix, or stack of heads, per member; the average is updated in place."""
        import torch

        decay = momentum.to(grads.dtype).expand_as(grads)
        average.lerp_(grads, (1 - momentum).to(grads.dtype).expand_as(grads))
        ahead = grads.lerp(average, decay) if self.nesterov else average
        # Member by member in memory of its own: libraries choose kernels of a product by alignment.
        lanes = [orthogonalised(lane.clone().view(shape), self.ns_steps).reshape(-1) for lane in ahead]
        return torch.stack(lanes)


def orthogonalised(matrix: Float[Tensor, "*heads rows columns"], steps: int) -> Float[Tensor, "*heads rows columns"]:
    """U V^T of the singular value decomposition U S V^T, roughly: Newton-Schulz steps push all singular values to 1."""
    a, b, c = COEFFICIENTS
    tall = matrix.shape[-2] > matrix.shape[-1]
    x: Tensor = matrix.mT if tall else matrix  # the shorter side makes the smaller Gram matrix
    x = x / x.norm(dim=(-2, -1), keepdim=True).clamp(min=SMALLEST_NORM)
    for _ in range(steps):
        gram = x @ x.mT
        x = a * x + (b * gram + c * (gram @ gram)) @ x
    return x.mT if tall else x


def _step_size(step: Step, shape: tuple[int, ...]) -> Float[Tensor, "members 1"]:
    """Weights map [..., inputs] to [..., outputs], so the last axis is the outputs."""
    lr: Tensor = step.settings["lr_now"] * math.sqrt(max(1.0, shape[-1] / shape[-2]))
    return lr.to(step.params.dtype)


def _parts(step: Step) -> Iterator[tuple[slice, tuple[int, ...] | None]]:
    """Columns of every hidden matrix with its shape, and of every run of other tensors with None."""
    for part, hidden, shapes in columns(step.shapes, lambda name: name if name in step.hidden else None):
        yield part, shapes[0] if hidden else None
