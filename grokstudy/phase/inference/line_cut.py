"""A line cut: one number per trial along one setting, for one or several sizes, with the seeds that trials share."""

from __future__ import annotations

import dataclasses

import numpy as np
import pandas as pd
from jaxtyping import Float, Int, Shaped

from grokstudy.phase.axis import is_log
from grokstudy.phase.inference.result import Line, Mark, Panel, Points
from grokstudy.phase.inference.words import count

PerTrial = Float[np.ndarray, " trials"]
PerCell = Float[np.ndarray, " cells"]
_TIMES = ("t_mem", "t_gen", "log10_delay_ratio", "delay_ratio")
"""Values that trials lack because they are slow."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class LineCut:
    """Trials whose value is known, with the words for tables and pictures."""

    x: PerTrial
    size: PerTrial
    """Of each trial's network or task; 0 everywhere if no size was asked for."""
    value: PerTrial
    """The order parameter m."""
    cluster: Shaped[np.ndarray, " trials"]
    """What trials share, e.g. the seed of their split."""
    sites: PerTrial
    """N, the number of inputs of each trial's task."""
    x_name: str = "x"
    size_name: str | None = None
    value_name: str = "m"
    study: str = "given"
    budget: int | None = None
    """T in steps."""
    left_out: int = 0
    """Trials without this value: diverged, stopped before T, not measured, or a time that was not seen by T."""
    cluster_name: str = "seed_data"
    context: str = ""
    """What was fixed and where the value was read, in words."""

    @classmethod
    def of(
        cls,
        x: PerTrial,
        value: PerTrial,
        cluster: Shaped[np.ndarray, " trials"],
        size: PerTrial | None = None,
        sites: float = 1.0,
    ) -> LineCut:
        """A cut from plain arrays."""
        sizes = np.zeros(len(x)) if size is None else size
        words = None if size is None else "size"
        return cls(x=x, size=sizes, value=value, cluster=cluster, sites=np.full(len(x), sites), size_name=words)

    @property
    def cells(self) -> Cells:
        pairs, cell = np.unique(np.stack([self.size, self.x], axis=1), axis=0, return_inverse=True)
        return Cells(size=pairs[:, 0], x=pairs[:, 1], cell=cell.reshape(-1).astype(np.int64))

    @property
    def sizes(self) -> Float[np.ndarray, " sizes"]:
        return np.unique(self.size)

    @property
    def log(self) -> bool:
        """Whether x is spaced evenly in the logarithm."""
        return bool(self.x.min() > 0 and is_log(np.unique(self.x)))

    @property
    def note(self) -> str:
        """What was read of how many trials."""
        place = "" if self.budget is None else f" at T = {self.budget:,} steps"
        seen = f"{self.study}: {self.value_name}{place}, {len(self.x)} trials"
        return f"{seen}; {self.left_out} without a value left out" if self.left_out else seen

    def sentences(self) -> tuple[str, ...]:
        """Trials, T and what was left out, as every fit of a cut must state them."""
        told = [f"{self.note.partition(';')[0]}{self.context}."]
        if self.left_out:
            slow = (
                " WARNING: the slow trials are the ones left out, so means and spreads are too small and groups may be "
                "missing; read --value test_acc, or times with `fit aft` and `fit sentinels`."
            )
            told.append(
                f"Left out: {count(self.left_out, 'trial')} without {self.value_name} by T, because diverged, stopped "
                f"or not seen until then.{slow if self.value_name in _TIMES else ''}"
            )
        return tuple(told)

    def size_words(self, size: float) -> str:
        """`p = 23`; empty if no size was asked for."""
        return "" if self.size_name is None else f"{leaf(self.size_name)} = {size:g}"

    def cell_words(self, x: float, size: float) -> str:
        """`weight_decay = 0.3, p = 23`."""
        words = [f"{leaf(self.x_name)} = {x:g}", self.size_words(size)]
        return ", ".join(word for word in words if word)

    def cell_names(self) -> list[str]:
        cells = self.cells
        return [self.cell_words(x, size) for x, size in zip(cells.x, cells.size, strict=True)]

    def panel(
        self,
        y_label: str,
        points: tuple[Points, ...],
        *,
        lines: tuple[Line, ...] = (),
        marks: tuple[Mark, ...] = (),
        y_log: bool = False,
    ) -> Panel:
        """A panel along the cut."""
        return Panel(
            x_label=self.x_name, y_label=y_label, x_log=self.log, y_log=y_log, points=points, lines=lines, marks=marks
        )

    def cell_points(self, y: PerCell, low: PerCell | None = None, high: PerCell | None = None) -> tuple[Points, ...]:
        """A number of every cell as a point, with its interval; a series for each size."""
        cells = self.cells
        return tuple(
            Points(
                x=cells.x[own],
                y=y[own],
                low=None if low is None else low[own],
                high=None if high is None else high[own],
                name=self.size_words(size),
                series=i,
            )
            for i, size in enumerate(self.sizes)
            for own in [cells.size == size]
        )

    def seed_points(self) -> tuple[Points, ...]:
        """Every trial as a point, a series for each size."""
        owners = [self.size == size for size in self.sizes]
        return tuple(Points(x=self.x[own], y=self.value[own], series=i) for i, own in enumerate(owners))


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Cells:
    """The distinct pairs of size and x, by rising size, then x, and the cell of each trial."""

    size: PerCell
    x: PerCell
    cell: Int[np.ndarray, " trials"]

    def __len__(self) -> int:
        return len(self.x)

    def seeds(self, cluster: Shaped[np.ndarray, " trials"]) -> Int[np.ndarray, " cells"]:
        """Distinct clusters of every cell: what it has of independent trials."""
        pairs = pd.DataFrame({"cell": self.cell, "cluster": cluster}).drop_duplicates()
        return np.bincount(pairs["cell"], minlength=len(self))


def leaf(path: str) -> str:
    """The last part of a setting's path."""
    return path.rpartition(".")[2]


def moments(cell: Int[np.ndarray, " rows"], value: Float[np.ndarray, " rows"], cells: int) -> tuple[PerCell, PerCell]:
    """Mean and unbiased variance of every cell; NaN where there is none."""
    count = np.bincount(cell, minlength=cells)
    with np.errstate(invalid="ignore", divide="ignore"):
        mean = np.bincount(cell, weights=value, minlength=cells) / count
        squares = np.bincount(cell, weights=(value - mean[cell]) ** 2, minlength=cells)
        return mean, np.where(count > 1, squares / (count - 1), np.nan)
