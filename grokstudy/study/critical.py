"""The study that a search for critical values runs: one interval, boundary sampling along it, a new seed per trial."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import duckdb

from grokstudy.phase.critical import Critical, critical_values
from grokstudy.phase.query import PhaseQuery
from grokstudy.samplers.boundary import Boundary
from grokstudy.spec.axes import Axis, is_seed
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.identity import leaves
from grokstudy.spec.refused import STOPPERS
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import asked
from grokstudy.study.document import stored_spec

TRIALS = 60
BAND = 0.025
BATCH = 4
"""Trials proposed at a time: few, as each tells where the next ones should be."""
_ANY_AXES = "sampler=random"
"""Word under which any axes may be composed; the search brings its own sampler."""
_ITS_OWN = {
    "sampler.n_trials": "--trials",
    "sampler.band": "--band",
    "sampler.tolerance": "--band",
    "sampler.batch": "none: a search asks for few trials at a time",
}
"""Settings of the sampler that a search sets itself, and its own option for each."""
_LOG_FROM = 20.0
"""Ratio of the ends of an interval of positive numbers from which it is searched in the logarithm."""


def search_words(words: Sequence[str]) -> list[str]:
    """The words with which a study to be searched is composed.

    Raises:
        BadInput: another sampler than boundary, or one of its settings that the search sets itself.
    """
    given = [word.lstrip("+~").partition("=") for word in words]
    for key, _, value in given:
        if key in ("sampler", "sampler.name") and value.strip("'\"") not in ("boundary", *STOPPERS):
            raise BadInput(
                f"{key}: got {value}, but a search for critical values places its trials itself, as sampler=boundary "
                f"does. Leave {key}={value} out."
            )
        if key in _ITS_OWN:
            raise BadInput(f"{key}: got {value}, but a search sets it itself. Its option: {_ITS_OWN[key]}.")
    tuned = any(key.startswith("sampler.") for key, _, _ in given)
    return ["sampler=boundary" if tuned else _ANY_AXES, *words]


def critical_study(
    spec: StudySpec, setting: str, *, trials: int = TRIALS, band: float = BAND, name: str | None = None
) -> StudySpec:
    """The study that searches along one setting of another one; its other settings stay, its seeds are not an axis.

    The interval is that of the setting's axis: its own ends, or the smallest and the largest of its values (0 left out
    where the others are searched in the logarithm).

    Args:
        spec: what is searched; composed from `search_words`, as its own sampler may not take an interval. Of a
            boundary sampler the settings that the search does not set itself are kept.
        setting: config path, or a leaf that is unique among the study's settings.
        trials: most trials to run.
        band: half-width of the intervals, as a share of the axis, at which the search ends.
        name: of the new study; default that of the given one, "-critical-" and the setting's leaf.

    Raises:
        BadInput: no such setting, no interval to search, a band that cannot be, or other axes that would have to be
            averaged over, here or in the study of that name as it is stored.
    """
    if not 0 < band <= 1:
        raise BadInput(f"--band: got {band:g}, must be in (0, 1]: a share of the interval, e.g. {BAND:g}.")
    path = _path(spec, setting)
    axis = next((axis for axis in spec.axes if axis.path == path), None)
    if axis is None:
        raise _one_value(spec, path)
    others = [other.path for other in spec.axes if other.path != path and not is_seed(other.path)]
    if others:
        raise BadInput(
            f"--param: this study varies {', '.join(others)} too; a critical value belongs to one value of every other "
            f"setting. Fix each, e.g. {others[0]}={_example(spec, others[0])}."
        )
    name = name or f"{spec.name}-critical-{path.rpartition('.')[2]}"
    _check_stored(spec, name, path)
    tuned = spec.sampler if isinstance(spec.sampler, Boundary) else Boundary()
    search = dataclasses.replace(tuned, n_trials=trials, batch=BATCH, band=band, tolerance=band)
    return dataclasses.replace(spec, name=name, axes=(_interval(spec, axis),), sampler=search)


def _check_stored(spec: StudySpec, name: str, path: str) -> None:
    """Refuses to put a search into a stored study that varies other settings, before a trial is run there."""
    stored = stored_spec(StudyFolder.open(spec.storage.root, name))
    varied = [axis.path for axis in stored.axes if not is_seed(axis.path)] if stored else []
    if varied and varied != [path]:
        raise BadInput(
            f"--name: the study '{name}' exists and varies {', '.join(varied)}; a search along {path} needs a study of "
            f"its own. Give another name, e.g. --name {name}-{path.rpartition('.')[2]}."
        )


def critical_of(
    folder: StudyFolder,
    spec: StudySpec,
    *,
    tau: float,
    budget: int | None = None,
    rule: str | None = None,
    confidence: float = 0.95,
) -> Critical:
    """The critical values that a study of one axis has found so far.

    Args:
        folder: of the study.
        spec: the study.
        tau: accuracy threshold of both events.
        budget: T in steps; default the study's budget as soon as a trial was watched so long.
        rule: condition for t_gen on curves.
        confidence: of the intervals.

    Raises:
        BadInput: it varies several settings, has no trial yet, or a threshold cannot be used.
    """
    axes = [axis.path for axis in spec.axes if not is_seed(axis.path)]
    if len(axes) != 1:
        varied = ", ".join(axes) or "nothing"
        raise BadInput(
            f"critical: {spec.name} varies {varied}; critical values are read along one setting that varies."
        )

    def answer(connection: duckdb.DuckDBPyConnection) -> Critical:
        steps = _watched_budget(connection, spec.budget) if budget is None else budget
        query = PhaseQuery(x=axes[0], tau=tau, budget=steps, rule=rule, confidence=confidence)
        return critical_values(connection, query, spec.axes)

    return asked([folder], answer)


def _watched_budget(connection: duckdb.DuckDBPyConnection, budget: int) -> int | None:
    """The study's budget, though trials that had generalised were not extended to it; None if no trial got there."""
    (longest,) = connection.execute("SELECT max(steps_run) FROM trials").fetchall()[0]
    return budget if longest is not None and longest >= budget else None


def _path(spec: StudySpec, setting: str) -> str:
    known = list(leaves(spec.trial({})))
    ends = [path for path in known if setting in (path, path.rpartition(".")[2])]
    if len(ends) != 1:
        raise unknown("--param", setting, known)
    return ends[0]


def _interval(spec: StudySpec, axis: Axis) -> Axis:
    """What to search of an axis."""
    if axis.is_interval:
        return axis
    numbers = [float(value) for value in axis.values if isinstance(value, (int, float)) and not isinstance(value, bool)]
    if len(numbers) < len(axis.values):
        raise BadInput(f"--param: {axis.path} has names for values; a critical value needs numbers.")
    positive = [number for number in numbers if number > 0]
    log = min(numbers) >= 0 and len(positive) > 1 and max(positive) / min(positive) >= _LOG_FROM
    ends = positive if log else numbers
    if len(ends) < 2:
        raise _one_value(spec, axis.path)
    whole = all(isinstance(value, int) for value in axis.values)
    return Axis(path=axis.path, low=min(ends), high=max(ends), log=log, integer=whole)


def _one_value(spec: StudySpec, path: str) -> BadInput:
    value = leaves(spec.trial({}))[path].value
    if is_seed(path) or isinstance(value, (bool, str)):
        return BadInput(
            f"--param: got {path}, which is {value}; a critical value is searched along a setting whose numbers lie on "
            "a scale, e.g. 'task.frac_train=lin(0.2,0.9)' --param frac_train."
        )
    return BadInput(
        f"--param: {path} has one value in this study; give an interval to search: '{path}=log(0.001,0.1)' or "
        f"'{path}=lin(0.2,0.9)'."
    )


def _example(spec: StudySpec, path: str) -> object:
    axis = next(axis for axis in spec.axes if axis.path == path)
    return axis.at(0.5)
