"""Whether neurons tell apart cosets of a subgroup rather than elements of the group."""

from __future__ import annotations

import dataclasses
from typing import ClassVar

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from grokstudy.circuits._group_irreps import group_of, hidden, sums_over, unless_group
from grokstudy.circuits._network import network
from grokstudy.circuits._subgroups import SubgroupClass, coset_share, subgroup_classes
from grokstudy.circuits._values import NOT_FINITE, known, undefined
from grokstudy.spec.measure import Measure, Subject
from grokstudy.spec.rows import MeasureValue
from grokstudy.spec.trial import TrialSpec
from grokstudy.tasks._groups import Group

NO_SUBGROUPS = "no_proper_subgroups"
DEAD = "constant_neurons"
DEAD_NEURON = 1e-12
"""A neuron that varies less than this share of the most varying one with an input is dead there."""
NEAR_BEST = 0.95
PROTOCOL = "subgroups=cyclic,stabiliser,kernel;adjusted=yes"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Coset(Measure):
    """How far neurons are functions of the coset of an input, for each class of conjugate subgroups.

    A neuron's function of a is its mean over b, and the other way round. For a subgroup H its share is that of the
    variance over the elements which lies between the cosets g H (left) or H g (right), adjusted for their number: 1 for
    a function of the coset, 0 on average for a random one. Of conjugate subgroups each neuron has its best one, so that
    chance is a little above 0: compare with step 0.

    - `coset_share.a_left`, `.a_right`, `.b_left`, `.b_right`: `values` = mean share over the live neurons for every
      class of subgroups (cyclic ones, point stabilisers, kernels of irreps; by rising order), `value` = the largest.
    - `coset_order.*`: order of the largest subgroup whose share is at least 0.95 of that. A function of the cosets of H
      is one of the cosets of every subgroup of H.

    The indicator of one left coset is that of a right coset of a conjugate, g H = (g H g^-1) g, so that neurons which
    answer to one coset alone score on both sides; the sides differ for neurons with several values.

    A network of irreps and one of cosets can both score high here and in `group_irreps`: the indicator functions of the
    cosets of H are sums of entries of the irreps in the permutation representation on G/H. Neither number alone decides
    between the two.

    Source: Stander et al. 2023 (arXiv 2312.06581); the adjusted share and the choice of subgroups are ours.
    """

    version: ClassVar[int] = 1
    names: ClassVar[tuple[str, ...]] = tuple(
        f"coset_{what}.{which}" for which in ("a_left", "a_right", "b_left", "b_right") for what in ("share", "order")
    )
    default: ClassVar[bool] = False

    def applies(self, spec: TrialSpec) -> str | None:
        return unless_group(spec)

    def measure(self, subject: Subject) -> list[MeasureValue]:
        group, net = group_of(subject.spec), network(subject)
        neurons = hidden(subject, net)
        inputs = {"a": net.a.long(), "b": net.b.long()}
        means = {name: sums_over(index, neurons, group.order) / group.order for name, index in inputs.items()}
        return [
            value
            for name, functions in means.items()
            for side in ("left", "right")
            for value in self._side(group, functions, f"{name}_{side}", is_left=side == "left")
        ]

    def _side(
        self, group: Group, functions: Float[Tensor, "n neurons"], which: str, *, is_left: bool
    ) -> list[MeasureValue]:
        names = (f"coset_share.{which}", f"coset_order.{which}")
        classes, live = subgroup_classes(group), functions[:, live_neurons(functions)]
        finite = bool(functions.isfinite().all())
        reason = NO_SUBGROUPS if not classes else NOT_FINITE if not finite else DEAD if not live.numel() else None
        if reason:
            return [undefined(name, reason, protocol=PROTOCOL, version=self.version) for name in names]
        shares = [class_share(one.left if is_left else one.right, live) for one in classes]
        order = largest_order(classes, shares)
        return [
            known(names[0], max(shares), values=shares, protocol=PROTOCOL, version=self.version),
            known(names[1], order, protocol=PROTOCOL, version=self.version),
        ]


def live_neurons(functions: Float[Tensor, "n neurons"]) -> Bool[Tensor, " neurons"]:
    """Neurons that vary with the element, by more than rounding."""
    variance = functions.var(dim=0, correction=0)
    rounding = 1e-28 * functions.square().mean(dim=0)
    live: Bool[Tensor, " neurons"] = (variance > DEAD_NEURON * variance.max()) & (variance > rounding)
    return live


def class_share(subgroups: tuple[Int[Tensor, " n"], ...], functions: Float[Tensor, "n neurons"]) -> float:
    """Mean over neurons of the share of each one's best subgroup of a class, given by cosets."""
    shares = torch.stack([coset_share(cosets, functions) for cosets in subgroups])
    return float(shares.amax(dim=0).mean())


def largest_order(classes: tuple[SubgroupClass, ...], shares: list[float]) -> int:
    """Order of the largest subgroup whose share is near the best."""
    least = min(NEAR_BEST * max(shares), max(shares))  # the best share may be negative
    return max(one.order for one, share in zip(classes, shares, strict=True) if share >= least)
