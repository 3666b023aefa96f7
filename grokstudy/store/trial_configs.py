"""Back from stored columns to the plain config that made a trial."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import duckdb

from grokstudy.spec.decode import TRIAL_GROUPS

SEEDS = {"seed_data": "data", "seed_init": "init", "seed_batch": "batch", "seed_noise": "noise"}


def trial_configs(connection: duckdb.DuckDBPyConnection) -> dict[str, Mapping[str, Any]]:
    """Plain config by trial_id, such that `decode_trial` gives the trial's spec again.

    Settings of another trial's plug-ins are NULL columns here and left out.
    """
    names = [name for name, *_ in connection.execute("DESCRIBE trials").fetchall()]
    paths = [name for name in names if name.partition(".")[0] in TRIAL_GROUPS and name != "seed"]
    wanted = ["trial_id", "seed", *SEEDS, *paths]
    rows = connection.execute(f"SELECT {', '.join(_quoted(name) for name in wanted)} FROM trials").fetchall()
    return {row[0]: _config(dict(zip(wanted, row, strict=True)), paths) for row in rows}


def _config(row: Mapping[str, Any], paths: list[str]) -> Mapping[str, Any]:
    config: dict[str, Any] = {"seed": row["seed"], "seeds": {name: row[column] for column, name in SEEDS.items()}}
    for path in paths:
        if row[path] is None:
            continue
        group, _, leaf = path.partition(".")
        value = json.loads(row[path]) if isinstance(row[path], str) and row[path].startswith("[") else row[path]
        if leaf:
            config.setdefault(group, {})[leaf] = value
        else:
            config[group] = value
    return config


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'
