"""When the boundary is known well enough: the same check passed several times, by a growing number of trials.

A check passes when trials on both sides of some boundary were seen, and all of these hold:

1. the expected share of the space where the map is wrong is at most `error`;
2. the band's half-width is at most `width` of an axis on 95 % of the boundary;
3. the explore trials, predicted before they ran, do not contradict it: their share of wrong predictions is not
   significantly above `error` plus the share that the predictions themselves admitted (seed noise, and what was not
   known then). "Significantly" is the 95 % Clopper-Pearson lower bound; with `prove` it must be the upper bound that
   stays below, which needs hundreds of explore trials.

An island of a volume v that no trial has hit is excluded with 95 % confidence by 3 / v explore trials. `island` says
what they exclude; it is demanded only if the rule names a volume.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from grokstudy.samplers.surrogate import stream
from grokstudy.samplers.surrogate.contours import half_width_p95
from grokstudy.samplers.surrogate.posterior import Posterior
from grokstudy.samplers.surrogate.proportion import clopper_pearson
from grokstudy.samplers.surrogate.space import Space
from grokstudy.spec.outcome import LABELS, Label

CONFIDENCE = 0.95
RULE_OF_THREE = 3.0
"""-ln(.05): m draws that all miss exclude a volume of this over m with 95 % confidence."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StopRule:
    """What must be known before a study stops."""

    error: float = 0.02
    """Largest expected share of the space where the map is wrong."""
    width: float = 0.03
    """Largest half-width of the band on 95 % of the boundary, as a share of an axis (on the unit cube)."""
    checks: int = 3
    """Checks in a row that must pass."""
    apart: float = 0.05
    """Each of them by so much more trials than the one before, as a share."""
    prove: bool = False
    """Whether the explore trials must prove the error and not only agree with it."""
    island: float | None = None
    """Largest island that may have been missed, as a share of the space; None reports it without demanding any."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Explored:
    """Explore trials with an outcome: what was predicted before they ran, and what happened."""

    predicted: Float[np.ndarray, "m 6"]
    """Probabilities as LABELS."""
    seen: Sequence[Label]

    @property
    def wrong(self) -> int:
        """How many had another outcome than the most probable one."""
        likely = self.predicted.argmax(axis=1).tolist()
        return sum(LABELS[guess] != label for guess, label in zip(likely, self.seen, strict=True))

    @property
    def admitted(self) -> float:
        """The share of wrong predictions that the predictions themselves expected; 0 of none."""
        return float((1.0 - self.predicted.max(axis=1)).mean()) if len(self.seen) else 0.0


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StopCheck:
    """One check: what is known after n trials, and whether that is enough. True if the study should stop."""

    n: int
    stop: bool
    passed: bool
    """Whether this check passed by itself."""
    reason: str
    expected_error: float
    half_width_p95: float
    explore_n: int
    explore_wrong: int
    explore_error_lower: float
    explore_error_upper: float
    """One-sided 95 % Clopper-Pearson bounds of the share of explore trials predicted wrongly."""
    explore_admitted: float
    """The share that their predictions admitted."""
    island: float
    """Volume of an unseen island that the explore trials exclude with 95 % confidence; at most 1."""

    def __bool__(self) -> bool:
        return self.stop


def check(
    posterior: Posterior,
    space: Space,
    explored: Explored,
    *,
    n: int,
    rule: StopRule,
    previous: Sequence[StopCheck] = (),
    seed: int = 0,
) -> StopCheck:
    """The check after n trials; pure in its arguments.

    Args:
        n: finished trials that the posterior knows of.
        previous: earlier checks in the order of their n; those too near to the next are skipped if they passed.
        seed: of the places over which errors are averaged.
    """
    pool = stream.pool(space, seed, 0)
    error, width = posterior.expected_error(pool), half_width_p95(posterior, pool)
    m, wrong = len(explored.seen), explored.wrong
    lower, upper = clopper_pearson(wrong, m, 1 - CONFIDENCE)
    island = min(1.0, RULE_OF_THREE / m) if m else 1.0
    faults = _faults(rule, error, width, lower, upper, explored.admitted, island)
    if not posterior.divided:
        faults = ["fewer than two outcomes were seen: there is no boundary yet"]
    row = 0 if faults else 1 + _row([one for one in previous if one.n < n], n, rule)
    reached = f"expected error {error:.3f}, 95 % of the boundary known to +-{width:.3f} of an axis"
    return StopCheck(
        n=n,
        stop=row >= rule.checks,
        passed=not faults,
        reason="; ".join(faults) if faults else f"{reached} (check {min(row, rule.checks)} of {rule.checks} in a row)",
        expected_error=error,
        half_width_p95=width,
        explore_n=m,
        explore_wrong=wrong,
        explore_error_lower=lower,
        explore_error_upper=upper,
        explore_admitted=explored.admitted,
        island=island,
    )


def prefixes(n: int, rule: StopRule) -> list[int]:
    """Numbers of trials, rising to n, whose checks decide a stop at n: for a caller that kept no earlier checks."""
    found = [n]
    while len(found) < rule.checks:
        found.append(int(found[-1] / (1.0 + rule.apart)))
    return [one for one in reversed(found) if one > 0] or [0]


def _faults(
    rule: StopRule, error: float, width: float, lower: float, upper: float, admitted: float, island: float
) -> list[str]:
    """What is still missing, in words."""
    bound, side = (upper, "upper") if rule.prove else (lower, "lower")
    missing = {
        f"expected error {error:.3f} is above {rule.error:g}": error > rule.error,
        f"half-width {width:.3f} of an axis on 95 % of the boundary is above {rule.width:g}": width > rule.width,
        f"wrong predictions of explore trials: {side} bound {bound:.3f} is above {rule.error:g} + {admitted:.3f}": bound
        > rule.error + admitted,
        f"an island of {island:.3f} of the space may have been missed": rule.island is not None
        and island > rule.island,
    }
    return [fault for fault, holds in missing.items() if holds]


def _row(previous: Sequence[StopCheck], n: int, rule: StopRule) -> int:
    """How many checks passed in a row before one at n, each at least `apart` before the next."""
    count, last = 0, n
    for one in reversed(previous):
        if not one.passed:
            break
        if one.n * (1.0 + rule.apart) <= last:
            count, last = count + 1, one.n
    return count
