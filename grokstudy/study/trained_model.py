"""A trained network that can be called: logits, activations, and what it does when activations are replaced."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import TypeAlias

import numpy as np
import torch
from jaxtyping import Float, Num
from torch import Tensor

from grokstudy.spec.errors import BadInput
from grokstudy.spec.interfaces import TaskData
from grokstudy.spec.trial import TrialSpec

Inputs: TypeAlias = "Num[np.ndarray, 'rows positions'] | Num[Tensor, 'rows positions'] | list[list[float]]"
"""Tokens [rows, positions] without "=" (which the model appends itself), or real features; None = every row of the
task, in the order of `trial.data.inputs`."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TrainedModel:
    """The network of one checkpoint. Logits are f(x): `model.output_scale` and `subtract_start` act in the loss."""

    spec: TrialSpec
    data: TaskData
    params: Mapping[str, Tensor]
    """By name, in the precision they were trained in."""
    step: int

    def __call__(self, inputs: Inputs | None = None) -> Float[Tensor, "rows *answers outputs"]:
        """Logits; `outputs` are the task's classes, and for a transformer with "=" one more.

        Raises:
            BadInput: inputs that the task does not have.
        """
        with torch.no_grad():
            return self.spec.model.apply(self.params, self._rows(inputs), answers=self.data.shape.answers)

    def run_with_cache(
        self, inputs: Inputs | None = None
    ) -> tuple[Float[Tensor, "rows *answers outputs"], dict[str, Tensor]]:
        """Logits, and activations by name (TransformerLens names where it has them); first axis rows everywhere.

        A transformer has `hook_embed` [rows, positions, d_model], and of its last block `attn.hook_z`,
        `attn.hook_pattern` [rows, positions, heads] (from the position read), `mlp.hook_post` [rows, d_mlp] and
        `hook_resid_post` under names such as `blocks.0.mlp.hook_post`. Every model has `neurons` [rows, *answers,
        width].
        """
        return self.run_with_patch({}, inputs)

    def run_with_patch(
        self, patch: Mapping[str, Tensor], inputs: Inputs | None = None
    ) -> tuple[Float[Tensor, "rows *answers outputs"], dict[str, Tensor]]:
        """As `run_with_cache`, where activations named in `patch` have these values before the pass goes on.

        Raises:
            BadInput: inputs as above, an activation that cannot be replaced, or one of another shape.
        """
        with torch.no_grad():
            seen = self.spec.model.activations(
                self.params, self._rows(inputs), answers=self.data.shape.answers, patch=patch or None
            )
        return seen["logits"], seen

    def _rows(self, inputs: Inputs | None) -> Num[Tensor, "rows positions"]:
        """Checked inputs in the type that the model reads."""
        shape = self.data.shape
        given = torch.as_tensor(np.asarray(self.data.inputs if inputs is None else inputs))
        if given.ndim != 2 or given.shape[1] != shape.positions:
            raise BadInput(f"inputs: got shape {list(given.shape)}, must be [rows, {shape.positions}].")
        if shape.vocab == 0:
            return given.to(next(iter(self.params.values())).dtype)
        if given.is_floating_point():
            raise BadInput(f"inputs: got numbers of type {given.dtype}, must be whole numbers: tokens.")
        if len(given) and (int(given.min()) < 0 or int(given.max()) >= shape.vocab):
            raise BadInput(
                f"inputs: got tokens from {int(given.min())} to {int(given.max())}, must be in 0..{shape.vocab - 1} "
                '("=" is appended by the model).'
            )
        return given.long()
