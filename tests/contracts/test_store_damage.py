"""A damaged part is named and left out: everything else is read, and no writer takes it away or builds on it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from test_store_parts import NEVER, PROPOSAL, ROW, curve

from grokstudy.spec.errors import DamagedFile
from grokstudy.spec.rows import CheckpointRow, MeasureRow, MeasureValue
from grokstudy.store import parts
from grokstudy.store.checkpoints import checkpoints
from grokstudy.store.compact import compact
from grokstudy.store.copy import copy_rows
from grokstudy.store.damage import damaged_parts
from grokstudy.store.damaged_part import DamagedPartWarning
from grokstudy.store.folder import StudyFolder
from grokstudy.store.sql import query
from grokstudy.store.views import connect, read_trials


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StudyFolder:
    root = str(tmp_path / "root") if request.param == "disk" else f"memory://{tmp_path}"
    return StudyFolder.open(root, "study")


def as_part(**columns: list[object]) -> bytes:
    return parts.encode(pa.table(columns))


def holed(data: bytes) -> bytes:
    """The footer is whole, the pages before it are not: as a disk loses a block."""
    return data[:4] + bytes(range(256)) * 4 + data[4 + 1024 :]


DAMAGES: dict[str, tuple[Callable[[bytes], bytes], str]] = {
    "truncated": (lambda data: data[:-20], "not a whole Parquet file"),
    "half": (lambda data: data[: len(data) // 2], "not a whole Parquet file"),
    "empty": (lambda data: b"", "an empty file"),
    "wrong magic": (lambda data: data[:-4] + b"PAR2", "not a whole Parquet file"),
    "garbage": (lambda data: bytes(range(256)) * 40, "not a whole Parquet file"),
    "text": (lambda data: b"<html>404</html>", "not a whole Parquet file"),
    "other columns": (lambda data: as_part(x=[1.0]), "it has no column 'trial_id'"),
    "other types": (
        lambda data: as_part(trial_id=[1], steps_run=[1], status=["done"], written_at=[""]),
        "column 'trial_id' holds int64, must be string",
    ),
    "nested setting": (
        lambda data: as_part(trial_id=["z"], steps_run=[1], status=["done"], written_at=[""], lr=[{"a": 1}]),
        "which no setting does",
    ),
}


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_part_is_named_and_nothing_else_is_lost(folder: StudyFolder, damage: str) -> None:
    change, reason = DAMAGES[damage]
    folder.put_trials([ROW])
    folder.put_trials([NEVER])
    name = folder.parts("trials")[1]
    whole = folder.get_bytes(name)
    assert whole is not None
    folder.put_bytes(name, change(whole))
    with pytest.warns(DamagedPartWarning, match="damaged") as told:
        assert [state.trial_id for state in read_trials(folder)] == ["a"]
    with pytest.warns(DamagedPartWarning), connect([folder]) as connection:
        assert connection.execute("SELECT trial_id FROM trials").fetchall() == [("a",)]
    with pytest.warns(DamagedPartWarning):
        assert query([folder], "SELECT trial_id FROM trials", 10).column(0).to_pylist() == ["a"]
    (part,) = damaged_parts(folder)
    assert (part.study, part.kind, part.name) == ("study", "trials", name)
    assert reason in part.reason
    message = str(told[0].message)
    assert "\n" not in message
    assert message == str(part)
    assert message.startswith(f"{folder.where(name)}: ")
    assert "`grokstudy run` of the study runs them again" in message
    folder.put_bytes(name, whole)
    assert len(read_trials(folder)) == 2, "a part that was brought back is read again"
    assert damaged_parts(folder) == ()


def fill(folder: StudyFolder) -> None:
    """Two parts of each kind with one trial each."""
    for i in (0, 1):
        folder.put_trials([dataclasses.replace(ROW, trial_id=f"t{i}")])
        folder.put_curves([curve(f"t{i}", [1.0, 2.0])])
        value = MeasureValue(measure="m", value=1.0, values=None, protocol="p", version=1, reason=None)
        folder.put_measures([MeasureRow(trial_id=f"t{i}", step=1, value=value, written_at="2026")])
        row = CheckpointRow(trial_id=f"t{i}", step=1, file="f", lane=0, sha256="", kind="end")
        folder.put_index([row])
        folder.put_proposals([dataclasses.replace(PROPOSAL, number=i, trial_id=f"t{i}")])


@pytest.mark.parametrize("kind", list(parts.PREFIXES))
def test_damage_of_one_kind_leaves_the_others_whole(folder: StudyFolder, kind: parts.Kind) -> None:
    fill(folder)
    folder.put_bytes(folder.parts(kind)[0], b"PAR1")
    view = "measures_long" if kind == "measures" else kind
    with pytest.warns(DamagedPartWarning) as told:
        connection = connect([folder])
    with connection:
        for name in ("trials", "curves", "measures_long", "checkpoints", "proposals"):
            found = {row[0] for row in connection.execute(f"SELECT DISTINCT trial_id FROM {name}").fetchall()}
            assert found == ({"t1"} if name == view else {"t0", "t1"})
    assert [str(one.message) for one in told] == [str(part) for part in damaged_parts(folder)]
    with pytest.warns(DamagedPartWarning):
        assert len(checkpoints(folder)) == (1 if kind == "checkpoints" else 2)


@pytest.mark.parametrize("kind", ["trials", "curves", "measures", "proposals"])
def test_no_writer_takes_a_damaged_part_away_or_copies_what_lacks_its_rows(
    folder: StudyFolder, tmp_path: Path, kind: parts.Kind
) -> None:
    fill(folder)
    name = folder.parts(kind)[0]
    folder.put_bytes(name, b"PAR1")
    before = folder.parts(kind)
    assert compact(folder) == 6, "the two parts of each of the other three kinds"
    assert folder.parts(kind) == before
    assert folder.get_bytes(name) == b"PAR1"
    target = StudyFolder.open(str(tmp_path / "copy"), "copy")
    with pytest.raises(DamagedFile, match=rf"{folder.where(name)}.*Nothing is copied"):
        copy_rows(folder, target, kind, ["t0", "t1"])
    assert target.names("") == []


def test_a_part_whose_pages_cannot_be_decoded_is_left_out_too(folder: StudyFolder) -> None:
    rows = [dataclasses.replace(NEVER, trial_id=f"n{i}", train_loss=i / 7) for i in range(500)]
    folder.put_trials([ROW])
    folder.put_trials(rows)
    name = folder.parts("trials")[1]
    whole = folder.get_bytes(name)
    assert whole is not None
    folder.put_bytes(name, holed(whole))
    with pytest.warns(DamagedPartWarning, match="its pages cannot be decoded"):
        found = query([folder], "SELECT count(*), sum(train_loss) FROM trials", 1)
    assert found.to_pylist() == [{"count_star()": 1, "sum(train_loss)": ROW.train_loss}]
    with pytest.warns(DamagedPartWarning):
        assert len(read_trials(folder)) == 1
    (part,) = damaged_parts(folder)
    assert part.name == name


def test_the_warning_can_be_made_an_error(folder: StudyFolder) -> None:
    fill(folder)
    folder.put_bytes(folder.parts("trials")[0], b"")
    with pytest.raises(DamagedPartWarning):  # warnings are errors in these tests
        connect([folder])
    with pytest.raises(DamagedPartWarning):
        query([folder], "SELECT 1 FROM trials", 1)
