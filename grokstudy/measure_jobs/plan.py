"""Which measures are missing: asking again for what is there costs a query and nothing else."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import TypeAlias

import duckdb
import numpy as np

from grokstudy.circuits._measure import measures
from grokstudy.measure_jobs.job import MeasureJob, TrialToMeasure
from grokstudy.spec import plugins
from grokstudy.spec.measure import Measure
from grokstudy.spec.outcome import TAU
from grokstudy.spec.rows import RAISED, CheckpointRow
from grokstudy.store.checkpoints import checkpoints
from grokstudy.store.folder import StudyFolder
from grokstudy.store.trial_configs import trial_configs

TRIALS_PER_JOB = 16
CHECKPOINTS_PER_JOB = 64
"""A job ends with the trial that reaches so many: few trials with many checkpoints still keep every core busy."""


def missing_jobs(
    folder: StudyFolder,
    connection: duckdb.DuckDBPyConnection,
    names: Collection[str],
    rule: str,
    which: str,
) -> list[MeasureJob]:
    """Jobs for every (trial, checkpoint) that lacks one of the measures in its current version.

    Args:
        names: measure plug-ins.
        rule: key-frequency rule.
        which: "all" checkpoints, or "final": the start, the last generalised one and the end.
    """
    chosen = measures(names, rule)
    configs = trial_configs(connection)
    stored = defaultdict(list)
    for row in checkpoints(folder):
        if row.trial_id in configs:
            stored[row.trial_id].append(row)
    present = _present(connection)
    generalised = last_generalised(connection, stored)
    trials: dict[tuple[str, ...], list[TrialToMeasure]] = defaultdict(list)
    # Trials of one pack follow each other: a job then reads few files.
    for identity, rows in sorted(stored.items(), key=lambda item: (item[1][0].file, item[1][0].lane)):
        keys_from = generalised.get(identity)
        wanted = rows if which == "all" else _ends(rows, keys_from)
        for missing, lacking in _lacking(wanted, present, chosen, rule).items():
            trials[missing].append(
                TrialToMeasure(
                    trial_id=identity,
                    config=configs[identity],
                    checkpoints=tuple(lacking),
                    keys_from=keys_from,
                    start=rows[0] if rows[0].step == 0 else None,
                    last=rows[-1],
                )
            )
    return [
        MeasureJob(
            study=folder.name,
            storage=folder.storage.uri,
            trials=part,
            measures=missing,
            rule=rule,
            plugin_files=tuple(plugins.files()),
        )
        for missing, group in trials.items()
        for part in _parted(group)
    ]


def _parted(group: Sequence[TrialToMeasure]) -> Iterator[tuple[TrialToMeasure, ...]]:
    """Trials of one job each, in their order."""
    part: list[TrialToMeasure] = []
    for trial in group:
        part.append(trial)
        if len(part) == TRIALS_PER_JOB or sum(len(one.checkpoints) for one in part) >= CHECKPOINTS_PER_JOB:
            yield tuple(part)
            part = []
    if part:
        yield tuple(part)


def _ends(rows: Sequence[CheckpointRow], keys_from: CheckpointRow | None) -> list[CheckpointRow]:
    """Start (the untrained network, the control of every measure), last generalised, end."""
    chosen = {row.step: row for row in (rows[0], rows[-1], *([keys_from] if keys_from else []))}
    return [chosen[step] for step in sorted(chosen)]


Stored: TypeAlias = set[tuple[str, int, str]]
"""(measure, version, protocol) of the values of one checkpoint."""


def _present(connection: duckdb.DuckDBPyConnection) -> dict[tuple[str, int], Stored]:
    """What is stored, by (trial, step); a measure that raised left nothing."""
    present: dict[tuple[str, int], Stored] = defaultdict(set)
    rows = connection.execute(
        "SELECT trial_id, step, measure, version, protocol FROM measures_long "
        "WHERE NOT starts_with(coalesce(reason, ''), ?)",
        [RAISED],
    ).fetchall()
    for trial, step, measure, version, protocol in rows:
        present[trial, step].add((measure, version, protocol))
    return present


def _lacking(
    checkpoints: Sequence[CheckpointRow],
    present: Mapping[tuple[str, int], Stored],
    chosen: Sequence[tuple[str, Measure]],
    rule: str,
) -> dict[tuple[str, ...], list[CheckpointRow]]:
    """The checkpoints of a trial by the measures they lack: a new measure computes itself and nothing else."""
    lacking = defaultdict(list)
    for row in checkpoints:
        here = present.get((row.trial_id, row.step), set())
        missing = tuple(name for name, measure in chosen if not _measured(here, name, measure, rule))
        if missing:
            lacking[missing].append(row)
    return lacking


def _measured(here: Stored, name: str, measure: Measure, rule: str) -> bool:
    """Whether the plug-in's current version left its values here, under this rule if it depends on one."""
    depends = hasattr(measure, "rule")
    for wanted in measure.names:
        hits = [protocol for found, version, protocol in here if found == wanted and version == measure.version]
        if not any(not depends or _names_rule(protocol, rule) for protocol in hits):
            return any(found == name and version == measure.version for found, version, _ in here)  # does not apply
    return True


def _names_rule(protocol: str, rule: str) -> bool:
    """Whether a protocol such as `keys=neuron;terms=2` or `keys=random8;size=neuron` was made under this rule."""
    return rule in (part.partition("=")[2] for part in protocol.split(";"))


def last_generalised(
    connection: duckdb.DuckDBPyConnection, stored: Mapping[str, Sequence[CheckpointRow]]
) -> dict[str, CheckpointRow]:
    """Per trial, its last checkpoint at or after t_gen whose latest evaluation had test accuracy >= tau."""
    found = {}
    rows = connection.execute(
        "SELECT c.trial_id, t.t_gen, c.step, c.test_acc FROM curves c JOIN trials t USING (trial_id) "
        "WHERE t.t_gen IS NOT NULL AND c.step >= t.t_gen ORDER BY c.trial_id, c.step"
    ).fetchnumpy()
    ids, starts = np.unique(np.asarray(rows["trial_id"], dtype=str), return_index=True)
    bounds = np.append(starts, len(rows["trial_id"]))
    for identity, start, end in zip(ids.tolist(), bounds[:-1], bounds[1:], strict=True):
        steps, acc = np.asarray(rows["step"][start:end]), np.ma.filled(rows["test_acc"][start:end], np.nan)
        after = [row for row in stored.get(identity, ()) if row.step >= int(rows["t_gen"][start])]
        for row in sorted(after, key=lambda row: -row.step):
            latest = int(np.searchsorted(steps, row.step, side="right")) - 1
            if acc[latest] >= TAU:
                found[identity] = row
                break
    return found
