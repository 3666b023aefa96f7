"""Few inputs decide."""

from __future__ import annotations

from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._applies import unless_classes
from grokstudy.circuits._network import network
from grokstudy.circuits.detectors._detector import Detector
from grokstudy.circuits.detectors._guards import above, generalisation, weakest
from grokstudy.spec.draws import generator
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec, plugin_name

RANDOM_SETS = 8


class SparseInput(Detector):
    """Reads few of its inputs and ignores the rest: the least of three pieces of evidence, all on test rows.

    test: test accuracy above chance. few: 1 - 2 (m - 1) / (n - 1), with m = (sum s)^2 / sum s^2 the number of inputs
    that count and s_i the share of answers that change when input i is taken from another row; 0 if half of the n
    inputs count. alone: share of answers that stay when all inputs but the m most important are taken from another
    row, above the same for random sets of m inputs.

    Source: Merrill et al. 2023 (arXiv 2303.11873), section 4: the sparse subnetwork of a parity, here told by its
    inputs instead of its neurons.
    """

    evidence: ClassVar[str] = "test,few,alone"

    def applies(self, spec: TrialSpec) -> str | None:
        shape = spec.task.shape()
        if shape.vocab > 0 or shape.positions < 2:
            return f"defined for rows of several numbers, task={plugin_name(spec.task)} has tokens"
        return unless_classes(spec)

    def score(self, subject: Subject) -> float:
        guard = generalisation(network(subject))
        if not guard > 0:
            return guard  # nothing is to be explained, and importances of NaN mean nothing
        reader = _Reader(subject)
        importance = reader.importance()
        total = float((importance**2).sum())
        if total == 0:
            return 0.0
        count, inputs = float(importance.sum()) ** 2 / total, len(importance)
        chosen = importance.argsort(descending=True)[: round(count)]
        alone = above(reader.agreement(chosen), reader.agreement_of_random_sets(len(chosen)))
        return weakest(guard, 1 - 2 * (count - 1) / (inputs - 1), alone)


class _Reader:
    """Answers of one network on its test rows, some of whose inputs are taken from other rows."""

    def __init__(self, subject: Subject) -> None:
        self._subject = subject
        self._rows = torch.from_numpy(subject.data.inputs[subject.data.test])
        self._random = generator(subject.spec.seeds.init, "sparse_input")
        self._other = self._rows[torch.from_numpy(_derangement(self._random, len(self._rows)))]
        self._answers = self._answers_to(self._rows)

    def importance(self) -> Float[Tensor, " inputs"]:
        """Share of answers that change when one input is taken from another row, for every input."""
        inputs = torch.arange(self._rows.shape[1])
        return torch.tensor([1 - self.agreement(inputs[inputs != i]) for i in inputs], dtype=torch.float64)

    def agreement(self, kept: Int[Tensor, " kept"]) -> float:
        """Share of answers that stay when all inputs but these are taken from another row."""
        mixed = self._other.clone()
        mixed[:, kept] = self._rows[:, kept]
        return float((self._answers_to(mixed) == self._answers).double().mean())

    def agreement_of_random_sets(self, size: int) -> float:
        sets: Sequence[Tensor] = [
            torch.from_numpy(self._random.permutation(self._rows.shape[1])[:size]) for _ in range(RANDOM_SETS)
        ]
        return sum(map(self.agreement, sets)) / RANDOM_SETS

    def _answers_to(self, rows: Float[Tensor, "rows inputs"]) -> Int[Tensor, " rows"]:
        subject = self._subject
        with torch.no_grad():
            logits = subject.spec.model.apply(subject.params, rows, answers=subject.data.shape.answers)
        return logits[..., : subject.data.shape.classes].argmax(dim=-1)


def _derangement(random: np.random.Generator, n: int) -> Int[np.ndarray, " n"]:
    """For every row another one: each is followed in a random circle (itself if it is alone)."""
    circle = random.permutation(n)
    other = np.empty(n, dtype=np.int64)
    other[circle] = np.roll(circle, 1)
    return other
