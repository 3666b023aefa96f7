"""One object from which both plotting backends draw: positions, edges, ticks, matrices, dots and words."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from grokstudy.phase.axis import is_log
from grokstudy.phase.boundary import Boundary, NoBoundary
from grokstudy.phase.boundary_posterior import line_over
from grokstudy.phase.categories import category_colours, category_names
from grokstudy.phase.columns import label
from grokstudy.phase.dots import Dot, cell_dots
from grokstudy.phase.overlay import Overlay, OverlayMark, marks, outside
from grokstudy.phase.palette import SHARE_SCALE, TIME_SCALE
from grokstudy.phase.query import SHARES
from grokstudy.phase.room import counts_fit, counts_in_words, dots_fit
from grokstudy.phase.tiles import OUTCOMES, Tiles, cell_tiles
from grokstudy.phase.units import with_unit
from grokstudy.spec.errors import BadInput

MOST_PANELS = 12
_MOST_TICKS = 11


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Scale:
    """An axis as drawn: cell i lies between edges[i] and edges[i + 1], in data units (of a log axis where `log`)."""

    label: str
    """Full name of the setting."""
    log: bool
    centres: Float[np.ndarray, " cells"]
    edges: Float[np.ndarray, " edges"]
    names: tuple[str, ...]
    """Text of every cell's value."""
    values: tuple[float | str, ...]
    """The value of every cell, or the middle of its bin."""
    ticks: tuple[int, ...]
    """Cells that have a tick."""
    zero_slot: bool = False
    """Cell 0 is the value 0 of a log axis, in a slot of its own; its position is not its value."""
    true_positions: bool = False
    """The axis is binned: dots lie at their trials' own values."""
    categorical: bool = False
    """Values are names; a position is the number of the cell."""
    marks: tuple[tuple[float, str], ...] = ()
    """Ticks of an axis without cells, as place and text; empty on an axis of cells."""

    @property
    def tick_marks(self) -> tuple[tuple[float, str], ...]:
        """Place and text of every tick."""
        return self.marks or tuple((float(self.centres[i]), self.names[i]) for i in self.ticks)

    @property
    def title(self) -> str:
        """What is written at the axis: the name with its unit."""
        return with_unit(self.label)


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Panel:
    """One facet. Matrices are [y, x]; a diagram without y has one row."""

    title: str
    value: Float[np.ndarray, "y x"]
    low: Float[np.ndarray, "y x"]
    high: Float[np.ndarray, "y x"]
    counts: Int[np.ndarray, "y x"]
    undetermined: Int[np.ndarray, "y x"]
    hatched: Bool[np.ndarray, "y x"]
    """No value to paint: no trial, or a median that most trials never reached."""
    dots: tuple[Dot, ...]
    """Empty where dots could not be told apart."""
    tiles: Tiles
    overlay: tuple[OverlayMark, ...] = ()
    """Points from elsewhere."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Frame:
    """What is around the panels of a diagram, with or without cells: words, axes and the colours of its value."""

    title: str
    value_label: str
    note: str
    x: Scale
    y: Scale | None
    colours: str
    """Name of the colour map: viridis or cividis."""
    value_log: bool
    low: float
    """Ends of the colour scale."""
    high: float
    hatch_label: str
    """What hatching means here."""
    outcomes: tuple[str, ...]
    """Outcomes that occur, in the order of legends."""
    categories: tuple[str, ...] = ()
    """Names, if the value is an index into them."""
    category_colours: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class FigureData(Frame):
    """A diagram of cells ready to be drawn."""

    panels: tuple[Panel, ...]
    counts_written: bool
    """Cells are large enough for their number of trials; else the note says it."""
    lines: tuple[Boundary | NoBoundary, ...] = ()
    """The line p_gen = .5 of every panel, if it was asked for."""


def figure_data(diagram: xr.Dataset, overlay: Overlay | None = None) -> FigureData:
    """Everything a figure shows of a diagram made by `phase_diagram`, with points from elsewhere over it.

    Raises:
        BadInput: more facets than panels fit on a page, or a point that an axis cannot show.
    """
    x = scale_of(diagram, "x")
    y = scale_of(diagram, "y") if diagram.attrs["y"] else None
    facet = diagram.attrs["facet_dim"]
    facets = list(range(diagram.sizes[facet])) if facet else [None]
    if len(facets) > MOST_PANELS:
        raise BadInput(
            f"facet: {diagram.attrs['facet']} has {len(facets)} values, at most {MOST_PANELS} fit; --fix some."
        )
    value = diagram.attrs["value"]
    if value == "log10_delay_ratio":  # the few that generalised do not speak for a cell where most never did
        diagram = diagram.assign(value=diagram["value"].where(diagram["t_gen_median"].notnull()))
    share = value in SHARES or value == "retention"
    value_log, low, high = (False, 0.0, 1.0) if share else _value_range(diagram)
    counts = np.stack([matrix_of(one_facet(diagram, i), "n", y) for i in facets])
    undetermined = np.stack([matrix_of(one_facet(diagram, i), "n_undetermined", y) for i in facets])
    fit, written = dots_fit(counts + undetermined, flat=y is None), counts_fit(counts, undetermined)
    # Outcomes and algorithms share a palette: on cells coloured by algorithm a dot's colour would mean two things.
    dotted = fit and (y is None or value == "outcome" or not category_names(value))
    panels = tuple(_panel(diagram, i, x, y, overlay, dotted=dotted) for i in facets)
    told = [note(diagram)]
    told += [] if written else [counts_in_words(counts)]
    told += [] if fit else [f"{diagram.sizes['trial']:,} dots would hide each other and are left out"]
    present = {name for panel in panels for name in panel.tiles.outcomes}
    lines = tuple(line_over(diagram, i) for i in facets) if diagram.attrs.get("boundary") in ("logistic", "gp") else ()
    told += [line.note if isinstance(line, Boundary) else f"no line: {line.reason}" for line in lines[:1]]
    return FigureData(
        title=_title(diagram),
        value_label=value_label(diagram),
        note="   ·   ".join([*told, *([_overlay_note(overlay, panels, x, y)] if overlay else [])]),
        x=x,
        y=y,
        panels=panels,
        colours=SHARE_SCALE if share else TIME_SCALE,
        value_log=value_log,
        low=low,
        high=high,
        hatch_label=_hatch_label(value),
        outcomes=tuple(name for name in OUTCOMES if name in present),
        counts_written=written,
        lines=lines,
        categories=category_names(value),
        category_colours=category_colours(value),
    )


def _value_range(diagram: xr.Dataset) -> tuple[bool, float, float]:
    """Whether the values of a diagram that are no shares are drawn on a log scale, and its ends."""
    value, finite = diagram.attrs["value"], diagram["value"].to_numpy()
    finite = finite[np.isfinite(finite)]
    amount = value != "log10_delay_ratio" and not category_names(value)
    log = value in ("t_mem", "t_gen") or (amount and is_log(finite))
    return log, *ends_of(finite, log)


def value_label(diagram: xr.Dataset) -> str:
    """The value in words, for a colour bar."""
    value, ratio = diagram.attrs["value"], diagram.attrs["ratio"]
    words = {
        "p_gen": "share of trials that generalised by T",
        "p_mem": "share of trials that memorised by T",
        "p_lost": "share of trials that generalised and lost it",
        "p_grokking": f"share of trials with t_gen ≥ {ratio:g} t_mem",
        "p_comprehension": f"share of trials with t_gen < {ratio:g} t_mem",
        "t_gen": "median t_gen (steps, censored)",
        "t_mem": "median t_mem (steps, censored)",
        "log10_delay_ratio": "median log₁₀(t_gen / t_mem)",
        "retention": "share of generalised trials that kept it",
        "outcome": "most frequent outcome",
    }
    at = f" at {diagram.attrs['at']}" if diagram.attrs["at"] else ""
    if value == "algorithm_label":
        return f"most frequent algorithm{at}"
    default = f"share of trials: {value.removeprefix('p_')}" if value in SHARES else f"median {with_unit(value)}{at}"
    return words.get(value, default)


def note(diagram: xr.Dataset) -> str:
    """The line under a figure: thresholds, T and where it comes from, numbers of trials."""
    attrs = diagram.attrs
    undetermined = int(diagram["n_undetermined"].sum())
    parts = [
        f"generalised: {attrs['rule']}" if attrs["rule"] else f"τ = {attrs['tau']:g}",
        f"grokking: t_gen ≥ {attrs['ratio']:g} t_mem",
        f"T = {attrs['budget']:,} steps ({attrs['budget_source']})",
        f"{diagram.sizes['trial']:,} trials" + (f", {undetermined:,} undetermined" if undetermined else ""),
        attrs["fix"],
        attrs.get("caution"),
    ]
    return "   ·   ".join(part for part in parts if part)


def _overlay_note(overlay: Overlay, panels: tuple[Panel, ...], x: Scale, y: Scale | None) -> str:
    """Where the points over the diagram come from, and how many of them are not on it."""
    drawn = [mark for panel in panels for mark in panel.overlay]
    hidden = len(overlay.points) - len(drawn) + outside(drawn, x, y)
    left = f" ({hidden} of {len(overlay.points)} outside the diagram)" if hidden else ""
    return f"crosses: {', '.join(overlay.sources)}{left}"


def _title(diagram: xr.Dataset) -> str:
    return f"{diagram.attrs['study']}: {diagram.attrs['value']}"


def _hatch_label(value: str) -> str:
    if value in SHARES:
        return "no trial"
    censored = value in ("t_mem", "t_gen", "log10_delay_ratio")
    return "no trial, or most censored" if censored else "no value"


def one_facet(diagram: xr.Dataset, facet: int | None) -> xr.Dataset:
    """The diagram of one facet; all of it if it has none."""
    return diagram if facet is None else diagram.isel({diagram.attrs["facet_dim"]: facet})


def matrix_of(diagram: xr.Dataset, name: str, y: Scale | None) -> np.ndarray:
    """A variable of one facet as [y, x]."""
    order = [diagram.attrs["y_dim"], diagram.attrs["x_dim"]] if y else [diagram.attrs["x_dim"]]
    return np.atleast_2d(diagram[name].transpose(*order).to_numpy())


def _panel(
    diagram: xr.Dataset, facet: int | None, x: Scale, y: Scale | None, overlay: Overlay | None, *, dotted: bool
) -> Panel:
    here = one_facet(diagram, facet)
    value, counts = matrix_of(here, "value", y), matrix_of(here, "n", y)
    level = None if facet is None else diagram[diagram.attrs["facet_dim"]].to_numpy()[facet]
    return Panel(
        title="" if level is None else f"{diagram.attrs['facet']} = {_text(level)}",
        value=value,
        low=matrix_of(here, "value_low", y),
        high=matrix_of(here, "value_high", y),
        counts=counts,
        undetermined=matrix_of(here, "n_undetermined", y),
        hatched=(counts == 0) | np.isnan(value),
        dots=cell_dots(diagram, facet, x, y) if dotted else (),
        tiles=cell_tiles(diagram, facet, x, y),
        overlay=marks(overlay, x, y, None if level is None else label(level)) if overlay else (),
    )


def scale_of(diagram: xr.Dataset, key: str) -> Scale:
    """The axis that a diagram has along x or y."""
    coordinate = diagram[diagram.attrs[f"{key}_dim"]]
    values, log, bins = coordinate.to_numpy(), coordinate.attrs["log"], np.array(coordinate.attrs["bin_edges"])
    zero_slot = False
    if len(bins):
        zero_slot = len(values) == len(bins)
        edges = np.array([bins[0] ** 2 / bins[1], *bins]) if zero_slot else bins
        centres = np.sqrt(edges[1:] * edges[:-1]) if log else (edges[1:] + edges[:-1]) / 2
    elif values.dtype == object:
        centres = np.arange(len(values), dtype=float)
        edges = _edges(centres, log)
    else:
        centres = values.astype(float)
        zero_slot = log and centres[0] == 0
        if zero_slot:
            centres[0] = centres[1] ** 2 / centres[2]  # a log axis has at least two positive values
        edges = _edges(centres, log)
    return Scale(
        label=coordinate.attrs["path"],
        log=log,
        centres=centres,
        edges=edges,
        names=tuple(_text(value) for value in values),
        values=tuple(values.tolist()),
        ticks=tuple(range(0, len(values), math.ceil(len(values) / _MOST_TICKS))),
        zero_slot=zero_slot,
        true_positions=len(bins) > 0,
        categorical=values.dtype == object,
    )


def _edges(centres: Float[np.ndarray, " cells"], log: bool) -> Float[np.ndarray, " edges"]:
    """Half way between centres (geometrically on a log axis); the outer cells are symmetric."""
    places = np.log(centres) if log else centres
    if len(places) == 1:
        half = 0.5 if log or places[0] == 0 else abs(places[0]) / 2
        inner = np.array([places[0] - half, places[0] + half])
    else:
        middle = (places[1:] + places[:-1]) / 2
        inner = np.array([2 * places[0] - middle[0], *middle, 2 * places[-1] - middle[-1]])
    return np.exp(inner) if log else inner


def ends_of(finite: Float[np.ndarray, " n"], log: bool) -> tuple[float, float]:
    """Smallest and largest value; (0, 1) without values.

    A single value stands on the scale that it belongs to: a share on 0 to 1, anything else half way between half and
    one and a half times itself.
    """
    if log:
        finite = finite[finite > 0]
    if not len(finite):
        return (1.0, 10.0) if log else (0.0, 1.0)
    low, high = float(finite.min()), float(finite.max())
    if low < high:
        return low, high
    if log:
        return low / 2, high * 2
    return (0.0, 1.0) if 0 <= low <= 1 else (low - abs(low) / 2, low + abs(low) / 2)


def _text(value: object) -> str:
    return value if isinstance(value, str) else f"{value:.3g}"
