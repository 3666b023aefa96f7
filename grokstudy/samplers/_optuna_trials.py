"""What Optuna's trials say: outcomes from their user attributes, proposals from their system attributes."""

from __future__ import annotations

import dataclasses
import json
import math
import numbers
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from optuna.storages import BaseStorage
from optuna.trial import FrozenTrial, TrialState

from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.refill import Planned
from grokstudy.samplers.surrogate.space import Places, Space
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput

FINISHED = (TrialState.COMPLETE, TrialState.PRUNED)
"""A pruned trial is censored where it was stopped. A failed one is no outcome: what diverges must be told as such."""
PREFIX = "boundary:"
CHUNK = 2045
"""Characters that a relational storage keeps of one attribute."""
REMEDY = (
    "Set user attributes t_mem, t_gen (None = not seen) and steps (watched until) before the trial ends; "
    "diverged=True if it diverged."
)


@dataclasses.dataclass(frozen=True, slots=True)
class Facts:
    """What one finished trial says; NaN = not seen or unknown."""

    t_mem: float
    t_gen: float
    steps: float
    diverged: bool
    cost: float


def observations(trials: Sequence[FrozenTrial], space: Space) -> Observations:
    """Finished trials, which must be in the order of their numbers.

    Raises:
        BadInput: an attribute is missing, NaN or impossible; names the trial and the key.
    """
    facts = [read(trial) for trial in trials]
    return Observations(
        places=places(trials, space),
        t_mem=np.array([one.t_mem for one in facts], dtype=float),
        t_gen=np.array([one.t_gen for one in facts], dtype=float),
        steps=np.array([one.steps for one in facts], dtype=float),
        diverged=np.array([one.diverged for one in facts], dtype=bool),
        cost=np.array([one.cost for one in facts], dtype=float),
    )


def read(trial: FrozenTrial) -> Facts:
    """The user attributes of a finished trial."""
    attributes = trial.user_attrs
    diverged = attributes.get("diverged", False)
    if not isinstance(diverged, (bool, np.bool_)):
        raise BadInput(f"trial {trial.number}: diverged: got {diverged!r}, must be true or false. {REMEDY}")
    steps = _number(trial, "steps", needed=True)
    if not steps > 0:
        raise BadInput(f"trial {trial.number}: steps: got {steps:g}, must be above 0.")
    times = {}
    for key in ("t_mem", "t_gen"):
        if key not in attributes and not diverged:
            raise BadInput(f"trial {trial.number}: {key}: is missing. {REMEDY}")
        times[key] = _number(trial, key)
        if times[key] > steps:
            raise BadInput(f"trial {trial.number}: {key}: {times[key]:g} is later than steps, {steps:g}.")
    return Facts(**times, steps=steps, diverged=bool(diverged), cost=_number(trial, "cost"))


def places(trials: Sequence[FrozenTrial], space: Space) -> Places:
    """Where trials lie.

    Raises:
        BadInput: a trial lacks a parameter of the space.
    """
    for trial in trials:
        for axis in space.dimensions:
            if axis.name not in params(trial):
                raise BadInput(
                    f"trial {trial.number}: {axis.name}: was not suggested. Every trial needs every axis of the "
                    "search space; leave out of `search_space` what only some have."
                )
    return space.places([params(trial) for trial in trials])


def params(trial: FrozenTrial) -> Mapping[str, Any]:
    """Parameters of a trial: those suggested, and those proposed to it but not asked for yet."""
    suggested = {name: plain(value) for name, value in trial.params.items()}
    return suggested if trial.state.is_finished() else {**_proposed(trial), **suggested}


def _proposed(trial: FrozenTrial) -> dict[str, Any]:
    """What was proposed to a trial, whether or not it took it; nothing if it was given its parameters."""
    parts: list[str] = []
    while (part := trial.system_attrs.get(f"{PREFIX}params:{len(parts)}")) is not None:
        parts.append(part)
    found: dict[str, Any] = json.loads("".join(parts)) if parts else {}
    return found


def plain(value: object) -> Value:
    """A number as Python's own: data frames and trials that were added hold numpy's."""
    found: Value = value.item() if isinstance(value, np.generic) else value  # type: ignore[assignment]
    return found


def publish(
    storage: BaseStorage, trial_id: int, values: Mapping[str, Any], planned: Planned, question: Question
) -> None:
    """Writes a proposal where other processes see it: parameters, source, reason, and what was predicted."""
    text = json.dumps(values)
    for i in range(0, len(text), CHUNK):
        storage.set_trial_system_attr(trial_id, f"{PREFIX}params:{i // CHUNK}", text[i : i + CHUNK])
    told = {
        "source": planned.source,
        "reason": planned.reason,
        "predicted": planned.p and list(planned.p),
        "expected_cost": planned.expected_cost,
        "question": _asked(question),
    }
    for key, value in told.items():
        storage.set_trial_system_attr(trial_id, PREFIX + key, value)


def _asked(question: Question) -> list[float]:
    return [question.budget, question.ratio]


def predicted(trial: FrozenTrial, question: Question) -> Sequence[float] | None:
    """What was predicted of an explore trial before it ran; None of any other, of one that was given other parameters
    than those proposed (an enqueued one), and of one predicted for another question."""
    attributes = trial.system_attrs
    if attributes.get(f"{PREFIX}source") != "explore" or attributes.get(f"{PREFIX}question") != _asked(question):
        return None
    given = params(trial)
    if any(given.get(name) != value for name, value in _proposed(trial).items()):
        return None
    found: Sequence[float] | None = attributes.get(f"{PREFIX}predicted")
    return found


def _number(trial: FrozenTrial, key: str, *, needed: bool = False) -> float:
    """A user attribute as a number; NaN if it is None, which `needed` forbids."""
    value = trial.user_attrs.get(key)
    if value is None and not needed:
        return math.nan
    if value is None:
        raise BadInput(f"trial {trial.number}: {key}: is missing. {REMEDY}")
    if isinstance(value, bool) or not isinstance(value, numbers.Real) or not math.isfinite(value) or value < 0:
        raise BadInput(f"trial {trial.number}: {key}: got {value!r}, must be a finite number >= 0 (None: not seen).")
    return float(value)
