"""What must hold of a study after everything that was done to it, however often it was started again."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import pandas as pd

from grokstudy.store.storage import Storage
from tests.e2e.stored import assert_equal, tables

KNOWN = re.compile(
    r"study\.yaml|attempts/[^/]+|(trials|curves|measures|proposals|checkpoints|snapshots|report|quarantine)/.+|submissions/[^/]+"
)
"""Files of a study. A lock, a progress file, a claim or an unfinished file is none of them."""
TRIAL, ROLE = "grokstudy.trial_id", "grokstudy.role"


def broken_tables(undisturbed: Mapping[str, pd.DataFrame], root: str, study: str) -> list[str]:
    """Every trial once, and every value as in the undisturbed study, to the last bit."""
    found = tables(root, study)
    ids = Counter(found["trials"]["trial_id"])
    wanted = set(undisturbed["trials"]["trial_id"])
    broken = [f"trial {trial_id} is there {count} times" for trial_id, count in ids.items() if count > 1]
    broken += [f"trial {trial_id} is missing" for trial_id in sorted(wanted - set(ids))]
    broken += [f"trial {trial_id} is none of the study's" for trial_id in sorted(set(ids) - wanted)]
    try:
        assert_equal(dict(undisturbed), found)
    except AssertionError as error:
        broken.append("other values than undisturbed: " + " ".join(str(error).split())[:400])
    return broken


def broken_files(root: str, study: str) -> list[str]:
    """Nothing is left of locks, progress, claims, and of files that were never finished."""
    storage = Storage.open(root)
    broken = [f"'{key}' is left" for key in storage.list(study) if not KNOWN.fullmatch(key.removeprefix(f"{study}/"))]
    local = storage.local_path(study)
    if local is not None:
        unfinished = [path for path in local.rglob("*") if path.is_file() and path.name.startswith(".")]
        broken += [f"temporary file '{path.relative_to(local)}' is left" for path in unfinished]
    return broken


def broken_runs(runs: Sequence[Mapping[str, str]], trial_ids: Iterable[str]) -> list[str]:
    """One finished MLflow run per trial, one of the study, and no other."""
    wanted = set(trial_ids)
    broken = [f"an MLflow run is {status}" for status in sorted({r["status"] for r in runs} - {"FINISHED"})]
    seen = Counter(run[TRIAL] for run in runs if TRIAL in run)
    broken += [f"trial {trial_id} has {count} MLflow runs" for trial_id, count in seen.items() if count > 1]
    broken += [f"trial {trial_id} has no MLflow run" for trial_id in sorted(wanted - set(seen))]
    broken += [f"an MLflow run is of the strange trial {trial_id}" for trial_id in sorted(set(seen) - wanted)]
    studies = sum(run.get(ROLE) == "study" for run in runs)
    if studies != 1:
        broken.append(f"{studies} MLflow runs are the study's")
    others = len(runs) - sum(seen.values()) - studies
    if others:
        broken.append(f"{others} MLflow runs are nobody's")
    return broken


def broken_speech(said: str) -> list[str]:
    """No driver may show a person where in the code it failed."""
    if "Traceback (most recent call last)" not in said:
        return []
    last = [line for line in said.splitlines() if line.strip() and not line.startswith(" ")][-1]
    return [f"a traceback was printed: {last[:300]}"]
