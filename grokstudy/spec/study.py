"""StudySpec: a base trial, the axes that vary, who proposes the points, and how far to train."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

from grokstudy.spec.axes import Axis, Point, Value, rounded
from grokstudy.spec.decode import TRIAL_GROUPS, decode_trial
from grokstudy.spec.errors import BadInput, nearest, unknown
from grokstudy.spec.fields import setting
from grokstudy.spec.identity import leaves
from grokstudy.spec.interfaces import Sampler
from grokstudy.spec.names import check_study_name
from grokstudy.spec.settings import (
    CheckpointSettings,
    ClusterSettings,
    EarlyEndSettings,
    EngineSettings,
    StorageSettings,
    TrackingSettings,
)
from grokstudy.spec.trial import TrialSpec


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MeasureSettings:
    """What is measured when the trials are done."""

    names: tuple[str, ...] = setting((), help="measure plug-ins to compute when the trials are done; empty = none")
    checkpoints: Literal["final", "all"] = setting("all", help="all, or final: start, last generalised one and end")
    while_training: tuple[str, ...] = setting((), help="measure plug-ins to compute at every checkpoint as it is made")
    key_freq_rule: str = setting("neuron", help="how key frequencies are found: neuron, w_l or w_e (docs/measures.md)")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StudySpec:
    """A study as resolved from its config."""

    name: str
    base: Mapping[str, Any]
    """The trial groups of the composed config as plain data."""
    axes: tuple[Axis, ...]
    sampler: Sampler
    budget: int
    measures: MeasureSettings = MeasureSettings()
    engine: EngineSettings = EngineSettings()
    checkpoint: CheckpointSettings = CheckpointSettings()
    early_end: EarlyEndSettings = EarlyEndSettings()
    cluster: ClusterSettings = ClusterSettings()
    storage: StorageSettings = StorageSettings()
    tracking: TrackingSettings = TrackingSettings()
    source: str = ""
    """Paper or reason, for people."""

    def __post_init__(self) -> None:
        check_study_name(self.name)
        if self.budget < 1:
            raise BadInput(f"budget: got {self.budget}, must be >= 1 step.")
        self.sampler.check(self.axes)
        known = leaves(self.trial({}))
        for axis in self.axes:
            self._check_axis(axis, list(known))
        self._check_seeds()
        # Hydra's intervals are floats: whether only whole numbers make sense is known from the setting.
        whole = {path for path, leaf in known.items() if type(leaf.value) is int}
        axes = (dataclasses.replace(a, integer=a.integer or (a.is_interval and a.path in whole)) for a in self.axes)
        object.__setattr__(self, "axes", tuple(axes))

    def trial(self, point: Point) -> TrialSpec:
        """The trial at one point.

        Raises:
            BadInput: a value of the point cannot be used, with its path.
        """
        return decode_trial(with_values(self.base, point))

    def trials(self, points: Sequence[Point]) -> Iterator[TrialSpec]:
        """The trials of several points."""
        return (self.trial(point) for point in points)

    def _check_axis(self, axis: Axis, known: Sequence[str]) -> None:
        if axis.path not in known:
            raise BadInput(
                f"{axis.path}: no such setting of this trial{nearest(axis.path, known)} "
                f"An axis must vary a setting that this task, model, optimizer and loss read: {', '.join(known)}."
            )
        if axis.path.endswith(".name"):
            raise BadInput(
                f"{axis.path}: an axis varies a setting, not a whole group; run one study for each and compare."
            )

    def _check_seeds(self) -> None:
        """A stream that nothing draws from would only give equal trials other ids."""
        varied = {axis.path for axis in self.axes}
        fixed = {f"seeds.{name}" for name, seed in dict(self.base.get("seeds") or {}).items() if seed is not None}
        if "seeds.batch" in varied | fixed and self.base.get("batch_size") is None and "batch_size" not in varied:
            raise BadInput("seeds.batch: nothing reads it at full batch; set batch_size or leave it out.")
        acting = ("noise.temperature", "noise.end", "regularization.dropout")
        if "seeds.noise" in varied | fixed and not (varied & set(acting) or self.trial({}).is_random):
            raise BadInput("seeds.noise: nothing reads it without noise; leave it out.")


def with_values(base: Mapping[str, Any], point: Point) -> dict[str, Any]:
    """`base` with the values of `point` set at their paths. What is not set is shared with it, so never change it."""
    data = dict(base)
    for path, value in point.items():
        *groups, leaf = path.split(".")
        node = data
        for group in groups:
            node[group] = node = dict(node.get(group, {}))
        node[leaf] = rounded(value)
    return data


def without(base: Mapping[str, Any], paths: Sequence[str]) -> dict[str, Value]:
    """Leaves of `base` by path, those in `paths` left out: what must be equal for two runs to be one study."""
    out: dict[str, Value] = {}

    def walk(node: Any, path: str) -> None:
        if isinstance(node, Mapping):
            for key, value in node.items():
                walk(value, f"{path}.{key}" if path else str(key))
        elif path not in paths:
            out[path] = tuple(node) if isinstance(node, list) else rounded(node)  # type: ignore[assignment]

    walk({key: value for key, value in base.items() if key in TRIAL_GROUPS}, "")
    return out


def check_measures(names: Sequence[str], available: Sequence[str]) -> None:
    """Raises BadInput for a measure that does not exist."""
    for name in names:
        if name not in available:
            raise unknown("measures", name, available, "See `grokstudy list measures`.")
