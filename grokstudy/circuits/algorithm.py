"""The network against the algorithm that was reverse-engineered from such networks."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import ClassVar

from grokstudy.circuits._formula import unless_known
from grokstudy.circuits._keys import Rule
from grokstudy.circuits._values import NO_ROWS, NOT_FINITE, known, undefined
from grokstudy.circuits._verification import Verification, missing, verify
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Algorithm(Measure):
    """How far a network follows the algorithm of its task: Fourier multiplication, group composition, parity.

    The algorithm uses the trial's key frequencies; where more than half of all are keys, or keys are not defined for
    the task, it uses all. `algorithm_frequencies` says how many and which. With all coefficients 1:
    `algorithm_accuracy` on all inputs, its proved `algorithm_margin`, and `algorithm_agreement`, the share of inputs
    with the network's answer and the algorithm's equal (.test, .all). With coefficients fitted to the logits by least
    squares: `algorithm_logit_fve` and its control with random frequencies, `algorithm_kl` (nats),
    `algorithm_runner_up_agreement` and `certified_share`, the share of inputs where the algorithm's margin exceeds the
    range of the network's residuals. Shares are in [0, 1].

    Source: Nanda et al. 2023 (arXiv 2301.05217), section 4; docs/proof.md for the proof and the certificate.
    """

    version: ClassVar[int] = 2
    names: ClassVar[tuple[str, ...]] = (
        "algorithm_frequencies",
        "algorithm_accuracy",
        "algorithm_margin",
        "algorithm_agreement.test",
        "algorithm_agreement.all",
        "algorithm_logit_fve",
        "algorithm_fve_random_keys",
        "algorithm_runner_up_agreement",
        "algorithm_kl",
        "certified_share",
    )
    rule: Rule = "neuron"
    """Rule that chose the keys."""

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_known(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        found = verify(subject)
        return [self._value(name, number, found) for name, number in numbers(found).items()]

    def _value(self, name: str, number: float | None, found: Verification) -> MeasureValue:
        protocol = self._protocol(name)
        if number is None:
            return undefined(name, why_missing(name, found), protocol=protocol, version=self.version)
        values = found.frequencies if name == "algorithm_frequencies" else None
        return known(name, number, values=values, protocol=protocol, version=self.version)

    def _protocol(self, name: str) -> str:
        keys = f"keys={self.rule};else=all"
        if name in ("algorithm_logit_fve", "algorithm_fve_random_keys"):
            which = f"keys=random8;size={self.rule};else=all" if name.endswith("random_keys") else keys
            return f"{which};centre=global"
        fitted = name in ("algorithm_runner_up_agreement", "algorithm_kl", "certified_share")
        return f"{keys};alpha={'fitted' if fitted else 'one'}"


def why_missing(name: str, found: Verification) -> str:
    """Why a value is missing: there are no test rows, whatever else there is not; or what stands in the way of all."""
    return NO_ROWS if name.endswith(".test") and found.n_test == 0 else missing(found)


def numbers(found: Verification) -> Mapping[str, float | None]:
    """Every value of this measure by name; None where it is not defined.

    Nothing is known of a network whose logits are not finite, not even which algorithm to compare it with.
    """
    fit = found.fit
    broken = found.reason == NOT_FINITE
    return {
        "algorithm_frequencies": None if broken else float(len(found.frequencies)),
        "algorithm_accuracy": None if broken else found.algorithm_accuracy,
        "algorithm_margin": None if broken else found.margin,
        "algorithm_agreement.test": found.agreement_test,
        "algorithm_agreement.all": found.agreement_all,
        "algorithm_logit_fve": None if fit is None else fit.logit_fve,
        "algorithm_fve_random_keys": None if fit is None else fit.fve_random_keys,
        "algorithm_runner_up_agreement": None if fit is None else fit.runner_up_agreement,
        "algorithm_kl": None if fit is None else fit.kl,
        "certified_share": None if fit is None else fit.certified_share,
    }
