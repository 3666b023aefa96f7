"""Which irreducible representations of a group a network's logits, embedding and unembedding are made of."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._group_irreps import (
    KEY,
    WEAK_KEY,
    group_of,
    key_irreps,
    per_input,
    power_by_irrep,
    similarities,
    unless_group,
)
from grokstudy.circuits._network import Network, network
from grokstudy.circuits._values import NOT_FINITE, known, undefined, unless_varied
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks._groups import Group

ZERO = "zero_weights"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupIrreps(Measure):
    """Logits, embedding and unembedding of a network that multiplies in a group, by the group's real irreps.

    With L the logits [n^2, n], each row's mean subtracted, and T_rho[(a, b), c] = trace rho(a b c^-1):

    - `irrep_similarity`: `values` = cos(L, T_rho) for every irrep but the trivial one, `value` = the largest.
    - `irrep_logits_explained`: the sum of their squares, the share of L that traces explain.
    - `key_irreps`: `values` = places (1, 2 ...) of irreps with a similarity above 0.05 (and 0.005), `value` = how many.
    - `irrep_embedding`, `irrep_unembedding`: `values` = share of the squares of W_E (of W_L), as functions of the
      element, in rho's block, the span of the entries of its matrices; `value` = the largest. Random weights have the
      share (size of the block) / n.

    Correlations only: a network that sorts elements into cosets (`coset`) scores high too.

    Source: Chughtai et al. 2023 (arXiv 2302.03025) and the authors' code (metrics.py), which has both thresholds;
    Stander et al. 2023 (arXiv 2312.06581) on what it does not show.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "irrep_similarity",
        "irrep_logits_explained",
        "key_irreps",
        "irrep_embedding",
        "irrep_unembedding",
    )

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_group(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        net, group = network(subject), group_of(subject.spec)
        return [
            *self._of_logits(net, group),
            self._share("irrep_embedding", group, net.W_E.T, "of=W_E"),
            self._share("irrep_unembedding", group, net.W_L, "of=W_L"),
        ]

    def _of_logits(self, net: Network, group: Group) -> list[MeasureValue]:
        centred = per_input(net.logits)
        found = similarities(group, net.answer, centred)
        reason = unless_similar(net, centred, found)
        keys = {threshold: [i + 1 for i in key_irreps(found, threshold)] for threshold in (KEY, WEAK_KEY)}
        measured: list[tuple[str, str, float, list[float] | None]] = [
            ("irrep_similarity", "centre=per_input", float(found.max()), found.tolist()),
            ("irrep_logits_explained", "centre=per_input", float(found.square().sum()), None),
            *(("key_irreps", f"similarity={at}", len(some), [float(i) for i in some]) for at, some in keys.items()),
        ]
        return [
            undefined(name, reason, protocol=protocol, version=self.version)
            if reason
            else known(name, value, values=values, protocol=protocol, version=self.version)
            for name, protocol, value, values in measured
        ]

    def _share(self, name: str, group: Group, functions: Float[Tensor, "n width"], protocol: str) -> MeasureValue:
        whole = functions.square().sum()
        if whole == 0:
            return undefined(name, ZERO, protocol=protocol, version=self.version)
        shares = power_by_irrep(group, functions) / whole
        return known(name, float(shares.max()), values=shares.tolist(), protocol=protocol, version=self.version)


def unless_similar(net: Network, centred: Float[Tensor, "rows n"], found: Float[Tensor, " irreps"]) -> str | None:
    """Why the logits are similar to nothing: they do not vary within rows, or they are not finite. Else None."""
    if reason := unless_varied(float(centred.square().sum()), float(net.logits.square().sum())):
        return reason
    return None if bool(found.isfinite().all()) else NOT_FINITE
