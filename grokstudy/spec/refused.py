"""What sweep tools offer and a study refuses, each with the reason and what to use instead."""

from __future__ import annotations

from collections.abc import Sequence

from grokstudy.spec.errors import BadInput

STOPPERS = ("asha", "async_hyperband", "hyperband", "bohb", "median", "median_stopping", "successive_halving", "pbt")
"""Schedulers that stop a trial for how it looks."""
KEYS = ("sampler.patience", "sampler.grace_period", "sampler.reduction_factor", "scheduler", "pruner")
ENDS = ("early_end.patience", "early_end.min_delta", "early_end.metric", "early_end.monitor", "early_end.threshold")
WHY = (
    "A trial stopped for how it looks was not seen to memorise only: its t_gen lies beyond that step, and delayed "
    "generalisation looks like none until it comes. Such stops move a boundary by about half its width, and nothing "
    "repairs that afterwards. Without bias: early_end.after (>= 5) ends trials that have generalised; sampler=boundary "
    "with sampler.first_budget below 1 gives every trial a short first look and extends those where that tells most."
)


def check_refused(words: Sequence[str]) -> None:
    """Raises BadInput for override words that ask to stop trials by their own look."""
    for word in words:
        key, _, value = word.lstrip("+~").partition("=")
        named = value.strip("'\"").lower()
        if key in ("sampler", "sampler.name") and named in STOPPERS:
            raise BadInput(f"sampler: got {named}, which stops trials early and is refused. {WHY}")
        if key in (*KEYS, *ENDS) or key.partition(".")[0] in KEYS:
            raise BadInput(f"{key}: stops trials early and is refused. {WHY}")
