"""What frequencies carry in the logits, and the losses with only that and without it.

All variants of the restricted and the excluded loss differ in one thing: which coefficients of the logits count, as
functions of which index of the rows (the answer, the other diagonal, a, b). So a variant is a list of spectra.
"""

from __future__ import annotations

import dataclasses
import functools
import math
from collections.abc import Sequence
from typing import Literal, TypeAlias

import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._fourier import basis, coefficients, per_frequency, row_masks
from grokstudy.circuits._network import Network, accuracies, losses, nll

Terms: TypeAlias = Literal[2, 4, 8]


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Spectrum:
    """Coefficients of every class's logit on the orthonormal functions of one index of the rows."""

    index: Int[Tensor, " rows"]
    coefs: Float[Tensor, "p classes"]

    def tables(self, sets: Sequence[Sequence[int]]) -> Float[Tensor, "sets p classes"]:
        """By value of the index, what each set of frequencies carries."""
        p = len(self.coefs)
        return basis(p).T @ (row_masks(sets, p)[:, :, None] * self.coefs) / math.sqrt(p)


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Part:
    """A part of the logits: a sum of tables, each read at an index of the rows."""

    indices: tuple[Int[Tensor, " rows"], ...]
    tables: tuple[Float[Tensor, "p classes"], ...]

    def at(self, rows: Int[Tensor, " n"] | slice = slice(None)) -> Float[Tensor, "n classes"]:
        """Its logits at these rows."""
        first, *others = (table[index[rows]] for index, table in zip(self.indices, self.tables, strict=True))
        for other in others:
            first += other
        return first


def parts(spectra: Sequence[Spectrum], sets: Sequence[Sequence[int]]) -> list[Part]:
    """What each set of frequencies carries. Errors as `rows_of`."""
    indices = tuple(spectrum.index for spectrum in spectra)
    return [
        Part(indices=indices, tables=tables)
        for tables in zip(*(spectrum.tables(sets).unbind() for spectrum in spectra), strict=True)
    ]


@functools.lru_cache(maxsize=1)
def by_answer(net: Network) -> Spectrum:
    """The logits on cos and sin of w_k * answer."""
    return Spectrum(index=net.answer, coefs=coefficients(net.logits, net.answer, net.p))


def by_terms(net: Network, terms: Terms) -> list[Spectrum]:
    """With so many directions per frequency: of the answer; and of the other diagonal; and of a and of b alone."""
    p, spectra = net.p, [by_answer(net)]
    if terms >= 4:
        # a - b for addition, a + b for subtraction.
        partner = (2 * net.a - net.answer) % p
        coefs = coefficients(net.logits, partner, p)
        if p % 2 == 0:
            coefs[-1] = 0  # at k = p / 2 both diagonals are one function
        spectra.append(Spectrum(index=partner, coefs=coefs))
    if terms == 8:
        spectra += [Spectrum(index=i, coefs=coefficients(net.logits, i, p)) for i in (net.a, net.b)]
    return spectra


def by_cube(net: Network) -> Spectrum:
    """The logits on cos(w_k (answer - c)) alone: of all patterns over the classes, the one of the formula."""
    coefs = by_answer(net).coefs
    p = len(coefs)
    k = (torch.arange(1, p) + 1) // 2 - 1
    shared = per_frequency(_diagonal(coefs)) / _rows_each(p)
    return Spectrum(index=net.answer, coefs=torch.cat([torch.zeros(1, p), shared[k, None] * basis(p)[1:]]))


def by_neurons(net: Network) -> Spectrum:
    """What the neurons send to the logits, on cos and sin of w_k * answer: logits' skip connections are not in it."""
    return Spectrum(index=net.answer, coefs=coefficients(net.neurons, net.answer, net.p) @ net.W_L.T)


def cube_coefficients(net: Network) -> Float[Tensor, " frequencies"]:
    """The logits' inner product with cos(w_k (answer - c)) of length 1 over rows and classes, for k = 1 .. p // 2."""
    coefs = by_answer(net).coefs
    # cos(w (s - c)) = cos(w s) cos(w c) + sin(w s) sin(w c): one or two products of unit functions.
    return per_frequency(_diagonal(coefs)) / _rows_each(len(coefs)).sqrt()


def cube_length(p: int) -> Float[Tensor, " frequencies"]:
    """Length of cos(w_k (answer - c)) over rows and classes: sqrt(p^3 / 2), and sqrt(p^3) for k = p / 2."""
    return (p**3 / _rows_each(p)).sqrt()


def _diagonal(coefs: Float[Tensor, "p p"]) -> Float[Tensor, " p"]:
    """Coefficients on the products of equal functions of the answer and of the class."""
    return (coefs * basis(len(coefs))).sum(dim=1)


def _rows_each(p: int) -> Float[Tensor, " frequencies"]:
    """Rows of `basis` of each frequency: 2, and 1 for p / 2."""
    return per_frequency(torch.ones(p, dtype=torch.float64))


def part_losses(net: Network, part: Part, bias: Float[Tensor, " classes"]) -> dict[str, float]:
    """Cross entropy on each split with nothing but the part and a bias per class; NaN without rows."""
    if len(part.tables) > 1:
        return losses(net, part.at().add_(bias))
    # Rows of equal index have equal logits: p distinct ones.
    table, index = -torch.log_softmax(part.tables[0] + bias, dim=1), part.indices[0]
    return {name: float(table[index[split.rows], split.labels].mean()) for name, split in net.splits()}


def part_accuracies(net: Network, part: Part, bias: Float[Tensor, " classes"]) -> dict[str, float]:
    """The same of accuracies."""
    if len(part.tables) > 1:
        return accuracies(net, part.at().add_(bias))
    table = part.tables[0] + bias
    right = torch.where(table.isfinite().all(), torch.eye(net.p)[table.argmax(dim=1)].double(), math.nan)
    index = part.indices[0]
    return {name: float(right[index[split.rows], split.labels].mean()) for name, split in net.splits()}


def excluded_train_losses(net: Network, some: Sequence[Part]) -> list[float]:
    """Cross entropy of the train rows without each part."""
    rows, labels = net.train.rows, net.train.labels
    whole = net.logits[rows]
    return [float(nll(part.at(rows).sub_(whole).neg_(), labels).mean()) for part in some]
