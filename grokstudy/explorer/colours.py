"""What a picker offers as the colour of a diagram, by kind."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.phase.query import STATISTICS
from grokstudy.phase.rule import RULE_COLUMNS

_TRIALS = (
    *("steps_run", "t_mem_lo", "t_gen_lo", "t_lose", "diverged_step", "test_acc_at_t_mem", "lr_wd", "seconds"),
    *("train_loss", "test_loss", "train_acc", "test_acc", "sum_sq_weights"),
)
"""Numbers of a trial; its other columns are names, seeds and settings, which nobody reads from a colour."""


@dataclasses.dataclass(frozen=True, slots=True)
class Colours:
    """Values of one kind."""

    group: str
    names: tuple[str, ...]


def colours(values: Sequence[str], columns: Sequence[str]) -> tuple[Colours, ...]:
    """The values worth a colour, what is asked for most first.

    Args:
        values: everything that can be drawn, as `value_names` gives it; an address may name any of it.
        columns: those of `trials`; what else is no statistic and no column of curves is a measure.
    """
    plain = (*STATISTICS, *RULE_COLUMNS)
    groups = (
        ("outcomes", [name for name in values if name in STATISTICS]),
        ("measures", [name for name in values if name not in plain and name not in columns]),
        ("trials", [name for name in values if name in _TRIALS]),
        ("curves", [name for name in values if name in RULE_COLUMNS and name not in columns]),
    )
    return tuple(Colours(group, tuple(names)) for group, names in groups if names)
