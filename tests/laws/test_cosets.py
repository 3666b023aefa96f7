"""Subgroups and their cosets, and networks whose neurons sort elements into cosets."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch

from grokstudy.circuits._subgroups import coset_share, subgroup_classes
from grokstudy.circuits.coset import Coset
from grokstudy.circuits.group_irreps import GroupIrreps
from grokstudy.circuits.reference.irreps import irreps
from grokstudy.models.quad_mlp import QuadMLP
from grokstudy.spec.measure import Subject
from grokstudy.tasks.group import FiniteGroup
from tests.group_subjects import EXACT, measured, number, numbers, place, planted, subject, untrained

torch.set_num_threads(1)


def test_subgroups_of_s4_are_known() -> None:
    """Cyclic: two classes of order 2, one of 3, one of 4. Stabilisers of a point: S3. Kernels: Klein's four, A4."""
    classes = subgroup_classes(FiniteGroup(group="S4").elements())
    found = [(one.order, len(one.left)) for one in classes]
    assert sorted(found) == [(2, 3), (2, 6), (3, 4), (4, 1), (4, 3), (6, 4), (12, 1)]
    assert [order for order, _ in found] == [2, 2, 3, 4, 4, 6, 12]


@pytest.mark.parametrize("group", ["S4", "A5", "D12"])
def test_cosets_are_cosets(group: str) -> None:
    elements = FiniteGroup(group=group).elements()
    table, inverses = torch.from_numpy(elements.table.copy()), torch.from_numpy(elements.inverses.copy())
    for one in subgroup_classes(elements):
        for left, right in zip(one.left, one.right, strict=True):
            members = left == left[0]
            assert int(members.sum()) == one.order
            assert bool((members == (right == right[0])).all())
            # g and h are in one left coset if g^-1 h is in the subgroup, in one right coset if g h^-1 is.
            assert bool(((left[:, None] == left[None]) == members[table[inverses]]).all())
            assert bool(((right[:, None] == right[None]) == members[table[:, inverses]]).all())


def test_a_function_of_the_coset_has_share_one_and_a_random_one_zero() -> None:
    one = subgroup_classes(FiniteGroup(group="S5").elements())[-2]
    rng = np.random.default_rng(0)
    values = torch.from_numpy(rng.normal(size=(120 // one.order, 4)))
    torch.testing.assert_close(
        coset_share(one.left[0], values[one.left[0]]), torch.ones(4, dtype=torch.float64), rtol=0, atol=EXACT
    )
    random = coset_share(one.left[0], torch.from_numpy(rng.normal(size=(120, 4000))))
    # An adjusted share has mean 0 and standard deviation sqrt(2 (k - 1) / ((n - 1)(n - k))) < 0.05 over k cosets here.
    assert abs(float(random.mean())) < 5 * 0.05 / math.sqrt(4000)


def sorting_network(group: str, which: int, *, indicators: bool = False, noise: float = 0.0) -> Subject:
    """A network whose neurons read the left coset of a and the right coset of b, of all conjugate subgroups.

    Of each subgroup either the indicators of all cosets, or 4 functions with random values.
    """
    elements = FiniteGroup(group=group).elements()
    one = subgroup_classes(elements)[which]
    rng = np.random.default_rng(0)
    count = elements.order // one.order
    values = np.eye(count) if indicators else rng.normal(size=(count, 4))
    U = torch.cat([torch.from_numpy(values)[cosets] for cosets in one.left], dim=1)
    V = torch.cat([torch.from_numpy(values)[cosets] for cosets in one.right], dim=1)
    params = {"U": U, "V": V, "W": torch.from_numpy(rng.normal(size=(U.shape[1], elements.order)))}
    params = {k: x + noise * torch.from_numpy(rng.normal(size=tuple(x.shape))) for k, x in params.items()}
    return subject(QuadMLP(width=U.shape[1]), params, FiniteGroup(group=group, frac_train=0.5))


@pytest.mark.parametrize("group", ["S4", "A5"])
def test_neurons_that_sort_into_cosets_are_found_on_their_sides(group: str) -> None:
    classes = subgroup_classes(FiniteGroup(group=group).elements())
    for which, one in enumerate(classes):
        if len(one.left) == 1:
            continue  # left and right cosets of a normal subgroup are the same
        values = measured(Coset(), sorting_network(group, which))
        for side in ("a_left", "b_right"):
            assert numbers(values, f"coset_share.{side}")[which] == pytest.approx(1, abs=EXACT)
            assert number(values, f"coset_share.{side}") == pytest.approx(1, abs=EXACT)
            assert number(values, f"coset_order.{side}") == one.order
        for side in ("a_right", "b_left"):
            assert numbers(values, f"coset_share.{side}")[which] < 0.9


def place_of_order(group: str, order: int) -> int:
    """Of the class of subgroups of this order."""
    return [one.order for one in subgroup_classes(FiniteGroup(group=group).elements())].index(order)


def test_a_point_stabiliser_network_has_high_scores_in_both_stories() -> None:
    """Cosets of a point's stabiliser are where a permutation sends it: the trivial and the standard irrep."""
    of = sorting_network("S4", place_of_order("S4", 6), indicators=True)
    shares = numbers(measured(GroupIrreps(), of), "irrep_embedding")
    # 16 indicators of mean 1/4: a quarter of the squares is constant.
    assert shares[place("S4", "standard")] == pytest.approx(0.75, abs=EXACT)
    assert number(measured(Coset(), of), "coset_order.a_left") == 6


def test_an_indicator_of_a_left_coset_is_one_of_a_right_coset() -> None:
    """g H = (g H g^-1) g: such neurons have share 1 on both sides."""
    values = measured(Coset(), sorting_network("A5", place_of_order("A5", 12), indicators=True))
    for side in ("a_left", "a_right", "b_left", "b_right"):
        assert number(values, f"coset_share.{side}") == pytest.approx(1, abs=EXACT)
        assert number(values, f"coset_order.{side}") == 12


def test_the_largest_subgroup_survives_noise() -> None:
    values = measured(Coset(), sorting_network("A5", place_of_order("A5", 12), noise=0.02))
    assert number(values, "coset_share.a_left") > 0.9
    assert number(values, "coset_order.a_left") == 12


def test_planted_signs_are_cosets_of_the_even_permutations() -> None:
    """(sign(a) +- sign(b))^2 alone has a mean over b that does not depend on a: no variance to share out."""
    sign = torch.from_numpy(irreps(FiniteGroup(group="S4").elements())[1].matrices[:, 0].copy())
    params = {"U": sign + 0.5, "V": 2 * sign + 1, "W": torch.ones(1, 24, dtype=torch.float64)}
    values = measured(Coset(), subject(QuadMLP(width=1), params, FiniteGroup(group="S4")))
    for side in ("a_left", "a_right", "b_left", "b_right"):
        assert number(values, f"coset_order.{side}") == 12
    assert {value.reason for value in Coset().measure(planted("S4", {"sign": 1.0}))} == {"constant_neurons"}


def test_a_group_of_prime_order_has_no_cosets() -> None:
    values = Coset().measure(untrained(QuadMLP(width=8), "C23"))
    assert {value.reason for value in values} == {"no_proper_subgroups"}
