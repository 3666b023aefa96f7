"""Every trial as one dot (and one tile) inside its cell, in a fixed arrangement by seed."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import xarray as xr
from jaxtyping import Float

if TYPE_CHECKING:
    from grokstudy.phase.figure_data import Scale

DOT_ROOM = 0.62
"""Share of a cell's height that dots use; the count is written above them."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Dot:
    """One trial. Positions are in data units; a tile is (left, bottom, right, top)."""

    trial_id: str
    outcome: str
    lost: bool
    """It generalised and fell below tau again."""
    x: float
    y: float
    tile: tuple[float, float, float, float]
    text: str
    value: float
    middle: tuple[float, float]
    """Middle of the tile."""


def cell_dots(diagram: xr.Dataset, facet: int | None, x: Scale, y: Scale | None) -> tuple[Dot, ...]:
    """Dots of one facet. Trials of a cell stand in rows by seed, in as many columns as the fullest cell needs."""
    trials = _trials(diagram, facet)
    members = _places(trials["cell"], trials["seed"])
    fullest = int(members.max()) + 1 if len(members) else 1
    square = math.ceil(math.sqrt(fullest))
    across = min((square, square + 1), key=lambda columns: -fullest % columns)  # the fewest empty places
    if y is None:
        across = fullest  # the height is the value: trials of equal value must not hide each other
    down = math.ceil(fullest / across)
    sizes = np.bincount(trials["cell"]) if len(members) else np.zeros(1, dtype=int)
    dots = []
    for k, member in enumerate(members):
        i, j = int(trials["cell_x"][k]), int(trials["cell_y"][k])
        column, row = int(member) % across, int(member) // across
        rows = down if sizes[trials["cell"][k]] > 1 else 1
        columns = across if sizes[trials["cell"][k]] > 1 else 1
        left, right = column / columns, (column + 1) / columns
        top, bottom = 1 - row / rows, 1 - (row + 1) / rows
        dots.append(
            Dot(
                trial_id=str(trials["id"][k]),
                outcome=str(trials["outcome"][k]),
                lost=trials["retention"][k] == "lost",
                x=_inside(x, i, 0.08 + 0.84 * (left + right) / 2, trials["x"][k]),
                y=_inside(y, j, 0.06 + (DOT_ROOM - 0.06) * (top + bottom) / 2, trials["y"][k] if y else None),
                tile=(_inside(x, i, left), _inside(y, j, bottom), _inside(x, i, right), _inside(y, j, top)),
                text=_text(trials, k),
                value=float(trials["value"][k]),
                middle=(_inside(x, i, (left + right) / 2), _inside(y, j, (bottom + top) / 2)),
            )
        )
    return tuple(dots)


def _trials(diagram: xr.Dataset, facet: int | None) -> dict[str, np.ndarray]:
    """Columns of the trials of one facet, with their cell numbers."""
    chosen = np.ones(diagram.sizes["trial"], dtype=bool)
    if facet is not None:
        chosen = diagram["trial_cell_facet"].to_numpy() == facet
    names = ("id", "x", "y", "seed", "outcome", "retention", "t_mem", "t_gen", "value", "cell_x")
    columns = {name: diagram[f"trial_{name}"].to_numpy()[chosen] for name in names}
    one_row = np.zeros(int(chosen.sum()), dtype=np.int64)
    columns["cell_y"] = diagram["trial_cell_y"].to_numpy()[chosen] if "trial_cell_y" in diagram else one_row
    columns["cell"] = columns["cell_y"] * diagram.sizes[diagram.attrs["x_dim"]] + columns["cell_x"]
    return columns


def _places(cell: np.ndarray, seed: np.ndarray) -> np.ndarray:
    """Number of each trial within its cell, by seed (trials are already sorted by id)."""
    order = np.lexsort((seed, cell))
    ranked = cell[order]
    starts = np.r_[0, np.flatnonzero(np.diff(ranked)) + 1] if len(cell) else np.zeros(0, dtype=np.int64)
    first = np.repeat(starts, np.diff(np.r_[starts, len(cell)]))
    number = np.empty(len(cell), dtype=np.int64)
    number[order] = np.arange(len(cell)) - first
    return number


def _inside(scale: Scale | None, cell: int, share: float, value: object = None) -> float:
    """A position inside a cell, `share` of the way through it; a binned axis shows the trial's own value."""
    if scale is None:
        return share
    own = isinstance(value, (int, float)) and scale.true_positions and not (scale.zero_slot and cell == 0)
    if own:
        return float(value)  # type: ignore[arg-type]
    low, high = scale.edges[cell], scale.edges[cell + 1]
    return float(low * (high / low) ** share if scale.log else low + (high - low) * share)


def _text(trials: dict[str, np.ndarray], k: int) -> str:
    """What hovering over the dot says."""
    lost = ", lost again" if trials["retention"][k] == "lost" else ""
    times = ", ".join(f"{name} {_steps(trials[name][k])}" for name in ("t_mem", "t_gen"))
    return f"{trials['outcome'][k]}{lost}, seed {trials['seed'][k]}<br>{times}<br>{trials['id'][k]}"


def _steps(time: Float[np.ndarray, ""]) -> str:
    return "not seen" if np.isnan(time) else f"{int(time):,}"
