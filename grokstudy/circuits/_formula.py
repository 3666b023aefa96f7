"""Reference algorithms as formulas: sums of terms that depend on one relation between the right answer and a class.

Fourier multiplication: the relation is the difference modulo p, a term is the wave of one frequency. Group composition:
the quotient of answer and class, and the character of one irrep. Parity: equal or not, and one term. So an algorithm is
compared with a network on a table of answers x classes, not of inputs x classes.
"""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Sequence
from typing import Literal, Protocol

import numpy as np
from jaxtyping import Float, Int, Num

from grokstudy.circuits.reference.fourier import LOGARITHMIC, OPERATIONS, FourierMultiplication, Operation, frequencies
from grokstudy.circuits.reference.group_composition import GroupComposition
from grokstudy.circuits.reference.irreps import irreps
from grokstudy.circuits.reference.parity import Parity
from grokstudy.spec.interfaces import Task
from grokstudy.spec.trial import TrialSpec, plugin_name
from grokstudy.tasks._modular_ops import is_prime
from grokstudy.tasks.group import FiniteGroup
from grokstudy.tasks.modular import Modular
from grokstudy.tasks.sparse_parity import SparseParity

KNOWN = (
    "task=modular with task.op=add or sub, or mul or div with an odd prime p; task=group with task.op=mul and at most "
    "120 elements; and task=sparse_parity"
)
MOST_ELEMENTS = 120
"""Of a group whose irreps are computed: S5."""

Choice = Literal["keys", "all"]


class Reference(Protocol):
    """A hand-written algorithm that carries its own proof."""

    def margin(self) -> float:
        """A proved lower bound of (right score - any other score) over all inputs."""
        ...

    def error_bound(self) -> float:
        """A proved upper bound of the rounding error of a score."""
        ...

    def is_proved(self) -> bool:
        """Whether it is proved to be right on all inputs."""
        ...


class Formula(Protocol):
    """A family of reference algorithms for one task, one for every choice of frequencies."""

    def __hash__(self) -> int: ...

    @property
    def name(self) -> str:
        """The algorithm."""
        ...

    @property
    def frequencies(self) -> tuple[int, ...]:
        """All frequencies there are to choose from."""
        ...

    def relation(self) -> Int[np.ndarray, "answers classes"]:
        """What the score of a class depends on, for every right answer."""
        ...

    def terms(self, chosen: Sequence[int]) -> Float[np.ndarray, "terms relations"]:
        """The terms of the chosen frequencies, one per frequency (and then those that always belong to it)."""
        ...

    def reference(self, chosen: tuple[int, ...]) -> Reference:
        """The algorithm with all coefficients 1."""
        ...

    def predictions(
        self, chosen: tuple[int, ...], inputs: Num[np.ndarray, "rows positions"]
    ) -> Int[np.ndarray, " rows"]:
        """Answers of that algorithm."""
        ...


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FourierFormula:
    """Fourier multiplication for one operation modulo p."""

    p: int
    op: Operation

    @property
    def name(self) -> str:
        return "fourier_multiplication"

    @property
    def frequencies(self) -> tuple[int, ...]:
        return frequencies(self.p, self.op)

    def relation(self) -> Int[np.ndarray, "answers classes"]:
        answer = np.arange(self.p)
        neutral = np.full_like(answer, self.op in LOGARITHMIC)  # s + 0, s - 0, s * 1 and s / 1 are s
        return FourierMultiplication(p=self.p, key_freqs=(), op=self.op).relation(answer, neutral)

    def terms(self, chosen: Sequence[int]) -> Float[np.ndarray, "terms relations"]:
        return _fourier_terms(self.p, self.op, tuple(chosen))

    def reference(self, chosen: tuple[int, ...]) -> FourierMultiplication:
        return FourierMultiplication(p=self.p, key_freqs=chosen, op=self.op)

    def fitted(self, chosen: tuple[int, ...], coefficients: Sequence[float]) -> FourierMultiplication:
        """The algorithm with the coefficients of `terms(chosen)`."""
        alphas, rest = tuple(coefficients[: len(chosen)]), coefficients[len(chosen) :]
        zero = rest[0] if rest else None
        return FourierMultiplication(p=self.p, key_freqs=chosen, op=self.op, coefficients=alphas, zero=zero)

    def predictions(
        self, chosen: tuple[int, ...], inputs: Num[np.ndarray, "rows positions"]
    ) -> Int[np.ndarray, " rows"]:
        return self.reference(chosen).predict(inputs[:, 0], inputs[:, 1])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class GroupFormula:
    """Group composition; its frequencies are the places of the irreps, without the trivial one that tells nothing."""

    task: FiniteGroup

    @property
    def name(self) -> str:
        return "group_composition"

    @property
    def frequencies(self) -> tuple[int, ...]:
        return tuple(range(1, len(irreps(self.task.elements()))))

    def relation(self) -> Int[np.ndarray, "answers classes"]:
        group = self.task.elements()
        quotients: Int[np.ndarray, "answers classes"] = group.table[:, group.inverses]
        return quotients

    def terms(self, chosen: Sequence[int]) -> Float[np.ndarray, "terms relations"]:
        every = irreps(self.task.elements())
        return np.stack([every[i].character for i in chosen])

    def reference(self, chosen: tuple[int, ...]) -> GroupComposition:
        return GroupComposition(group=self.task.elements(), key_irreps=chosen)

    def predictions(
        self, chosen: tuple[int, ...], inputs: Num[np.ndarray, "rows positions"]
    ) -> Int[np.ndarray, " rows"]:
        return self.reference(chosen).predict(inputs[:, 0], inputs[:, 1])


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ParityFormula:
    """The parity of the first k bits: the one wave of two classes."""

    k: int

    @property
    def name(self) -> str:
        return "parity"

    @property
    def frequencies(self) -> tuple[int, ...]:
        return (1,)

    def relation(self) -> Int[np.ndarray, "answers classes"]:
        return np.array([[0, 1], [1, 0]])

    def terms(self, chosen: Sequence[int]) -> Float[np.ndarray, "terms relations"]:
        return np.array([[1.0, -1.0]])

    def reference(self, chosen: tuple[int, ...]) -> Parity:
        return Parity(relevant=tuple(range(self.k)))

    def predictions(
        self, chosen: tuple[int, ...], inputs: Num[np.ndarray, "rows positions"]
    ) -> Int[np.ndarray, " rows"]:
        return self.reference(chosen).predict(inputs)


def unless_known(spec: TrialSpec) -> str | None:
    """None if a reference algorithm is known for the trial's task, else why not."""
    if _formula(spec.task) is not None:
        return None
    task = spec.task
    what = f"task={plugin_name(task)}"
    if isinstance(task, Modular):
        what = f"task.op={task.op} with p={task.p}"
    elif isinstance(task, FiniteGroup):
        what = f"task.op={task.op} with {task.order()} elements"
    return f"no reference algorithm is known for {what}, known are {KNOWN}"


def formula_of(spec: TrialSpec) -> Formula:
    """The reference algorithms for the trial's task (`unless_known`)."""
    formula = _formula(spec.task)
    assert formula is not None
    return formula


@functools.lru_cache(maxsize=64)
def proof(formula: Formula, chosen: tuple[int, ...]) -> tuple[float, float]:
    """Margin and error bound of an algorithm with all coefficients 1: whole-number arithmetic, done once."""
    reference = formula.reference(chosen)
    return reference.margin(), reference.error_bound()


@functools.lru_cache(maxsize=64)
def _fourier_terms(p: int, op: Operation, chosen: tuple[int, ...]) -> Float[np.ndarray, "terms relations"]:
    """Those of `FourierFormula`: the same for all checkpoints of a trial, and not to be written to."""

    def term(keys: tuple[int, ...], zero: float) -> Float[np.ndarray, " relations"]:
        return FourierMultiplication(p=p, key_freqs=keys, op=op, zero=zero).by_relation()

    waves = [term((k,), 0.0) for k in chosen]
    terms = np.stack([*waves, term((), 1.0)] if op in LOGARITHMIC else waves)
    terms.setflags(write=False)
    return terms


def _formula(task: Task) -> Formula | None:
    if isinstance(task, SparseParity):
        return ParityFormula(k=task.k)
    has_logarithms = isinstance(task, Modular) and task.p > 2 and is_prime(task.p)
    if isinstance(task, Modular) and task.op in OPERATIONS and (task.op not in LOGARITHMIC or has_logarithms):
        return FourierFormula(p=task.p, op=task.op)
    if isinstance(task, FiniteGroup) and task.op == "mul" and task.order() <= MOST_ELEMENTS:
        return GroupFormula(task=task)
    return None
