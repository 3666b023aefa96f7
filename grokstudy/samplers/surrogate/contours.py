"""Where a margin is 0: lines on two number axes with their band, crossings on one, half-widths in any number."""

from __future__ import annotations

import dataclasses
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float

from grokstudy.samplers.surrogate.observations import MARGINS, Margin
from grokstudy.samplers.surrogate.posterior import Posterior
from grokstudy.samplers.surrogate.space import Dimension, Places, Space
from grokstudy.spec.axes import Point, Value
from grokstudy.spec.errors import BadInput

CALIBRATION = 1.1
"""Factor on posterior standard deviations, so that nominal bands cover as often as they say: without it 91 to 94 % of
the true boundary at 95 %, with it 94 to 97 % (two-dimensional truths of benchmarks/boundary.py)."""
CONFIDENCE = 0.95
LATTICE = 96
WIDEST = 1.0
"""Half-widths end here: the boundary may be anywhere in the unit cube."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Contour:
    """A margin's boundary over two number axes, on the unit square; none where outer margins say it does not matter."""

    axes: tuple[str, str]
    margin: Margin
    lines: tuple[Float[np.ndarray, "points 2"], ...]
    band: tuple[Float[np.ndarray, "points 2"], ...]
    """Closed rings; the boundary lies inside an odd number of them, at every place by itself, at `confidence`."""
    half_widths: tuple[Float[np.ndarray, " points"], ...]
    """Of the band along the normal, at every point of `lines`."""
    half_width_p95: float
    """95th percentile over the boundary; NaN if there is none."""
    confidence: float


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Crossing:
    """A margin's boundary on one number axis, in the axis's own units."""

    margin: Margin
    value: float
    low: float
    high: float
    rises: bool
    """The margin goes from below 0 (in time) to above as the axis grows."""
    open_low: bool
    """The interval reaches the axis's lower end: it may be longer."""
    open_high: bool
    confidence: float


def contours(
    posterior: Posterior,
    space: Space,
    fixed: Point,
    margin: Margin,
    *,
    lattice: int = LATTICE,
    confidence: float = CONFIDENCE,
) -> Contour:
    """The boundary of `margin` over the two number axes that `fixed` does not name.

    Args:
        fixed: a value for every other axis.
        lattice: places along an axis that the posterior is computed at.

    Raises:
        BadInput: other than two number axes are left.
    """
    import contourpy

    x, y = _free(space, fixed, 2)
    ticks = np.linspace(0.0, 1.0, lattice)
    square = np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2)
    places = _filled(space, fixed, (x, y), square)
    seen = posterior.latent(margin).at(places)
    hidden = ~matters(posterior, places, margin)
    z = _z(confidence)
    mean, ratio = (
        np.ma.masked_array(values, hidden).reshape(lattice, lattice)
        for values in (seen.mean, seen.mean / np.sqrt(seen.var))
    )
    lines: Any = contourpy.contour_generator(ticks, ticks, mean, line_type="Separate").lines(0.0)
    filled: Any = contourpy.contour_generator(ticks, ticks, ratio, fill_type="OuterOffset").filled(-z, z)
    rings = [ring for points, ends in zip(*filled, strict=True) for ring in np.split(points, ends[1:-1].tolist())]
    widths = [
        half_widths(posterior, margin, _filled(space, fixed, (x, y), line), confidence, _columns(space, (x, y)))
        for line in lines
    ]
    return Contour(
        axes=(x.name, y.name),
        margin=margin,
        lines=tuple(lines),
        band=tuple(rings),
        half_widths=tuple(widths),
        half_width_p95=float(np.quantile(np.concatenate(widths), 0.95)) if widths else float("nan"),
        confidence=confidence,
    )


def crossings_1d(
    posterior: Posterior,
    space: Space,
    fixed: Point,
    margin: Margin,
    *,
    lattice: int = 1001,
    confidence: float = CONFIDENCE,
) -> list[Crossing]:
    """Where `margin` passes 0 on the one number axis that `fixed` does not name, in rising order; none where outer
    margins say that it does not matter.

    The interval of a crossing holds the places around it where 0 lies within z CALIBRATION standard deviations.

    Raises:
        BadInput: other than one number axis is left.
    """
    (axis,) = _free(space, fixed, 1)
    ticks = np.linspace(0.0, 1.0, lattice)
    seen = posterior.latent(margin).at(_filled(space, fixed, (axis,), ticks[:, None]))
    mean, open_at = seen.mean, np.abs(seen.mean) <= _z(confidence) * np.sqrt(seen.var)
    lefts = np.flatnonzero(np.diff(mean > 0))
    crossed = ticks[lefts] + (ticks[lefts + 1] - ticks[lefts]) * mean[lefts] / (mean[lefts] - mean[lefts + 1])
    here = matters(posterior, _filled(space, fixed, (axis,), crossed[:, None]), margin)
    found = []
    for left, at in zip(lefts[here].tolist(), crossed[here].tolist(), strict=True):
        closed_below, closed_above = np.flatnonzero(~open_at[: left + 1]), np.flatnonzero(~open_at[left + 1 :])
        low = ticks[closed_below[-1]] if len(closed_below) else 0.0
        high = ticks[left + 1 + closed_above[0]] if len(closed_above) else 1.0
        found.append(
            Crossing(
                margin=margin,
                value=axis.number(at),
                low=axis.number(float(low)),
                high=axis.number(float(high)),
                rises=bool(mean[left + 1] > 0),
                open_low=not len(closed_below),
                open_high=not len(closed_above),
                confidence=confidence,
            )
        )
    return found


def half_widths(
    posterior: Posterior,
    margin: Margin,
    places: Places,
    confidence: float = CONFIDENCE,
    columns: list[int] | None = None,
) -> Float[np.ndarray, " n"]:
    """Half-width of the band along the normal at places on the boundary: z CALIBRATION sd / |grad mean|, unit cube.

    Args:
        columns: number axes along which the normal lies; by default all.
    """
    latent = posterior.latent(margin)
    gradient = latent.gradient(places)
    steepness = np.linalg.norm(gradient if columns is None else gradient[:, columns], axis=1)
    spread = _z(confidence) * np.sqrt(latent.at(places).var)
    return np.asarray(np.where(spread >= WIDEST * steepness, WIDEST, spread / np.maximum(steepness, 1e-300)))


def on_boundary(posterior: Posterior, pool: Places, margin: Margin, steps: int = 4) -> Places:
    """Places of a pool moved onto the margin's boundary by Newton steps along the gradient, in any number of axes.

    Those that leave the cube, do not arrive (|mean| > .02 dex), or lie where outer margins say that it does not matter
    are left out.
    """
    latent = posterior.latent(margin)
    at = pool
    for _ in range(steps):
        mean, gradient = latent.mean(at), latent.gradient(at)
        move = -mean[:, None] * gradient / np.maximum((gradient**2).sum(axis=1), 1e-12)[:, None]
        length = np.linalg.norm(move, axis=1, keepdims=True)
        at = Places(at.unit + move * np.minimum(1.0, 0.1 / np.maximum(length, 1e-12)), at.levels)
    inside = ((at.unit >= 0) & (at.unit <= 1)).all(axis=1) & (np.abs(latent.mean(at)) <= 0.02)
    at = at.take(inside)
    return at.take(matters(posterior, at, margin))


def half_width_p95(posterior: Posterior, pool: Places, confidence: float = CONFIDENCE) -> float:
    """95th percentile of the half-width over the boundaries of all margins and of divergence; 0 if a pool finds none.

    Args:
        pool: places spread over the cube, e.g. some hundred of a Sobol sequence.
    """
    widths = []
    margins: tuple[Margin, ...] = (*MARGINS, "diverged")
    for margin in margins[: len(posterior.latents)]:
        at = on_boundary(posterior, pool, margin)
        widths.append(half_widths(posterior, margin, at, confidence))
    every = np.concatenate(widths)
    return float(np.quantile(every, 0.95)) if len(every) else 0.0


def matters(posterior: Posterior, places: Places, margin: Margin) -> np.ndarray:
    """Where outer margins say that this one divides outcomes: gen where it memorises, delay where it generalises, and
    none of the three where most trials diverge."""
    holds = np.ones(len(places), dtype=bool)
    if margin != "diverged" and len(posterior.latents) > len(MARGINS):
        holds &= posterior.latent("diverged").mean(places) > 0
    for one in outer_margins(margin, posterior.inversion):
        holds &= posterior.latent(one).mean(places) < 0
    return holds


def outer_margins(margin: Margin, inversion: bool) -> tuple[Margin, ...]:
    """The margins that must be passed before this one says something."""
    if margin == "gen":
        return () if inversion else ("mem",)
    return ("mem", "gen") if margin == "delay" else ()


def _z(confidence: float) -> float:
    return float(NormalDist().inv_cdf(0.5 + confidence / 2)) * CALIBRATION


def _free(space: Space, fixed: Point, wanted: int) -> tuple[Dimension, ...]:
    free = tuple(axis for axis in space.numbers if axis.name not in fixed)
    missing = [axis.name for axis in space.names if axis.name not in fixed]
    if len(free) != wanted or missing:
        raise BadInput(
            f"fixed: leaves {', '.join([a.name for a in free] + missing) or 'no axis'}; must leave {wanted} axes of "
            f"numbers and no names. Fix the others, e.g. with --fix."
        )
    return free


def _columns(space: Space, axes: tuple[Dimension, ...]) -> list[int]:
    return [space.numbers.index(axis) for axis in axes]


def _filled(space: Space, fixed: Point, axes: tuple[Dimension, ...], unit: Float[np.ndarray, "n k"]) -> Places:
    """Places with some number axes given as positions and the rest by fixed values."""
    values: dict[str, Value] = {**fixed, **{axis.name: axis.number(0.5) for axis in axes}}
    one = space.places([values])
    full = np.repeat(one.unit, len(unit), axis=0)
    full[:, _columns(space, axes)] = unit
    return Places(full, np.repeat(one.levels, len(unit), axis=0))
