"""Files of claims that a user may write: what cannot be read names the file, the key and what must stand there."""

from __future__ import annotations

from pathlib import Path

import pytest

from grokstudy.claims.library import every, load, names
from grokstudy.spec.errors import BadInput

CHECK = "{name: c, sql: SELECT 1 AS value, estimate: mean, equivalence: [0, 2], published: one%s}"
RECORD = "claim: {number: '900', statement: s, source: s, cost: S, setting: s, measured: s, checks: [%s]}\n"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "study/claims").mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("defaults: [claims/parityy]\n", ("defaults of mine.yaml", "did you mean 'claims/parity'")),
        ("defaults: [claims/mine]\n", ("defaults of mine.yaml", "mine -> mine")),
        ("defaults: claims/parity\n", ("defaults of mine.yaml", "must be a list")),
        ("", ("mine.yaml", "holds nothing")),
        ("[1, 2]\n", ("mine.yaml", "holds a list")),
        ("claim: [1, 2]\n", ("claim of mine.yaml", "[1, 2]", "must be a record")),
        ("budget: 3\n", ("mine.yaml", "no record")),
        (RECORD % (CHECK % ", control: true"), ("checks", "at least one must be what the claim says")),
    ],
)
def test_a_file_that_is_no_claim_says_what_must_stand_there(config: Path, text: str, told: tuple[str, ...]) -> None:
    (config / "study/claims/mine.yaml").write_text(text)
    with pytest.raises(BadInput) as refused:
        load("mine", config)
    assert all(words in str(refused.value) for words in told), refused.value
    with pytest.raises(BadInput):
        every(config)


def test_files_that_include_each_other_are_named_in_their_order(config: Path) -> None:
    for name, other in (("one", "two"), ("two", "one")):
        (config / f"study/claims/{name}.yaml").write_text(f"defaults: [claims/{other}]\n")
    with pytest.raises(BadInput, match="one -> two -> one"):
        load("one", config)


def test_a_control_beside_a_check_makes_a_claim(config: Path) -> None:
    checks = f"{CHECK % ''}, {(CHECK % ', control: true').replace('name: c', 'name: d')}"
    (config / "study/claims/mine.yaml").write_text(RECORD % checks)
    assert [check.control for check in load("mine", config).record.checks] == [False, True]


def test_a_folder_that_is_not_there_is_not_read_as_one_without_claims(tmp_path: Path) -> None:
    assert names(tmp_path) == names()
    with pytest.raises(BadInput, match="--config-dir: no folder"):
        names(tmp_path / "nope")
