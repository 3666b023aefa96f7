"""Quadratic MLP on two one-hot inputs: the smallest network that groks modular arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.models._layers import Layer
from grokstudy.models._lookup import LookupGradient
from grokstudy.models._patch import EMBED, NEURONS, check_names, replaced
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import HandWritten, Loss, Model, ReadMatrices, Shape

if TYPE_CHECKING:
    import torch
    from torch import Tensor

TABLE = "UV"
"""U above V: what the tokens of both positions read."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class QuadMLP(Model):
    """logits = W (U e_a + V e_b)^2: one hidden layer, square activation, no biases.

    Weights start normal with standard deviation 0.5 / (2 width)^(1/3).
    Source: Gromov 2023 (arXiv 2301.02679); Doshi et al. 2023 (arXiv 2310.13061), section 2.
    """

    width: int = setting(128, help="hidden neurons")

    def __post_init__(self) -> None:
        if self.width < 1:
            raise BadInput(f"model.width: got {self.width}, must be >= 1.")

    def check(self, shape: Shape) -> None:
        if shape.positions != 2 or shape.vocab == 0 or shape.answers:
            what = f"{shape.positions} {'tokens' if shape.vocab else 'real numbers'}"
            what += f" in a sequence, answers: {shape.answers}" if shape.answers else ""
            use = "transformer" if shape.vocab else "tms" if shape.answers else "mlp"
            raise BadInput(f"model: quad_mlp reads two tokens and answers once; this task has {what}. Use model={use}.")

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        import torch

        std = 0.5 / (2 * self.width) ** (1 / 3)
        shapes = {"U": (shape.vocab, self.width), "V": (shape.vocab, self.width), "W": (self.width, shape.classes)}
        return {
            name: torch.from_numpy(generator(seed, "init", name).normal(0.0, std, size))
            for name, size in shapes.items()
        }

    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None = None,
        *,
        answers: int = 0,
    ) -> Float[Tensor, "rows outputs"]:
        pre = self._pre(params, inputs)
        neurons = pre * pre
        return (neurons if keep is None else neurons * keep["neurons"]) @ params["W"]

    def dropout_sites(self, shape: Shape) -> Mapping[str, tuple[int, ...]]:
        return {"neurons": (self.width,)}

    def activations(
        self,
        params: Mapping[str, Tensor],
        inputs: Int[Tensor, "rows positions"],
        *,
        answers: int = 0,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """`hook_embed` are the token's rows of U and V, and `pre` is their sum."""
        import torch

        patch = patch or {}
        check_names(patch, (EMBED, "pre", NEURONS))
        embedded = replaced(patch, EMBED, torch.stack([params["U"][inputs[:, 0]], params["V"][inputs[:, 1]]], 1))
        pre = replaced(patch, "pre", embedded[:, 0] + embedded[:, 1])
        neurons = replaced(patch, NEURONS, pre * pre)
        return {EMBED: embedded, "pre": pre, NEURONS: neurons, "logits": neurons @ params["W"]}

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        import torch

        return ReadMatrices(W_E=torch.cat([params["U"].T, params["V"].T]), W_L=params["W"].T)

    def last_layer(self) -> str:
        return "W"

    def gradient_by_hand(self, shape: Shape) -> HandWritten:
        lookup = LookupGradient(
            table=TABLE, entries=2 * shape.vocab, stride=shape.vocab, layers=(Layer(W="W"),), kind="quad"
        )
        return _Gradient(lookup=lookup)

    def _pre(self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows 2"]) -> Float[Tensor, "rows width"]:
        from torch.nn.functional import embedding

        return embedding(inputs[:, 0], params["U"]).add_(embedding(inputs[:, 1], params["V"]))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Gradient:
    """That of a one-layer network on the table [U; V], whose halves are the parameters."""

    lookup: LookupGradient

    def prepare(self, inputs: Int[Tensor, "members rows 2"], dtype: torch.dtype) -> tuple[Tensor, ...]:
        return self.lookup.prepare(inputs, dtype)

    def logits(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows outputs"]:
        return self.lookup.logits(_with_table(params), prepared)

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Int[Tensor, " rows"],
        weights: Float[Tensor, " rows"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        import torch

        whole = _with_table(params)
        d_table = torch.empty_like(whole[TABLE])
        self.lookup.write_gradient(whole, prepared, labels, weights, loss, {TABLE: d_table, "W": out["W"]})
        out["U"].copy_(d_table[: self.lookup.stride])
        out["V"].copy_(d_table[self.lookup.stride :])


def _with_table(params: Mapping[str, Tensor]) -> dict[str, Tensor]:
    import torch

    return {TABLE: torch.cat([params["U"], params["V"]]), "W": params["W"]}
