"""Two studies made one: the union of their trials, curves, measures and checkpoints under one set of axes."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping

from grokstudy.spec.axes import Axis, Value, is_seed
from grokstudy.spec.errors import BadInput
from grokstudy.spec.identity import leaves
from grokstudy.spec.settings import StorageSettings
from grokstudy.spec.study import StudySpec
from grokstudy.store.checkpoints import checkpoints
from grokstudy.store.compact import compact
from grokstudy.store.copy import copy_checkpoints, copy_rows
from grokstudy.store.folder import StudyFolder
from grokstudy.store.gc import remember, removed
from grokstudy.store.snapshots import FOLDER as SNAPSHOTS
from grokstudy.store.snapshots import SnapshotMeta, snapshots
from grokstudy.store.views import connect
from grokstudy.study.document import merged, record_attempt, stored_spec
from grokstudy.study.new_folder import new_folder

SEEDS = ("seeds.data", "seeds.init", "seeds.batch", "seeds.noise")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Merged:
    """What was written."""

    folder: StudyFolder
    trials: int
    shared: int
    """Trials that both studies have."""


def merge_studies(a: StudyFolder, b: StudyFolder, root: str, name: str) -> Merged:
    """Writes a new study with everything of both; running it again does only what is missing from its axes.

    A trial of both counts once, by its row that counts (most steps, then done, then newest). What else is stored of it
    is taken from both if its numbers depend on nothing else (equal `numerics`), or else from that row's study alone.
    Everything that changes no number (measures aside, which are united) is the first study's.

    Raises:
        BadInput: settings differ that no axis of the two varies, or the new study exists.
        DamagedFile: a part or a checkpoint file cannot be read.
    """
    if a == b:
        raise BadInput(f"{a.name}: a study is not merged with itself.")
    one, other = stored_spec(a), stored_spec(b)
    assert one is not None  # callers found both
    assert other is not None
    target = StudyFolder.open(root, name)
    spec = dataclasses.replace(united(one, other), name=name, storage=StorageSettings(root=target.storage.uri))
    with new_folder(target, "Give the new study another --name."):
        rows = {folder: _counting(folder) for folder in (a, b)}
        for folder, rival in ((a, b), (b, a)):
            kept = {identity for identity, row in rows[folder].items() if _is_kept(row, rows[rival].get(identity))}
            copy_rows(folder, target, "trials", kept)
            copy_rows(folder, target, "curves", kept)
            copy_rows(folder, target, "measures", kept)
            copy_checkpoints(folder, target, [row for row in checkpoints(folder) if row.trial_id in kept])
        _copy_snapshots(a, b, target)
        if events := sorted({*removed(a), *removed(b)}, key=lambda event: event.at):
            remember(target, events)
        compact(target)
        record_attempt(target, spec)
    from grokstudy.study.report import write_report  # loads the figure libraries

    write_report(target, spec)
    both = rows[a].keys() & rows[b].keys()
    return Merged(folder=target, trials=len(rows[a].keys() | rows[b].keys()), shared=len(both))


def united(one: StudySpec, other: StudySpec) -> StudySpec:
    """The first study with every value that an axis or the fixed setting of either has, and the larger budget.

    Two studies of one seed each become a study of both seeds.

    Raises:
        BadInput: names every fixed setting that differs, or an axis whose kinds do not fit.
    """
    if _settings(one)["seed"] != _settings(other)["seed"]:
        one, other = _with_seed_axis(one), _with_seed_axis(other)
    varied = {axis.path for axis in (*one.axes, *other.axes)}
    _refuse_differences(one, other, varied | (set(SEEDS) if "seed" in varied else set()))
    here, there = ({axis.path: axis for axis in spec.axes} for spec in (one, other))
    for path in here.keys() & there.keys():
        _refuse_intervals_that_differ(here[path], there[path])
    onto_other, onto_one = merged(one, other).axes, merged(other, one).axes
    axes = [axis for axis in onto_other if axis.path in here]
    axes += [axis for axis in onto_one if axis.path not in here]
    names = tuple(dict.fromkeys((*one.measures.names, *other.measures.names)))
    return dataclasses.replace(
        one,
        axes=tuple(axes),
        budget=max(one.budget, other.budget),
        measures=dataclasses.replace(one.measures, names=names),
        source=one.source or other.source,
    )


def _with_seed_axis(spec: StudySpec) -> StudySpec:
    if any(is_seed(axis.path) for axis in spec.axes):
        return spec
    return dataclasses.replace(spec, axes=(*spec.axes, Axis(path="seed", values=(spec.trial({}).seed,))))


def _refuse_differences(one: StudySpec, other: StudySpec, varied: set[str]) -> None:
    before, after = _settings(one), _settings(other)
    paths = [path for path in sorted(before.keys() | after.keys()) if path not in varied]
    told = [
        f"{path} = {_shown(before, path)} against {_shown(after, path)}"
        for path in paths
        if before.get(path) != after.get(path)
    ]
    if told:
        raise BadInput(
            f"{one.name} and {other.name} have different fixed settings: {'; '.join(told)}. Studies are merged if they "
            "differ only in settings that one of them varies; `grokstudy compare` takes such studies as they are."
        )


def _refuse_intervals_that_differ(one: Axis, other: Axis) -> None:
    if one.is_interval != other.is_interval or (one.low, one.high, one.log) != (other.low, other.high, other.log):
        raise BadInput(
            f"{one.path}: an interval is merged only with the same interval, got {_range(one)} and {_range(other)}."
        )


def _range(axis: Axis) -> str:
    return f"{axis.low:g}..{axis.high:g}" if axis.is_interval else f"{len(axis.values)} values"


def _settings(spec: StudySpec) -> dict[str, Value | tuple[Value, ...]]:
    """Every setting that numbers depend on, the mode of computing included."""
    engine = {f"engine.{field.name}": getattr(spec.engine, field.name) for field in dataclasses.fields(spec.engine)}
    return {path: leaf.value for path, leaf in leaves(spec.trial({})).items()} | engine


def _shown(settings: Mapping[str, object], path: str) -> str:
    return str(settings[path]) if path in settings else "absent"


@dataclasses.dataclass(frozen=True, slots=True, order=True)
class _Row:
    """A trial's counting row, in the order in which rows of two studies count."""

    steps_run: int
    done: bool
    written_at: str
    numerics: str = dataclasses.field(compare=False)


def _counting(folder: StudyFolder) -> dict[str, _Row]:
    with connect([folder]) as connection:
        rows = connection.execute("SELECT trial_id, steps_run, status = 'done', written_at, numerics FROM trials")
        return {identity: _Row(*values) for identity, *values in rows.fetchall()}


def _is_kept(row: _Row, rival: _Row | None) -> bool:
    return rival is None or row >= rival or row.numerics == rival.numerics


def _copy_snapshots(a: StudyFolder, b: StudyFolder, target: StudyFolder) -> None:
    """Where trials can go on from; of a pack that both have, the further one."""
    best: dict[str, tuple[StudyFolder, SnapshotMeta]] = {}
    for folder in (a, b):
        for meta in snapshots(folder):
            if meta.pack_id not in best or best[meta.pack_id][1].step < meta.step:
                best[meta.pack_id] = (folder, meta)
    for pack_id, (folder, _) in best.items():
        name = f"{SNAPSHOTS}/{pack_id}.safetensors"
        data = folder.get_bytes(name)
        if data is not None:  # deleted since it was listed: its trials are done
            target.put_bytes(name, data)
