"""Independent uniform draws."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from grokstudy.spec.axes import Axis, Point
from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Sampler
from grokstudy.spec.rows import Outcome


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Random(Sampler):
    """Each axis drawn independently and uniformly (on a log axis in the logarithm); point i depends on (seed, i) alone.

    Source: Bergstra & Bengio 2012, "Random search for hyper-parameter optimization".
    """

    n_trials: int = setting(100, help="points to draw")
    seed: int = setting(0, help="seed of the draws")

    def __post_init__(self) -> None:
        if self.n_trials < 1:
            raise BadInput(f"sampler.n_trials: got {self.n_trials}, must be >= 1.")

    def check(self, axes: Sequence[Axis]) -> None:
        return None

    def propose(self, axes: Sequence[Axis], start: int, told: Sequence[Outcome]) -> list[Point] | None:
        points: list[Point] = [
            {axis.path: axis.at(generator(self.seed, "random_sampler", f"{axis.path}/{i}").random()) for axis in axes}
            for i in range(start, self.n_trials)
        ]
        return points or None
