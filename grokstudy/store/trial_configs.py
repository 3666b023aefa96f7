"""Back from stored rows to the plain config that made a trial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import duckdb

from grokstudy.spec.rows import TrialRow
from grokstudy.store.trial_rows import trial_rows


def trial_configs(connection: duckdb.DuckDBPyConnection) -> dict[str, Mapping[str, Any]]:
    """Plain config by trial_id, such that `decode_trial` gives the trial's spec again."""
    return {row.trial_id: _config(row) for row in trial_rows(connection)}


def _config(row: TrialRow) -> Mapping[str, Any]:
    seeds = {"data": row.seed_data, "init": row.seed_init, "batch": row.seed_batch, "noise": row.seed_noise}
    config: dict[str, Any] = {"seed": row.seed, "seeds": seeds}
    for path, stored in row.config.items():
        group, _, leaf = path.partition(".")
        value = json.loads(stored) if isinstance(stored, str) and stored.startswith("[") else stored
        if leaf:
            config.setdefault(group, {})[leaf] = value
        else:
            config[group] = value
    return config
