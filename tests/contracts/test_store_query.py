"""What a query may say, and that an error names the place, the nearest name and the remedy."""

from __future__ import annotations

import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from test_store_parts import NEVER, ROW, curve

from grokstudy.spec.errors import BadInput
from grokstudy.spec.rows import MeasureRow, MeasureValue
from grokstudy.store.columns import explain
from grokstudy.store.compact import compact
from grokstudy.store.folder import StudyFolder
from grokstudy.store.sql import query
from grokstudy.store.sql_ask import PROCESS
from grokstudy.store.views import connect


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    folder = StudyFolder.open(str(tmp_path / "root"), "study")
    folder.put_trials([ROW])
    folder.put_trials([NEVER])
    return folder


@pytest.mark.parametrize(
    ("sql", "rows"),
    [
        ("SELECT trial_id FROM trials ORDER BY trial_id", [("a",), ("n",)]),
        ("SELECT trial_id FROM trials ORDER BY trial_id DESC;", [("n",), ("a",)]),
        ("SELECT 1 -- a comment", [(1,)]),
        ("/* a; comment */ SELECT 1 ; -- more", [(1,)]),
        ("WITH one AS (SELECT 1) FROM one", [(1,)]),
        ("WITH trials AS (SELECT 7 AS x) SELECT x FROM trials", [(7,)]),
        ("WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 FROM a) FROM b", [(2,)]),
        (
            "WITH RECURSIVE t(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM t WHERE i < 5) SELECT sum(i)::INT FROM t",
            [(15,)],
        ),
        ("FROM trials SELECT count(*) FILTER (NOT censored)", [(1,)]),
        ("SELECT seed, seed FROM trials LIMIT 1", [(1, 1)]),
        ("SELECT count(*) FROM curves", [(0,)]),
        ("SELECT count(*) FROM memory.main.TRIALS", [(2,)]),
        ('SELECT "optimizer.lr", lr FROM "trials" LIMIT 1', [(0.1, 0.1)]),
        ("SELECT trial_id, row_number() OVER (ORDER BY trial_id DESC) FROM trials ORDER BY 1", [("a", 2), ("n", 1)]),
        ("SELECT count(*) FROM trials a JOIN trials b USING (trial_id)", [(2,)]),
        ("SELECT (SELECT max(t_gen) FROM trials)", [(900,)]),
        ("SELECT trial_id FROM trials WHERE t_gen IN (SELECT t_gen FROM trials)", [("a",)]),
        ("SELECT x FROM (VALUES (1), (2)) v(x) ORDER BY x", [(1,), (2,)]),
        ("SELECT unnest([3, 4])", [(3,), (4,)]),
        ("SELECT i FROM range(2) r(i)", [(0,), (1,)]),
        ("SELECT list_transform([1, 2], lambda x: x + 1)", [([2, 3],)]),
        ("SELECT median(t_gen), quantile_cont(t_gen, 0.5) FROM trials", [(900.0, 900.0)]),
        ("PIVOT trials ON status IN ('done') USING count(*) GROUP BY study", [("study", 2)]),
        ("SELECT 1 UNION ALL SELECT 2", [(1,), (2,)]),
        ("SELECT 'ä→; DROP VIEW trials'", [("ä→; DROP VIEW trials",)]),
    ],
)
def test_reading_works(folder: StudyFolder, sql: str, rows: list[tuple[object, ...]]) -> None:
    found = query([folder], sql, 10)
    assert list(zip(*(column.to_pylist() for column in found.columns), strict=True)) == rows


@pytest.mark.parametrize(
    "sql",
    [
        "DESCRIBE trials",
        "DESCRIBE SELECT * FROM measures",
        "SHOW trials",
        "SHOW TABLES",
        "SUMMARIZE trials",
        "SUMMARIZE SELECT t_gen FROM trials",
        "EXPLAIN SELECT 1",
        "EXPLAIN FROM trials",
        "explain analyze SELECT * FROM trials",
    ],
)
def test_questions_about_the_views_work(folder: StudyFolder, sql: str) -> None:
    assert query([folder], sql, 10).num_rows > 0


def test_no_more_than_the_limit_is_returned(folder: StudyFolder) -> None:
    assert query([folder], "SELECT * FROM range(1000)", 10).column(0).to_pylist() == list(range(10))


def test_a_query_sees_the_study_as_it_is_now(folder: StudyFolder) -> None:
    assert query([folder], "SELECT count(*) AS n FROM trials", 1).to_pylist() == [{"n": 2}]
    compact(folder)
    assert query([folder], "SELECT count(*) AS n FROM trials", 1).to_pylist() == [{"n": 2}]


def test_threads_get_their_own_answers(folder: StudyFolder) -> None:
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(lambda i: query([folder], f"SELECT {i} AS i, count(*) AS n FROM trials", 1), range(24)))
    assert [table.to_pylist() for table in found] == [[{"i": i, "n": 2}] for i in range(24)]


def test_a_process_that_was_killed_is_started_again(folder: StudyFolder) -> None:
    query([folder], "SELECT 1", 1)
    running = PROCESS._running
    assert running is not None
    running.kill()
    running.wait()
    with pytest.raises(BadInput, match="too much memory"):
        query([folder], "SELECT 1", 1)
    assert query([folder], "SELECT 1 AS one", 1).to_pylist() == [{"one": 1}]


def test_an_interrupted_question_is_not_the_answer_to_the_next(
    folder: StudyFolder, monkeypatch: pytest.MonkeyPatch
) -> None:
    from grokstudy.store import sql_ask

    def interrupted(source: object) -> bytes:
        raise KeyboardInterrupt

    query([folder], "SELECT 1", 1)
    with monkeypatch.context() as patched:
        patched.setattr(sql_ask, "read_block", interrupted)
        with pytest.raises(KeyboardInterrupt):
            query([folder], "SELECT 'old' AS answer", 1)
    assert query([folder], "SELECT 'new' AS answer", 1).to_pylist() == [{"answer": "new"}]
    assert threading.active_count() < 10, "no timer is left behind"


MISTAKES = {
    "SELEC 1": 'query: syntax error at or near "SELEC" (line 1, column 1).\n  SELEC 1\n  ^^^^^',
    "SELECT\n  seed,\nFROM trials WHERE": (
        'query: syntax error at or near "WHERE" (line 3, column 13).\n  FROM trials WHERE\n              ^^^^^'
    ),
    "SELECT steps_ran FROM trials": (
        "query: no column 'steps_ran'; did you mean 'steps_run'? `grokstudy query STUDY --tables` explains every "
        "column (line 1, column 8).\n  SELECT steps_ran FROM trials\n         ^^^^^^^^^"
    ),
    "SELECT 'ä', t.steps_ran FROM trials t": (
        "query: no column 'steps_ran'; did you mean 'steps_run'? `grokstudy query STUDY --tables` explains every "
        "column (line 1, column 13).\n  SELECT 'ä', t.steps_ran FROM trials t\n              ^^^^^^^^^^^"
    ),
    "SELECT lr FROM curves": (
        "query: no column 'lr' here; trials has it: JOIN trials USING (trial_id). `grokstudy query STUDY --tables` "
        "explains every column (line 1, column 8).\n  SELECT lr FROM curves\n         ^^"
    ),
    "FROM trails": (
        "query: no view 'trails'; did you mean 'trials'? There are trials, curves, measures_long, measures, "
        "checkpoints, proposals (line 1, column 6).\n  FROM trails\n       ^^^^^^"
    ),
    "EXPLAIN FROM trails": (
        "query: no view 'trails'; did you mean 'trials'? There are trials, curves, measures_long, measures, "
        "checkpoints, proposals (line 1, column 14).\n  EXPLAIN FROM trails\n               ^^^^^^"
    ),
    "SELECT medan(t_gen) FROM trials": (
        'query: Scalar Function with name medan does not exist! Did you mean "median"? (line 1, column 8).\n'
        "  SELECT medan(t_gen) FROM trials\n         ^^^^^^^^^^^^"
    ),
    "SELECT 'x'::INT": (
        "query: Could not convert string 'x' to INT32 (line 1, column 11).\n  SELECT 'x'::INT\n            ^^^^^"
    ),
    "PIVOT trials ON status USING count(*)": (
        "query: PIVOT must name its values, as in: PIVOT trials ON outcome IN ('grokking', 'memorization') USING "
        "count(*) GROUP BY weight_decay."
    ),
}


@pytest.mark.parametrize("sql", MISTAKES)
def test_a_mistake_is_shown_at_its_place_with_the_nearest_name(folder: StudyFolder, sql: str) -> None:
    with pytest.raises(BadInput) as error:
        query([folder], sql, 10)
    assert str(error.value) == MISTAKES[sql]


def test_a_long_line_is_cut_around_the_place(folder: StudyFolder) -> None:
    with pytest.raises(BadInput) as error:
        query([folder], f"SELECT {'seed, ' * 50}nothing_like_it, {'seed, ' * 50} 1 FROM trials", 10)
    _, line, carets = str(error.value).splitlines()
    assert len(line) < 120
    assert line[carets.index("^") : carets.index("^") + carets.count("^")] == "nothing_like_it"


def test_every_column_of_every_view_has_a_sentence_measures_and_settings_by_their_placeholder(
    folder: StudyFolder,
) -> None:
    folder.put_curves([curve("a", [1.0])])
    value = MeasureValue(measure="gini_W_E", value=1.0, values=None, protocol="p", version=1, reason=None)
    folder.put_measures([MeasureRow(trial_id="a", step=0, value=value, written_at="2026")])
    told = {(view, column): help for view, column, help in explain()}
    assert all(len(help) > 3 and "\n" not in help for help in told.values())
    settings, measures = set(ROW.config) | {"lr"}, {"gini_W_E"}
    with connect([folder]) as connection:
        views = [row[0] for row in connection.execute("SHOW TABLES").fetchall()]
        assert set(views) == {view for view, _ in told}
        for view in views:
            for column, *_ in connection.execute(f"DESCRIBE {view}").fetchall():
                known = (
                    (view, column) in told
                    or (view == "trials" and column in settings and ("trials", "<config path>") in told)
                    or (view == "measures" and column in measures and ("measures", "<measure>") in told)
                )
                assert known, f"{view}.{column}"
