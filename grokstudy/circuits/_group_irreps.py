"""A network that multiplies in a finite group, seen through the group's real irreducible representations (irreps).

Irreps are in the order of `reference/irreps.py`; the first, the trivial one, is left out of every list here.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._network import Network, reads_before_square
from grokstudy.circuits.reference.irreps import Irrep, irreps
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec, plugin_name
from grokstudy.tasks._groups import Group
from grokstudy.tasks.group import FiniteGroup

MOST_ELEMENTS = 200
"""Logits of all pairs are n^3 numbers: 64 MB here, 3 GB for S6."""
KEY, WEAK_KEY = 0.05, 0.005
"""Similarities above which an irrep is a key; the authors' code has both."""


def unless_group(spec: TrialSpec) -> str | None:
    """None for multiplication in a group of at most `MOST_ELEMENTS` elements, else why the measure is not defined."""
    task = spec.task
    if not isinstance(task, FiniteGroup):
        return f"defined for task=group, this trial has task={plugin_name(task)}"
    if task.op != "mul":
        return f"defined for task.op=mul (every answer equally often), this trial has {task.op}"
    if task.order() > MOST_ELEMENTS:
        return f"defined for groups of at most {MOST_ELEMENTS} elements, this one has {task.order()}"
    return None


def group_of(spec: TrialSpec) -> Group:
    """The group of a trial that `unless_group` lets pass."""
    assert isinstance(spec.task, FiniteGroup)
    return spec.task.elements()


@functools.lru_cache(maxsize=8)
def nontrivial(group: Group) -> tuple[Irrep, ...]:
    """All irreps but the trivial one."""
    return irreps(group)[1:]


@functools.lru_cache(maxsize=8)
def blocks(group: Group) -> tuple[Float[Tensor, "n size"], ...]:
    """For each nontrivial irrep orthonormal functions of the elements that span the entries of its matrices."""
    return tuple(_tensor(irrep.block) for irrep in nontrivial(group))


def power_by_irrep(group: Group, functions: Float[Tensor, "n width"]) -> Float[Tensor, " irreps"]:
    """Squared length of the part of all columns, as functions of the elements, in each irrep's block."""
    return torch.stack([(block.T @ functions).square().sum() for block in blocks(group)])


def project(group: Group, functions: Float[Tensor, "n width"], keys: Sequence[int]) -> Float[Tensor, "n width"]:
    """The part of every column in the blocks of the key irreps: places among the nontrivial ones."""
    span = torch.cat([blocks(group)[i] for i in keys], dim=1)
    return span @ (span.T @ functions)


def sums_over(index: Int[Tensor, " rows"], x: Float[Tensor, "rows width"], n: int) -> Float[Tensor, "n width"]:
    """The rows of x added up over equal values of the index."""
    return torch.zeros(n, x.shape[1], dtype=x.dtype).index_add_(0, index, x)


def per_input(logits: Float[Tensor, "rows n"]) -> Float[Tensor, "rows n"]:
    """Logits with each row's mean subtracted, which softmax ignores."""
    return logits - logits.mean(dim=1, keepdim=True)


def similarities(
    group: Group, answer: Int[Tensor, " rows"], centred: Float[Tensor, "rows n"]
) -> Float[Tensor, " irreps"]:
    """Cosine of the angle between logits, centred `per_input`, and trace rho(a b c^-1) over all (a, b, c).

    The traces of different irreps are orthogonal, and orthogonal to every function of the row; their squared length is
    n^3 * commutant. NaN for logits that are NaN or zero.
    """
    n = group.order
    # A trace depends on g = answer c^-1 alone: add the logits up over equal answers, then over equal g.
    relation = _tensor(group.table[:, group.inverses]).flatten()
    by_relation = sums_over(relation, sums_over(answer, centred, n).reshape(-1, 1), n)[:, 0]
    characters = torch.stack([_tensor(irrep.character) for irrep in nontrivial(group)])
    lengths = torch.tensor([math.sqrt(n**3 * irrep.commutant) for irrep in nontrivial(group)], dtype=centred.dtype)
    cosines: Float[Tensor, " irreps"] = characters @ by_relation / (lengths * centred.norm())
    return cosines


def key_irreps(found: Float[Tensor, " irreps"], threshold: float = KEY) -> tuple[int, ...]:
    """Places of the irreps whose similarity exceeds the threshold; none of a network of NaN."""
    return tuple(int(i) for i in torch.nonzero(found > threshold)[:, 0])


def hidden(subject: Subject, net: Network) -> Float[Tensor, "rows neurons"]:
    """Neurons as the read-out sees them: after the non-linearity, for the quadratic MLP too."""
    return net.neurons.square() if reads_before_square(subject.spec) else net.neurons


def _tensor(shared: np.ndarray) -> Tensor:
    """A copy: torch warns of arrays that are read-only."""
    return torch.from_numpy(shared.copy())
