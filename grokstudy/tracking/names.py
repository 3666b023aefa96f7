"""How runs, tags and metrics are called in MLflow, and what its limits make of a text."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Sequence
from typing import Final

from grokstudy.spec.axes import Value, is_seed
from grokstudy.spec.rows import TrialRow

ROLE: Final = "grokstudy.role"
STUDY: Final = "grokstudy.study"
TRIAL: Final = "grokstudy.trial_id"
CELL: Final = "grokstudy.cell"
OUTCOME: Final = "grokstudy.outcome"
GRANULARITY: Final = "grokstudy.granularity"
SYNCED: Final = "grokstudy.synced"
"""Digest of what was written; set by the last write, so a run without it is incomplete."""
CURVE_END: Final = "grokstudy.curve_end"
"""Last step of the curve that was written; a continued trial sends only what follows."""
NOTE: Final = "mlflow.note.content"
KIND: Final = "mlflow.experimentKind"

PARAM_LIMIT, TAG_LIMIT, EXPERIMENT_TAG_LIMIT, NAME_LIMIT = 6000, 8000, 20_000, 250
SHORT: Final = {"weight_decay": "wd", "frac_train": "frac", "batch_size": "batch", "seed": "s"}
"""Leaf names that people abbreviate."""


def experiment_name(study: str) -> str:
    """MLflow's experiment of a study."""
    return f"grokstudy/{study}"


def cell_key(row: TrialRow) -> str:
    """Digest of the config without its seeds: equal for the trials of one cell."""
    text = json.dumps(dict(row.config), sort_keys=True)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()


def run_name(row: TrialRow, varied: Sequence[str], *, seeds: bool = True) -> str:
    """Varied settings as people say them, `wd=0.3 frac=0.4 s=2`; the short trial_id if nothing varies."""
    parts = [
        f"{label}={_plain(setting_value(row, path))}"
        for path, label in zip(varied, short_names(varied), strict=True)
        if seeds or not is_seed(path)
    ]
    return cut(" ".join(parts) or row.trial_id[:8], NAME_LIMIT)


def short_names(paths: Sequence[str]) -> tuple[str, ...]:
    """Each setting as people say it: `wd`, `frac`, `s`; the whole path where two share a leaf, and of `seeds.data`."""
    leaves = [path.rpartition(".")[2] for path in paths]
    return tuple(
        SHORT.get(leaf, leaf) if leaves.count(leaf) == 1 and not path.startswith("seeds.") else path
        for path, leaf in zip(paths, leaves, strict=True)
    )


def setting_value(row: TrialRow, path: str) -> Value:
    """A setting of a trial by config path, seeds included."""
    seeds = {
        "seed": row.seed,
        "seeds.data": row.seed_data,
        "seeds.init": row.seed_init,
        "seeds.batch": row.seed_batch,
        "seeds.noise": row.seed_noise,
    }
    return seeds[path] if path in seeds else row.config.get(path)


def params_of(row: TrialRow, *, seeds: bool = True) -> dict[str, str]:
    """Every setting as MLflow's text (numbers as JSON writes them, so that its charts read them as numbers)."""
    given: dict[str, Value] = dict(row.config)
    if seeds:
        given |= {path: setting_value(row, path) for path in ("seed", *_SEED_PATHS)}
    return {
        cut(key, NAME_LIMIT): cut(value if isinstance(value, str) else json.dumps(value), PARAM_LIMIT)
        for key, value in given.items()
    }


def metric_key(name: str) -> str:
    """`name` with the characters that MLflow refuses replaced by `_`."""
    return cut(re.sub(r"[^\w\-. :/]", "_", name, flags=re.ASCII), NAME_LIMIT)


def cut(text: str, limit: int) -> str:
    """`text`, or its beginning and an ellipsis within `limit` characters."""
    return text if len(text) <= limit else text[: limit - 1] + "…"


_SEED_PATHS = ("seeds.data", "seeds.init", "seeds.batch", "seeds.noise")


def _plain(value: Value) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)
