"""Names and meanings of the views' columns that are not stored."""

from __future__ import annotations

import dataclasses

from grokstudy.spec.outcome import RATIO
from grokstudy.spec.rows import CURVE_COLUMNS, SLICE_COLUMNS, CheckpointRow, MeasureValue, ProposalRow, TrialRow

DERIVED_TYPES: dict[str, str] = {"censored": "BOOLEAN", "delay_ratio": "DOUBLE", "outcome": "VARCHAR"}
DERIVED: dict[str, tuple[str, str]] = {
    "censored": ("t_gen IS NULL", "no t_gen within steps_run"),
    "delay_ratio": (
        "CASE WHEN t_mem IS NOT NULL THEN t_gen / greatest(t_mem, 1) END",
        "t_gen / t_mem (a t_mem of 0 counts as 1)",
    ),
    "outcome": (
        f"""CASE WHEN status = 'diverged' THEN 'diverged'
                 WHEN t_gen IS NULL THEN CASE WHEN t_mem IS NULL THEN 'confusion' ELSE 'memorization' END
                 WHEN t_mem IS NULL THEN 'inversion'
                 WHEN t_gen / greatest(t_mem, 1) >= {RATIO!r} THEN 'grokking' ELSE 'comprehension' END""",
        f"diverged, confusion, memorization, inversion, grokking (delay_ratio >= {RATIO:g}) or comprehension",
    ),
}
"""Expression and meaning of columns of `trials` that are computed when asked; `outcome` is spec.outcome in SQL."""


def explain() -> list[tuple[str, str, str]]:
    """(view, column, meaning) of every column of every view; `<...>` stands for names that depend on the study."""
    trials = [*_helps(TrialRow), *((name, help) for name, (_, help) in DERIVED.items())]
    place = [("trial_id", "trial"), ("step", "updates made")]
    wide = ("<measure>", "value of that measure under its default protocol, the one written first")
    values = [*_helps(MeasureValue), ("written_at", "UTC, ISO 8601")]
    config = dict(trials)["config"]
    return [
        *(
            ("trials", "<config path>" if name == "config" else name, config if name == "config" else help)
            for name, help in trials
        ),
        *(("curves", name, help) for name, help in (CURVE_COLUMNS | SLICE_COLUMNS).items()),
        *(("measures", name, help) for name, help in [*place, wide]),
        *(("measures_long", name, help) for name, help in [*place, *values]),
        *(("checkpoints", name, help) for name, help in _helps(CheckpointRow)),
        *(("proposals", name, help) for name, help in _helps(ProposalRow)),
    ]


def _helps(record: type) -> list[tuple[str, str]]:
    return [(field.name, field.metadata["help"]) for field in dataclasses.fields(record)]
