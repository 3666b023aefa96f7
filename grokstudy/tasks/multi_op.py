"""Several operations modulo p at once, told apart by a token."""

from __future__ import annotations

import dataclasses

import numpy as np

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._finite import check_shares, finite_data, train_rows
from grokstudy.tasks._modular_ops import Operation, answers, check_modulus, pair_count, pairs


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class MultiOp(Task):
    """Several operations modulo p in one network: tokens a, o, b with the answer a o b mod p.

    The operation is the middle token, p + i for the i-th of `ops`. Rows are all pairs of the first operation, then of
    the second, and so on; one permutation splits them all, so that operations may differ a little in their train share.
    Slices are the operations.

    Source: Nanda 2022, 200 Concrete Open Problems, problem 3.11.
    """

    ops: tuple[Operation, ...] = setting(("add", "sub"), help="operations, as in task=modular; at least two")
    p: int = setting(59, help="modulus of all operations")
    op_weights: tuple[float, ...] | None = setting(
        None, help="relative weight in the loss of an answer to each operation; null = equal"
    )
    frac_train: float = setting(0.5, per_member=True, help="share of all rows trained on, in (0, 1]")
    label_noise: float = setting(0.0, per_member=True, help="share of train labels redrawn; 1 = random labels")
    holdout: float = setting(0.0, per_member=True, help="share held out as a fixed test set; 0 = all else")

    def __post_init__(self) -> None:
        if len(self.ops) < 2 or len(set(self.ops)) < len(self.ops):
            raise BadInput(f"task.ops: got {list(self.ops)}, must be two or more different operations.")
        for op in self.ops:
            check_modulus(self.p, op)
        self._check_weights()
        check_shares(self)

    def shape(self) -> Shape:
        return Shape(positions=3, vocab=self.p + len(self.ops), classes=self.p)

    def rows(self) -> int:
        return sum(pair_count(op, self.p) for op in self.ops)

    def train_rows(self) -> int:
        return train_rows(self)

    def slices(self) -> tuple[str, ...]:
        return self.ops

    def data(self, seeds: Seeds) -> TaskData:
        inputs = [pairs(op, self.p) for op in self.ops]
        labels = [answers(op, self.p, each, seeds) for op, each in zip(self.ops, inputs, strict=True)]
        which = np.repeat(np.arange(len(self.ops)), [len(each) for each in inputs])
        return finite_data(
            self,
            seeds,
            np.insert(np.concatenate(inputs), 1, self.p + which, axis=1),
            np.concatenate(labels),
            weights=None if self.op_weights is None else np.array(self.op_weights, dtype=np.float64)[which],
            slice_of=which,
        )

    def _check_weights(self) -> None:
        if self.op_weights is None:
            return
        if len(self.op_weights) != len(self.ops) or min(self.op_weights) <= 0:
            raise BadInput(f"task.op_weights: got {list(self.op_weights)}, must be {len(self.ops)} numbers > 0.")
        if len(set(self.op_weights)) == 1:
            raise BadInput("task.op_weights: equal weights change nothing; set task.op_weights=null.")
