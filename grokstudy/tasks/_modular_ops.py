"""Binary operations modulo p and their tables, in plain numpy."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import numpy as np
from jaxtyping import Int

from grokstudy.spec.draws import generator
from grokstudy.spec.errors import BadInput
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


def check_modulus(p: int, op: Operation) -> None:
    """Raises BadInput for a p that `op` is not defined for."""
    if p < 2:
        raise BadInput(f"task.p: got {p}, must be >= 2.")
    if op in DIVIDING and not is_prime(p):
        raise BadInput(f"task.p: got {p}, the operation {op} needs a prime p; try {_next_prime(p)}.")


def pairs(op: Operation, p: int) -> Int[np.ndarray, "rows 2"]:
    """All inputs (a, b) in row-major order; b starts at 1 for operations that divide."""
    a, b = np.meshgrid(np.arange(p), np.arange(_first(op), p), indexing="ij")
    return np.stack([a.ravel(), b.ravel()], axis=1)


def pair_count(op: Operation, p: int) -> int:
    """Rows of `pairs`."""
    return p * (p - _first(op))


def answers(op: Operation, p: int, inputs: Int[np.ndarray, "rows 2"], seeds: Seeds) -> Int[np.ndarray, " rows"]:
    """a o b mod p of every pair; `random` draws one answer per pair from the data seed."""
    a, b = inputs[:, 0], inputs[:, 1]
    if op == "random":
        return generator(seeds.data, "random_labels").integers(0, p, len(inputs))
    if op in _POLYNOMIALS:
        return _POLYNOMIALS[op](a, b) % p
    inverse = np.array([pow(int(v), -1, p) for v in b])
    quotient: Int[np.ndarray, " rows"] = a * inverse % p
    return quotient if op == "div" else np.where(b % 2 == 1, quotient, (a - b) % p)


def is_prime(n: int) -> bool:
    return n > 1 and all(n % d for d in range(2, int(n**0.5) + 1))


def _first(op: Operation) -> int:
    """The smallest b."""
    return 1 if op in DIVIDING else 0


def _next_prime(n: int) -> int:
    while not is_prime(n):
        n += 1
    return n
