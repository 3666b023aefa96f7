"""Binary operations modulo p: the tasks of Power et al. and of nearly every grokking paper since."""

from __future__ import annotations

import dataclasses

from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._finite import check_shares, finite_data, train_rows
from grokstudy.tasks._modular_ops import Operation, answers, check_modulus, pair_count, pairs


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
    label_noise: float = setting(
        0.0, neutral=0.0, per_member=True, help="share of train labels redrawn; 1 = random labels"
    )
    holdout: float = setting(0.0, neutral=0.0, per_member=True, help="share held out as a fixed test set; 0 = all else")

    def __post_init__(self) -> None:
        check_modulus(self.p, self.op)
        check_shares(self)

    def shape(self) -> Shape:
        return Shape(positions=2, vocab=self.p, classes=self.p)

    def rows(self) -> int:
        return pair_count(self.op, self.p)

    def train_rows(self) -> int:
        return train_rows(self)

    def data(self, seeds: Seeds) -> TaskData:
        inputs = pairs(self.op, self.p)
        return finite_data(self, seeds, inputs, answers(self.op, self.p, inputs, seeds))
