"""Quadratic MLP on two one-hot inputs: the smallest network that groks modular arithmetic."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float, Int

from grokstudy.models._products import product
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import HandWritten, Loss, Model, ReadMatrices, Shape

if TYPE_CHECKING:
    import torch
    from torch import Tensor


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
        self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows positions"], *, answers: int = 0
    ) -> dict[str, Tensor]:
        pre = self._pre(params, inputs)
        return {"pre": pre, "neurons": pre * pre, "logits": (pre * pre) @ params["W"]}

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        import torch

        return ReadMatrices(W_E=torch.cat([params["U"].T, params["V"].T]), W_L=params["W"].T)

    def last_layer(self) -> str:
        return "W"

    def gradient_by_hand(self, shape: Shape) -> HandWritten:
        return _Gradient(vocab=shape.vocab)

    def _pre(self, params: Mapping[str, Tensor], inputs: Int[Tensor, "rows 2"]) -> Float[Tensor, "rows width"]:
        from torch.nn.functional import embedding

        return embedding(inputs[:, 0], params["U"]).add_(embedding(inputs[:, 1], params["V"]))


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Gradient:
    """Three matrix products, and sums of table rows where a product with one-hot rows would stand.

    A row's pre-activation is the sum of two rows of [U; V]; the gradient of a row of [U; V] is the sum over the rows
    that read it.
    """

    vocab: int

    def prepare(
        self, inputs: Int[Tensor, "members rows 2"], dtype: torch.dtype
    ) -> tuple[Int[Tensor, "members rows 2"], Int[Tensor, "members readers"], Int[Tensor, "members entries"]]:
        """Entries of [U; V] that each row reads; the rows that read each entry, entry by entry; where they start."""
        import torch

        entries = inputs + torch.tensor([0, self.vocab], device=inputs.device)
        ordered, order = entries.flatten(1).sort(dim=1, stable=True)
        every = torch.arange(2 * self.vocab, device=inputs.device).expand(len(inputs), -1).contiguous()
        return entries, order // 2, torch.searchsorted(ordered, every)

    def logits(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows outputs"]:
        return product(self._pre(params, prepared).square_(), params["W"])

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Int[Tensor, " rows"],
        weights: Float[Tensor, " rows"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        from torch.nn.functional import embedding_bag

        pre = self._pre(params, prepared)
        neurons = pre * pre
        d_logits = loss.logit_gradient(product(neurons, params["W"]), labels).mul_(weights[:, None])
        d_pre = product(d_logits, params["W"].T).mul_(pre).mul_(2)
        d_UV = embedding_bag(prepared[1], d_pre, prepared[2], mode="sum")
        out["U"].copy_(d_UV[: self.vocab])
        out["V"].copy_(d_UV[self.vocab :])
        out["W"].copy_(product(d_logits.T.contiguous(), neurons).T)  # fewer rows to copy than neurons transposed

    def _pre(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows width"]:
        import torch

        table = torch.cat([params["U"], params["V"]])
        return torch.nn.functional.embedding_bag(prepared[0], table, mode="sum")
