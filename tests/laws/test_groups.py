"""Groups by name and by table, against their axioms, their orders and what is known of them."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from grokstudy.engine.signature import signature
from grokstudy.spec.errors import BadInput
from grokstudy.spec.identity import config_columns, trial_id
from grokstudy.spec.trial import Seeds, TrialSpec
from grokstudy.tasks._groups import Group, named_group, named_order, table_group, table_text
from grokstudy.tasks.group import FiniteGroup
from tests.packs import assert_same_bits, run
from tests.trials import trial

ORDERS = {"C2": 2, "C113": 113, "D3": 6, "D12": 24, "D59": 118, "S3": 6, "S4": 24, "S5": 120, "A4": 12, "A5": 60}
ORDERS |= {"C2xC2": 4, "S3xC2": 12, "D4xC3": 24, "C2xC2xC2": 8, "A4xS3": 72}
LARGE = {"S6": 720, "A6": 360, "C720": 720, "D360": 720, "C2xA6": 720}
every_group = pytest.mark.parametrize("name", ORDERS)

QUATERNIONS = """
0 1 2 3 4 5 6 7
1 0 3 2 5 4 7 6
2 3 1 0 6 7 5 4
3 2 0 1 7 6 4 5
4 5 7 6 1 0 2 3
5 4 6 7 0 1 3 2
6 7 4 5 3 2 1 0
7 6 5 4 2 3 0 1
"""
"""1, -1, i, -i, j, -j, k, -k."""


def element_orders(group: Group) -> list[int]:
    """How often each element must be multiplied by itself to give the identity, sorted."""
    orders = []
    for a in range(group.order):
        power, n = a, 1
        while power != 0:
            power, n = int(group.table[power, a]), n + 1
        orders.append(n)
    return sorted(orders)


def is_associative(table: np.ndarray) -> bool:
    return bool((table[table] == table[:, table]).all())


@every_group
def test_a_named_group_keeps_the_axioms(name: str) -> None:
    group = named_group(name)
    everyone = np.arange(group.order)
    assert group.order == named_order(name) == ORDERS[name]
    assert all(np.array_equal(np.sort(line), everyone) for line in (*group.table, *group.table.T))
    assert np.array_equal(group.table[0], everyone)
    assert np.array_equal(group.table[:, 0], everyone)
    assert (group.table[everyone, group.inverses] == 0).all()
    assert (group.table[group.inverses, everyone] == 0).all()
    assert is_associative(group.table)


@pytest.mark.parametrize("name", LARGE)
def test_the_largest_groups_have_latin_squares_and_their_orders(name: str) -> None:
    group = named_group(name)
    assert group.order == named_order(name) == LARGE[name]
    assert (np.sort(group.table, 0) == np.arange(group.order)[:, None]).all()
    assert (np.sort(group.table, 1) == np.arange(group.order)).all()


@every_group
def test_permutations_represent_the_group_faithfully(name: str) -> None:
    group = named_group(name)
    for a, b in itertools.product(range(min(group.order, 30)), repeat=2):
        composed = [group.permutations[a, i] for i in group.permutations[b]]
        assert np.array_equal(composed, group.permutations[group.table[a, b]])
    assert len(np.unique(group.permutations, axis=0)) == group.order


def test_a_table_represents_itself_by_its_rows() -> None:
    group = table_group(QUATERNIONS)
    a, b = np.divmod(np.arange(64), 8)
    assert np.array_equal(group.permutations[a[:, None], group.permutations[b]], group.permutations[group.table[a, b]])


def test_cyclic_groups_add_and_dihedral_groups_turn_and_reflect() -> None:
    n = 7
    cyclic, dihedral = named_group(f"C{n}").table, named_group(f"D{n}").table
    for a, b in itertools.product(range(n), repeat=2):
        assert cyclic[a, b] == (a + b) % n
        assert dihedral[a, b] == (a + b) % n
        assert dihedral[a, n + b] == n + (a + b) % n
        assert dihedral[n + a, b] == n + (a - b) % n
        assert dihedral[n + a, n + b] == (a - b) % n


def test_symmetric_groups_number_permutations_in_lexicographic_order() -> None:
    table = named_group("S4").table
    elements = list(itertools.permutations(range(4)))
    for (a, one), (b, other) in itertools.product(enumerate(elements), repeat=2):
        assert elements[table[a, b]] == tuple(one[other[i]] for i in range(4))


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("C6", [1, 2, 3, 3, 6, 6]),
        ("S3", [1, 2, 2, 2, 3, 3]),
        ("D4", [1, 2, 2, 2, 2, 2, 4, 4]),
        ("C2xC2", [1, 2, 2, 2]),
        ("C2xC3", [1, 2, 3, 3, 6, 6]),
        ("A4", [1, *[2] * 3, *[3] * 8]),
        ("S4", [1, *[2] * 9, *[3] * 8, *[4] * 6]),
        ("A5", [1, *[2] * 15, *[3] * 20, *[5] * 24]),
        ("S3xC2", [1, *[2] * 7, *[3] * 2, *[6] * 2]),
    ],
)
def test_elements_have_the_orders_that_the_group_is_known_by(name: str, expected: list[int]) -> None:
    assert element_orders(named_group(name)) == expected


def test_a_table_gives_a_group_that_has_no_name() -> None:
    quaternions = table_group(QUATERNIONS)
    assert element_orders(quaternions) == [1, 2, 4, 4, 4, 4, 4, 4]
    assert not np.array_equal(quaternions.table, quaternions.table.T)


@every_group
def test_every_named_group_is_accepted_as_a_table(name: str) -> None:
    table = named_group(name).table
    assert np.array_equal(table_group(table_text(table)).table, table)


LOOP = "0 1 2 3 4;1 0 3 4 2;2 4 0 1 3;3 2 4 0 1;4 3 1 2 0"
"""A Latin square with an identity and inverses that is not associative."""


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (LOOP, r"\(1 1\) 2 = 2 but 1 \(1 2\) = 4.*row 1, column 1.*row 1, column 2"),
        ("0 1;1 1", "row 1 holds no 0, so element 1 has no inverse"),
        ("1 0;1 0", "no identity"),
        ("1 0;0 1", "the identity is element 1, must be element 0"),
        ("0 1;1 2", "row 1, column 1: got '2'"),
        ("0 1;1 0.5", "no readable text file"),
        ("0 1 0;1 0", "row 0 has 3 entries, must have 2"),
        ("0;;", "got 1 rows"),
        (table_text(np.zeros((121, 121), dtype=int)), "got 121 rows, must be 2..120"),
    ],
)
def test_a_cayley_table_that_is_no_group_is_refused(table: str, message: str) -> None:
    with pytest.raises(BadInput, match=rf"task\.table: .*{message}"):
        FiniteGroup(group=None, table=table)


@pytest.mark.parametrize("seed", range(5))
def test_a_group_with_one_wrong_entry_is_refused(seed: int) -> None:
    table = named_group("S4").table.copy()
    draws = np.random.default_rng(seed)
    a, b = draws.integers(0, 24, 2)
    table[a, b] = (table[a, b] + draws.integers(1, 24)) % 24
    with pytest.raises(BadInput, match=r"task\.table"):
        table_group(table_text(table))


@pytest.mark.parametrize(
    "name", ["", "S2", "S7", "A3", "A7", "D2", "C1", "C721", "D361", "S6xC2", "Q8", "s5", "S5x", "S05", "C2*C2"]
)
def test_a_name_of_no_group_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"task\.group"):
        FiniteGroup(group=name)


def test_name_and_table_exclude_each_other_and_one_is_needed() -> None:
    with pytest.raises(BadInput, match=r"set task\.group=null"):
        FiniteGroup(group="S4", table="0 1;1 0")
    with pytest.raises(BadInput, match=r"task\.group: got null"):
        FiniteGroup(group=None)


BY_HAND: dict[str, Callable[[Group, int, int], int]] = {
    "mul": lambda g, a, b: g.table[a, b],
    "conj": lambda g, a, b: g.table[g.table[a, b], g.inverses[a]],
    "xyx": lambda g, a, b: g.table[g.table[a, b], a],
}


@pytest.mark.parametrize("op", BY_HAND)
@pytest.mark.parametrize("name", ["S4", "D5", "C6"])
def test_labels_by_brute_force(name: str, op: Any) -> None:
    group = named_group(name)
    data = FiniteGroup(group=name, op=op).data(Seeds())
    n = group.order
    assert data.inputs.tolist() == [[r // n, r % n] for r in range(n * n)]
    assert data.labels.tolist() == [BY_HAND[op](group, a, b) for a, b in data.inputs.tolist()]


def test_conjugates_of_an_element_have_its_order_and_fix_the_identity() -> None:
    data = FiniteGroup(group="S4", op="conj").data(Seeds())
    conjugates = data.labels.reshape(24, 24)  # [a, b]
    assert (conjugates[:, 0] == 0).all()
    assert np.array_equal(conjugates[0], np.arange(24))
    assert sorted(len(np.unique(column)) for column in conjugates.T) == sorted([1, *[3] * 3, *[6] * 12, *[8] * 8])


def test_xyx_of_an_abelian_group_is_a_squared_b() -> None:
    data = FiniteGroup(group="C7", op="xyx").data(Seeds())
    a, b = data.inputs.T
    assert np.array_equal(data.labels, (2 * a + b) % 7)


def spec(table: str, group: str | None = None) -> TrialSpec:
    return trial("quad23", {"task": {"name": "group", "group": group, "table": table}})


def test_a_trial_is_known_by_the_tables_content_and_not_by_its_file(tmp_path: Path) -> None:
    one, other, changed = tmp_path / "one.txt", tmp_path / "other.csv", tmp_path / "changed.txt"
    one.write_text("0 1 2\n1 2 0\n2 0 1\n")
    other.write_text("\n0,1,2\n1,2,0\n\n2,0,1")
    changed.write_text("0 1\n1 0\n")
    inline = spec("0 1 2;1 2 0;2 0 1")
    assert {trial_id(spec(str(path))) for path in (one, other)} == {trial_id(inline)}
    assert trial_id(spec(str(changed))) != trial_id(inline)
    assert config_columns(spec(str(one)))["task.table"] == "0 1 2;1 2 0;2 0 1"


def test_a_decoded_table_no_longer_needs_its_file(tmp_path: Path) -> None:
    path = tmp_path / "klein.txt"
    path.write_text(table_text(named_group("C2xC2").table).replace(";", "\n"))
    decoded = spec(str(path))
    path.unlink()
    assert np.array_equal(decoded.task.data(Seeds()).labels, FiniteGroup(group="C2xC2").data(Seeds()).labels)
    assert trial_id(spec(str(config_columns(decoded)["task.table"]))) == trial_id(decoded)


def test_a_file_that_cannot_be_read_is_refused(tmp_path: Path) -> None:
    binary = tmp_path / "table.bin"
    binary.write_bytes(b"\xff\xfe\x00")
    for path in (tmp_path / "missing.txt", tmp_path, binary):
        with pytest.raises(BadInput, match="no readable text file"):
            FiniteGroup(group=None, table=str(path))


def test_groups_of_one_order_train_in_one_pack_as_they_do_alone() -> None:
    tasks = [{"group": "S4"}, {"group": "D12"}, {"group": None, "table": table_text(named_group("C24").table)}]
    specs = [trial("quad23", {"task": {"name": "group", **task}, "model.width": 8}) for task in tasks]
    assert len({signature(spec) for spec in specs}) == 1
    for spec, trained in zip(specs, run(specs, 25).trials, strict=True):
        assert_same_bits(trained, run([spec], 25).trials[0])


def test_shared_arrays_cannot_be_changed() -> None:
    group = named_group("S3")
    for array in (group.table, group.inverses, group.permutations):
        with pytest.raises(ValueError, match="read-only"):
            array[0] = 1
