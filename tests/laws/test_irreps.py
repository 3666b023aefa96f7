"""Irreducible representations against representation theory, and the algorithm that composes elements by them."""

from __future__ import annotations

import itertools
import math
import subprocess
import sys

import numpy as np
import pytest

from grokstudy.circuits.reference.fourier import FourierMultiplication
from grokstudy.circuits.reference.group_composition import GroupComposition
from grokstudy.circuits.reference.irreps import Irrep, _settled, conjugacy_classes, irreps, real_classes
from grokstudy.spec.errors import BadInput
from grokstudy.tasks._groups import Group, named_group, table_group
from tests.laws.test_groups import QUATERNIONS

GROUPS = ("C2", "C3", "C12", "C23", "S3", "S4", "S5", "A4", "A5", "D4", "D5", "D12", "D59")
GROUPS += ("C2xC2", "A4xS3", "S3xC3", "quaternions")
every_group = pytest.mark.parametrize("name", GROUPS)

# Entries are sums of at most 120 products of numbers up to 1, from eigenvectors that err by about 1e-15 over the
# relative gap of the eigenvalues (1e-3 or more): below 1e-10.
EXACT = 1e-10


def group_named(name: str) -> Group:
    return table_group(QUATERNIONS.strip()) if name == "quaternions" else named_group(name)


def irrep_named(group: Group, name: str) -> int:
    return [irrep.name for irrep in irreps(group)].index(name)


# --- representations ----------------------------------------------------------------------------------------------


@every_group
def test_matrices_are_orthogonal_and_multiply_like_the_elements(name: str) -> None:
    group = group_named(name)
    for irrep in irreps(group):
        R, d = irrep.matrices, irrep.dimension
        np.testing.assert_allclose(R @ R.transpose(0, 2, 1), np.broadcast_to(np.eye(d), R.shape), atol=EXACT)
        np.testing.assert_allclose(R[:, None] @ R[None, :], R[group.table], atol=EXACT)
        np.testing.assert_allclose(np.trace(R, axis1=1, axis2=2), irrep.character, atol=EXACT)


@every_group
def test_characters_of_different_irreps_are_orthogonal(name: str) -> None:
    group = group_named(name)
    characters = np.stack([irrep.character for irrep in irreps(group)])
    expected = group.order * np.diag([irrep.commutant for irrep in irreps(group)])
    np.testing.assert_allclose(characters @ characters.T, expected, atol=group.order * EXACT)


@every_group
def test_blocks_share_out_all_functions_of_the_elements(name: str) -> None:
    group = group_named(name)
    assert sum(irrep.dimension**2 // irrep.commutant for irrep in irreps(group)) == group.order
    whole = np.concatenate([irrep.block for irrep in irreps(group)], axis=1)
    np.testing.assert_allclose(whole.T @ whole, np.eye(group.order), atol=EXACT)


@every_group
def test_a_block_is_what_the_entries_of_the_matrices_span(name: str) -> None:
    group = group_named(name)
    for irrep in irreps(group):
        entries = irrep.matrices.reshape(group.order, -1)
        np.testing.assert_allclose(irrep.block @ (irrep.block.T @ entries), entries, atol=EXACT)
        assert np.linalg.matrix_rank(entries, tol=1e-6) == irrep.block.shape[1]


@every_group
def test_no_irrep_can_be_split(name: str) -> None:
    """A symmetric matrix that commutes with all matrices would have invariant eigenspaces: only multiples of 1 do."""
    rng = np.random.default_rng(0)
    for irrep in irreps(group_named(name)):
        some = rng.normal(size=(irrep.dimension, irrep.dimension))
        averaged = (irrep.matrices @ (some + some.T) @ irrep.matrices.transpose(0, 2, 1)).mean(axis=0)
        np.testing.assert_allclose(averaged, averaged[0, 0] * np.eye(irrep.dimension), atol=EXACT)


@every_group
def test_there_are_as_many_as_classes_of_elements_and_their_inverses(name: str) -> None:
    group = group_named(name)
    assert len(irreps(group)) == len(set(real_classes(group).tolist()))
    for irrep in irreps(group):
        np.testing.assert_allclose(irrep.character, irrep.character[real_classes(group)], atol=EXACT)


def test_the_trivial_one_is_first_and_small_ones_come_before_large_ones() -> None:
    for name in GROUPS:
        found = irreps(group_named(name))
        assert found[0].name == "trivial"
        assert (found[0].matrices == 1).all()
        dimensions = [irrep.dimension for irrep in found]
        assert dimensions == sorted(dimensions)


def test_names_are_told_apart() -> None:
    for name in GROUPS:
        names = [irrep.name for irrep in irreps(group_named(name))]
        assert len(set(names)) == len(names)


def types(name: str) -> list[tuple[str, int, int]]:
    return [(irrep.name, irrep.dimension, irrep.commutant) for irrep in irreps(group_named(name))]


def test_all_three_types_occur() -> None:
    assert types("C3") == [("trivial", 1, 1), ("k1", 2, 2)]
    assert types("A4") == [("trivial", 1, 1), ("2d", 2, 2), ("3d", 3, 1)]
    assert types("quaternions") == [("trivial", 1, 1), ("1d_a", 1, 1), ("1d_b", 1, 1), ("1d_c", 1, 1), ("4d", 4, 4)]


def test_those_of_s5_have_the_names_of_the_field() -> None:
    expected = {"trivial": 1, "sign": 1, "standard": 4, "standard_sign": 4, "(3,2)": 5, "(2,2,1)": 5, "(3,1,1)": 6}
    assert {name: dimension for name, dimension, _ in types("S5")} == expected


@pytest.mark.parametrize("n", [3, 4, 5])
def test_standard_counts_fixed_points_and_sign_tells_even_permutations(n: int) -> None:
    group = named_group(f"S{n}")
    by_name = {irrep.name: irrep.character for irrep in irreps(group)}
    fixed = (group.permutations == np.arange(n)).sum(axis=1)
    signs = np.array([round(np.linalg.det(np.eye(n)[permutation])) for permutation in group.permutations])
    np.testing.assert_allclose(by_name["standard"], fixed - 1, atol=EXACT)
    np.testing.assert_allclose(by_name["sign"], signs, atol=EXACT)
    if n > 3:  # for S3 standard times sign is standard
        np.testing.assert_allclose(by_name["standard_sign"], signs * (fixed - 1), atol=EXACT)


@pytest.mark.parametrize("n", [7, 12, 23])
def test_those_of_a_cyclic_group_are_its_frequencies(n: int) -> None:
    by_name = {irrep.name: irrep.character for irrep in irreps(named_group(f"C{n}"))}
    for k in range(1, (n + 1) // 2):
        np.testing.assert_allclose(by_name.pop(f"k{k}"), 2 * np.cos(2 * np.pi * k * np.arange(n) / n), atol=EXACT)
    if n % 2 == 0:
        np.testing.assert_allclose(by_name.pop("sign"), (-1.0) ** np.arange(n), atol=EXACT)
    assert set(by_name) == {"trivial"}


def test_those_of_a_dihedral_group_turn_and_reflect() -> None:
    n = 12
    by_name = {irrep.name: irrep.character for irrep in irreps(named_group(f"D{n}"))}
    assert set(by_name) == {"trivial", "sign", "1d_a", "1d_b", "k1", "k2", "k3", "k4", "k5"}
    for k in range(1, 6):
        np.testing.assert_allclose(by_name[f"k{k}"][:n], 2 * np.cos(2 * np.pi * k * np.arange(n) / n), atol=EXACT)
        np.testing.assert_allclose(by_name[f"k{k}"][n:], 0, atol=EXACT)
    np.testing.assert_allclose(by_name["sign"], np.repeat([1, -1], n), atol=EXACT)


def test_names_follow_the_elements_when_these_are_renumbered() -> None:
    """The table of C7 with element k called 3 k: frequency 1 of the generator 1 is frequency 5 of the old one."""
    order = 3 * np.arange(7) % 7
    place = np.argsort(order)
    table = place[(order[:, None] + order[None, :]) % 7]
    found = irreps(table_group(";".join(" ".join(map(str, row)) for row in table.tolist())))
    assert [irrep.name for irrep in found] == ["trivial", "k1", "k2", "k3"]
    np.testing.assert_allclose(found[1].character, 2 * np.cos(2 * np.pi * np.arange(7) / 7), atol=EXACT)


def test_the_basis_does_not_depend_on_the_eigenvectors_that_were_found() -> None:
    irrep = irreps(named_group("S5"))[2]
    space = irrep.matrices[:, :, 0]  # one column of entries: an invariant space of functions
    space = space / np.linalg.norm(space, axis=0)
    turned = space @ np.linalg.qr(np.random.default_rng(0).normal(size=(4, 4)))[0]
    np.testing.assert_allclose(_settled(turned), _settled(space), atol=EXACT)
    np.testing.assert_allclose(_settled(turned).T @ _settled(turned), np.eye(4), atol=EXACT)


def test_classes_of_permutations_are_cycle_types() -> None:
    """S5 has as many as partitions of 5; in C12 every element is its own class."""
    assert len(set(conjugacy_classes(named_group("S5")).tolist())) == 7
    assert conjugacy_classes(named_group("C12")).tolist() == list(range(12))


def test_arrays_are_read_only() -> None:
    with pytest.raises(ValueError, match="read-only"):
        irreps(named_group("S3"))[0].character[0] = 2


# --- composition --------------------------------------------------------------------------------------------------


def pairs(group: Group) -> tuple[np.ndarray, np.ndarray]:
    rows = np.arange(group.order**2)
    return rows // group.order, rows % group.order


def accuracy(algorithm: GroupComposition) -> float:
    a, b = pairs(algorithm.group)
    return float((algorithm.predict(a, b) == algorithm.group.table[a, b]).mean())


def composition(name: str, *keys: str, coefficients: tuple[float, ...] | None = None) -> GroupComposition:
    group = group_named(name)
    return GroupComposition(
        group=group, key_irreps=tuple(irrep_named(group, key) for key in keys), coefficients=coefficients
    )


@pytest.mark.parametrize("name", ["S3", "S4", "A5", "D5", "D12", "C12", "quaternions", "A4xS3"])
def test_it_is_right_on_all_inputs_exactly_if_the_key_irreps_are_faithful(name: str) -> None:
    """Every irrep alone and every pair, against the kernels by definition: elements with the trace of the identity."""
    group = group_named(name)
    characters = [irrep.character for irrep in irreps(group)]
    indices = range(len(characters))
    for keys in itertools.chain(itertools.combinations(indices, 1), itertools.combinations(indices, 2)):
        kernel = [g for g in range(group.order) if all(characters[i][g] > characters[i][0] - 1e-6 for i in keys)]
        algorithm = GroupComposition(group=group, key_irreps=keys)
        assert algorithm.kernel() == kernel
        assert algorithm.is_proved() == (kernel == [0])
        assert (algorithm.margin() > 0) == (kernel == [0])
        if kernel == [0]:
            assert accuracy(algorithm) == 1
        else:  # right answers tie with the others of their coset of the kernel
            assert algorithm.margin() == 0
            assert accuracy(algorithm) < 0.9


def test_the_sign_alone_knows_only_whether_the_answer_is_even() -> None:
    algorithm = composition("S4", "sign")
    assert len(algorithm.kernel()) == 12
    assert algorithm.margin() == 0
    assert not algorithm.is_proved()
    a, b = pairs(algorithm.group)
    scores = algorithm.scores(a, b)
    assert ((scores == scores.max(axis=1, keepdims=True)).sum(axis=1) == 12).all()


def test_the_small_irrep_of_s4_does_not_see_the_double_swaps() -> None:
    kernel = composition("S4", "(2,2)").kernel()
    swaps = named_group("S4").permutations[kernel]
    assert swaps.tolist() == [[0, 1, 2, 3], [1, 0, 3, 2], [2, 3, 0, 1], [3, 2, 1, 0]]


@pytest.mark.parametrize("n", [3, 4, 5])
def test_the_margin_of_standard_is_two(n: int) -> None:
    """Its character is the number of fixed points - 1, largest after n - 1 at a swap: n - 3."""
    margin = composition(f"S{n}", "standard").margin()
    assert 2 - 1e-15 <= margin <= 2


@pytest.mark.parametrize(("name", "keys"), [("S4", ("sign", "standard")), ("A5", ("3d_a",)), ("D5", ("k1", "k2"))])
def test_the_margin_is_the_smallest_gap_of_all_inputs(name: str, keys: tuple[str, ...]) -> None:
    algorithm = composition(name, *keys, coefficients=(1.5, 0.25)[: len(keys)])
    a, b = pairs(algorithm.group)
    scores = algorithm.scores(a, b)
    right = (np.arange(len(a)), algorithm.group.table[a, b])
    best = scores[right].copy()
    scores[right] = -math.inf
    gap = float((best - scores.max(axis=1)).min())
    assert abs(gap - algorithm.margin()) <= 2 * algorithm.error_bound()
    assert algorithm.error_bound() < 1e-12


def test_a_negative_coefficient_is_no_proof() -> None:
    algorithm = composition("S3", "standard", coefficients=(-1.0,))
    assert algorithm.margin() < 0
    assert not algorithm.is_proved()
    assert accuracy(algorithm) == 0


@pytest.mark.parametrize("n", [7, 12])
def test_for_a_cyclic_group_it_is_fourier_multiplication(n: int) -> None:
    a, b = pairs(named_group(f"C{n}"))
    waves = FourierMultiplication(p=n, key_freqs=(1, 3), op="add", coefficients=(2.0, 0.5))
    traces = composition(f"C{n}", "k1", "k3", coefficients=(1.0, 0.25))  # a trace is twice the cosine
    np.testing.assert_allclose(traces.scores(a, b), waves.scores(a, b), atol=EXACT)
    assert abs(traces.margin() - waves.margin()) < EXACT


def test_frequencies_that_share_a_divisor_with_the_order_fail() -> None:
    """C12 with k = 2 and 4: both have a period of 6."""
    algorithm = composition("C12", "k2", "k4")
    assert algorithm.kernel() == [0, 6]
    assert algorithm.margin() == 0
    assert accuracy(algorithm) < 0.9


def test_scores_do_not_depend_on_how_many_inputs_are_asked_at_once() -> None:
    algorithm = composition("S4", "standard", "(2,2)")
    a, b = pairs(algorithm.group)
    alone = np.concatenate([algorithm.scores(a[i : i + 1], b[i : i + 1]) for i in range(len(a))])
    assert np.abs(alone - algorithm.scores(a, b)).max() <= 2 * algorithm.error_bound()
    assert algorithm.scores(a[:0], b[:0]).shape == (0, 24)


def test_without_keys_nothing_is_known() -> None:
    algorithm = GroupComposition(group=named_group("S3"), key_irreps=())
    assert algorithm.margin() == 0
    assert algorithm.kernel() == list(range(6))
    assert not algorithm.is_proved()


@pytest.mark.parametrize("keys", [(3,), (-1,), (1, 1)])
def test_keys_that_do_not_exist_are_refused(keys: tuple[int, ...]) -> None:
    with pytest.raises(BadInput, match=r"must be different numbers in 0\.\.2"):
        GroupComposition(group=named_group("S3"), key_irreps=keys)


def test_as_many_coefficients_as_keys() -> None:
    with pytest.raises(BadInput, match="got 2 of them for 1 irreps"):
        GroupComposition(group=named_group("S3"), key_irreps=(1,), coefficients=(1.0, 2.0))


def test_it_runs_without_torch() -> None:
    program = (
        "import sys\n"
        "from grokstudy.circuits.reference.group_composition import GroupComposition\n"
        "from grokstudy.tasks._groups import named_group\n"
        "assert GroupComposition(group=named_group('S3'), key_irreps=(2,)).is_proved()\n"
        "assert 'torch' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.slow
def test_those_of_the_largest_groups_are_found_too() -> None:
    for name, count in (("S6", 11), ("A6", 7), ("C720", 361), ("D360", 183)):
        found: tuple[Irrep, ...] = irreps(named_group(name))
        assert len(found) == count
