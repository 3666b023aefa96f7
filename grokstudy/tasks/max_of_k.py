"""The largest or smallest of k tokens."""

from __future__ import annotations

import dataclasses
from typing import Literal

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._finite import check_shares, finite_data, train_rows
from grokstudy.tasks._strings import check_samples, strings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MaxOfK(Task):
    """The largest (or smallest) of k whole numbers below `vocab`.

    All vocab^k strings, or `samples` distinct ones. Strings that differ in order only may lie on both sides of the
    split.

    Source: Nanda 2022, 200 Concrete Open Problems, problem 3.5; Gross et al. 2024 (arXiv 2406.11779).
    """

    op: Literal["max", "min"] = setting("max", per_member=True, help="largest or smallest")
    k: int = setting(2, help="numbers compared")
    vocab: int = setting(64, help="numbers are 0..vocab-1")
    samples: int | None = setting(None, help="strings drawn; null = all vocab^k")
    frac_train: float = setting(0.5, per_member=True, help="share of the strings trained on, in (0, 1]")
    label_noise: float = setting(0.0, per_member=True, help="share of train labels redrawn; 1 = random labels")
    holdout: float = setting(0.0, per_member=True, help="share held out as a fixed test set; 0 = all else")

    def __post_init__(self) -> None:
        for name in ("k", "vocab"):
            if getattr(self, name) < 2:
                raise BadInput(f"task.{name}: got {getattr(self, name)}, must be >= 2.")
        check_samples(self.samples, self.vocab**self.k)
        check_shares(self)

    def shape(self) -> Shape:
        return Shape(positions=self.k, vocab=self.vocab, classes=self.vocab)

    def rows(self) -> int:
        return self.samples or self.vocab**self.k

    def train_rows(self) -> int:
        return train_rows(self)

    def data(self, seeds: Seeds) -> TaskData:
        inputs = strings(self.vocab, self.k, self.samples, seeds.data)
        return finite_data(self, seeds, inputs, inputs.max(1) if self.op == "max" else inputs.min(1))
