"""The study that a search for critical values runs: one interval, boundary sampling along it, a new seed per trial."""

from __future__ import annotations

import dataclasses

from grokstudy.phase.critical import Critical, critical_values
from grokstudy.phase.query import PhaseQuery
from grokstudy.samplers.boundary import Boundary
from grokstudy.spec.axes import Axis, is_seed
from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.identity import leaves
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import asked

TRIALS = 60
BAND = 0.025
BATCH = 4
"""Trials proposed at a time: few, as each tells where the next ones should be."""
ANY_AXES = "sampler=random"
"""Word under which any axes may be composed; the search brings its own sampler."""
_LOG_FROM = 20.0
"""Ratio of the ends of an interval of positive numbers from which it is searched in the logarithm."""


def critical_study(
    spec: StudySpec, setting: str, *, trials: int = TRIALS, band: float = BAND, name: str | None = None
) -> StudySpec:
    """The study that searches along one setting of another one; its other settings stay, its seeds are not an axis.

    The interval is that of the setting's axis: its own ends, or the smallest and the largest of its values (0 left out
    where the others are searched in the logarithm).

    Args:
        spec: what is searched; composed with `ANY_AXES`, as its own sampler may not take an interval.
        setting: config path, or a leaf that is unique among the study's settings.
        trials: most trials to run.
        band: half-width of the intervals, as a share of the axis, at which the search ends.
        name: of the new study; default that of the given one, "-critical-" and the setting's leaf.

    Raises:
        BadInput: no such setting, no interval to search, or other axes that would have to be averaged over.
    """
    path = _path(spec, setting)
    axis = next((axis for axis in spec.axes if axis.path == path), None)
    if axis is None:
        raise _one_value(path)
    others = [other.path for other in spec.axes if other.path != path and not is_seed(other.path)]
    if others:
        raise BadInput(
            f"--param: this study varies {', '.join(others)} too; a critical value belongs to one value of every other "
            f"setting. Fix each, e.g. {others[0]}={_example(spec, others[0])}."
        )
    leaf = path.rpartition(".")[2]
    search = Boundary(n_trials=trials, batch=BATCH, band=band, tolerance=band)
    return dataclasses.replace(
        spec,
        name=name or f"{spec.name}-critical-{leaf}",
        axes=(_interval(axis),),
        sampler=spec.sampler if isinstance(spec.sampler, Boundary) else search,
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

    Raises:
        BadInput: it varies several settings, has no trial yet, or a threshold cannot be used.
    """
    axes = [axis.path for axis in spec.axes if not is_seed(axis.path)]
    if len(axes) != 1:
        varied = ", ".join(axes) or "nothing"
        raise BadInput(
            f"critical: {spec.name} varies {varied}; critical values are read along one setting that varies."
        )
    query = PhaseQuery(x=axes[0], tau=tau, budget=budget, rule=rule, confidence=confidence)
    return asked([folder], lambda connection: critical_values(connection, query, spec.axes))


def _path(spec: StudySpec, setting: str) -> str:
    known = list(leaves(spec.trial({})))
    ends = [path for path in known if setting in (path, path.rpartition(".")[2])]
    if len(ends) != 1:
        raise unknown("--param", setting, known)
    return ends[0]


def _interval(axis: Axis) -> Axis:
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
        raise _one_value(axis.path)
    whole = all(isinstance(value, int) for value in axis.values)
    return Axis(path=axis.path, low=min(ends), high=max(ends), log=log, integer=whole)


def _one_value(path: str) -> BadInput:
    return BadInput(
        f"--param: {path} has one value in this study; give an interval to search: '{path}=log(0.001,0.1)' or "
        f"'{path}=lin(0.2,0.9)'."
    )


def _example(spec: StudySpec, path: str) -> object:
    axis = next(axis for axis in spec.axes if axis.path == path)
    return axis.at(0.5)
