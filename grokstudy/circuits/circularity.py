"""Whether the embedding puts the residues on circles."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._applies import unless_modular
from grokstudy.circuits._geometry import Components, principal_components, wave_shares
from grokstudy.circuits._network import network
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks._modular_ops import is_prime

COMPONENTS = 4
CIRCULAR = 0.995
"""A principal component is one wave if its best frequency has at least this share of its variance."""
NO_VARIANCE = "equal_embeddings"
NOT_PRIME = "p_not_prime"
FEW = "fewer_than_4_components"

PROTOCOLS: Mapping[str, str] = {
    "circularity": f"pcs={COMPONENTS}",
    "circularity.circles": f"share={CIRCULAR}",
    "circularity.delta": f"pcs={COMPONENTS};step=inverse",
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Circularity(Measure):
    """How purely the principal components of the embedding are single waves over the residues.

    Component j scores v_t at residue t; its share is max_k (2 / p) |sum_t v_t e^(i w_k t)|^2 / sum_t v_t^2 (for even p
    and k = p/2 without the 2). `circularity` = mean share of the first four components (`values`), a component without
    variance counting 0. `circularity.circles` = pairs of successive components (1 and 2, 3 and 4 ...) that are waves of
    one frequency with shares >= 0.995; `values` = their frequencies. `circularity.delta` = the frequencies of the first
    two pairs in the paper's own way: the step d for which residues 0, d, 2d ... lie closest one after the other on the
    pair's plane has k = 1/d mod p (prime p); `value` is that of the first.

    Source: Zhong et al. 2023 (arXiv 2306.17844), appendix B.1 and the authors' notebook.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = tuple(PROTOCOLS)

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_modular(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        W_E = network(subject).W_E
        if not bool(W_E.isfinite().all()):
            return [self._undefined(name, NOT_FINITE) for name in self.names]
        found = principal_components(W_E)
        if found.scores.shape[1] == 0:
            return [self._undefined(name, NO_VARIANCE) for name in self.names]
        shares = wave_shares(found.scores)[0][:COMPONENTS]
        frequencies = circles(found)
        return [
            self._known("circularity", float(shares.sum()) / COMPONENTS, shares.tolist()),
            self._known("circularity.circles", len(frequencies), [k for _, k in frequencies]),
            self._delta(found.scores),
        ]

    def _delta(self, scores: Float[Tensor, "p components"]) -> MeasureValue:
        name = "circularity.delta"
        if not is_prime(len(scores)):
            return self._undefined(name, NOT_PRIME)
        if scores.shape[1] < COMPONENTS:
            return self._undefined(name, FEW)
        steps = [step_frequency(scores[:, j : j + 2]) for j in range(0, COMPONENTS, 2)]
        return self._known(name, steps[0], steps)

    def _known(self, name: str, number: float, numbers: Sequence[float]) -> MeasureValue:
        return known(name, number, protocol=PROTOCOLS[name], version=self.version, values=numbers)

    def _undefined(self, name: str, reason: str) -> MeasureValue:
        return undefined(name, reason, protocol=PROTOCOLS[name], version=self.version)


def circles(found: Components) -> list[tuple[int, int]]:
    """First component and frequency of every pair of successive components that is a circle."""
    shares, best = wave_shares(found.scores)
    return [
        (j, int(best[j]))
        for j in range(0, len(best) - 1, 2)
        if best[j] == best[j + 1] and min(shares[j], shares[j + 1]) >= CIRCULAR
    ]


def step_frequency(plane: Float[Tensor, "p 2"]) -> int:
    """Frequency 1 .. p // 2 of a circle through the residues of a prime p, found without a Fourier transform."""
    p = len(plane)
    steps = torch.arange(1, max(p // 2, 1) + 1)
    walk: Int[Tensor, "steps p"] = steps[:, None] * torch.arange(p + 1)[None, :] % p
    lengths = (plane[walk[:, 1:]] - plane[walk[:, :-1]]).norm(dim=2).mean(dim=1)
    k = pow(int(steps[lengths.argmin()]), -1, p)
    return min(k, p - k)
