"""A condition on curves such as `test_loss<1e-6`, read by a strict parser."""

from __future__ import annotations

import dataclasses
import math
import operator
import re
from collections.abc import Callable, Mapping

import numpy as np
from jaxtyping import Bool, Float

from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.rows import CURVE_COLUMNS

RULE_COLUMNS: tuple[str, ...] = tuple(name for name in CURVE_COLUMNS if name not in ("trial_id", "step"))
"""Columns of curves that a rule may name."""

_FORM = re.compile(r"\s*([A-Za-z_]\w*)\s*(<=|>=|<|>)\s*([^\s<>=]+)\s*")
_OPERATORS: Mapping[str, Callable[..., Bool[np.ndarray, " n"]]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """`column` compared with `bound`."""

    column: str
    comparison: str
    bound: float

    def holds(self, values: Float[np.ndarray, " n"]) -> Bool[np.ndarray, " n"]:
        """Where the condition holds; NaN never satisfies it."""
        return _OPERATORS[self.comparison](values, self.bound)


def parse_rule(text: str) -> Rule:
    """Reads `column op number`.

    Raises:
        BadInput: another form, an unknown column, or a bound that is not a finite number.
    """
    match = _FORM.fullmatch(text)
    if match is None:
        raise BadInput(f"rule: got '{text}', must be a column, one of < <= > >=, and a number, e.g. 'test_loss<1e-6'.")
    column, comparison, number = match.groups()
    if column not in RULE_COLUMNS:
        raise unknown("rule", column, RULE_COLUMNS)
    try:
        bound = float(number)
    except ValueError:
        bound = math.nan
    if not math.isfinite(bound):
        raise BadInput(f"rule: got '{number}' in '{text}', must be a finite number, e.g. 1e-6.")
    return Rule(column=column, comparison=comparison, bound=bound)
