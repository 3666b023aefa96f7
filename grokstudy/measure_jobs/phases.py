"""Nanda's three phases of every trial, read from its curves and the excluded loss of its checkpoints."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection
from datetime import UTC, datetime

import duckdb
import numpy as np

from grokstudy.circuits._phases import DEFAULT, Phases, nanda_phases
from grokstudy.spec.rows import MeasureRow, MeasureValue

VERSION = 1
NAMES = ("phase.memorization_end", "phase.circuit_formation_end", "phase.cleanup_end")


def without_phases(connection: duckdb.DuckDBPyConnection, rule: str) -> set[str]:
    """Trials with excluded losses of this key-frequency rule whose phases are not stored."""
    rows = connection.execute(
        "SELECT trial_id FROM trials WHERE trial_id IN (SELECT trial_id FROM measures_long WHERE "
        "measure = 'excluded_loss.train' AND (contains(protocol, ?) OR value IS NULL)) AND trial_id NOT IN "
        "(SELECT trial_id FROM measures_long WHERE measure = ? AND starts_with(protocol, ?))",
        [f"keys={rule}", NAMES[-1], f"keys={rule};"],
    ).fetchall()
    return {trial_id for (trial_id,) in rows}


def phase_rows(connection: duckdb.DuckDBPyConnection, trial_ids: Collection[str], rule: str) -> list[MeasureRow]:
    """The ends of memorization, circuit formation and cleanup (in steps), stored at each trial's last checkpoint.

    Trials without excluded losses of this key-frequency rule are left out; undefined phases are NULL with the reason.
    """
    excluded = defaultdict(list)
    for trial_id, step, value in connection.execute(
        "SELECT trial_id, step, value FROM measures_long WHERE measure = 'excluded_loss.train' "
        "AND (contains(protocol, ?) OR value IS NULL) ORDER BY trial_id, step",
        [f"keys={rule}"],
    ).fetchall():
        if trial_id in trial_ids:
            excluded[trial_id].append((step, np.nan if value is None else value))
    rows = []
    for trial_id, points in excluded.items():
        (t_gen,) = connection.execute("SELECT t_gen FROM trials WHERE trial_id = ?", [trial_id]).fetchall()[0]
        curve = connection.execute(
            "SELECT step, test_loss, sum_sq_weights FROM curves WHERE trial_id = ? ORDER BY step", [trial_id]
        ).fetchnumpy()
        phases, reason = nanda_phases(
            t_gen=t_gen,
            checkpoint_steps=np.array([step for step, _ in points]),
            excluded_train=np.array([value for _, value in points], dtype=float),
            steps=np.asarray(curve["step"]),
            test_loss=np.ma.filled(curve["test_loss"].astype(float), np.nan),
            sum_sq_weights=np.ma.filled(curve["sum_sq_weights"].astype(float), np.nan),
        )
        rows += _rows(trial_id, points[-1][0], phases, reason, rule)
    return rows


def _rows(trial_id: str, step: int, phases: Phases | None, reason: str | None, rule: str) -> list[MeasureRow]:
    ends = (None, None, None) if phases is None else (phases.t1, phases.t2, phases.t3)
    protocol = f"keys={rule};rise={DEFAULT.rise};fall={DEFAULT.fall};settled={DEFAULT.settled};flat={DEFAULT.flat}"
    written = datetime.now(UTC).isoformat()
    return [
        MeasureRow(
            trial_id=trial_id,
            step=step,
            written_at=written,
            value=MeasureValue(
                measure=name,
                value=None if end is None else float(end),
                values=None,
                protocol=protocol,
                version=VERSION,
                reason=reason,
            ),
        )
        for name, end in zip(NAMES, ends, strict=True)
    ]
