"""Ablation of heads, single neurons and principal components of the embeddings."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from typing import ClassVar, TypeAlias

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_classes
from grokstudy.circuits._interventions import (
    EMBED,
    NEURONS,
    Intact,
    Mode,
    Score,
    along,
    effects,
    of_head,
    principal_components,
)
from grokstudy.circuits._network import CHUNK, Network, Split
from grokstudy.circuits._values import undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

Parts: TypeAlias = Mapping[str, Tensor]
"""Activations -> the part of each that is ablated."""
MODES: tuple[Mode, ...] = ("zero", "mean", "resample")
COMPONENTS = 8
"""Leading principal components of the embeddings that are ablated."""
NO_HEADS, NO_TOKENS, NOT_LINEAR = "no_heads", "no_tokens", "neurons_not_read_linearly"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ComponentAblations(Measure):
    """Loss and accuracy on test rows without heads, neurons or principal components of the embeddings.

    `ablate.heads.MODE.ce_test | .acc_test`, MODE zero, mean or resample (another input's, drawn at random): `value`
    with all heads of all blocks ablated at once (what each mixed at the positions computed), `values` with every head
    alone, block by block.

    `ablate.embed_pcs.MODE`, MODE mean or resample: `value` without the 8 leading principal components of the
    embeddings (at each position its own, around the mean), `values` without each of them, largest first.

    `ablate.single_neurons.mean`: `values` with each neuron of the last hidden layer at its mean over the inputs,
    `value` with all of them. Defined where logits are linear in the neurons: that takes (n - mean n) W_L^T away.

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4.4 (heads); Zhong et al. 2023 (arXiv 2306.17844), circle
    isolation (principal components of embeddings).
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = tuple(
        f"ablate.{what}.{metric}"
        for what in (
            *(f"heads.{mode}" for mode in MODES),
            *(f"embed_pcs.{mode}" for mode in MODES[1:]),
            "single_neurons.mean",
        )
        for metric in ("ce_test", "acc_test")
    )
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_classes(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        intact = Intact.of(subject)
        return [*self._heads(intact), *self._embed_pcs(intact), *self._single_neurons(intact)]

    def _heads(self, intact: Intact) -> list[MeasureValue]:
        mixed = {site: z for site, z in intact.activations.items() if site.endswith("attn.hook_z")}
        if not mixed:
            return [value for mode in MODES for value in self._undefined(f"heads.{mode}", NO_HEADS)]
        each = [{site: of_head(z, head)} for site, z in mixed.items() for head in range(z.shape[-2])]
        return [value for mode in MODES for value in self._ablated(intact, f"heads.{mode}", mixed, each, mode)]

    def _embed_pcs(self, intact: Intact) -> list[MeasureValue]:
        modes = MODES[1:]
        if EMBED not in intact.activations:
            return [value for mode in modes for value in self._undefined(f"embed_pcs.{mode}", NO_TOKENS)]
        x = intact.activations[EMBED]
        directions = principal_components(x)[:, :, :COMPONENTS]
        leading = {EMBED: along(x, directions)}
        each = [{EMBED: along(x, one)} for one in directions.split(1, dim=2)]
        return [value for mode in modes for value in self._ablated(intact, f"embed_pcs.{mode}", leading, each, mode)]

    def _ablated(
        self, intact: Intact, what: str, together: Parts, each: Sequence[Parts], mode: Mode
    ) -> list[MeasureValue]:
        whole, *alone = (intact.test_score(parts, mode) for parts in (together, *each))
        return self._effects(what, whole, alone, intact.net.test)

    def _single_neurons(self, intact: Intact) -> list[MeasureValue]:
        what, net, x = "single_neurons.mean", intact.net, intact.activations[NEURONS]
        whole = intact.test_score({NEURONS: x}, "mean")
        if math.isfinite(whole.ce) and not intact.is_linear:
            return self._undefined(what, NOT_LINEAR)
        away = (x - x.mean(dim=0)).flatten(0, -2)
        return self._effects(what, whole, neuron_by_neuron(net, away, net.test), net.test)

    def _effects(self, what: str, whole: Score, each: Sequence[Score], split: Split) -> list[MeasureValue]:
        return effects(f"ablate.{what}", whole, each, split, protocol=_protocol(what), version=self.version)

    def _undefined(self, what: str, reason: str) -> list[MeasureValue]:
        names = (f"ablate.{what}.ce_test", f"ablate.{what}.acc_test")
        return [undefined(name, reason, protocol=_protocol(what), version=self.version) for name in names]


def _protocol(what: str) -> str:
    return "rows=test;draws=1" if what.endswith("resample") else "rows=test"


def neuron_by_neuron(net: Network, away: Float[Tensor, "rows neurons"], split: Split) -> list[Score]:
    """Scores after taking each column of `away` from its neuron, of which logits are linear functions."""
    neurons = range(away.shape[1])
    if len(split.rows) == 0:
        return [Score(ce=math.nan, acc=math.nan) for _ in neurons]
    labels, reads = split.labels, net.W_L.unbind(1)
    ce, right = torch.zeros(len(neurons)).double(), torch.zeros(len(neurons)).double()
    for rows, given in zip(split.rows.split(CHUNK), labels.split(CHUNK), strict=True):
        logits, gone = net.logits[rows], away[rows].T.contiguous()
        for i in neurons:
            left = torch.addr(logits, gone[i], reads[i], alpha=-1)
            top, best = left.max(dim=1)
            right[i] += (best == given).sum()
            at_label = left.gather(1, given[:, None])[:, 0]
            ce[i] += (left.sub_(top[:, None]).exp_().sum(dim=1).log_() + top - at_label).sum()
    return [Score(ce=c, acc=r) for c, r in zip(*((x / len(labels)).tolist() for x in (ce, right)), strict=True)]
