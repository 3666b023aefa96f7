"""Finite groups in plain numpy: by name as permutations, or by a Cayley table that is checked to be one.

Elements are numbered from 0, the identity. Permutations compose like functions: (a b)(i) = a(b(i)).
"""

from __future__ import annotations

import dataclasses
import functools
import itertools
import math
import re

import numpy as np
from jaxtyping import Bool, Int

from grokstudy.spec.errors import BadInput

MOST_ELEMENTS = 720
"""Order of S6: its table has 518,400 rows."""
MOST_TABLE_ELEMENTS = 120
"""Of a table that must be checked: associativity is n^3 triples."""
_FACTOR = re.compile(r"([CDSA])([1-9]\d*)")
_SIZES = {"C": (2, MOST_ELEMENTS), "D": (3, MOST_ELEMENTS // 2), "S": (3, 6), "A": (4, 6)}
_SMALLER = {"S2": "C2", "A3": "C3", "D1": "C2", "D2": "C2xC2"}
"""Names below these sizes whose group has another name."""
NAMES = "C2.., D3.. (order 2n), S3..S6, A4..A6, or a product such as C2xC2 or S3xC2"


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Group:
    """A finite group. Its arrays are shared between callers and read-only."""

    table: Int[np.ndarray, "n n"]
    """table[a, b] = a b."""
    inverses: Int[np.ndarray, " n"]
    permutations: Int[np.ndarray, "n points"]
    """A faithful action: permutations[a, i] = a(i)."""

    @property
    def order(self) -> int:
        """Number of elements."""
        return len(self.table)


@functools.lru_cache(maxsize=32)
def named_group(name: str) -> Group:
    """The group of that name.

    C<n>: element k shifts n points by k. D<n>, of order 2n: element k turns the n corners by k, element n + k maps
    corner i to k - i. S<n> and A<n>: the (even) permutations of n points in lexicographic order. A product GxH: the
    pair (g, h) is element g |H| + h, and acts on the points of both.

    Raises:
        BadInput: no such name, or more than `MOST_ELEMENTS` elements.
    """
    named_order(name)
    permutations = functools.reduce(_product, [_factor(*_parsed(part, name)) for part in name.split("x")])
    return _group(_composed(permutations), permutations)


def named_order(name: str) -> int:
    """Number of elements of `named_group(name)`, which is not computed."""
    order = math.prod(_factor_order(*_parsed(part, name)) for part in name.split("x"))
    if order > MOST_ELEMENTS:
        raise BadInput(f"task.group: got {name} with {order} elements, at most {MOST_ELEMENTS} (S6) are allowed.")
    return order


def table_text(table: Int[np.ndarray, "n n"]) -> str:
    """A Cayley table in one line: "0 1;1 0"."""
    return ";".join(" ".join(map(str, row)) for row in table.tolist())


@functools.lru_cache(maxsize=32)
def table_group(text: str) -> Group:
    """The group of a Cayley table: rows parted by line breaks or ";", whole numbers by blanks or commas.

    Row a, column b holds a b, all counted from 0. Elements act on themselves from the left.

    Raises:
        BadInput: the table is no group's, or its identity is not element 0; says which rows and columns show it.
    """
    table = _parsed_table(text)
    _check_table(table)
    return _group(table, table)


def _group(table: Int[np.ndarray, "n n"], permutations: Int[np.ndarray, "n points"]) -> Group:
    inverses = np.nonzero(table == 0)[1]
    for array in (table, inverses, permutations):
        array.setflags(write=False)
    return Group(table=table, inverses=inverses, permutations=permutations)


def _parsed(part: str, name: str) -> tuple[str, int]:
    """Kind and size of one factor."""
    match = _FACTOR.fullmatch(part)
    if match is None:
        raise BadInput(f"task.group: no group '{name}'. Allowed: {NAMES}; for any other give task.table.")
    kind, n = match[1], int(match[2])
    low, high = _SIZES[kind]
    if not low <= n <= high:
        other = f" {part} is {_SMALLER[part]}." if part in _SMALLER else ""
        raise BadInput(f"task.group: got {name}, {kind}<n> has n in {low}..{high}.{other} Allowed: {NAMES}.")
    return kind, n


def _factor_order(kind: str, n: int) -> int:
    if kind in "CD":
        return n if kind == "C" else 2 * n
    return math.factorial(n) // (1 if kind == "S" else 2)


def _factor(kind: str, n: int) -> Int[np.ndarray, "elements points"]:
    """The permutations of one factor."""
    shift, point = np.arange(n)[:, None], np.arange(n)
    if kind == "C":
        return (shift + point) % n
    if kind == "D":
        return np.concatenate([shift + point, shift - point]) % n
    everyone: Int[np.ndarray, "elements points"] = np.array(list(itertools.permutations(range(n))))
    return everyone[_is_even(everyone)] if kind == "A" else everyone


def _is_even(permutations: Int[np.ndarray, "n points"]) -> Bool[np.ndarray, " n"]:
    """Whether the number of inversions is even."""
    i, j = np.triu_indices(permutations.shape[1], 1)
    inversions: Int[np.ndarray, " n"] = (permutations[:, i] > permutations[:, j]).sum(1)
    even: Bool[np.ndarray, " n"] = inversions % 2 == 0
    return even


def _product(g: Int[np.ndarray, "n points"], h: Int[np.ndarray, "m others"]) -> Int[np.ndarray, "nm both"]:
    """The direct product on the disjoint union of the points."""
    return np.concatenate([np.repeat(g, len(h), 0), np.tile(h + g.shape[1], (len(g), 1))], 1)


def _composed(permutations: Int[np.ndarray, "n points"]) -> Int[np.ndarray, "n n"]:
    """The Cayley table. An element is known by the images of a few points, the base."""
    base = _base(permutations)
    place = permutations.shape[1] ** np.arange(len(base))
    code = permutations[:, base] @ place
    order = np.argsort(code)
    composed = permutations[:, permutations[:, base]] @ place
    table: Int[np.ndarray, "n n"] = order[np.searchsorted(code, composed, sorter=order)]
    return table


def _base(permutations: Int[np.ndarray, "n points"]) -> list[int]:
    """Points whose images tell all elements apart; each one chosen at least doubles how many are told apart."""
    base: list[int] = []
    told = 1
    for point in range(permutations.shape[1]):
        now = len(np.unique(permutations[:, [*base, point]], axis=0))
        if now > told:
            base, told = [*base, point], now
    return base


def _parsed_table(text: str) -> Int[np.ndarray, "n n"]:
    lines = [line for line in re.split(r"[;\n]", text.replace(",", " ")) if line.strip()]
    n = len(lines)
    if not 2 <= n <= MOST_TABLE_ELEMENTS:
        raise BadInput(f"task.table: got {n} rows, must be 2..{MOST_TABLE_ELEMENTS} (a row for every element).")
    rows = []
    for a, line in enumerate(lines):
        words = line.split()
        if len(words) != n:
            raise BadInput(f"task.table: row {a} has {len(words)} entries, must have {n}, as many as there are rows.")
        wrong = next((b for b, word in enumerate(words) if not (word.isdecimal() and int(word) < n)), None)
        if wrong is not None:
            raise BadInput(f"task.table: row {a}, column {wrong}: got '{words[wrong]}', must be an element 0..{n - 1}.")
        rows.append([int(word) for word in words])
    return np.array(rows, dtype=np.int64)


def _check_table(table: Int[np.ndarray, "n n"]) -> None:
    """Raises BadInput at the first group axiom that fails; closure holds by the range of the entries."""
    n = len(table)
    everyone = np.arange(n)
    identities = np.flatnonzero((table == everyone).all(1) & (everyone == table.T).all(1))
    if len(identities) == 0:
        raise BadInput("task.table: no group: there is no identity (an element whose row and column are 0 1 2 ...).")
    if identities[0] != 0:
        e = identities[0]
        raise BadInput(f"task.table: the identity is element {e}, must be element 0; exchange the numbers 0 and {e}.")
    for a in range(n):
        if 0 not in table[a]:
            raise BadInput(f"task.table: no group: row {a} holds no 0, so element {a} has no inverse.")
    broken = np.argwhere(table[table] != table[:, table])  # [a, b, c]: (a b) c against a (b c)
    if len(broken):
        a, b, c = broken[0].tolist()
        left, right = table[table[a, b], c], table[a, table[b, c]]
        raise BadInput(
            f"task.table: no group: ({a} {b}) {c} = {left} but {a} ({b} {c}) = {right}. "
            f"See row {a}, column {b} (holds {table[a, b]}) and row {b}, column {c} (holds {table[b, c]})."
        )
