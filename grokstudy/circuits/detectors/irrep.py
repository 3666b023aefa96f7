"""Group composition by irreducible representations, or by cosets: by blocks of functions that the group keeps whole."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import ClassVar

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from grokstudy.circuits._network import Network, network
from grokstudy.circuits._neurons import DEAD
from grokstudy.circuits.detectors._detector import Detector
from grokstudy.circuits.detectors._guards import above, generalisation, weakest
from grokstudy.circuits.detectors._held_out import held_out_fve
from grokstudy.circuits.reference.irreps import irreps, real_classes
from grokstudy.spec.draws import generator
from grokstudy.spec.measure import Subject
from grokstudy.spec.trial import TrialSpec, plugin_name
from grokstudy.tasks._groups import Group
from grokstudy.tasks.group import FiniteGroup

MOST_ELEMENTS = 120
"""Of a group whose irreps are computed in seconds."""


class Irrep(Detector):
    """Answers by tr rho(a) rho(b) rho(c)^-1: the least of three pieces of evidence.

    test: test accuracy above chance. logits: share of the test rows' logit variance explained by a function of the
    conjugacy class of answer c^-1 (a sum of characters), fitted to the train rows. neurons: mean share of a live
    neuron's variance in the block of its best irreducible representation, functions of a times functions of b, above
    the same share after the elements were renamed at random, which keeps everything but the group.

    Whether a block is used through matrices or through cosets is not told apart: a function of cosets lies in few
    blocks too.

    Source: Chughtai et al. 2023 (arXiv 2302.03025), section 4; cosets: Stander et al. 2023 (arXiv 2312.06581).
    """

    evidence: ClassVar[str] = "test,logits,neurons"

    def applies(self, spec: TrialSpec) -> str | None:
        task = spec.task
        if not isinstance(task, FiniteGroup):
            return f"defined for task=group, this trial has task={plugin_name(task)}"
        if task.op != "mul":
            return f"defined for task.op=mul, this trial has {task.op}"
        if task.order() > MOST_ELEMENTS:
            return f"defined for groups of at most {MOST_ELEMENTS} elements, this one has {task.order()}"
        return None

    def score(self, subject: Subject) -> float:
        task, net = subject.spec.task, network(subject)
        assert isinstance(task, FiniteGroup)
        guard, group = generalisation(net), task.elements()
        if not guard > 0:
            return guard
        renamed = generator(subject.spec.seeds.init, "renamed_elements").permutation(group.order)
        blocks = [torch.tensor(irrep.block) for irrep in irreps(group)]
        share = block_share(net, blocks)
        control = block_share(net, [block[torch.from_numpy(renamed)] for block in blocks])
        return weakest(guard, held_out_fve(net, class_cells(net, group)), above(share, control))


def block_share(net: Network, blocks: Sequence[Float[Tensor, "n size"]]) -> float:
    """Mean share of a live neuron's variance in its best block, constants aside; 0 if all are dead.

    Args:
        net: a network on all pairs of elements in row-major order.
        blocks: orthonormal functions of the elements by irreducible representation, the trivial one first.
    """
    centred = net.neurons - net.neurons.mean(dim=0)
    table = centred.unflatten(0, (net.p, net.p))
    rotation = torch.cat(list(blocks), dim=1)
    power = torch.einsum("abw,ai,bj->ijw", table, rotation, rotation) ** 2
    ends = np.cumsum([block.shape[1] for block in blocks])
    inside = [
        power[i:j, i:j].sum(dim=(0, 1)) + power[0, i:j].sum(dim=0) + power[i:j, 0].sum(dim=0)
        for i, j in itertools.pairwise(ends)
    ]
    total = (centred**2).sum(dim=0)
    live = total > DEAD * total.max()
    return float((torch.stack(inside)[:, live] / total[live]).max(dim=0).values.mean()) if bool(live.any()) else 0.0


def class_cells(net: Network, group: Group) -> Int[Tensor, "rows n"]:
    """The number of the class of answer c^-1, an element and its inverse taken together."""
    classes = np.unique(real_classes(group), return_inverse=True)[1]
    quotient = group.table[net.answer.numpy()][:, group.inverses]
    return torch.from_numpy(classes[quotient])
