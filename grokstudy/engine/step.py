"""One update of a pack."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.engine.batch import Rows
from grokstudy.engine.draws import add_normal, keep_masks, normal, uniform
from grokstudy.engine.energy import Energy
from grokstudy.engine.filters import filter_gradient
from grokstudy.engine.gradients import Gradient
from grokstudy.engine.layout import Layout
from grokstudy.engine.signature import active_terms, regularizer
from grokstudy.spec.columns import columns
from grokstudy.spec.interfaces import Shape, Step
from grokstudy.spec.trial import TrialSpec


def drops_activations(spec: TrialSpec) -> bool:
    """Whether a trial has a term with a drop rate, which no hand-written gradient knows."""
    one = torch.ones(1, 1, dtype=torch.float64)
    return any(regularizer(name).drop_rate(one) is not None for name in active_terms(spec))


class Update:
    """The update rule of a pack: gradient, filter, regularization terms, optimizer, noise.

    Settings are float64 columns [members, 1]; each is rounded to the weights' precision once, where it is used.
    """

    def __init__(
        self,
        specs: Sequence[TrialSpec],
        layout: Layout,
        shape: Shape,
        params: Float[Tensor, "members size"],
        start: Float[Tensor, "members size"] | None,
        *,
        compiled: bool,
    ) -> None:
        """`start` = the weights that training started from, or None where no term reads them."""
        self._specs, self._layout, self._start = specs, layout, start
        self._optimizer, self._offset = specs[0].optimizer, specs[0].init.offset
        model, loss = specs[0].model, specs[0].loss
        self._grads = torch.zeros_like(params)
        self._settings = _member_settings(specs, params.device)
        strengths = [spec.strengths() for spec in specs]
        self._terms = [
            (regularizer(name), _column([given[name] for given in strengths], params.device))
            for name in active_terms(specs[0])
        ]
        self._seeds = [spec.seeds.noise for spec in specs]
        self._noisy = any(spec.noise.acts for spec in specs)
        rates = [rate for term, strength in self._terms if (rate := term.drop_rate(strength)) is not None]
        self._drop_rate = rates[0] if rates else None
        self._sites = model.dropout_sites(shape) if rates else {}
        self._hidden, self._embeddings = tuple(model.hidden_matrices()), tuple(model.embeddings())
        parts = columns(layout.shapes, self._optimizer.undecayed(model).__contains__)
        self._decayed = [part for part, spared, _ in parts if not spared]
        self._gradient = Gradient(
            model, loss, layout, shape, compiled=compiled, device=params.device, dropout=bool(rates)
        )
        self._energy = Energy(model, loss, layout, shape)

    @torch.no_grad()
    def __call__(
        self, params: Float[Tensor, "members size"], state: Mapping[str, Tensor], step: int, rows: Rows
    ) -> None:
        """Updates `params` and `state` in place; `step` counts this trial's updates before."""
        number, optimizer = step + self._offset, self._optimizer
        lr = self._settings["lr"] * optimizer.lr_factor(number) if "lr" in self._settings else None
        if optimizer.uses_gradient:
            self._write_gradient(params, state, number, rows)
        if lr is not None and optimizer.uses_gradient:
            for (term, strength), part in itertools.product(self._terms, self._decayed):
                term.decay(params[:, part], None if self._start is None else self._start[:, part], lr, strength)
        optimizer.update(self._step(params, state, number, rows, lr))
        if self._noisy and lr is not None:
            temperature = _column([spec.noise.at(number) for spec in self._specs], params.device)
            add_normal(params, self._seeds, "noise", number, (2 * lr * temperature).sqrt())
        for term, strength in self._terms:
            term.project(params, self._start, strength)

    def _write_gradient(self, params: Tensor, state: Mapping[str, Tensor], number: int, rows: Rows) -> None:
        self._gradient(params, rows, self._grads, self._masks(number, rows, params))
        filter_gradient(self._optimizer, params, self._grads, state, number, self._layout.shapes)
        for term, strength in self._terms:
            addition = term.gradient(params, strength)
            if addition is not None:
                self._grads.add_(addition)

    def _masks(self, number: int, rows: Rows, like: Tensor) -> dict[str, Tensor]:
        if self._drop_rate is None:
            return {}
        return {
            site: keep_masks(self._seeds, self._drop_rate, site, number, (rows.inputs.shape[1], *size), like)
            for site, size in self._sites.items()
        }

    def _step(self, params: Tensor, state: Mapping[str, Tensor], number: int, rows: Rows, lr: Tensor | None) -> Step:
        return Step(
            params=params,
            grads=self._grads,
            state=state,
            number=number,
            settings=self._settings if lr is None else {**self._settings, "lr_now": lr},
            shapes=self._layout.shapes,
            hidden=self._hidden,
            embeddings=self._embeddings,
            normal=lambda name: normal(self._seeds, name, number, params),
            uniform=lambda name: uniform(self._seeds, name, number, params.device),
            energy=lambda at: self._energy(at, rows, self._terms),
        )


def _member_settings(specs: Sequence[TrialSpec], device: torch.device) -> dict[str, Tensor]:
    """Every per-member number of the optimizer as a column, and the weight decay trained with."""
    columns = {
        field.name: _column([getattr(spec.optimizer, field.name) for spec in specs], device)
        for field in dataclasses.fields(specs[0].optimizer)
        if field.metadata.get("per_member")
    }
    if "lr" in columns:
        columns["lr"] = _column([_learning_rate(spec) for spec in specs], device)
    return columns | {"weight_decay": _column([spec.strengths()["weight_decay"] for spec in specs], device)}


def _learning_rate(spec: TrialSpec) -> float:
    """The lr after warm-up; an optimizer that asks for it (`lr_over_scale2`) has it divided by alpha^2."""
    divided = getattr(spec.optimizer, "lr_over_scale2", False)
    return spec.lr / spec.model.output_scale**2 if divided else spec.lr


def _column(values: Sequence[float | Sequence[float]], device: torch.device) -> Float[Tensor, "members 1 *more"]:
    return torch.tensor(values, dtype=torch.float64, device=device).unsqueeze(1)
