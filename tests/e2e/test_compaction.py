"""A run leaves few parts: the same rows bit for bit, for those who read meanwhile too, and for every later run."""

from __future__ import annotations

import itertools
import shutil
import threading
from pathlib import Path

import duckdb
import pandas as pd
import pyarrow as pa
import pytest

import grokstudy as gs
from grokstudy.spec.compose import compose_study
from grokstudy.store import compact as module
from grokstudy.store.compact import compact
from grokstudy.store.counting import PartFiles
from grokstudy.store.damaged_part import DamagedPartWarning
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import Kind
from grokstudy.store.views import VIEWS, asked, connect
from grokstudy.study import run
from grokstudy.study.board import Board

from .conftest import SMALL
from .stored import tables

KINDS: tuple[Kind, ...] = ("trials", "curves", "measures")
ATTEMPTS = (
    ["budget=60", "regularization.weight_decay=1,3"],
    ["budget=60", "regularization.weight_decay=0,1,3", "seed=seeds(2)"],
    ["budget=120", "regularization.weight_decay=0,1,3", "seed=seeds(2)", "task.frac_train=0.5,0.8"],
)
MEASURES = "measures.names=[cross_entropy,ipr]"


def _run(root: Path, *words: str) -> None:
    spec = compose_study([*SMALL, f"storage.root={root}", MEASURES, *words], name="s")
    run.run_study(spec, Board(study="s"))


def _rows(folder: StudyFolder) -> dict[str, pa.Table]:
    """Every column of every view, in a fixed order."""
    orders = {
        "trials": "trial_id",
        "curves": "trial_id, step",
        "measures_long": "trial_id, step, measure, protocol",
        "measures": "trial_id, step",
        "checkpoints": "trial_id, step",
        "proposals": "number",
    }

    def read(connection: duckdb.DuckDBPyConnection) -> dict[str, pa.Table]:
        return {view: connection.sql(f"FROM {view} ORDER BY {orders[view]}").to_arrow_table() for view in VIEWS}

    return asked([folder], read)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of three attempts, each with parts of its own."""
    made = tmp_path_factory.mktemp("attempts")
    for words in ATTEMPTS:
        _run(made, *words)
    return made


@pytest.fixture
def folder(root: Path, tmp_path: Path) -> StudyFolder:
    """A copy of it."""
    shutil.copytree(root / "s", tmp_path / "s")
    folder = StudyFolder.open(str(tmp_path), "s")
    assert all(len(folder.parts(kind)) > 1 for kind in KINDS)
    return folder


def test_a_run_leaves_one_part_of_each_kind_and_the_same_rows(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, root = _rows(folder), Path(folder.storage.uri)
    diagram = gs.open(str(root / "s")).phase_diagram("weight_decay", "frac_train", fix={"seed": 0})
    monkeypatch.setattr(run, "MANY_PARTS", 2)
    _run(root, *ATTEMPTS[-1])
    assert [len(folder.parts(kind)) for kind in KINDS] == [1, 1, 1]
    assert all(PartFiles.of([folder], kind).settled for kind in KINDS)
    after = _rows(folder)
    for view in VIEWS:
        assert after[view].equals(before[view]), view
    assert gs.open(str(root / "s")).phase_diagram("weight_decay", "frac_train", fix={"seed": 0}).identical(diagram)


def test_rows_that_are_sorted_in_slices_are_the_same(folder: StudyFolder, monkeypatch: pytest.MonkeyPatch) -> None:
    before = _rows(folder)
    monkeypatch.setattr(module, "AT_A_TIME", 100)
    assert compact(folder) > 0
    assert all(_rows(folder)[view].equals(before[view]) for view in VIEWS)
    with connect([folder]) as connection:
        stored = connection.execute("SELECT trial_id, step FROM curves").fetchall()
    assert stored == sorted(stored)


@pytest.mark.slow
def test_a_compacted_study_goes_on_as_one_that_never_was(folder: StudyFolder, tmp_path: Path) -> None:
    """Law: extended = run at once, bit for bit, with a compaction in between."""
    longer = [*ATTEMPTS[-1][1:], "budget=200"]
    compact(folder)
    _run(tmp_path, *longer)
    _run(tmp_path / "at once", *longer)
    extended, once = tables(tmp_path, "s"), tables(tmp_path / "at once", "s")
    for view in ("trials", "curves"):  # measures are of every budget's end
        assert extended[view].equals(once[view])


def test_few_parts_are_left_as_they_are(folder: StudyFolder) -> None:
    before = {kind: folder.parts(kind) for kind in KINDS}
    assert compact(folder, at_least=run.MANY_PARTS) == 0
    assert {kind: folder.parts(kind) for kind in KINDS} == before


def test_a_compaction_killed_before_it_deletes_leaves_a_study_that_reads_the_same(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = _rows(folder)

    def killed(self: StudyFolder, names: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(StudyFolder, "delete", killed)
        for _ in range(2):  # the second one finds what the first one left
            with pytest.raises(KeyboardInterrupt):
                compact(folder)
    assert len(folder.parts("trials")) > 3
    assert all(_rows(folder)[view].equals(before[view]) for view in VIEWS)
    assert compact(folder) > 0
    assert [len(folder.parts(kind)) for kind in KINDS] == [1, 1, 1]
    assert all(_rows(folder)[view].equals(before[view]) for view in VIEWS)


def test_who_reads_while_parts_are_replaced_sees_whole_rows(folder: StudyFolder) -> None:
    """Parts that were listed are deleted at any moment: then the question is asked anew."""
    before, looked, ended = _rows(folder), threading.Event(), threading.Event()
    parts = {kind: [(name, folder.get_bytes(name) or b"") for name in folder.parts(kind)] for kind in KINDS}

    def replace() -> None:
        for _ in range(3):
            looked.wait()
            looked.clear()
            compact(folder)
            for kind in KINDS:
                compacted = folder.parts(kind)
                for name, data in parts[kind]:
                    folder.put_bytes(name, data)
                folder.delete(compacted)
        ended.set()

    writer = threading.Thread(target=replace)
    writer.start()
    while not ended.is_set():
        found = _rows(folder)
        assert all(found[view].equals(before[view]) for view in VIEWS)
        looked.set()
    writer.join()


def test_a_question_is_asked_anew_when_its_parts_are_gone(folder: StudyFolder) -> None:
    calls = itertools.count(1)

    def question(connection: duckdb.DuckDBPyConnection) -> tuple[int, object]:
        number = next(calls)
        if number == 1:
            assert compact(folder) > 0
        return number, connection.sql("SELECT count(*) FROM curves").fetchall()

    with connect([folder]) as connection:
        rows = connection.sql("SELECT count(*) FROM curves").fetchall()
    assert asked([folder], question) == (2, rows)


def test_a_part_damaged_behind_its_footer_is_never_compacted_away(folder: StudyFolder) -> None:
    name = folder.parts("curves")[-1]
    data = folder.get_bytes(name)
    assert data is not None
    folder.put_bytes(name, b"PAR1" + bytes(len(data) // 2) + data[4 + len(data) // 2 :])
    before = folder.parts("curves")
    compact(folder)
    assert folder.parts("curves") == before
    with pytest.warns(DamagedPartWarning, match="cannot be decoded"):
        left = _rows(folder)["curves"]
    folder.put_bytes(name, data)
    assert 0 < len(left) < len(_rows(folder)["curves"])


def test_views_are_shared_and_yet_each_connection_keeps_the_study_as_it_was(folder: StudyFolder) -> None:
    with connect([folder]) as first, connect([folder]) as second:
        first.register("wanted", pd.DataFrame({"n": [1]}))
        with pytest.raises(duckdb.CatalogException):
            second.execute("FROM wanted")
        count = first.execute("SELECT count(*) FROM trials").fetchall()
        other = StudyFolder(folder.storage, "other")
        other.put_bytes(
            "trials/" + Path(folder.parts("trials")[0]).name, folder.get_bytes(folder.parts("trials")[0]) or b""
        )
        with connect([other]) as third:
            assert third.execute("SELECT count(*) FROM trials").fetchall() != count
        assert second.execute("SELECT count(*) FROM trials").fetchall() == count
