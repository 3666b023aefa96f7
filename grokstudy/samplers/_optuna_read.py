"""What a posterior says, in the words of data frames and of the parameters' own units."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float
from optuna.trial import FrozenTrial

from grokstudy.samplers import _optuna_trials as told
from grokstudy.samplers.surrogate.contours import Contour, Crossing, contours, crossings_1d
from grokstudy.samplers.surrogate.observations import MARGINS, Margin, Question
from grokstudy.samplers.surrogate.posterior import Posterior
from grokstudy.samplers.surrogate.space import Dimension, Places, Space
from grokstudy.samplers.surrogate.stopping import Explored
from grokstudy.spec.axes import Point, Value
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import LABELS, Label

if TYPE_CHECKING:
    import pandas as pd


ROUNDING = 1e-9
"""A value may lie so far outside its axis, as a share of it."""


@dataclasses.dataclass(frozen=True, slots=True)
class Curve:
    """The boundary of one margin with names and further numbers fixed; either lines over two axes or crossings on one.

    Lines and bands of `contour` are in the axes' own units; its half-widths are shares of an axis (on the unit square).
    """

    margin: Margin
    fixed: Mapping[str, Value]
    contour: Contour | None = None
    crossings: tuple[Crossing, ...] = ()


def probabilities(posterior: Posterior, space: Space, points: Sequence[Point] | pd.DataFrame) -> pd.DataFrame:
    """A column per outcome, rows as the points."""
    import pandas as pd

    found = posterior.probabilities(_places(space, points))
    return pd.DataFrame(found, columns=pd.Index(LABELS), index=_index(points))


def margins(posterior: Posterior, space: Space, points: Sequence[Point] | pd.DataFrame) -> pd.DataFrame:
    """Columns mem_mean, mem_sd, gen_mean ... in dex, rows as the points."""
    import pandas as pd

    found = posterior.margins(_places(space, points))
    columns = {f"{m}_{part}": getattr(found, part)[:, k] for k, m in enumerate(MARGINS) for part in ("mean", "sd")}
    return pd.DataFrame(columns, index=_index(points))


def curves(posterior: Posterior, space: Space, fixed: Mapping[str, Value]) -> tuple[Curve, ...]:
    """One per combination of the names left free and margin."""
    for name in fixed:
        if name not in {axis.name for axis in space.dimensions}:
            raise BadInput(f"fixed: no axis '{name}'. Axes: {', '.join(axis.name for axis in space.dimensions)}.")
    free = [axis for axis in space.numbers if axis.name not in fixed]
    if not 1 <= len(free) <= 2:
        raise BadInput(
            f"fixed: leaves {len(free)} axes of numbers ({', '.join(axis.name for axis in free)}); a boundary is drawn "
            "over one or two. Give the others a value."
        )
    names = [axis for axis in space.names if axis.name not in fixed]
    found: list[Curve] = []
    for chosen in itertools.product(*(axis.choices for axis in names)):
        here = {**fixed, **{axis.name: value for axis, value in zip(names, chosen, strict=True)}}
        for margin in MARGINS:
            if len(free) == 1:
                found.append(Curve(margin, here, crossings=tuple(crossings_1d(posterior, space, here, margin))))
            else:
                contour = contours(posterior, space, here, margin)
                found.append(Curve(margin, here, contour=_in_units(contour, free)))
    return tuple(found)


def explored(trials: Sequence[FrozenTrial], seen: Sequence[Label | None], question: Question) -> Explored:
    """The explore trials that have an outcome, with what was predicted of them for this question."""
    pairs = [
        (p, label)
        for trial, label in zip(trials, seen, strict=True)
        if (p := told.predicted(trial, question)) is not None and label is not None
    ]
    return Explored(np.array([p for p, _ in pairs]).reshape(len(pairs), len(LABELS)), [label for _, label in pairs])


def _in_units(contour: Contour, axes: Sequence[Dimension]) -> Contour:
    def moved(line: Float[np.ndarray, "points 2"]) -> Float[np.ndarray, "points 2"]:
        return np.array([[axis.number(u) for axis, u in zip(axes, point, strict=True)] for point in line.tolist()])

    return dataclasses.replace(contour, lines=tuple(map(moved, contour.lines)), band=tuple(map(moved, contour.band)))


def _places(space: Space, points: Sequence[Point] | pd.DataFrame) -> Places:
    """Places of points; a value outside an axis is refused, since nothing is known of it."""
    rows: list[Point] = list(points) if isinstance(points, Sequence) else points.to_dict("records")
    places = space.places([{name: told.plain(value) for name, value in row.items()} for row in rows])
    outside = (places.unit < -ROUNDING) | (places.unit > 1 + ROUNDING)
    for row, column in np.argwhere(outside)[:1].tolist():
        axis = space.numbers[column]
        raise BadInput(
            f"points: row {row}: {axis.name}: got {rows[row][axis.name]}, must lie in {axis.low:g} .. {axis.high:g}."
        )
    return places


def _index(points: Sequence[Point] | pd.DataFrame) -> pd.Index | None:
    return None if isinstance(points, Sequence) else points.index
