"""Ablation of frequencies: in the embeddings, in the neurons and in the logits."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Iterator, Sequence
from typing import ClassVar

import torch
from jaxtyping import Float
from torch import Tensor

from grokstudy.circuits._applies import unless_fourier
from grokstudy.circuits._interventions import (
    EMBED,
    LOGITS,
    Intact,
    Mode,
    Score,
    cluster,
    effects,
    of_frequencies,
    of_token_frequencies,
    outside,
)
from grokstudy.circuits._keys import NO_KEYS, Rule, random_key_sets
from grokstudy.circuits._values import undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

SITES = ("logits", "neurons", "embed")
MODES: tuple[Mode, ...] = ("zero", "resample")
CLUSTER_MODES: tuple[Mode, ...] = ("zero", "mean", "resample")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Ablations(Measure):
    """Loss and accuracy on test rows with frequencies of one activation ablated.

    `ablate.SITE.PART.MODE.ce_test | .acc_test`. SITE: logits, neurons (the network goes on from them), embed (the
    embeddings of a and b). PART: `keys`; `non_keys`, all that varies with the input but the keys; `random_keys`, the
    control with 8 random key sets of equal size. MODE: `zero`, or `resample`: the part is that of another input, drawn
    at random. The mean over the inputs of such a part is zero, so mean ablation is `zero`.
    `value`: all keys at once, or the mean over the random sets; `values`: every key alone, in order, or every set.

    A frequency's part of logits and neurons is spanned by {1, cos, sin}(w_k a) x {1, cos, sin}(w_k b) without the
    constant, its part of an embedding by cos and sin of w_k times the token.

    `ablate.neurons_by_freq.MODE`: neurons of which a key explains more than 0.85 of the variance, all keys' at once
    (`value`) and each key's (`values`); MODE also `mean`.

    Source: Nanda et al. 2023 (arXiv 2301.05217), sections 4.3 and 4.4.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = tuple(
        f"ablate.{what}.{metric}"
        for what in (
            *(f"{site}.{part}.{mode}" for site in SITES for part in ("keys", "non_keys") for mode in MODES),
            *(f"{site}.random_keys.zero" for site in SITES),
            *(f"neurons_by_freq.{mode}" for mode in CLUSTER_MODES),
        )
        for metric in ("ce_test", "acc_test")
    )
    default: ClassVar[bool] = False
    rule: Rule = "neuron"
    """Rule that chose the keys."""

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_fourier(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        keys = subject.key_freqs
        if not keys:
            reason = subject.keys_reason or NO_KEYS
            return [undefined(name, reason, protocol=self._protocol(name), version=self.version) for name in self.names]
        intact = Intact.of(subject)
        found = [value for site in SITES for value in self._frequencies(intact, site, keys)]
        return [*found, *self._clusters(intact, keys)]

    def _frequencies(self, intact: Intact, name: str, keys: Sequence[int]) -> Iterator[MeasureValue]:
        site = {"logits": LOGITS, "neurons": intact.neurons, "embed": EMBED}[name]
        x, seed = intact.activations[site], intact.subject.spec.seeds.init
        each = [_part(x, intact, [k]) for k in keys]
        inside = torch.stack(each).sum(dim=0)
        for mode in MODES:
            whole, *alone = (intact.test_score({site: part}, mode) for part in (inside, *each))
            yield from self._effects(intact, f"{name}.keys.{mode}", whole, alone)
            others = intact.test_score({site: outside(x, inside)}, mode)
            yield from self._effects(intact, f"{name}.non_keys.{mode}", others, None)
        sets = random_key_sets(seed, intact.net.p, len(keys))
        controls = [intact.test_score({site: _part(x, intact, chosen)}, "zero") for chosen in sets]
        yield from self._effects(intact, f"{name}.random_keys.zero", mean_score(controls), controls)

    def _clusters(self, intact: Intact, keys: Sequence[int]) -> Iterator[MeasureValue]:
        each = [intact.of_neurons(cluster(intact.net, k)) for k in keys]
        together = torch.stack(each).sum(dim=0)  # a neuron belongs to one key at most
        for mode in CLUSTER_MODES:
            whole, *alone = (intact.test_score({intact.neurons: part}, mode) for part in (together, *each))
            yield from self._effects(intact, f"neurons_by_freq.{mode}", whole, alone)

    def _effects(self, intact: Intact, what: str, whole: Score, each: Sequence[Score] | None) -> list[MeasureValue]:
        name = f"ablate.{what}"
        return effects(name, whole, each, intact.net.test, protocol=self._protocol(name), version=self.version)

    def _protocol(self, name: str) -> str:
        if ".random_keys." in name:
            return f"keys=random8;size={self.rule}"
        return f"keys={self.rule};draws=1" if ".resample" in name else f"keys={self.rule}"


def _part(x: Float[Tensor, "rows *size"], intact: Intact, keys: Sequence[int]) -> Float[Tensor, "rows *size"]:
    """What these frequencies contribute to an activation: of each position's token if it has an axis of positions."""
    return of_token_frequencies(x, intact.net, keys) if x.ndim == 3 else of_frequencies(x, intact.net, keys)


def mean_score(scores: Sequence[Score]) -> Score:
    return Score(ce=statistics.fmean(s.ce for s in scores), acc=statistics.fmean(s.acc for s in scores))
