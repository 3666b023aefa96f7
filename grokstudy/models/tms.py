"""The network of toy models of superposition: features through a bottleneck and back by the same matrix."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Literal, TypeAlias

from jaxtyping import Float

from grokstudy.models._patch import NEURONS, check_names, replaced
from grokstudy.models._products import product, relu_product
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import HandWritten, Loss, Model, ReadMatrices, Shape

if TYPE_CHECKING:
    import torch
    from torch import Tensor

Activation: TypeAlias = Literal["relu", "linear"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TMSNetwork(Model):
    """x' = ReLU(W^T W x + b): n features in `hidden` numbers, one tied matrix W [hidden, n] and a bias b [n].

    Column i of W is the direction of feature i: its length says how far the feature is represented, its products with
    the other columns how much they interfere. W starts normal with standard deviation sqrt(2 / (n + hidden)), b at 0.
    Outputs are [rows, n, 1]: every feature is one answer.

    Source: Elhage et al. 2022 (arXiv 2209.10652), section Demonstrating Superposition (`linear` is the
    model it is compared with).
    """

    hidden: int = setting(2, help="numbers that the features are stored in")
    activation: Activation = setting("relu", help="what is applied to the output")

    def __post_init__(self) -> None:
        if self.hidden < 1:
            raise BadInput(f"model.hidden: got {self.hidden}, must be >= 1.")

    def check(self, shape: Shape) -> None:
        if not (shape.vocab == 0 and shape.real_targets and shape.classes == 1 and shape.answers == shape.positions):
            raise BadInput("model: tms puts every one of its real inputs back together. Use it with task=tms.")

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        import torch

        n = shape.positions
        std = math.sqrt(2 / (n + self.hidden))
        drawn = generator(seed, "init", "W").normal(0.0, std, (self.hidden, n))
        return {"W": torch.from_numpy(drawn), "b": torch.zeros(n, dtype=torch.float64)}

    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Float[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None = None,
        *,
        answers: int = 0,
    ) -> Float[Tensor, "rows answers 1"]:
        return self._rebuilt(params, inputs @ params["W"].T)

    def activations(
        self,
        params: Mapping[str, Tensor],
        inputs: Float[Tensor, "rows positions"],
        *,
        answers: int = 0,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        """`hidden` [rows, hidden] are the numbers that the features are stored in; all answers read the same ones.

        `neurons` are their copies, one per answer; patched, each answer reads its own.
        """
        patch = patch or {}
        check_names(patch, ("hidden", NEURONS))
        hidden = replaced(patch, "hidden", inputs @ params["W"].T)
        neurons = replaced(patch, NEURONS, hidden[:, None].expand(-1, inputs.shape[1], -1))
        logits = self._each_rebuilt(params, neurons) if NEURONS in patch else self._rebuilt(params, hidden)
        return {"hidden": hidden, NEURONS: neurons, "logits": logits}

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        """Features stand where tokens and classes do elsewhere: `W_E` = W and `W_L` = W^T."""
        return ReadMatrices(W_E=params["W"], W_L=params["W"].T)

    def last_layer(self) -> str:
        return "W"

    def gradient_by_hand(self, shape: Shape) -> HandWritten:
        return _Gradient(activation=self.activation)

    def _rebuilt(
        self, params: Mapping[str, Tensor], hidden: Float[Tensor, "rows hidden"]
    ) -> Float[Tensor, "rows answers 1"]:
        out = hidden @ params["W"] + params["b"]
        return (out.relu() if self.activation == "relu" else out).unsqueeze(-1)

    def _each_rebuilt(
        self, params: Mapping[str, Tensor], neurons: Float[Tensor, "rows answers hidden"]
    ) -> Float[Tensor, "rows answers 1"]:
        """As `_rebuilt`, from numbers that may differ between answers."""
        out = (neurons * params["W"].T).sum(-1) + params["b"]
        return (out.relu() if self.activation == "relu" else out).unsqueeze(-1)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class _Gradient:
    """The gradient as five matrix products. W is read twice, so that its gradient has two terms."""

    activation: Activation

    def prepare(self, inputs: Float[Tensor, "members rows n"], dtype: torch.dtype) -> tuple[Tensor]:
        return (inputs.to(dtype).contiguous(),)

    def logits(self, params: Mapping[str, Tensor], prepared: Sequence[Tensor]) -> Float[Tensor, "rows n 1"]:
        return self._rebuilt(params, product(prepared[0], params["W"].T)).unsqueeze(-1)

    def write_gradient(
        self,
        params: Mapping[str, Tensor],
        prepared: Sequence[Tensor],
        labels: Float[Tensor, "rows n 1"],
        weights: Float[Tensor, "rows n"],
        loss: Loss,
        out: Mapping[str, Tensor],
    ) -> None:
        import torch

        (x,), W = prepared, params["W"]
        hidden = product(x, W.T)
        rebuilt = self._rebuilt(params, hidden)
        d_out = loss.logit_gradient(rebuilt.unsqueeze(-1), labels).squeeze(-1) * weights
        if self.activation == "relu":
            d_out.mul_(rebuilt > 0)
        d_hidden = product(d_out, W.T)
        torch.add(product(hidden.T.contiguous(), d_out), product(d_hidden.T.contiguous(), x), out=out["W"])
        torch.sum(d_out, 0, out=out["b"])

    def _rebuilt(self, params: Mapping[str, Tensor], hidden: Float[Tensor, "rows hidden"]) -> Float[Tensor, "rows n"]:
        compute = relu_product if self.activation == "relu" else product
        return compute(hidden, params["W"], bias=params["b"])
