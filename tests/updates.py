"""One update of an optimizer by itself, on parameters that belong to no model."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.spec.interfaces import Optimizer, Step

LR = 0.01


def step_of(
    optimizer: Optimizer,
    params: Float[Tensor, "members size"],
    grads: Float[Tensor, "members size"],
    state: Mapping[str, Tensor] | None = None,
    *,
    number: int = 30,
    lr: float = LR,
    matrix: Sequence[int] | None = None,
) -> Step:
    """Settings of `optimizer` for every member; the energy is half the sum of squares.

    `matrix` = shape of all parameters as one hidden matrix; None = there is none.
    """
    members, size = params.shape
    columns = {
        field.name: torch.tensor([getattr(optimizer, field.name)] * members, dtype=torch.float64).unsqueeze(1)
        for field in dataclasses.fields(optimizer)
        if field.metadata["per_member"]
    }
    draw = torch.Generator().manual_seed(number)
    return Step(
        params=params,
        grads=grads,
        state={name: torch.zeros_like(params) for name in optimizer.state_names()} if state is None else state,
        number=number,
        settings=columns | {name: torch.full((members, 1), x).double() for name, x in (("lr_now", lr),)},
        shapes=(("w", (size,) if matrix is None else tuple(matrix)),),
        hidden=() if matrix is None else ("w",),
        embeddings=(),
        normal=lambda name: torch.randn(params.shape, generator=draw, dtype=params.dtype),
        uniform=lambda name: torch.rand(members, 1, generator=draw, dtype=torch.float64),
        energy=lambda at: at.double().square().sum(1, keepdim=True) / 2,
    )
