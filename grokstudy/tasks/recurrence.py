"""Linear recurrences modulo p, predicted at every step."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Int

from grokstudy.spec.errors import BadInput
from grokstudy.spec.fields import setting
from grokstudy.spec.interfaces import Shape, Task, TaskData
from grokstudy.spec.trial import Seeds
from grokstudy.tasks._finite import check_shares, finite_data, train_rows
from grokstudy.tasks._strings import check_samples, strings


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Recurrence(Task):
    """x_(t+1) = c_1 x_t + c_2 x_(t-1) + ... + c_k x_(t-k+1) mod p, the next term at every step from the k-th.

    A row is x_1 ... x_(length-1), started from k free terms; its length - k answers are x_(k+1) ... x_length. Slices
    `step_1`, `step_2` ... are the answers in this order. Fibonacci's is coefficients = [1, 1].

    With length > k + 1 the later terms of a train row pass through states that start test rows, so their next term has
    been seen, at another position. With length = k + 1 there is one answer and nothing is seen twice.

    Source: Nanda 2022, 200 Concrete Open Problems, problem 3.7.
    """

    coefficients: tuple[int, ...] = setting((1, 1), per_member=True, help="c_1 ... c_k, each in 0..p-1, the last not 0")
    p: int = setting(59, help="modulus")
    length: int = setting(6, help="terms of a sequence, the predicted last one included")
    samples: int | None = setting(None, help="starts drawn; null = all p^k")
    frac_train: float = setting(0.5, per_member=True, help="share of the sequences trained on, in (0, 1]")
    label_noise: float = setting(0.0, per_member=True, help="share of train rows with redrawn labels; 1 = all")
    holdout: float = setting(0.0, per_member=True, help="share held out as a fixed test set; 0 = all else")

    def __post_init__(self) -> None:
        if self.p < 2:
            raise BadInput(f"task.p: got {self.p}, must be >= 2.")
        if not self.coefficients or not all(0 <= c < self.p for c in self.coefficients):
            raise BadInput(
                f"task.coefficients: got {list(self.coefficients)}, must be one or more numbers in 0..{self.p - 1} "
                f"(-1 is {self.p - 1})."
            )
        if self.coefficients[-1] == 0:
            raise BadInput(f"task.coefficients: got {list(self.coefficients)}, the last must not be 0; leave it out.")
        if self.length <= self.order:
            raise BadInput(f"task.length: got {self.length}, must be > {self.order}, the number of coefficients.")
        check_samples(self.samples, self.p**self.order)
        check_shares(self)

    @property
    def order(self) -> int:
        """k, the free terms of a sequence."""
        return len(self.coefficients)

    def shape(self) -> Shape:
        return Shape(positions=self.length - 1, vocab=self.p, classes=self.p, answers=self.length - self.order)

    def rows(self) -> int:
        return self.samples or self.p**self.order

    def train_rows(self) -> int:
        return train_rows(self)

    def slices(self) -> tuple[str, ...]:
        return tuple(f"step_{step}" for step in range(1, self.length - self.order + 1))

    def data(self, seeds: Seeds) -> TaskData:
        terms = self._terms(strings(self.p, self.order, self.samples, seeds.data))
        labels = terms[:, self.order :]
        slice_of = np.broadcast_to(np.arange(labels.shape[1]), labels.shape).copy()
        return finite_data(self, seeds, terms[:, :-1], labels, slice_of=slice_of)

    def _terms(self, starts: Int[np.ndarray, "rows order"]) -> Int[np.ndarray, "rows length"]:
        terms = np.empty((len(starts), self.length), dtype=np.int64)
        terms[:, : self.order] = starts
        for t in range(self.order, self.length):
            newest_first = terms[:, t - self.order : t][:, ::-1]
            terms[:, t] = newest_first @ np.array(self.coefficients) % self.p
        return terms
