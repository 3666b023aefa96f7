"""Fully connected network on real inputs."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from jaxtyping import Float

from grokstudy.models._layers import Bias, Chain, Scheme, affine, check_size, hidden_sites, run
from grokstudy.models._mlp_gradient import RealInputsGradient
from grokstudy.models._nonlinearity import NonLinearity
from grokstudy.models._patch import check_names
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import HandWritten, Model, ReadMatrices, Shape

if TYPE_CHECKING:
    from torch import Tensor


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MLP(Model):
    """Fully connected layers on real inputs: images, parities, teacher-student; classes or real targets.

    `layers.i.W` is [fan_in, fan_out]. Papers' networks: 784-200-200-10 ReLU (MNIST, depth 3, width 200), 5-100-100-5
    tanh (teacher-student), 40-1000-2 with bias=hidden (sparse parity, Merrill et al. 2023, arXiv 2303.11873).
    Source: Liu et al. 2022, Omnigrok (arXiv 2210.01117), section 4 and the authors' notebooks.
    """

    depth: int = setting(3, help="layers of weights: hidden layers + 1")
    width: int = setting(100, help="neurons of every hidden layer; of the first, where later_widths are given")
    later_widths: tuple[int, ...] | None = setting(
        None, help="neurons of each hidden layer after the first; null = width"
    )
    activation: NonLinearity = setting("relu", help="non-linearity of hidden layers: relu, gelu, silu, tanh, quad")
    bias: Bias = setting("all", help="layers with a bias: all, hidden (not the last), none")
    init_scheme: Scheme = setting(
        "torch", help="torch: uniform +-1/sqrt(fan_in), biases too; lecun, he: normal, variance 1 or 2 / fan_in"
    )

    def __post_init__(self) -> None:
        check_size("depth", self.depth, 2)
        check_size("width", self.width, 1)
        if self.later_widths is None:
            return
        later = list(self.later_widths)
        if len(later) != self.depth - 2:
            raise BadInput(
                f"model.later_widths: got {later}, must hold {self.depth - 2} widths with model.depth={self.depth} "
                "(one for each hidden layer after the first), or be null."
            )
        if min(later, default=0) < 1:
            raise BadInput(f"model.later_widths: got {later}, all must be >= 1.")
        if set(later) == {self.width}:
            raise BadInput(
                f"model.later_widths: got {later}, model.width={self.width} says so already; set it to null."
            )

    def check(self, shape: Shape) -> None:
        if shape.vocab:
            raise BadInput(
                "model: mlp reads real numbers; this task has tokens. Use model=onehot_mlp, embed_mlp or transformer."
            )
        if shape.answers:
            raise BadInput(f"model: mlp answers once per row; this task has {shape.answers} answers. Use model=tms.")

    def init(self, shape: Shape, seed: int) -> dict[str, Tensor]:
        return self._chain(shape.positions, shape.classes).init(seed, self.init_scheme)

    def apply(
        self,
        params: Mapping[str, Tensor],
        inputs: Float[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None = None,
        *,
        answers: int = 0,
    ) -> Float[Tensor, "rows outputs"]:
        return self._run(params, inputs, keep)["logits"]

    def activations(
        self,
        params: Mapping[str, Tensor],
        inputs: Float[Tensor, "rows positions"],
        *,
        answers: int = 0,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        check_names(patch or {}, hidden_sites(self._hidden_widths()))
        return self._run(params, inputs, None, patch)

    def matrices(self, params: Mapping[str, Tensor], shape: Shape) -> ReadMatrices:
        return ReadMatrices(W_E=params["layers.0.W"].T, W_L=params[self.last_layer()].T)

    def last_layer(self) -> str:
        return f"layers.{self.depth - 1}.W"

    def dropout_sites(self, shape: Shape) -> Mapping[str, tuple[int, ...]]:
        return hidden_sites(self._hidden_widths())

    def hidden_matrices(self) -> Sequence[str]:
        return [f"layers.{i}.W" for i in range(1, self.depth - 1)]

    def gradient_by_hand(self, shape: Shape) -> HandWritten:
        return RealInputsGradient(layers=self._chain().layers(), kind=self.activation)

    def _run(
        self,
        params: Mapping[str, Tensor],
        inputs: Float[Tensor, "rows positions"],
        keep: Mapping[str, Tensor] | None,
        patch: Mapping[str, Tensor] | None = None,
    ) -> dict[str, Tensor]:
        first, *later = self._chain().layers()
        return run(params, later, affine(params, first, inputs), self.activation, keep, patch)

    def _hidden_widths(self) -> tuple[int, ...]:
        return (self.width, *(self.later_widths or (self.width,) * (self.depth - 2)))

    def _chain(self, features: int = 0, outputs: int = 0) -> Chain:
        """The layers' names do not depend on the numbers of features and outputs."""
        return Chain(widths=(features, *self._hidden_widths(), outputs), bias=self.bias)
