"""Binary operations modulo p: the tasks of Power et al. and of nearly every grokking paper since."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Int

from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds

Operation = Literal[
    "add", "sub", "mul", "div", "mix_div_sub", "x2plusy2", "x2plusxyplusy2", "x2plusxyplusy2plusx",
    "x3plusxy", "x3plusxy2plusy", "xplusy2", "xplusy3", "x3plusy3", "random",
]  # fmt: skip

_POLYNOMIALS: Mapping[str, Callable[[np.ndarray, np.ndarray], np.ndarray]] = {
    "add": lambda x, y: x + y,
    "sub": lambda x, y: x - y,
    "mul": lambda x, y: x * y,
    "x2plusy2": lambda x, y: x**2 + y**2,
    "x2plusxyplusy2": lambda x, y: x**2 + x * y + y**2,
    "x2plusxyplusy2plusx": lambda x, y: x**2 + x * y + y**2 + x,
    "x3plusxy": lambda x, y: x**3 + x * y,
    "x3plusxy2plusy": lambda x, y: x**3 + x * y**2 + y,
    "xplusy2": lambda x, y: (x + y) ** 2,
    "xplusy3": lambda x, y: (x + y) ** 3,
    "x3plusy3": lambda x, y: x**3 + y**3,
}
DIVIDING = ("div", "mix_div_sub")
"""Operations with an inverse: p must be prime and b != 0."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Modular(Task):
    """a o b mod p over all pairs of residues.

    `div` is a * b^-1 with b != 0 (never floor division); `mix_div_sub` is a * b^-1 for odd b and a - b for even b;
    `random` draws a label for every pair once (the memorisation control). Powers: x2plusy2 = a^2 + b^2,
    xplusy2 = (a + b)^2, and so on.

    Source: Power et al. 2022 (arXiv 2201.02177), appendix A.1, and its repository's operator table.
    """

    op: Operation = setting("add", per_member=True, help="operation")
    p: int = setting(113, help="modulus")
    frac_train: float = setting(0.5, per_member=True, help="share of the pairs trained on, in (0, 1]")
    label_noise: float = setting(0.0, neutral=0.0, per_member=True, help="share of train labels redrawn at random")
    holdout: float = setting(0.0, neutral=0.0, per_member=True, help="share held out as a fixed test set; 0 = all else")

    def __post_init__(self) -> None:
        if self.p < 2:
            raise BadInput(f"task.p: got {self.p}, must be >= 2.")
        if self.op in DIVIDING and not is_prime(self.p):
            raise BadInput(f"task.p: got {self.p}, task.op={self.op} needs a prime p; try {_next_prime(self.p)}.")
        if not 0 < self.frac_train <= 1:
            raise BadInput(f"task.frac_train: got {self.frac_train}, must be in (0, 1].")
        for name in ("label_noise", "holdout"):
            if not 0 <= getattr(self, name) < 1:
                raise BadInput(f"task.{name}: got {getattr(self, name)}, must be in [0, 1).")
        if self.train_rows() < 1:
            raise BadInput(f"task.frac_train: got {self.frac_train}, leaves no row to train on; raise it.")

    def shape(self) -> Shape:
        return Shape(positions=2, vocab=self.p, classes=self.p)

    def pairs(self) -> Int[np.ndarray, "rows 2"]:
        """All inputs (a, b) in row-major order; b starts at 1 for operations that divide."""
        first = 1 if self.op in DIVIDING else 0
        a, b = np.meshgrid(np.arange(self.p), np.arange(first, self.p), indexing="ij")
        return np.stack([a.ravel(), b.ravel()], axis=1)

    def rows(self) -> int:
        return self.p * (self.p - 1 if self.op in DIVIDING else self.p)

    def train_rows(self) -> int:
        rows = self.rows()
        return floor_share(self.frac_train, rows - floor_share(self.holdout, rows))

    def data(self, seeds: Seeds) -> TaskData:
        inputs = self.pairs()
        labels = self._labels(inputs, seeds)
        rows = len(inputs)
        # One permutation per data seed: train sets are nested in frac_train, and the held-out rows are its tail.
        order = generator(seeds.data, "split").permutation(rows)
        n_train, n_holdout = self.train_rows(), floor_share(self.holdout, rows)
        train = order[:n_train]
        test = order[rows - n_holdout :] if n_holdout else order[n_train:]
        return TaskData(
            shape=self.shape(),
            inputs=inputs,
            labels=labels,
            train=train,
            test=test,
            train_labels=self._corrupted(labels[train], train, rows, seeds),
        )

    def _labels(self, inputs: Int[np.ndarray, "rows 2"], seeds: Seeds) -> Int[np.ndarray, " rows"]:
        a, b = inputs[:, 0], inputs[:, 1]
        if self.op == "random":
            return generator(seeds.data, "random_labels").integers(0, self.p, len(inputs))
        if self.op in _POLYNOMIALS:
            return _POLYNOMIALS[self.op](a, b) % self.p
        inverse = np.array([pow(int(v), -1, self.p) for v in b])
        quotient: Int[np.ndarray, " rows"] = a * inverse % self.p
        return quotient if self.op == "div" else np.where(b % 2 == 1, quotient, (a - b) % self.p)

    def _corrupted(
        self, clean: Int[np.ndarray, " train"], train: Int[np.ndarray, " train"], rows: int, seeds: Seeds
    ) -> Int[np.ndarray, " train"]:
        """Train labels with exactly floor(label_noise * train) of them redrawn (a redrawn label may be the true one).

        Which rows, and to what, is drawn for all rows at once, so that corruptions are nested in label_noise.
        """
        count = floor_share(self.label_noise, len(train))
        if count == 0:
            return clean
        rank = generator(seeds.data, "corrupted_rows").permutation(rows)[train]
        drawn = generator(seeds.data, "corrupted_labels").integers(0, self.p, rows)[train]
        chosen = np.argsort(rank, kind="stable")[:count]
        labels = clean.copy()
        labels[chosen] = drawn[chosen]
        return labels


def floor_share(share: float, of: int) -> int:
    """floor(share * of), forgiving the last bits of a share such as 0.3."""
    return int(share * of + 1e-9)


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def _next_prime(n: int) -> int:
    while not is_prime(n):
        n += 1
    return n
