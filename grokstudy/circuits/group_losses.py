"""Loss of a network on a group with and without its key irreps, and what its neurons hold of them."""

from __future__ import annotations

import dataclasses
import math
import statistics
from collections.abc import Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._group_irreps import (
    KEY,
    group_of,
    hidden,
    key_irreps,
    nontrivial,
    per_input,
    power_by_irrep,
    project,
    similarities,
    sums_over,
    unless_group,
)
from grokstudy.circuits._keys import NO_KEYS, RANDOM_SETS
from grokstudy.circuits._network import Network, cross_entropy, network
from grokstudy.circuits._values import NO_ROWS, known, undefined
from grokstudy.spec.draws import generator
from grokstudy.spec.measure import NEVER_GENERALISED, Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks._groups import Group

NO_FINAL = "no_final_weights"
DEAD = "constant_neurons"
ROUNDING = 1e-28
"""Variance below this share of the mean square is rounding of constant neurons (float64: (1e-14)^2)."""
KEYED = f"keys=similarity{KEY};from=final"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupLosses(Measure):
    """Restricted and excluded loss of the key irreps at the neurons, and shares of the key irreps in the weights.

    Keys are irreps with a similarity (`group_irreps`) above 0.05 in the last generalised checkpoint. H are the neurons
    [n^2, neurons], W_L the read-out, L the logits. H_xy = the projection of H, as functions of the rows, on the
    entries of rho(a b) for the keys rho: neither constants nor functions of a or of b alone.

    - `irrep_restricted_loss.all` = CE(H_xy W_L^T) over all rows, `irrep_excluded_loss.train` = CE(L - H_xy W_L^T) over
      the train rows; `values` = the same for each single key, rising. `irrep_test_restricted_ratio` = CE of L on test
      rows over the restricted loss.
    - `irrep_hidden` = share of the neurons' variance over the rows that is a function of a, of b or of a b in the key
      irreps' blocks; `values` = for every irrep but the trivial one. `.x`, `.y`, `.xy`: the three apart.
    - `irrep_embedding.keys`, `irrep_unembedding.keys`: share of the squares of W_E and W_L in the key irreps' blocks.
    - `*_random_keys`: 8 random sets of as many irreps, averaged; with few irreps they overlap with the keys.

    Where skip connections or norms lie between neurons and logits, W_L leaves them out.

    Source: Chughtai et al. 2023 (arXiv 2302.03025) and the authors' code (metrics.py); the controls are ours.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = (
        "irrep_restricted_loss.all",
        "irrep_excluded_loss.train",
        "irrep_test_restricted_ratio",
        "irrep_hidden",
        "irrep_hidden.x",
        "irrep_hidden.y",
        "irrep_hidden.xy",
        "irrep_embedding.keys",
        "irrep_unembedding.keys",
        "irrep_restricted_loss_random_keys.all",
        "irrep_excluded_loss_random_keys.train",
    )
    needs_end: ClassVar[bool] = True
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_group(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        keys, reason = keys_of(subject)
        if not keys:
            return [self._undefined(name, reason or NO_KEYS) for name in self.names]
        net, group = network(subject), group_of(subject.spec)
        neurons = hidden(subject, net)
        read = read_by_answer(net, group, neurons)
        random_sets = random_irreps(subject.spec.seeds.init, len(nontrivial(group)), len(keys))
        return [
            *self._losses(net, [project(group, read, some) for some in (keys, *((key,) for key in keys))]),
            *self._hidden(net, group, keys, neurons),
            self._known("irrep_embedding.keys", key_share(group, net.W_E.T, keys)),
            self._known("irrep_unembedding.keys", key_share(group, net.W_L, keys)),
            *self._controls(net, [project(group, read, some) for some in random_sets]),
        ]

    def _losses(self, net: Network, parts: Sequence[Float[Tensor, "n n"]]) -> list[MeasureValue]:
        """`parts` of all keys together, then of each alone."""
        restricted = [restricted_loss(part) for part in parts]
        excluded = [excluded_loss(net, part) for part in parts]
        ratio = cross_entropy(net.logits, net.test) / restricted[0] if restricted[0] > 0 else math.nan
        return [
            self._known("irrep_restricted_loss.all", restricted[0], restricted[1:]),
            self._known("irrep_excluded_loss.train", excluded[0], excluded[1:]),
            self._known("irrep_test_restricted_ratio", ratio)
            if len(net.test.rows)
            else self._undefined("irrep_test_restricted_ratio", NO_ROWS),
        ]

    def _hidden(
        self, net: Network, group: Group, keys: Sequence[int], neurons: Float[Tensor, "rows neurons"]
    ) -> list[MeasureValue]:
        variance = (neurons - neurons.mean(dim=0)).square().sum()
        if variance <= ROUNDING * neurons.square().sum():
            return [self._undefined(name, DEAD) for name in self.names if name.startswith("irrep_hidden")]
        parts = hidden_power(net, group, neurons) / variance
        total = parts.sum(dim=0)
        chosen = list(keys)
        return [
            self._known("irrep_hidden", float(total[chosen].sum()), total.tolist()),
            *(
                self._known(f"irrep_hidden.{name}", float(part[chosen].sum()), part.tolist())
                for name, part in zip(("x", "y", "xy"), parts, strict=True)
            ),
        ]

    def _controls(self, net: Network, parts: Sequence[Float[Tensor, "n n"]]) -> list[MeasureValue]:
        restricted = statistics.fmean(restricted_loss(part) for part in parts)
        excluded = statistics.fmean(excluded_loss(net, part) for part in parts)
        return [
            self._known("irrep_restricted_loss_random_keys.all", restricted),
            self._known("irrep_excluded_loss_random_keys.train", excluded),
        ]

    def _known(self, name: str, number: float, values: Sequence[float] | None = None) -> MeasureValue:
        return known(name, number, values=values, protocol=self._protocol(name), version=self.version)

    def _undefined(self, name: str, reason: str) -> MeasureValue:
        return undefined(name, reason, protocol=self._protocol(name), version=self.version)

    def _protocol(self, name: str) -> str:
        return f"keys=random{RANDOM_SETS};size=similarity{KEY}" if "random" in name else KEYED


def keys_of(subject: Subject) -> tuple[tuple[int, ...], str | None]:
    """Key irreps of the trial's last generalised checkpoint, or none and the reason why."""
    if subject.keys_reason == NEVER_GENERALISED:
        return (), NEVER_GENERALISED
    if subject.final is None:
        return (), NO_FINAL
    final = subject if subject.params is subject.final else dataclasses.replace(subject, params=subject.final)
    net = network(final)
    return key_irreps(similarities(group_of(subject.spec), net.answer, per_input(net.logits))), None


def read_by_answer(net: Network, group: Group, neurons: Float[Tensor, "rows neurons"]) -> Float[Tensor, "n n"]:
    """H W_L^T averaged over the rows of each answer: the part of the read-out that is a function of a b."""
    return sums_over(net.answer, neurons, group.order) @ net.W_L.T / group.order


def restricted_loss(part: Float[Tensor, "n n"]) -> float:
    """Cross entropy over all rows of logits that depend on the answer alone, given by answer; all are equally often."""
    return float(torch.nn.functional.cross_entropy(part, torch.arange(len(part))))


def excluded_loss(net: Network, part: Float[Tensor, "n n"]) -> float:
    """Cross entropy over the train rows of the logits without such a part. NaN without rows."""
    rows = net.train.rows
    return float(torch.nn.functional.cross_entropy(net.logits[rows] - part[net.answer[rows]], net.train.labels))


def hidden_power(net: Network, group: Group, neurons: Float[Tensor, "rows neurons"]) -> Float[Tensor, "sides irreps"]:
    """Squared length of the neurons' parts that are functions of a, of b and of a b, in each irrep's block.

    Over the grid any two of a, b and a b are independent, so that the three parts are orthogonal. A function of one of
    them takes every value n times, hence the length of its mean over equal values, times n.
    """
    n = group.order
    sums = [sums_over(index, neurons, n) for index in (net.a.long(), net.b.long(), net.answer)]
    return torch.stack([power_by_irrep(group, each) / n for each in sums])


def key_share(group: Group, functions: Float[Tensor, "n width"], keys: Sequence[int]) -> float:
    """Share of the squares in the key irreps' blocks. NaN if all are zero."""
    return float(power_by_irrep(group, functions)[list(keys)].sum() / functions.square().sum())


def random_irreps(seed: int, count: int, size: int) -> list[tuple[int, ...]]:
    """Random sets of nontrivial irreps for control; the sets of one seed are nested in `size`."""
    return [
        tuple(sorted(int(i) for i in generator(seed, "random_irreps", str(j)).permutation(count)[:size]))
        for j in range(RANDOM_SETS)
    ]
