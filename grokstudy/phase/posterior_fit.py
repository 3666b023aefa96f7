"""The posterior behind a diagram with continuous axes: which axes span it, which trials it is fitted to."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence

import numpy as np
import pandas as pd
from jaxtyping import Bool, Float, Int

from grokstudy.phase.axis import AxisCells, axis_cells, is_log
from grokstudy.phase.columns import is_numeric, label
from grokstudy.phase.continuous import extent, is_continuous, unit_of
from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.posterior import Posterior, fit
from grokstudy.samplers.surrogate.space import Dimension, Places, Space
from grokstudy.spec.axes import Axis, Point, Value
from grokstudy.spec.errors import BadInput


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Plane:
    """What of a space is drawn: one or two axes, at one value of every other, once for each level of the facet."""

    drawn: tuple[Dimension, ...]
    """x, or x and y."""
    slices: Mapping[Dimension, float]
    """Where the axes lie that are not drawn."""
    facet: Dimension | None
    """None also for a facet of one value, on which nothing depends."""
    facets: AxisCells | None
    """Levels of the facet and which of them each trial has; None without one."""

    @property
    def space(self) -> Space:
        """The axes that the posterior knows."""
        return Space((*self.drawn, *self.slices, *([self.facet] if self.facet else [])))

    def places(self, drawn: Float[np.ndarray, "n axes"], facet: int | None) -> Places:
        """Places of the plane from positions in [0, 1] on the drawn axes."""
        n = len(drawn)
        held = [np.full(n, unit_of(axis, np.array([value]))[0]) for axis, value in self.slices.items()]
        numbers, levels = self._facet(np.full(n, -1 if facet is None else facet))
        return Places(np.column_stack([drawn, *held, *numbers]), levels)

    def held(self, facet: int | None) -> Point:
        """The values of every axis that is not drawn."""
        values: dict[str, Value] = {axis.name: value for axis, value in self.slices.items()}
        if self.facet is not None and self.facets is not None and facet is not None:
            values[self.facet.name] = self.facets.values[facet]
        return values

    def of_trials(self, table: pd.DataFrame) -> Places:
        """Where the trials of readings lie; a place at 0 of a log axis is not finite."""
        columns = [table[key].to_numpy(dtype=float) for key, _ in zip(("x", "y"), self.drawn, strict=False)]
        columns += [table[axis.name].to_numpy(dtype=float) for axis in self.slices]
        with np.errstate(divide="ignore"):
            unit = [unit_of(axis, column) for axis, column in zip((*self.drawn, *self.slices), columns, strict=True)]
        cell_of = self.facets.cell_of if self.facets else np.full(len(table), -1)
        numbers, levels = self._facet(cell_of)
        return Places(np.column_stack([*unit, *numbers]), levels)

    def _facet(self, level: Int[np.ndarray, " n"]) -> tuple[list[Float[np.ndarray, " n"]], Int[np.ndarray, "n names"]]:
        """The columns of the facet: a position if its levels are numbers, else a level."""
        none = np.zeros((len(level), 0), dtype=np.int64)
        if self.facet is None or self.facets is None:
            return [], none
        if self.facet.is_names:
            return [], level[:, None].astype(np.int64)
        return [unit_of(self.facet, np.array(self.facets.values, dtype=float))[level]], none


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Fitted:
    """A posterior with what it was fitted to."""

    plane: Plane
    posterior: Posterior
    question: Question
    places: Places
    """Of every trial of the readings, used or not."""
    used: Bool[np.ndarray, " trials"]
    notes: tuple[str, ...]
    """What was left out or assumed, for people."""


def fitted(table: pd.DataFrame, axes: Sequence[Axis]) -> Fitted:
    """The posterior of readings with continuous axes, under the thresholds, T and ratio that they were read with.

    Left out: trials at 0 of a log axis, to which no distance is defined, and trials without test rows.

    Raises:
        BadInput: an axis that cannot be drawn so, or is held outside the values that were run.
    """
    plane = plane_of(table, axes)
    places = plane.of_trials(table)
    on_axes = np.isfinite(places.unit).all(axis=1)
    t_mem, t_gen = (table[name].to_numpy(dtype=float) for name in ("t_mem", "t_gen"))
    until = table["censored_at"].to_numpy(dtype=float)
    tested = table["determined"].to_numpy(dtype=bool) | (until < table.attrs["budget"])
    used = on_axes & tested & (until > 0)
    seen = Observations(
        places=places.take(used),
        t_mem=t_mem[used],
        t_gen=t_gen[used],
        steps=np.fmax(until, np.fmax(t_mem, t_gen))[used],
        diverged=(table["outcome"] == "diverged").to_numpy(dtype=bool)[used],
        cost=np.full(int(used.sum()), np.nan),
    )
    question = Question(budget=float(table.attrs["budget"]), ratio=float(table.attrs["ratio"]))
    posterior = fit(plane.space, seen, question)
    return Fitted(
        plane=plane,
        posterior=posterior,
        question=question,
        places=places,
        used=used,
        notes=(*_left_out(on_axes, tested), *posterior.notes),
    )


def plane_of(table: pd.DataFrame, axes: Sequence[Axis]) -> Plane:
    """The plane that readings with continuous axes are drawn on. Raises BadInput, see `fitted`."""
    keys = [key for key in ("x", "y") if table.attrs[key] is not None]
    facets = None
    if table.attrs["facet"] is not None:
        if is_continuous(table.attrs["facet"], table["facet"], axes):
            raise BadInput(
                f"facet: {table.attrs['facet']} is continuous; draw it with --x or --y, or hold it at a value: "
                f"--fix {table.attrs['facet']}={label(float(table['facet'].median()))}."
            )
        facets = axis_cells("facet", table.attrs["facet"], table["facet"], None)
    return Plane(
        drawn=tuple(_drawn(key, table, axes) for key in keys),
        slices=dict(_slice(path, value, table, axes) for path, value in table.attrs["slices"].items()),
        facet=None if facets is None or len(facets.values) == 1 else _facet(facets),
        facets=facets,
    )


def _drawn(key: str, table: pd.DataFrame, axes: Sequence[Axis]) -> Dimension:
    path, column = table.attrs[key], table[key]
    if not is_numeric(column) or column.isna().any():
        others = " and ".join(table.attrs["continuous"])
        raise BadInput(
            f"{key}: {path} has names for values, which have no place beside {others}, an axis without cells; "
            f"draw it as facets: --facet {path} (or in cells: --bins 12)."
        )
    axis = extent(path, column, axes)
    if axis is None:
        raise BadInput(f"{key}: every trial has {path} = {label(column.iloc[0])} here, so there is nothing along it.")
    return axis


def _slice(path: str, value: float, table: pd.DataFrame, axes: Sequence[Axis]) -> tuple[Dimension, float]:
    axis = extent(path, table[path], axes)
    if axis is None or not axis.low <= value <= axis.high:
        low, high = (table[path].min(), table[path].max()) if axis is None else (axis.low, axis.high)
        raise BadInput(f"fix {path}: got {value:g}, must lie between {low:g} and {high:g}, where trials were run.")
    return axis, value


def _facet(cells: AxisCells) -> Dimension:
    if cells.categorical:
        return Dimension(name=cells.path, choices=tuple(map(str, cells.values)))
    numbers = np.array(cells.values, dtype=float)
    log = is_log(numbers) and numbers.min() > 0
    return Dimension(name=cells.path, low=float(numbers.min()), high=float(numbers.max()), log=log)


def _left_out(on_axes: Bool[np.ndarray, " trials"], tested: Bool[np.ndarray, " trials"]) -> tuple[str, ...]:
    counts = ((~on_axes, "at 0 of a log axis"), (on_axes & ~tested, "without test rows"))
    return tuple(f"{int(which.sum()):,} trials {words} left out of the fit" for which, words in counts if which.any())
