"""What a network does with one circle of its embedding alone."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_fourier
from grokstudy.circuits._embedding import unless_embedded, with_more_tokens
from grokstudy.circuits._geometry import Components, principal_components, wave_shares
from grokstudy.circuits._network import Network, accuracy, answered, network
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.circuits.circularity import NO_VARIANCE
from grokstudy.circuits.clock_pizza import fits, paper_fve
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

PAIRS = 3
"""Pairs of principal components looked at, as in the paper."""
PROTOCOL = f"pairs={PAIRS};mean=kept"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CircleIsolation(Measure):
    """The network run with only some principal components of its embedding: the first three pairs, one by one.

    `circle_isolation.accuracy`: on all inputs, with all three pairs (`values`: with each alone; in the paper 0.91, and
    0.33 for one). `circle_isolation.clock`, `.pizza`: 2 r - 1 of each pair's logits with the formula of `clock_pizza`
    at the pair's frequency, r over what has that frequency in c; `value` = mean. `circle_isolation.frequency`: those
    frequencies; `value` = that of the first pair. The mean of all embeddings is kept: it belongs to no component (the
    paper leaves that open). An embedding with fewer components has fewer pairs.

    Source: Zhong et al. 2023 (arXiv 2306.17844), section 3 and appendix B.1.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "circle_isolation.accuracy",
        "circle_isolation.clock",
        "circle_isolation.pizza",
        "circle_isolation.frequency",
    )
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_fourier(spec) or unless_embedded(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net = network(subject)
        if not bool(net.W_E.isfinite().all()):
            return self._undefined(NOT_FINITE)
        found = principal_components(net.W_E)
        if found.scores.shape[1] == 0:
            return self._undefined(NO_VARIANCE)
        pairs = [[j, j + 1] for j in range(0, min(2 * PAIRS, found.scores.shape[1] - 1), 2)] or [[0]]
        strongest = wave_shares(found.scores)[1]
        frequencies = [int(strongest[pair[0]]) for pair in pairs]
        alone = [with_components(subject, net, found, pair) for pair in pairs]
        together = with_components(subject, net, found, list(itertools.chain(*pairs)))
        formulas = [fits(circle, [k]) for circle, k in zip(alone, frequencies, strict=True)]
        clock, pizza = (torch.cat([paper_fve(pair[i].correlation) for pair in formulas]).tolist() for i in (0, 1))
        return [
            self._known(
                "accuracy", accuracy(together.logits, net.all), [accuracy(one.logits, net.all) for one in alone]
            ),
            self._known("clock", sum(clock) / len(clock), clock),
            self._known("pizza", sum(pizza) / len(pizza), pizza),
            self._known("frequency", frequencies[0], frequencies),
        ]

    def _known(self, name: str, number: float, numbers: Sequence[float]) -> MeasureValue:
        return known(f"circle_isolation.{name}", number, protocol=PROTOCOL, version=self.version, values=numbers)

    def _undefined(self, reason: str) -> list[MeasureValue]:
        return [undefined(name, reason, protocol=PROTOCOL, version=self.version) for name in self.names]


def with_components(subject: Subject, net: Network, found: Components, kept: Sequence[int]) -> Network:
    """The network with every token embedded as the mean plus these components of its embedding."""
    vectors: Float[Tensor, "p width"] = found.mean + found.scores[:, kept] @ found.axes[kept]
    shape = subject.data.shape
    params = with_more_tokens(subject.spec, subject.params, vectors, shape)
    with torch.no_grad():
        logits = subject.spec.model.apply(params, net.inputs.long() + shape.vocab)
    own = answered(subject, net.inputs.long(), logits[:, : net.p])
    return dataclasses.replace(net, logits=own.double())
