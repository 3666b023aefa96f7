"""Every trial as one tile of its cell: the picture in which nothing is averaged, however many trials there are."""

from __future__ import annotations

import dataclasses
import math
from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
import xarray as xr
from jaxtyping import Bool, Float, Int

from grokstudy.phase.palette import OUTCOME_COLOURS

if TYPE_CHECKING:
    from grokstudy.phase.figure_data import Scale

OUTCOMES = tuple(OUTCOME_COLOURS)
"""What the numbers of `Tiles.outcome` mean."""
NO_TRIAL = -1


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Tiles:
    """Cells cut into equal tiles; a cell's trials fill them row by row from its upper left corner, by seed."""

    outcome: Int[np.ndarray, "rows columns"]
    """Index into OUTCOMES, or NO_TRIAL; row 0 is the lowest."""
    trial: Int[np.ndarray, "rows columns"]
    """Place along the diagram's dimension `trial`, or NO_TRIAL."""
    lost: Bool[np.ndarray, "rows columns"]
    """The trial generalised and fell below tau again."""
    x: Float[np.ndarray, " columns+1"]
    """Edges in data units."""
    y: Float[np.ndarray, " rows+1"]
    across: int
    """Tiles of a cell from left to right."""
    down: int

    @property
    def outcomes(self) -> tuple[str, ...]:
        """Names of the outcomes that occur."""
        present = set(np.unique(self.outcome).tolist())
        return tuple(name for i, name in enumerate(OUTCOMES) if i in present)


def cell_tiles(diagram: xr.Dataset, facet: int | None, x: Scale, y: Scale | None) -> Tiles:
    """Tiles of one facet; a cell's only trial fills it whole. Without y a cell is one row of tiles."""
    trials = _trials(diagram, facet)
    cell = trials["y"] * len(x.centres) + trials["x"]
    member = trials.sort_values("seed", kind="stable").groupby(cell).cumcount().sort_index().to_numpy()
    fullest = int(member.max()) + 1 if len(member) else 1
    across = _balanced(fullest) if y else fullest
    down = math.ceil(fullest / across)
    rows = len(y.centres) if y else 1
    at = np.full((rows, down, len(x.centres), across), NO_TRIAL)
    i, j = trials["x"].to_numpy(), trials["y"].to_numpy()
    at[j, down - 1 - member // across, i, member % across] = trials.index.to_numpy()
    alone = ~cell.duplicated(keep=False).to_numpy()
    at[j[alone], :, i[alone], :] = trials.index.to_numpy()[alone, None, None]
    trial = at.reshape(rows * down, -1)
    known = trial != NO_TRIAL
    codes = pd.Categorical(diagram["trial_outcome"].to_numpy(), categories=OUTCOMES).codes.astype(np.int64)
    lost = diagram["trial_retention"].to_numpy() == "lost"
    return Tiles(
        outcome=np.where(known, codes[trial], NO_TRIAL),
        trial=trial,
        lost=known & lost[trial],
        x=_cut(x.edges, across, x.log),
        y=_cut(y.edges, down, y.log) if y else _cut(np.array([0.0, 1.0]), down, log=False),
        across=across,
        down=down,
    )


def _trials(diagram: xr.Dataset, facet: int | None) -> pd.DataFrame:
    """Cell and seed of the trials of one facet; the index is the place along `trial`."""
    names = [name for name in ("x", "y", "facet") if f"trial_cell_{name}" in diagram]
    table = pd.DataFrame({name: diagram[f"trial_cell_{name}"].to_numpy() for name in names})
    table = table.assign(seed=diagram["trial_seed"].to_numpy(), **({} if "y" in table else {"y": 0}))
    return table if facet is None else table[table["facet"] == facet]


def _balanced(count: int) -> int:
    """Columns of a nearly square grid for so many tiles, with the fewest empty places."""
    square = math.ceil(math.sqrt(count))
    return min((square, square + 1), key=lambda columns: -count % columns)


def _cut(edges: Float[np.ndarray, " n"], parts: int, log: bool) -> Float[np.ndarray, " m"]:
    """Edges of equal parts of every cell (equal in the logarithm where `log`)."""
    shares = np.arange(parts) / parts
    low, high = edges[:-1, None], edges[1:, None]
    inner = low * (high / low) ** shares if log else low + (high - low) * shares
    return np.append(inner.ravel(), edges[-1])
