"""The line over cells by a posterior of times: also where a logistic regression has none, since outcomes separate."""

from __future__ import annotations

import numpy as np
import xarray as xr

from grokstudy.phase.boundary import Boundary, NoBoundary, boundary_of
from grokstudy.phase.continuous import in_units
from grokstudy.samplers.surrogate.contours import contours
from grokstudy.samplers.surrogate.observations import Observations, Question
from grokstudy.samplers.surrogate.posterior import fit
from grokstudy.samplers.surrogate.space import Dimension, Places, Space

MOST = 1500
"""Trials of a fit; of more an even selection is used, since its cost grows with their cube."""


def line_over(diagram: xr.Dataset, facet: int | None = None) -> Boundary | NoBoundary:
    """The line over a diagram of cells, or one of its facets, as `attrs["boundary"]` asks: logistic, gp or none."""
    asked = diagram.attrs.get("boundary")
    if asked == "none":
        return NoBoundary("not asked for")
    confidence = diagram.attrs["confidence"]
    return posterior_line(diagram, facet, confidence) if asked == "gp" else boundary_of(diagram, facet, confidence)


def posterior_line(diagram: xr.Dataset, facet: int | None = None, confidence: float = 0.95) -> Boundary | NoBoundary:
    """Where half of all seeds generalise by T, from the times of all trials: the margin gen, where trials memorise.

    The band is the posterior's, widened so that it covers as often as it says. Trials at 0 of a log axis and
    undetermined ones without test rows are left out; a trial stopped early is censored at its step. Errors as
    `boundary_of` gives them.
    """
    attrs = diagram.attrs
    axes = [diagram[attrs[f"{key}_dim"]] for key in ("x", "y") if attrs[f"{key}_dim"] is not None]
    if len(axes) < 2:
        return NoBoundary("a line needs two axes; this diagram has one")
    for axis in axes:
        if axis.dtype == object:
            return NoBoundary(f"{axis.attrs['path']} has names for values, and a line needs numbers")
    if facet is None and attrs["facet_dim"] is not None:
        return NoBoundary("each facet has a line of its own; say which facet")
    use = np.ones(diagram.sizes["trial"], dtype=bool)
    if facet is not None:
        use = diagram["trial_cell_facet"].to_numpy() == facet
    places = np.column_stack([diagram[f"trial_{key}"].to_numpy().astype(float) for key in ("x", "y")])
    log = np.array([bool(axis.attrs["log"]) for axis in axes])
    use &= ~((places <= 0) & log).any(axis=1)
    until = diagram["trial_censored_at"].to_numpy().astype(float)
    use &= (diagram["trial_determined"].to_numpy().astype(bool) | (until < attrs["budget"])) & (until > 0)
    chosen = np.flatnonzero(use)
    chosen = chosen[np.linspace(0, len(chosen) - 1, min(len(chosen), MOST)).astype(int)] if len(chosen) else chosen
    if len(chosen) == 0 or (np.ptp(places[chosen], axis=0) == 0).any():
        return NoBoundary("a line needs at least two levels on each axis")
    return _fitted(diagram, chosen, places[chosen], log, confidence)


def _fitted(
    diagram: xr.Dataset, chosen: np.ndarray, places: np.ndarray, log: np.ndarray, confidence: float
) -> Boundary | NoBoundary:
    low, high = places.min(axis=0), places.max(axis=0)
    x, y = (
        Dimension(name=key, low=float(low[i]), high=float(high[i]), log=bool(log[i]))
        for i, key in enumerate(("x", "y"))
    )
    raw = np.where(log, np.log(np.where(log, places, 1.0)), places)
    unit = (raw - raw.min(axis=0)) / np.ptp(raw, axis=0)
    t_mem, t_gen, until = (diagram[f"trial_{name}"].to_numpy()[chosen] for name in ("t_mem", "t_gen", "censored_at"))
    seen = Observations(
        places=Places(unit, np.zeros((len(unit), 0), dtype=np.int64)),
        t_mem=t_mem,
        t_gen=t_gen,
        steps=np.fmax(until, np.fmax(t_mem, t_gen)).astype(float),
        diverged=diagram["trial_outcome"].to_numpy()[chosen] == "diverged",
        cost=np.full(len(unit), np.nan),
    )
    question = Question(budget=float(diagram.attrs["budget"]), ratio=float(diagram.attrs["ratio"]))
    space = Space((x, y))
    posterior = fit(space, seen, question)
    if not posterior.decided[1]:
        side = "no trial" if np.isnan(t_gen).all() else "every trial that memorised"
        return NoBoundary(f"{side} generalised, so there is no line between")
    found = contours(posterior, space, {}, "gen", confidence=confidence)

    def units(piece: np.ndarray) -> np.ndarray:
        return np.column_stack([in_units(x, piece[:, 0]), in_units(y, piece[:, 1])])

    width = f", ±{found.half_width_p95:.2g} of an axis" if found.lines else ""
    return Boundary(
        lines=tuple(map(units, found.lines)),
        band=tuple(map(units, found.band)),
        level=0.5,
        confidence=confidence,
        trials=len(chosen),
        note=f"half of all seeds generalise by T: posterior of the times of {len(chosen):,} trials, "
        f"{confidence:.0%} pointwise band{width}",
    )
