"""Whether a logit feels both inputs' embeddings alike."""

from __future__ import annotations

import dataclasses
import functools
import random
from collections.abc import Mapping
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._embedding import unless_one_table, with_more_tokens
from grokstudy.circuits._values import NOT_FINITE, known
from grokstudy.spec.draws import generator
from grokstudy.spec.interfaces import Shape
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

TRIPLES = 100
SEED = 42
"""The paper's."""
SHUFFLED = 2_000_000
"""Up to so many triples (p = 125) they are shuffled as in the paper; more take too long and are drawn."""
FLAT = "zero_gradient"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GradientSymmetricity(Measure):
    """Mean over 100 triples (a, b, c) of cos(dQ_abc / dE_a, dQ_abc / dE_b), Q_abc the logit of c for the input (a, b).

    Gradients are with respect to the two embedding vectors before positions are added, apart even if a = b. A function
    of E_a + E_b has 1 (pizza networks: 0.99), clocks have 0.3 to 0.5. **An untrained transformer has 0.7 without
    attention and 0.45 with it** (claim untrained_symmetry; about 1 by replications of the paper): the number says
    something of networks that generalised, and is given for all. Triples with a gradient of exactly 0 are
    left out.

    `triples=zhong100`: all (input, c) in lexicographic order, shuffled by Python's `Random(42)`, the first 100; above
    2,000,000 of them `triples=drawn100`: 100 drawn without replacement. Classes c are any, not the answer.

    Source: Zhong et al. 2023 (arXiv 2306.17844), section 4 and the authors' notebook.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = ("gradient_symmetricity",)
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        shape = spec.task.shape()
        if shape.positions != 2 or shape.vocab == 0 or shape.answers or shape.real_targets:
            return "defined for tasks whose inputs are two tokens with one answer that is a class"
        return unless_one_table(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        data = subject.data
        count = len(data.inputs) * data.shape.classes
        way, chosen = ("zhong100", shuffled(count)) if count <= SHUFFLED else ("drawn100", drawn(count))
        rows, classes = chosen // data.shape.classes, chosen % data.shape.classes
        inputs = torch.from_numpy(data.inputs).long()[rows]
        gradients = input_gradients(subject.spec, subject.params, data.shape, inputs, classes)
        number = mean_cosine(gradients[:, 0], gradients[:, 1])
        protocol, why = f"triples={way}", FLAT if bool(gradients.isfinite().all()) else NOT_FINITE
        return [known("gradient_symmetricity", number, protocol=protocol, version=self.version, otherwise=why)]


@functools.lru_cache(maxsize=8)
def shuffled(count: int) -> Int[Tensor, " triples"]:
    """The first 100 of 0 .. count - 1 after Python's shuffle with seed 42."""
    order = list(range(count))
    random.Random(SEED).shuffle(order)
    return torch.tensor(order[:TRIPLES])


def drawn(count: int) -> Int[Tensor, " triples"]:
    """100 different numbers of 0 .. count - 1."""
    return torch.from_numpy(generator(SEED, "triples", str(count)).choice(count, TRIPLES, replace=False))


def input_gradients(
    spec: TrialSpec,
    params: Mapping[str, Tensor],
    shape: Shape,
    inputs: Int[Tensor, "n 2"],
    classes: Int[Tensor, " n"],
) -> Float[Tensor, "n 2 width"]:
    """Gradient of each row's logit of its class with respect to the embedding of each of its tokens.

    Every token of every row becomes a token of its own with the same embedding, so that one backward pass of the sum of
    all logits tells positions and rows apart.
    """
    W_E = spec.model.matrices(params, shape).W_E
    vectors = W_E.T[inputs.flatten()].detach().requires_grad_()
    own_tokens = shape.vocab + torch.arange(inputs.numel()).view_as(inputs)
    with torch.enable_grad():
        logits = spec.model.apply(with_more_tokens(spec, params, vectors, shape), own_tokens)
        total = logits.gather(1, classes[:, None]).sum()
        gradients: Tensor = torch.autograd.grad(total, vectors)[0].unflatten(0, (-1, 2))
    return gradients


def mean_cosine(x: Float[Tensor, "n width"], y: Float[Tensor, "n width"]) -> float:
    """Mean cosine over the rows in which neither vector is 0; NaN if there are none."""
    sizes = x.norm(dim=1) * y.norm(dim=1)
    live = sizes != 0
    return float(((x * y).sum(dim=1)[live] / sizes[live]).mean())
