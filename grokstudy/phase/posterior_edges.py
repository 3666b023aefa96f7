"""Where margins pass 0 on a drawn plane: the boundaries between outcomes in data units, with their bands."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from statistics import NormalDist
from typing import Any

import numpy as np
from jaxtyping import Float

from grokstudy.phase.continuous import in_units, unit_of
from grokstudy.phase.posterior_fit import Fitted
from grokstudy.samplers.surrogate.contours import CALIBRATION, crossings_1d, half_widths, matters, outer_margins
from grokstudy.samplers.surrogate.latent import Seen
from grokstudy.samplers.surrogate.observations import MARGINS, Margin

LATTICE = 72
"""Corners along an axis at which a margin is computed; between them it is taken as straight."""
_MOST = 0.95
"""Share of a line on which its band is at most as wide as is said."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Edge:
    """One margin's boundary on one facet. Along a single axis y is NaN."""

    margin: Margin
    facet: int | None
    lines: tuple[Float[np.ndarray, "points 2"], ...]
    """Where the margin's mean is 0; along a single axis one point each."""
    bands: tuple[Float[np.ndarray, "points 2"], ...]
    """Closed rings (inside an odd number of them 0 may lie); along a single axis both ends of each interval."""
    half_width: float
    """Of the band, as a share of an axis: 95 % of the line is known better. NaN without a line."""


def edges(found: Fitted, facet: int | None, confidence: float) -> Iterator[Edge]:
    """The edges of every margin of which both sides were seen.

    A margin says something only where its outer ones are passed: generalising in time among trials that memorise, a
    delay among trials that generalise. Elsewhere no edge is drawn.
    """
    drawn = _on_a_plane if len(found.plane.drawn) == 2 else _on_a_line
    for margin, decided in zip(MARGINS, found.posterior.decided, strict=True):
        if decided:
            yield drawn(found, facet, margin, confidence)


def _on_a_plane(found: Fitted, facet: int | None, margin: Margin, confidence: float) -> Edge:
    import contourpy

    plane, posterior = found.plane, found.posterior
    ticks = np.linspace(0, 1, LATTICE)
    corners = plane.places(np.stack(np.meshgrid(ticks, ticks), axis=-1).reshape(-1, 2), facet)
    height = _in_deviations(posterior.latent(margin).at(corners))
    beyond = np.abs(height) - NormalDist().inv_cdf(0.5 + confidence / 2) * CALIBRATION
    for outer in outer_margins(margin, posterior.inversion):  # where the outer margin passes 0, the band is cut
        beyond = np.maximum(beyond, _in_deviations(posterior.latent(outer).at(corners)))
    square = (LATTICE, LATTICE)
    level: Any = contourpy.contour_generator(ticks, ticks, height.reshape(square), line_type="Separate").lines(0.0)
    lines = [piece for line in level for piece in _where_it_matters(found, facet, margin, line)]
    filled: Any = contourpy.contour_generator(ticks, ticks, beyond.reshape(square), fill_type="OuterOffset").filled(
        -np.inf, 0.0
    )
    rings = [ring for points, ends in zip(*filled, strict=True) for ring in np.split(points, ends[1:-1].tolist())]
    widths = [half_widths(posterior, margin, plane.places(line, facet), confidence, [0, 1]) for line in lines]
    return Edge(
        margin=margin,
        facet=facet,
        lines=_in_units(found, lines),
        bands=_in_units(found, rings),
        half_width=float(np.quantile(np.concatenate(widths), _MOST)) if widths else float("nan"),
    )


def _in_deviations(seen: Seen) -> Float[np.ndarray, " n"]:
    heights: np.ndarray = seen.mean / np.sqrt(seen.var)
    return heights


def _where_it_matters(
    found: Fitted, facet: int | None, margin: Margin, line: Float[np.ndarray, "points 2"]
) -> Iterator[Float[np.ndarray, "points 2"]]:
    """The pieces of a line on which every outer margin is below 0."""
    holds = matters(found.posterior, found.plane.places(line, facet), margin)
    steps = np.diff(np.r_[0, holds.astype(np.int8), 0])
    for first, end in zip(np.flatnonzero(steps == 1).tolist(), np.flatnonzero(steps == -1).tolist(), strict=True):
        if end - first > 1:
            yield line[first:end]


def _on_a_line(found: Fitted, facet: int | None, margin: Margin, confidence: float) -> Edge:
    plane = found.plane
    (axis,) = plane.drawn
    kept = crossings_1d(found.posterior, plane.space, plane.held(facet), margin, confidence=confidence)
    widths = [np.ptp(unit_of(axis, np.array([one.low, one.high]))) / 2 for one in kept]
    return Edge(
        margin=margin,
        facet=facet,
        lines=tuple(np.array([[one.value, np.nan]]) for one in kept),
        bands=tuple(np.array([[one.low, np.nan], [one.high, np.nan]]) for one in kept),
        half_width=float(max(widths, default=np.nan)),
    )


def _in_units(
    found: Fitted, pieces: Sequence[Float[np.ndarray, "points 2"]]
) -> tuple[Float[np.ndarray, "points 2"], ...]:
    """Positions on the two drawn axes as data units."""
    x, y = found.plane.drawn
    return tuple(np.column_stack([in_units(x, piece[:, 0]), in_units(y, piece[:, 1])]) for piece in pieces)
