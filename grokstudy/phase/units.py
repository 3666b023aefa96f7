"""Units of settings and columns, for the words at an axis; whatever is not here is a bare number."""

from __future__ import annotations

from collections.abc import Mapping

UNITS: Mapping[str, str] = {
    **dict.fromkeys(("budget", "steps_run", "t_mem", "t_gen", "t_lose", "diverged_step", "parent_step"), "steps"),
    **dict.fromkeys(("warmup", "horizon"), "steps"),
    **dict.fromkeys(("batch_size", "train", "test"), "rows"),
    "frac_train": "share of inputs",
    "label_noise": "share of train labels",
    "holdout": "share of inputs",
    "dropout": "share of activations",
    "seconds": "s",
}
"""By the last part of the name."""


def with_unit(name: str) -> str:
    """The name with its unit in brackets, where it has one."""
    unit = UNITS.get(name.rpartition(".")[2])
    return f"{name} ({unit})" if unit else name
