"""A scrambled Sobol sequence: points that fill the axes evenly, however many there are."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

import numpy as np
from jaxtyping import Float

from grokstudy.spec.axes import Axis, Point
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Sampler
from grokstudy.spec.rows import Outcome


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Sobol(Sampler):
    """Point i of a scrambled Sobol sequence over all axes (log axes in the logarithm, values as equal parts).

    Fills a plane far more evenly than independent draws, and most evenly after a power of 2 of points.

    Source: Owen 1998, "Scrambling Sobol' and Niederreiter-Xing points"; the sequence is scipy's.
    """

    n_trials: int = setting(128, help="points to draw; powers of 2 fill the axes most evenly")
    seed: int = setting(0, help="seed of the scrambling")

    def __post_init__(self) -> None:
        if self.n_trials < 1:
            raise BadInput(f"sampler.n_trials: got {self.n_trials}, must be >= 1.")

    def check(self, axes: Sequence[Axis]) -> None:
        return None

    def propose(self, axes: Sequence[Axis], start: int, told: Sequence[Outcome]) -> list[Point] | None:
        units = unit_points(len(axes), self.n_trials, self.seed)[start:]
        points: list[Point] = [
            {axis.path: axis.at(unit) for axis, unit in zip(axes, row, strict=True)} for row in units.tolist()
        ]
        return points or None


def unit_points(dimensions: int, n: int, seed: int) -> Float[np.ndarray, "n dimensions"]:
    """The first n points of the sequence in [0, 1)^dimensions; point i is the same whatever n."""
    from scipy.stats import qmc

    if dimensions == 0:
        return np.zeros((n, 0))
    sequence = qmc.Sobol(dimensions, scramble=True, rng=generator(seed, "sobol_sampler"))
    whole = sequence.random_base2((n - 1).bit_length())  # scipy warns of any other number
    return np.asarray(whole[:n], dtype=np.float64)
