"""Causal scrubbing of the Fourier hypotheses."""

from __future__ import annotations

import dataclasses
import statistics
from collections.abc import Callable, Mapping, Sequence
from typing import ClassVar

from grokstudy.circuits._applies import unless_fourier
from grokstudy.circuits._interventions import Intact
from grokstudy.circuits._keys import NO_KEYS, Rule, random_key_sets
from grokstudy.circuits._scrub import Hypothesis, answer_clusters, answer_waves, loss_recovered, token_waves
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec

NOTHING_TO_RECOVER = "nothing_to_recover"
HYPOTHESES: Mapping[str, Callable[[Intact, Sequence[int]], Hypothesis]] = {
    "scrub": answer_waves,
    "scrub.embed": token_waves,
    "scrub.clusters": answer_clusters,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Scrubbing(Measure):
    """Share of the loss that is recovered when only what a hypothesis names comes from the right input.

    (CE shuffled - CE scrubbed) / (CE shuffled - CE of the network) on all inputs with clean labels. Scrubbed: every
    part that the hypothesis names is that of a random input with an equal label, all else that of any input. Shuffled:
    the logits are those of any input. 1: what is named is all that matters; 0: as if nothing had been named. NULL with
    `nothing_to_recover` if shuffling costs less than 0.01 nats.

    - `scrub.loss_recovered`: of the neurons, only cos and sin of w_k times the answer matter, k the keys.
    - `scrub.embed.loss_recovered`: of the embeddings, only cos and sin of w_k times the token matter.
    - `scrub.clusters.loss_recovered`: the neurons of which k explains more than 0.85 matter only through the answer,
      each k on its own; other neurons do not matter.

    `..._random_keys`: the same claims of 8 random key sets of equal size, `value` their mean, `values` each set's.

    Source: Chan et al. 2022, "Causal scrubbing" (Redwood Research, on the AI Alignment Forum).
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = tuple(
        f"{claim}.loss_recovered{keys}" for claim in HYPOTHESES for keys in ("", "_random_keys")
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
        sets = random_key_sets(subject.spec.seeds.init, intact.net.p, len(keys))
        reason = NOTHING_TO_RECOVER if bool(intact.net.logits.isfinite().all()) else NOT_FINITE
        values = []
        for claim, declare in HYPOTHESES.items():
            controls = [loss_recovered(intact, declare(intact, chosen)) for chosen in sets]
            name, control = f"{claim}.loss_recovered", f"{claim}.loss_recovered_random_keys"
            values.append(self._known(name, loss_recovered(intact, declare(intact, keys)), None, reason))
            values.append(self._known(control, statistics.fmean(controls), controls, reason))
        return values

    def _known(self, name: str, number: float, values: Sequence[float] | None, otherwise: str) -> MeasureValue:
        return known(
            name, number, values=values, protocol=self._protocol(name), version=self.version, otherwise=otherwise
        )

    def _protocol(self, name: str) -> str:
        keys = f"keys=random8;size={self.rule}" if name.endswith("random_keys") else f"keys={self.rule}"
        return f"{keys};rows=all;draws=1"
