"""Where the heads of a transformer look, and whether they differ."""

from __future__ import annotations

import dataclasses
import math
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._applies import unless_classes, unless_periodic
from grokstudy.circuits._network import Network, network
from grokstudy.circuits._neurons import frequencies_of
from grokstudy.circuits._periodic import periodic
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.models.transformer import Transformer
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

ONE_HEAD = "one_head"
NO_EQUALS = "no_equals"
NO_ATTENTION = "no_attention"
CONSTANT = "constant_attention"
PERIODIC = ("attention.head_fve", "attention.head_freqs")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class AttentionHeads(Measure):
    """Attention of the last block's heads at the position where the answer is read, over all inputs.

    `values` are one number per head. `attention.to_equals`: mean attention to "=" itself; `value` is the mean over
    heads. `attention.head_fve`: share of the variance of attention to a minus attention to b that one frequency
    explains, of degree two as for neurons; `value` is the least. `attention.head_freqs`: that frequency; `value` is how
    many different ones. `attention.entropy`: mean entropy of the pattern in nats, mean over heads; `.std` its standard
    deviation over heads. `attention.head_cosine`: mean cosine of the patterns of two heads, over all pairs: 1 if all
    heads look alike.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.3 and appendix C.1; entropy and cosine: Verma 2026 (arXiv
    2605.20441), how it tells heads that collapsed into one.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "attention.to_equals",
        *PERIODIC,
        "attention.entropy",
        "attention.entropy.std",
        "attention.head_cosine",
    )

    def applies(self, spec: TrialSpec) -> str | None:
        model = spec.model
        if not isinstance(model, Transformer):
            return "defined for model=transformer"
        if spec.task.shape().answers:
            return "defined for transformers that are read at one position"
        if model.attn_rate < 1:
            return f"defined for attention that is a softmax, model.attn_rate is {model.attn_rate}"
        return unless_classes(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        pattern = network(subject).pattern
        if pattern is None or not bool(pattern.isfinite().all()):
            return [self._undefined(name, NO_ATTENTION if pattern is None else NOT_FINITE) for name in self.names]
        entropies = entropy(pattern)
        return [
            self._to_equals(subject, pattern),
            *self._frequencies(subject),
            self._value("attention.entropy", float(entropies.mean()), entropies),
            self._value("attention.entropy.std", float(entropies.std(correction=0))),
            self._value("attention.head_cosine", head_cosine(pattern), otherwise=ONE_HEAD),
        ]

    def _to_equals(self, subject: Subject, pattern: Float[Tensor, "rows positions heads"]) -> MeasureValue:
        if pattern.shape[1] == subject.data.shape.positions:
            return self._undefined("attention.to_equals", NO_EQUALS)
        share = pattern[:, -1].mean(dim=0)
        return self._value("attention.to_equals", float(share.mean()), share)

    def _frequencies(self, subject: Subject) -> list[MeasureValue]:
        if reason := unless_periodic(subject.spec):
            return [self._undefined(name, reason) for name in PERIODIC]
        found = head_frequencies(periodic(subject))
        if found is None:
            return [self._undefined(name, CONSTANT) for name in PERIODIC]
        frequency, fraction = found
        return [
            self._value("attention.head_fve", float(fraction.min()), fraction),
            self._value("attention.head_freqs", len(frequency.unique()), frequency),
        ]

    def _value(
        self, name: str, number: float, values: Tensor | None = None, otherwise: str = NOT_FINITE
    ) -> MeasureValue:
        numbers = None if values is None else values.tolist()
        return known(name, number, values=numbers, protocol=_protocol(name), version=self.version, otherwise=otherwise)

    def _undefined(self, name: str, reason: str) -> MeasureValue:
        return undefined(name, reason, protocol=_protocol(name), version=self.version)


def _protocol(name: str) -> str:
    return "block=3x3;of=a-b" if name in PERIODIC else "layer=last;rows=all"


def head_frequencies(net: Network) -> tuple[Int[Tensor, " heads"], Float[Tensor, " heads"]] | None:
    """Of attention to a minus attention to b, each head's best frequency and the share of variance that it explains.

    None if it is constant for a head.
    """
    assert net.pattern is not None
    found = frequencies_of(net.pattern[:, 0] - net.pattern[:, 1], net.p)
    return None if found.dead else (found.frequency, found.fraction)


def entropy(pattern: Float[Tensor, "rows positions heads"]) -> Float[Tensor, " heads"]:
    """Mean entropy of each head's attention over the positions, in nats."""
    return -torch.xlogy(pattern, pattern).sum(dim=1).mean(dim=0)


def head_cosine(pattern: Float[Tensor, "rows positions heads"]) -> float:
    """Mean over pairs of heads of the cosine of their patterns, all rows and positions; NaN of one head."""
    flat = torch.nn.functional.normalize(pattern.flatten(0, 1), dim=0)
    heads = flat.shape[1]
    if heads == 1:
        return math.nan
    cosines = flat.T @ flat
    return float((cosines.sum() - cosines.diagonal().sum()) / (heads * (heads - 1)))
