"""Repeated blocks in random tokens: what induction heads are for."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from jaxtyping import Int

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._samples import check_counts, different_rows, sampled_data


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Induction(Task):
    """Random tokens that end in the second copy of an earlier block; the second copy is to be continued.

    A row has `length` tokens; its last `block` repeat a block that starts at a random place before them. The other
    tokens all differ, so that the rule is exact: find where the token was before, answer with what followed it. The
    inputs are all but the last token (teacher forcing); answers are the second copy's tokens from its second on (what
    it starts with cannot be known), given at its first block - 1 tokens.

    With length = 2 block the first copy is always at the start, and looking back by `block` - 1 places suffices.

    Source: Olsson et al. 2022 (arXiv 2209.11895), section on repeated random tokens; Nanda et al. 2023 (arXiv
    2301.05217), appendix on other small algorithmic tasks (512 rows).
    """

    tokens: int = setting(64, help="distinct tokens")
    length: int = setting(24, help="tokens of a row, both copies included")
    block: int = setting(8, help="tokens of the block that is repeated")
    train: int = setting(512, per_member=True, help="rows trained on")
    test: int = setting(1000, help="rows tested on, none of them trained on")

    def __post_init__(self) -> None:
        if self.block < 2:
            raise BadInput(f"task.block: got {self.block}, must be >= 2: a copy's first token cannot be known.")
        if self.length < 2 * self.block:
            raise BadInput(f"task.length: got {self.length}, must be >= {2 * self.block} (two blocks).")
        if self.tokens < self._before:
            raise BadInput(
                f"task.tokens: got {self.tokens}, must be >= {self._before} (task.length - task.block): the tokens "
                "before the second copy all differ."
            )
        check_counts(self, self._starts * math.perm(self.tokens, self._before))

    def shape(self) -> Shape:
        return Shape(positions=self.length - 1, vocab=self.tokens, classes=self.tokens, answers=self.block - 1)

    def rows(self) -> int:
        return self.train + self.test

    def train_rows(self) -> int:
        return self.train

    def data(self, seeds: Seeds) -> TaskData:
        rows = different_rows(self, seeds, self._draw)
        return sampled_data(self, rows[:, :-1], rows[:, 1 - self.block :])

    @property
    def _before(self) -> int:
        """Tokens before the second copy."""
        return self.length - self.block

    @property
    def _starts(self) -> int:
        """Places where the first copy may start."""
        return self._before - self.block + 1

    def _draw(self, stream: np.random.Generator, count: int) -> Int[np.ndarray, "count length"]:
        every = np.tile(np.arange(self.tokens), (count, 1))
        before = stream.permuted(every, axis=1)[:, : self._before]
        start = stream.integers(0, self._starts, (count, 1))
        return np.concatenate([before, np.take_along_axis(before, start + np.arange(self.block), axis=1)], axis=1)
