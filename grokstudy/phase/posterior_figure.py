"""One object from which both plotting backends draw a diagram of continuous axes: shading, trials, edges and words."""

from __future__ import annotations

import dataclasses

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float

from grokstudy.phase.axis import is_log
from grokstudy.phase.categories import category_colours, category_names
from grokstudy.phase.columns import label
from grokstudy.phase.figure_data import (
    MOST_PANELS,
    Frame,
    Scale,
    ends_of,
    matrix_of,
    one_facet,
    scale_of,
    value_label,
)
from grokstudy.phase.log_ticks import even_ticks, log_ticks
from grokstudy.phase.overlay import Overlay, OverlayMark, marks
from grokstudy.phase.palette import SHARE_SCALE, TIME_SCALE
from grokstudy.phase.posterior import CHANCES, VALUES
from grokstudy.phase.posterior_words import caption
from grokstudy.phase.proposals import HELD_OUT
from grokstudy.phase.query import SHARES
from grokstudy.phase.tiles import OUTCOMES
from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import LABELS

REPORT_TITLES = ("Most probable outcome", "Delay of generalisation")
_ABOVE = 0.12
"""Share of a value axis that is kept for intervals of crossings."""
_GOLDEN = 0.618034


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mark:
    """One trial where it lies, in data units."""

    trial_id: str
    outcome: str
    lost: bool
    held_out: bool
    x: float
    y: float
    """Along a single axis the trial's value; shares and names are spread a little, so that trials can be told apart."""
    value: float
    text: str


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class EdgeLine:
    """One margin's boundary; along a single axis lines are points and bands intervals, with y NaN."""

    margin: str
    lines: tuple[Float[np.ndarray, "points 2"], ...]
    bands: tuple[Float[np.ndarray, "points 2"], ...]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PosteriorPanel:
    """One facet. Matrices are [y, x]; along a single axis they have one row."""

    title: str
    value: Float[np.ndarray, "y x"]
    low: Float[np.ndarray, "y x"]
    high: Float[np.ndarray, "y x"]
    outcome: tuple[tuple[str, ...], ...]
    """Most probable outcome at every place, for hovering."""
    hatched: Bool[np.ndarray, "y x"]
    marks: tuple[Mark, ...]
    edges: tuple[EdgeLine, ...]
    overlay: tuple[OverlayMark, ...] = ()
    """Points from elsewhere."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class PosteriorFigure(Frame):
    """A diagram of continuous axes ready to be drawn."""

    panels: tuple[PosteriorPanel, ...]
    shaded: bool
    """The posterior knows the value; if not, the trials' own values are the colours of their points."""
    share: bool
    own_colours: bool = False
    """Points have the colour of their own value over the shading too, and not that of their outcome."""

    @property
    def margins(self) -> tuple[str, ...]:
        """Margins that have a line somewhere."""
        found = [edge.margin for panel in self.panels for edge in panel.edges if edge.lines]
        return tuple(dict.fromkeys(found))

    @property
    def every_mark(self) -> tuple[Mark, ...]:
        """The trials of all facets."""
        return tuple(mark for panel in self.panels for mark in panel.marks)


def posterior_figure(diagram: xr.Dataset, overlay: Overlay | None = None) -> PosteriorFigure:
    """Everything a figure shows of a diagram made by `posterior_diagram`, with points from elsewhere over it.

    Raises:
        BadInput: more facets than panels fit on a page, or a point that an axis cannot show.
    """
    attrs, value = diagram.attrs, diagram.attrs["value"]
    x, y = _scale(diagram, "x"), _scale(diagram, "y") if attrs["y"] else None
    facets = list(range(diagram.sizes[attrs["facet_dim"]])) if attrs["facet_dim"] else [None]
    if len(facets) > MOST_PANELS:
        raise BadInput(f"facet: {attrs['facet']} has {len(facets)} values, at most {MOST_PANELS} fit; --fix some.")
    shaded, share = value in VALUES, value in SHARES or value == "retention"
    value_log, low, high = (False, 0.0, 1.0) if share else _value_range(diagram, shaded=shaded, flat=y is None)
    panels = tuple(_panel(diagram, i, x, y, overlay, shaded=shaded) for i in facets)
    present = {mark.outcome for panel in panels for mark in panel.marks}
    return PosteriorFigure(
        title=f"{attrs['study']}: {value}",
        value_label=_value_words(diagram, shaded=shaded),
        note=caption(diagram) + (f"   ·   crosses: {', '.join(overlay.sources)}" if overlay else ""),
        x=x,
        y=y,
        panels=panels,
        colours=SHARE_SCALE if share else TIME_SCALE,
        value_log=value_log,
        low=low,
        high=high,
        hatch_label="most trials do not generalise",
        outcomes=tuple(name for name in OUTCOMES if name in present),
        shaded=shaded,
        share=share,
        categories=category_names(value),
        category_colours=category_colours(value),
    )


def report_figures(diagram: xr.Dataset) -> tuple[PosteriorFigure, PosteriorFigure]:
    """The two figures that stand for a whole study, see REPORT_TITLES."""
    return posterior_figure(of_value(diagram, "outcome")), posterior_figure(of_value(diagram, "log10_delay_ratio"))


def of_value(diagram: xr.Dataset, value: str) -> xr.Dataset:
    """The same diagram with another value that its posterior knows: `outcome` or `log10_delay_ratio`."""
    nothing = xr.full_like(diagram["p_gen"], np.nan)
    codes: dict[str, float] = {name: float(code) for code, name in enumerate(LABELS)}
    t_mem, t_gen = (np.maximum(diagram[f"trial_{name}"].to_numpy(), 1) for name in ("t_mem", "t_gen"))
    own = [codes.get(str(name), np.nan) for name in diagram["trial_outcome"].to_numpy()]
    shown = diagram.assign(
        value=diagram[value],
        value_low=diagram.get(f"{value}_low", nothing),
        value_high=diagram.get(f"{value}_high", nothing),
        trial_value=("trial", np.array(own) if value == "outcome" else np.log10(t_gen / t_mem)),
    )
    return shown.assign_attrs(value=value, at=None)


def value_ends(data: PosteriorFigure) -> tuple[float, float, float]:
    """Along a single axis: ends of the axis of values, and where above the values intervals of crossings begin."""
    if data.categories:
        low, high = -0.5, len(data.categories) - 0.5
    elif data.share:
        low, high = -0.08, 1.08
    elif data.value_log:
        room = max(data.high / data.low, 1.5) ** 0.06
        low, top = data.low / room, data.high * room
        return low, top * (top / low) ** _ABOVE, top
    else:
        room = 0.06 * (data.high - data.low)
        low, high = data.low - room, data.high + room
    return low, high + _ABOVE * (high - low), high


def value_ticks(data: PosteriorFigure) -> tuple[tuple[float, str], ...]:
    """Ticks of the axis of values: place and text."""
    if data.categories:
        return tuple((float(code), name) for code, name in enumerate(data.categories))
    low, _, high = value_ends(data)
    return log_ticks(low, high) if data.value_log else even_ticks(low, high)


def interval_rows(data: PosteriorFigure) -> dict[str, float]:
    """Height of each margin's intervals on a diagram of a single axis."""
    _, top, begin = value_ends(data)
    shares = {name: (row + 1) / (len(data.margins) + 1) for row, name in enumerate(data.margins)}
    if data.value_log:
        return {name: begin * (top / begin) ** share for name, share in shares.items()}
    return {name: begin + (top - begin) * share for name, share in shares.items()}


def _value_words(diagram: xr.Dataset, *, shaded: bool) -> str:
    attrs, value = diagram.attrs, diagram.attrs["value"]
    if not shaded:
        at = f" at {attrs['at']}" if attrs["at"] else ""
        return f"{value}{at} (each trial's own)"
    words = {
        "p_gen": "chance that a trial generalises by T",
        "p_mem": "chance that a trial memorises by T",
        "log10_delay_ratio": "expected log₁₀(t_gen / t_mem)",
        "outcome": "most probable outcome",
    }
    return words.get(value, f"chance of {value.removeprefix('p_')}" if value in CHANCES else value_label(diagram))


def _value_range(diagram: xr.Dataset, *, shaded: bool, flat: bool) -> tuple[bool, float, float]:
    """Whether values that are no shares are drawn on a log scale, and its ends."""
    value = diagram.attrs["value"]
    seen = diagram["value"].to_numpy().ravel() if shaded else diagram["trial_value"].to_numpy().astype(float)
    if flat:
        seen = np.r_[seen, diagram["trial_value"].to_numpy().astype(float)]
    seen = seen[np.isfinite(seen)]
    log = value in ("t_mem", "t_gen") or (not shaded and not category_names(value) and is_log(seen))
    return log, *ends_of(seen, log)


def _scale(diagram: xr.Dataset, key: str) -> Scale:
    """The axis of a lattice, with ticks at round numbers."""
    about = diagram[diagram.attrs[f"{key}_dim"]].attrs
    ticks = (log_ticks if about["log"] else even_ticks)(about["low"], about["high"])
    scale = scale_of(diagram, key)
    return dataclasses.replace(scale, log=about["log"], marks=ticks, true_positions=True)


def _panel(
    diagram: xr.Dataset, facet: int | None, x: Scale, y: Scale | None, overlay: Overlay | None, *, shaded: bool
) -> PosteriorPanel:
    here = one_facet(diagram, facet)
    value = matrix_of(here, "value", y)
    level = None if facet is None else diagram[diagram.attrs["facet_dim"]].to_numpy()[facet]
    name = label(level)
    codes = matrix_of(here, "outcome", y).astype(int)
    names = np.array(category_names("outcome"), dtype=object)[codes]
    return PosteriorPanel(
        title="" if level is None else f"{diagram.attrs['facet']} = {name}",
        value=value,
        low=matrix_of(here, "value_low", y),
        high=matrix_of(here, "value_high", y),
        outcome=tuple(map(tuple, names.tolist())),
        hatched=np.isnan(value) & shaded,
        marks=_marks(diagram, facet, x, y),
        edges=_edges(diagram, facet or 0),
        overlay=marks(overlay, x, y, None if level is None else name) if overlay else (),
    )


def _marks(diagram: xr.Dataset, facet: int | None, x_scale: Scale, y_scale: Scale | None) -> tuple[Mark, ...]:
    """The trials of a facet that lie on what is drawn and have a place there."""
    chosen = diagram["trial_on_slice"].to_numpy() & (diagram["trial_cell_facet"].to_numpy() == (facet or 0))
    for key, scale in (("x", x_scale), ("y", y_scale)):
        if scale is not None and scale.log:
            chosen &= diagram[f"trial_{key}"].to_numpy() > 0
    names = ("id", "x", "y", "seed", "outcome", "retention", "t_mem", "t_gen", "value", "source")
    rows = zip(*(diagram[f"trial_{name}"].to_numpy()[chosen].tolist() for name in names), strict=True)
    spread = diagram.attrs["value"] in SHARES or bool(category_names(diagram.attrs["value"]))
    flat, found = y_scale is None, []
    for number, (trial, x, y, seed, outcome, retention, t_mem, t_gen, value, source) in enumerate(rows):
        aside = ((number * _GOLDEN) % 1 - 0.5) * 0.09 if spread and flat else 0.0
        lost = ", lost again" if retention == "lost" else ""
        times = ", ".join(f"{n} {_steps(t)}" for n, t in (("t_mem", t_mem), ("t_gen", t_gen)))
        why = f"<br>proposed: {source}" if source else ""
        found.append(
            Mark(
                trial_id=str(trial),
                outcome=str(outcome),
                lost=bool(lost),
                held_out=source == HELD_OUT,
                x=float(x),
                y=float(value) + aside if flat else float(y),
                value=float(value),
                text=f"{outcome}{lost}, seed {seed}<br>{times}{why}<br>{trial}",
            )
        )
    return tuple(found)


def _edges(diagram: xr.Dataset, facet: int) -> tuple[EdgeLine, ...]:
    columns = {name: diagram[f"edge_{name}"].to_numpy() for name in ("margin", "part", "facet", "piece", "x", "y")}
    points = np.column_stack([columns["x"], columns["y"]])

    def pieces(margin: str, part: str) -> tuple[Float[np.ndarray, "points 2"], ...]:
        own = (columns["facet"] == facet) & (columns["margin"] == margin) & (columns["part"] == part)
        return tuple(points[own & (columns["piece"] == piece)] for piece in np.unique(columns["piece"][own]))

    return tuple(
        EdgeLine(margin=margin, lines=pieces(margin, "line"), bands=pieces(margin, "band"))
        for margin in diagram["margin"].to_numpy().tolist()
    )


def _steps(time: float) -> str:
    return "not seen" if np.isnan(time) else f"{int(time):,}"
