"""Parts: never NaN, typed columns, nothing lost between writers, damage named; views that agree with other readers."""

from __future__ import annotations

import dataclasses
import itertools
import math
import subprocess
import sys
import threading
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from grokstudy.spec.axes import Value
from grokstudy.spec.rows import CURVE_COLUMNS, CurveRows, MeasureRow, MeasureValue, ProposalRow
from grokstudy.store import disk, parts
from grokstudy.store.columns import explain
from grokstudy.store.compact import compact
from grokstudy.store.folder import StudyFolder
from grokstudy.store.proposal_rows import proposal_rows
from grokstudy.store.views import connect, read_trials
from tests.planted_rows import BARE

ROW = dataclasses.replace(
    BARE,
    seed=1,
    seed_data=1,
    seed_init=1,
    seed_batch=1,
    seed_noise=1,
    t_mem=100,
    t_mem_lo=97,
    t_gen=900,
    t_gen_lo=880,
    retention="unknown",
    test_acc_at_t_mem=0.1,
    train_loss=0.5,
    test_loss=0.5,
    train_acc=1.0,
    test_acc=1.0,
    sum_sq_weights=9.0,
)
DIVERGED = dataclasses.replace(
    ROW,
    trial_id="d",
    status="diverged",
    diverged_step=20,
    t_mem=None,
    t_gen=None,
    train_loss=math.nan,
    test_loss=math.inf,
)
NEVER = dataclasses.replace(ROW, trial_id="n", t_gen=None, t_gen_lo=None, test_acc=0.2, test_acc_at_t_mem=math.nan)

PROPOSAL = ProposalRow(
    number=0,
    trial_id="a",
    source="boundary",
    reason="doubtful",
    point='{"optimizer.lr": 0.1}',
    budget=1000,
    p_confusion=0.1,
    p_memorization=0.2,
    p_inversion=0.0,
    p_grokking=0.3,
    p_comprehension=0.4,
    p_diverged=0.0,
    finished=8,
    expected_error=0.05,
    half_width=math.nan,
    written_at="2026-01-01T00:00:00Z",
)


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["disk", "memory"])
def folder(request: pytest.FixtureRequest, tmp_path: Path) -> StudyFolder:
    root = str(tmp_path / "root") if request.param == "disk" else f"memory://{tmp_path}"
    return StudyFolder.open(root, "study")


def rows_of(folder: StudyFolder, sql: str) -> list[tuple[object, ...]]:
    with connect([folder]) as connection:
        return connection.execute(sql).fetchall()


def tables(folder: StudyFolder, kind: parts.Kind) -> list[pa.Table]:
    found = [folder.get_bytes(name) for name in folder.parts(kind)]
    return [pq.read_table(pa.BufferReader(data)) for data in found if data is not None]


def curve(trial_id: str, losses: Sequence[float]) -> CurveRows:
    names = [name for name in CURVE_COLUMNS if name not in ("trial_id", "step")]
    return CurveRows(
        trial_id=trial_id,
        step=np.arange(len(losses)),
        slices=np.array(losses)[:, None, None] * np.ones((1, 3, 4)),
        **{name: np.array(losses) for name in names},
    )


def test_numbers_that_are_not_finite_are_null_in_every_part(folder: StudyFolder) -> None:
    folder.put_trials([ROW, DIVERGED, NEVER])
    folder.put_curves([curve("d", [1.0, math.nan, math.inf, -math.inf])])
    value = MeasureValue(measure="m", value=math.nan, values=(1.0, math.nan), protocol="p", version=1, reason=None)
    folder.put_measures([MeasureRow(trial_id="d", step=1, value=value, written_at="2026")])
    checked = 0
    for kind in ("trials", "curves", "measures"):
        for table in tables(folder, kind):
            for column in table.columns:
                flat = pc.list_flatten(column) if pa.types.is_list(column.type) else column
                if pa.types.is_floating(flat.type):
                    checked += 1
                    assert pc.all(pc.is_finite(flat.drop_null())).as_py() is not False
    assert checked == 9 + 11 + 4 + 2, "float columns of trials with one of config, curves, slices, value and values"
    assert rows_of(folder, "SELECT count(*), count(train_loss) FROM curves") == [(4, 1)]
    assert rows_of(folder, "SELECT value, values, reason FROM measures_long") == [
        (None, [1.0, None], "not finite (nan)")
    ]


def test_the_writer_refuses_nan() -> None:
    with pytest.raises(ValueError, match="'loss' holds NaN"):
        parts.encode(pa.table({"loss": [1.0, math.nan]}))
    with pytest.raises(ValueError, match="'values' holds NaN"):
        parts.encode(pa.table({"values": [[1.0], [math.nan]]}))


def test_nothing_to_put_makes_no_part(folder: StudyFolder) -> None:
    folder.put_trials([])
    folder.put_curves([])
    folder.put_measures([])
    folder.put_index([])
    assert folder.storage.list("") == []


def test_proposals_come_back_in_order_as_they_were_put_and_survive_compaction(folder: StudyFolder) -> None:
    rows = [dataclasses.replace(PROPOSAL, number=number, p_grokking=None if number else 0.3) for number in (2, 0, 1)]
    folder.put_proposals(rows[:2])
    folder.put_proposals(rows[2:])
    stored = [dataclasses.replace(row, half_width=None) for row in sorted(rows, key=lambda row: row.number)]
    assert proposal_rows(folder) == stored
    assert compact(folder, kinds=("trials", "proposals")) == 2
    assert proposal_rows(folder) == stored
    assert len(folder.parts("proposals")) == 1


def test_an_empty_study_has_empty_views_with_every_explained_column(folder: StudyFolder) -> None:
    with connect([folder]) as connection:
        for view, column, help in explain():
            assert help
            if not column.startswith("<"):
                assert connection.execute(f'SELECT "{column}" FROM {view}').fetchall() == []
        for view in ("trials", "curves", "measures", "measures_long", "checkpoints", "proposals"):
            shown = {row[0] for row in connection.execute(f"DESCRIBE {view}").fetchall()}
            assert shown == {c for v, c, _ in explain() if v == view and not c.startswith("<")}
    assert read_trials(folder) == []


def test_a_config_column_has_the_type_of_its_values_over_all_parts(folder: StudyFolder) -> None:
    columns: dict[str, tuple[list[Value], str]] = {  # values of three trials, the last in a part of its own
        "x.int": ([1, 2, 3], "BIGINT"),
        "x.mixed": ([1, 0.5, None], "DOUBLE"),
        "x.float_later": ([1, 2, 0.5], "DOUBLE"),
        "x.bool": ([True, None, False], "BOOLEAN"),
        "x.text": (["a", None, None], "VARCHAR"),
        "x.empty": ([None, None, None], "VARCHAR"),
        "x.int_later": ([None, None, 64], "BIGINT"),
        "x.bool_later": ([None, None, True], "BOOLEAN"),
    }
    rows = [
        dataclasses.replace(ROW, trial_id=f"t{i}", config={name: values[i] for name, (values, _) in columns.items()})
        for i in range(3)
    ]
    folder.put_trials(rows[:2])
    folder.put_trials(rows[2:])
    listed = ", ".join(f'"{name}"' for name in columns)
    for _ in ("as written", "compacted"):
        types = rows_of(folder, f"DESCRIBE SELECT {listed} FROM trials")
        assert [row[1] for row in types] == [type_ for _, type_ in columns.values()]
        found = rows_of(folder, f"SELECT {listed} FROM trials ORDER BY trial_id")
        assert list(zip(*found, strict=True)) == [tuple(values) for values, _ in columns.values()]
        compact(folder)


def test_a_type_stays_open_through_compaction_until_a_value_comes(folder: StudyFolder) -> None:
    for trial_id in ("a", "b"):
        folder.put_trials([dataclasses.replace(ROW, trial_id=trial_id, config={"batch_size": None})])
    assert compact(folder) == 2
    assert rows_of(folder, "SELECT batch_size FROM trials") == [(None,), (None,)]
    folder.put_trials([dataclasses.replace(ROW, trial_id="c", config={"batch_size": 64})])
    assert rows_of(folder, "SELECT sum(batch_size + 1) FROM trials") == [(65,)]


def test_a_leaf_is_an_alias_where_it_is_unique_and_no_columns_name(folder: StudyFolder) -> None:
    config: dict[str, Value] = {"regularization.weight_decay": 1.0, "task.name": "x", "model.name": "y", "init.seed": 5}
    folder.put_trials([dataclasses.replace(ROW, config=config)])
    found = rows_of(folder, 'SELECT weight_decay, "task.name", "model.name", seed, "init.seed" FROM trials')
    assert found == [(1.0, "x", "y", ROW.seed, 5)]
    assert "name" not in {row[0] for row in rows_of(folder, "DESCRIBE trials")}


def test_a_setting_that_older_parts_lack_is_null_there(folder: StudyFolder) -> None:
    folder.put_trials([ROW])
    folder.put_trials([dataclasses.replace(ROW, trial_id="b", config={"optimizer.lr": 0.2, "optimizer.new": 3})])
    assert rows_of(folder, "SELECT lr, new FROM trials ORDER BY trial_id") == [(0.1, None), (0.2, 3)]


def test_a_reader_keeps_seeing_the_study_of_its_moment(folder: StudyFolder) -> None:
    folder.put_trials([ROW])
    with connect([folder]) as connection:
        folder.put_trials([NEVER])
        assert connection.execute("SELECT count(*) FROM trials").fetchall() == [(1,)]
    assert len(read_trials(folder)) == 2


WRITER = """
import sys
sys.path.insert(0, sys.argv[3])
from test_store_parts import ROW, write_trials
from grokstudy.store.folder import StudyFolder
write_trials(StudyFolder.open(sys.argv[1], "study"), sys.argv[2])
"""


def write_trials(folder: StudyFolder, writer: str) -> None:
    for i in range(25):
        folder.put_trials([dataclasses.replace(ROW, trial_id=f"{writer}-{i}")])
        folder.put_curves([curve(f"{writer}-{i}", [1.0, 2.0])])


def test_four_threads_and_two_processes_lose_nothing(tmp_path: Path) -> None:
    folder = StudyFolder.open(str(tmp_path), "study")
    here = Path(__file__)
    command = [sys.executable, "-c", WRITER, str(tmp_path)]
    processes = [subprocess.Popen([*command, f"p{i}", str(here.parent)], cwd=here.parents[2]) for i in range(2)]
    with ThreadPoolExecutor(4) as pool:
        list(pool.map(lambda i: write_trials(folder, f"t{i}"), range(4)))
    assert [process.wait() for process in processes] == [0, 0]
    expected = {f"{writer}-{i}" for writer in ("p0", "p1", "t0", "t1", "t2", "t3") for i in range(25)}
    assert {state.trial_id for state in read_trials(folder)} == expected
    assert rows_of(folder, "SELECT count(*), count(DISTINCT trial_id) FROM curves") == [(300, 150)]


def test_readers_beside_a_compacting_writer_see_every_trial_that_was_there(folder: StudyFolder) -> None:
    folder.put_trials([ROW])
    ended = threading.Event()

    def write() -> None:
        for i in range(15):
            folder.put_trials([dataclasses.replace(ROW, trial_id=f"t{i}")])
            compact(folder)
        ended.set()

    writer = threading.Thread(target=write)
    writer.start()
    seen: list[set[str]] = []
    while not ended.is_set():
        seen.append({state.trial_id for state in read_trials(folder)})
        connect([folder]).close()
    writer.join()
    assert all("a" in trials for trials in seen)
    assert all(earlier <= later for earlier, later in itertools.pairwise(seen))
    assert len(read_trials(folder)) == 16


def test_a_listing_is_believed_when_nothing_went_meanwhile(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Looks at a directory in which one file replaces another: the second one caught none of them."""
    (tmp_path / "trials").mkdir()
    looks = iter([{"old"}, set(), {"new"}])
    monkeypatch.setattr(disk, "_listed", lambda top: next(looks))
    assert disk.Disk(tmp_path).direct("trials") == ["trials/new"]
