"""One update of a pack."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.engine.batch import Rows
from grokstudy.engine.gradients import Gradient
from grokstudy.engine.signature import active_terms, regularizer
from grokstudy.spec.trial import TrialSpec


class Update:
    """The update rule of a pack: gradient, regularization terms, optimizer, with one column of settings per member.

    Settings are float64 columns [members, 1]; each is rounded to the weights' precision once, where it is used.
    """

    def __init__(self, specs: Sequence[TrialSpec], gradient: Gradient, params: Float[Tensor, "members size"]) -> None:
        self._optimizer = specs[0].optimizer
        self._gradient = gradient
        self._grads = torch.empty_like(params)
        self._settings = _member_settings(specs, params.device)
        self._terms = [
            (regularizer(name), _column([spec.regularization[name] for spec in specs], params.device))
            for name in active_terms(specs[0])
        ]

    @torch.no_grad()
    def __call__(
        self, params: Float[Tensor, "members size"], state: Mapping[str, Tensor], step: int, rows: Rows
    ) -> None:
        """Updates `params` and `state` in place; `step` counts the updates done before."""
        self._gradient(params, rows, self._grads)
        lr = self._settings["lr"] * self._optimizer.lr_factor(step)
        for term, strength in self._terms:
            addition = term.gradient(params, strength)
            if addition is not None:
                self._grads.add_(addition)
        for term, strength in self._terms:
            term.decay(params, lr, strength)
        self._optimizer.update(params, self._grads, state, step, {**self._settings, "lr_now": lr})


def _member_settings(specs: Sequence[TrialSpec], device: torch.device) -> dict[str, Tensor]:
    """Every per-member field of the optimizer as a column."""
    import dataclasses

    return {
        field.name: _column([getattr(spec.optimizer, field.name) for spec in specs], device)
        for field in dataclasses.fields(specs[0].optimizer)
        if field.metadata.get("per_member")
    }


def _column(values: Sequence[float | Sequence[float]], device: torch.device) -> Float[Tensor, "members 1 *more"]:
    return torch.tensor(values, dtype=torch.float64, device=device).unsqueeze(1)
