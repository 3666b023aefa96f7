"""The line p_gen = .5 of a diagram with its uncertainty, where the trials say enough to draw one."""

from __future__ import annotations

import dataclasses
from statistics import NormalDist
from typing import Any

import numpy as np
import xarray as xr
from jaxtyping import Bool, Float, Int

from grokstudy.phase.logistic import Design, LogisticFit, Terms, fit_logistic, is_separable

FEWEST = 10
"""Trials that must have generalised, and as many that must not have, for a line to be fitted."""
_MOST_POINTS = 5_000
"""Distinct points above which trials are counted in fine squares."""
_SQUARES = 64
"""Fine squares along an axis; a trial moves by at most 1/128 of the axis."""
_LATTICE = 160


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Boundary:
    """Where a share passes a level, in the units of the axes, whatever fitted it."""

    lines: tuple[Float[np.ndarray, "points 2"], ...]
    """Polylines; none if the level is not passed within the diagram."""
    band: tuple[Float[np.ndarray, "points 2"], ...]
    """Closed rings; inside an odd number of them the line may lie (pointwise, at `confidence`)."""
    level: float
    confidence: float
    trials: int
    """Behind the fit."""
    note: str
    """How it was fitted, and what was left out."""


@dataclasses.dataclass(frozen=True, slots=True)
class NoBoundary:
    """Why there is no line."""

    reason: str


def boundary_of(diagram: xr.Dataset, facet: int | None = None, confidence: float = 0.95) -> Boundary | NoBoundary:
    """The boundary of a diagram made by `phase_diagram`, or of one of its facets (by number).

    Undetermined trials are left out, diverged ones have not generalised: as in p_gen. On a log axis trials at 0 are
    left out, since no distance to them is defined.
    """
    attrs = diagram.attrs
    if attrs["y_dim"] is None:
        return NoBoundary("a line needs two axes; this diagram has one")
    for key in ("x", "y"):
        if diagram[attrs[f"{key}_dim"]].dtype == object:
            return NoBoundary(f"{attrs[key]} has names for values, and a line needs numbers")
    if facet is None and attrs["facet_dim"] is not None:
        return NoBoundary("each facet has a line of its own; say which facet")
    use = diagram["trial_determined"].to_numpy().astype(bool)
    if facet is not None:
        use &= diagram["trial_cell_facet"].to_numpy() == facet
    log = (bool(diagram[attrs["x_dim"]].attrs["log"]), bool(diagram[attrs["y_dim"]].attrs["log"]))
    places = np.column_stack([diagram[f"trial_{key}"].to_numpy().astype(float) for key in ("x", "y")])
    zero = ((places <= 0) & np.array(log)).any(axis=1)
    generalised = ~np.isnan(diagram["trial_t_gen"].to_numpy().astype(float))
    found = fit_boundary(places[use & ~zero], generalised[use & ~zero], log, confidence)
    left_out = int((use & zero).sum())
    if isinstance(found, Boundary) and left_out:
        return dataclasses.replace(found, note=f"{found.note}; {left_out:,} trials at 0 of a log axis left out")
    return found


def fit_boundary(
    places: Float[np.ndarray, "trials 2"],
    generalised: Bool[np.ndarray, " trials"],
    log: tuple[bool, bool],
    confidence: float = 0.95,
) -> Boundary | NoBoundary:
    """Logistic regression of `generalised` on both axes (their logarithms where `log`), to second order.

    logit p = b0 + b1 u + b2 v + b3 uv + b4 u² + b5 v², by maximum likelihood; an axis of two levels has no square, and
    places that cannot tell six terms apart get three. The band holds every place where |logit p| is at most z standard
    errors (delta method): the true line passes through a place on it with the stated confidence, at each place by
    itself. Errors grow by the overdispersion of the cells (McCullagh & Nelder 1989, 4.5), never shrink.

    Limits: trials count as independent, so equal seeds in different cells make the band a little too narrow; a
    boundary that no conic follows is smoothed, which the overdispersion widens but does not cure. Nothing is drawn
    outside the places that were run.
    """
    few = _too_few(generalised)
    if few:
        return NoBoundary(few)
    axes = np.where(np.array(log), np.log(np.where(np.array(log), places, 1.0)), places)
    low, high = axes.min(axis=0), axes.max(axis=0)
    if (low == high).any():
        return NoBoundary("a line needs at least two levels on each axis")
    at, k, n = _counted(2 * (axes - low) / (high - low) - 1, generalised)
    terms = Terms.telling_apart(at)
    if terms is None:
        return NoBoundary("all trials lie on one line of the diagram, so none across it can be seen")
    design = Design(rows=terms.of(at), generalised=k, trials=n)
    if is_separable(design):
        return NoBoundary(
            "the trials that generalised and the others do not overlap: the line lies between them, and how certain "
            "it is cannot be said; run more seeds or a finer grid across the transition"
        )
    fit = fit_logistic(design)
    z = NormalDist().inv_cdf(0.5 + confidence / 2)
    lines, band = _contours(fit, terms, z)
    scale = (high - low) / 2
    return Boundary(
        lines=tuple(_in_units(line, low, scale, log) for line in lines),
        band=tuple(_in_units(ring, low, scale, log) for ring in band),
        level=0.5,
        confidence=confidence,
        trials=len(generalised),
        note=f"p_gen = .5 by logistic regression ({terms.words}), {confidence:.0%} pointwise band",
    )


def _too_few(generalised: Bool[np.ndarray, " trials"]) -> str | None:
    yes = int(generalised.sum())
    no = len(generalised) - yes
    if min(yes, no) == 0:
        return f"{'no trial' if yes == 0 else 'every trial'} generalised, so there is no line between"
    if min(yes, no) < FEWEST:
        side = "generalised" if yes < no else "did not generalise"
        return f"only {min(yes, no)} trials {side}; a line needs at least {FEWEST} on each side"
    return None


def _counted(
    at: Float[np.ndarray, "trials 2"], generalised: Bool[np.ndarray, " trials"]
) -> tuple[Float[np.ndarray, "points 2"], Int[np.ndarray, " points"], Int[np.ndarray, " points"]]:
    """Distinct places in [-1, 1]² with the trials that generalised there and all trials there."""
    codes = [np.unique(column, return_inverse=True) for column in at.T]
    code = codes[0][1] * len(codes[1][0]) + codes[1][1]
    if len(np.unique(code)) > _MOST_POINTS:
        return _counted(np.round((at + 1) / 2 * _SQUARES) / _SQUARES * 2 - 1, generalised)
    _, first, cell = np.unique(code, return_index=True, return_inverse=True)
    trials = np.bincount(cell)
    return at[first], np.bincount(cell, weights=generalised).astype(np.int64), trials


def _contours(
    fit: LogisticFit, terms: Terms, z: float
) -> tuple[list[Float[np.ndarray, "points 2"]], list[Float[np.ndarray, "points 2"]]]:
    """The line logit p = 0 and the rings around |logit p| <= z standard errors, in [-1, 1]²."""
    import contourpy

    ticks = np.linspace(-1, 1, _LATTICE)
    lattice = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    logit, error = fit.logit(terms.of(lattice))
    heights = (logit.reshape(_LATTICE, _LATTICE), (logit / error).reshape(_LATTICE, _LATTICE))
    lines: Any = contourpy.contour_generator(ticks, ticks, heights[0], line_type="Separate").lines(0.0)
    filled: Any = contourpy.contour_generator(ticks, ticks, heights[1], fill_type="OuterOffset").filled(-z, z)
    rings = [ring for points, ends in zip(*filled, strict=True) for ring in np.split(points, ends[1:-1].tolist())]
    return list(lines), rings


def _in_units(
    points: Float[np.ndarray, "points 2"],
    low: Float[np.ndarray, " 2"],
    scale: Float[np.ndarray, " 2"],
    log: tuple[bool, bool],
) -> Float[np.ndarray, "points 2"]:
    axes = (points + 1) * scale + low
    return np.where(np.array(log), np.exp(np.where(np.array(log), axes, 0.0)), axes)
