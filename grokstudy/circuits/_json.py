"""The measures of one network as one JSON document."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeAlias

from grokstudy.circuits._keys import SATURATED
from grokstudy.spec.rows import MeasureValue

Json: TypeAlias = "float | bool | str | list[int] | list[float] | dict[str, float | None] | dict[str, str] | None"

SCALARS = (
    "fve", "gini_W_E", "gini_W_L", "sum_sq_weights", "neuron_freq_fraction",
    "ce_train", "ce_test", "acc_train", "acc_test",
)  # fmt: skip
BY_SPLIT = ("restricted_loss", "excluded_loss")


def as_json(values: Sequence[MeasureValue], keys: tuple[int, ...] | None, rule: str) -> dict[str, Json]:
    """What `grokstudy measure --format json` prints for one network; an undefined or unmeasured number is null.

    Args:
        values: as `measure_network` gave them.
        keys: the trial's key frequencies, or None.
        rule: the rule that found them.
    """
    # Several protocols of one measure: the one of the trial's own rule counts.
    by_name = {value.measure: value for value in values if _is_of(value, rule)}

    def number(name: str) -> float | None:
        return by_name[name].value if name in by_name else None

    single = by_name.get("excluded_loss_by_freq")
    document: dict[str, Json] = {"key_freqs": None if keys is None else list(keys), "key_freq_rule": rule}
    for name in BY_SPLIT:
        document[name] = {split: number(f"{name}.{split}") for split in ("train", "test", "all")}
    document["excluded_loss_by_freq"] = (
        list(single.values) if single is not None and single.values is not None else None
    )
    for name in SCALARS:
        document[name] = number(name)
    document["keys_saturated"] = keys is None and any(value.reason == SATURATED for value in by_name.values())
    document["protocol"] = {name: value.protocol for name, value in by_name.items()}
    return document


def _is_of(value: MeasureValue, rule: str) -> bool:
    of_rule = [part for part in value.protocol.split(";") if part.startswith("keys=") and "random" not in part]
    return not of_rule or of_rule == [f"keys={rule}"]
