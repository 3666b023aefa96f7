"""Multiplication in a finite group."""

from __future__ import annotations

import dataclasses
import re
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Int

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks import _groups
from grokstudy.tasks._finite import check_shares, finite_data, train_rows

_INLINE = re.compile(r"[\d\s,]+;[\d\s,;]+")
"""A table's text, which no path looks like."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FiniteGroup(Task):
    """a b, a b a^-1 or a b a over all pairs of elements of a finite group.

    A name (C7, D12, S5, A5, C2xC2 ...) or a Cayley table gives the group; elements are numbered as in `_groups`, the
    identity is 0. Row r is the pair (r // n, r % n).

    `table` is a text file of n rows of n numbers 0..n-1 (row a, column b holds a b), or these rows in one line, parted
    by ";". A file is replaced by its content, so that a trial is known by the table and not by the file's name. It must
    be readable wherever the trial is decoded: where workers start in other folders, give its absolute path.

    Source: Power et al. 2022 (arXiv 2201.02177), appendix A.1 (S5); Chughtai et al. 2023 (arXiv 2302.03025).
    """

    group: str | None = setting("S5", per_member=True, help="C<n>, D<n>, S3..S6, A4..A6 or a product such as S3xC2")
    table: str | None = setting(None, per_member=True, help="file of a Cayley table, with group=null")
    op: Literal["mul", "conj", "xyx"] = setting("mul", per_member=True, help="a b, a b a^-1 or a b a")
    frac_train: float = setting(0.5, per_member=True, help="share of the pairs trained on, in (0, 1]")
    label_noise: float = setting(0.0, per_member=True, help="share of train labels redrawn; 1 = random labels")
    holdout: float = setting(0.0, per_member=True, help="share held out as a fixed test set; 0 = all else")

    def __post_init__(self) -> None:
        if self.group is not None and self.table is not None:
            raise BadInput(f"task.table: task.group={self.group} names a group already; set task.group=null.")
        if self.table is not None:
            object.__setattr__(self, "table", _groups.table_text(_groups.table_group(_content(self.table)).table))
        elif self.group is None:
            raise BadInput("task.group: got null, so there is no group; name one or give task.table.")
        check_shares(self)

    def elements(self) -> _groups.Group:
        """The group."""
        if self.table is not None:
            return _groups.table_group(self.table)
        assert self.group is not None
        return _groups.named_group(self.group)

    def order(self) -> int:
        """Number of elements; of a named group without computing it."""
        return self.elements().order if self.group is None else _groups.named_order(self.group)

    def shape(self) -> Shape:
        n = self.order()
        return Shape(positions=2, vocab=n, classes=n)

    def rows(self) -> int:
        return self.order() ** 2

    def train_rows(self) -> int:
        return train_rows(self)

    def data(self, seeds: Seeds) -> TaskData:
        n = self.order()
        inputs = np.stack(np.divmod(np.arange(n * n), n), axis=1)
        return finite_data(self, seeds, inputs, self._answers(inputs[:, 0], inputs[:, 1]))

    def _answers(self, a: Int[np.ndarray, " rows"], b: Int[np.ndarray, " rows"]) -> Int[np.ndarray, " rows"]:
        group = self.elements()
        answers: Int[np.ndarray, " rows"] = group.table[a, b]
        if self.op != "mul":
            answers = group.table[answers, group.inverses[a] if self.op == "conj" else a]
        return answers


def _content(table: str) -> str:
    """The text of a table: itself, or that of the file it names."""
    if _INLINE.fullmatch(table):
        return table
    try:
        return Path(table).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError, ValueError) as error:
        raise BadInput(
            f"task.table: got '{table[:200]}', which is no readable text file ({type(error).__name__}). Give the path "
            'of a Cayley table, or its rows as "0 1;1 0".'
        ) from error
