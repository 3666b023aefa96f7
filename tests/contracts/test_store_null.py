"""NULL, never NaN: DuckDB's views and polars on the same Parquet parts give equal answers."""

from __future__ import annotations

import dataclasses
import math
from pathlib import Path

import polars as pl
import pytest
from test_store_parts import DIVERGED, NEVER, ROW, curve

from grokstudy.spec.rows import MeasureRow, MeasureValue
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect

LOST = dataclasses.replace(ROW, trial_id="l", t_gen=500, retention="lost", t_lose=700, test_acc=0.3, test_loss=4.0)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    folder = StudyFolder.open(str(tmp_path_factory.mktemp("root")), "study")
    folder.put_trials([ROW, DIVERGED])
    folder.put_trials([NEVER, LOST])
    folder.put_curves([curve("d", [1.0, math.nan, math.inf, -math.inf]), curve("a", [0.5, 0.25])])
    folder.put_curves([curve("n", [math.nan, 3.0])])
    values = {"a": 0.5, "d": math.nan, "l": math.inf}
    folder.put_measures(
        [
            MeasureRow(
                trial_id=trial_id,
                step=1,
                value=MeasureValue(measure="m", value=value, values=None, protocol="p", version=1, reason=None),
                written_at="2026",
            )
            for trial_id, value in values.items()
        ]
    )
    return folder


QUESTIONS = {
    "number of trials": ("trials", "count(*)", pl.len()),
    "values there are": ("trials", "count(train_loss)", pl.col("train_loss").count()),
    "values that are missing": ("trials", "count(*) FILTER (train_loss IS NULL)", pl.col("train_loss").is_null().sum()),
    "is not a number": ("trials", "count(*) FILTER (isnan(train_loss))", pl.col("train_loss").is_nan().sum()),
    "not a number, summed": ("trials", "sum(isnan(test_loss)::int)", pl.col("test_loss").is_nan().sum()),
    "sum": ("trials", "sum(test_loss)", pl.col("test_loss").sum()),
    "mean": ("trials", "avg(train_loss)", pl.col("train_loss").mean()),
    "maximum": ("trials", "max(test_loss)", pl.col("test_loss").max()),
    "minimum": ("trials", "min(test_acc_at_t_mem)", pl.col("test_acc_at_t_mem").min()),
    "above": ("trials", "count(*) FILTER (test_loss > 0.4)", (pl.col("test_loss") > 0.4).sum()),
    "above everything": ("trials", "count(*) FILTER (test_loss > 1e9)", (pl.col("test_loss") > 1e9).sum()),
    "below": ("trials", "count(*) FILTER (test_loss < 1)", (pl.col("test_loss") < 1).sum()),
    "share generalised": ("trials", "avg((t_gen IS NOT NULL)::int)", pl.col("t_gen").is_not_null().mean()),
    "share lost": ("trials", "avg((t_lose IS NOT NULL)::int)", pl.col("t_lose").is_not_null().mean()),
    "diverged": ("trials", "count(diverged_step)", pl.col("diverged_step").count()),
    "median time": ("trials", "median(t_gen)", pl.col("t_gen").median()),
    "curve: sum": ("curves", "sum(train_loss)", pl.col("train_loss").sum()),
    "curve: above": ("curves", "count(*) FILTER (train_loss > 0.4)", (pl.col("train_loss") > 0.4).sum()),
    "curve: missing": ("curves", "count(*) FILTER (train_loss IS NULL)", pl.col("train_loss").is_null().sum()),
    "curve: not a number": ("curves", "count(*) FILTER (isnan(train_loss))", pl.col("train_loss").is_nan().sum()),
    "measure: sum": ("measures_long", "sum(value)", pl.col("value").sum()),
    "measure: missing": ("measures_long", "count(*) FILTER (value IS NULL)", pl.col("value").is_null().sum()),
}
FILTERS = ("isnan(train_loss)", "train_loss > 0.4", "train_loss > 2", "NOT (train_loss > 0.4)", "train_loss IS NULL")


@pytest.mark.parametrize("question", QUESTIONS)
def test_duckdb_and_polars_agree_on_diverged_never_grokked_and_lost_trials(folder: StudyFolder, question: str) -> None:
    view, sql, expression = QUESTIONS[question]
    files = str(Path(folder.where("")) / view.removesuffix("_long") / "part-*.parquet")
    with connect([folder]) as connection:
        ours = connection.execute(f"SELECT {sql} FROM {view}").fetchall()[0][0]
    theirs = (
        pl.scan_parquet(files, missing_columns="insert", extra_columns="ignore").select(expression).collect().item()
    )
    assert ours == theirs
    assert ours is not None, "a question without an answer tells nothing"


@pytest.mark.parametrize("condition", FILTERS)
@pytest.mark.parametrize("view", ["trials", "curves"])
def test_duckdb_and_polars_keep_the_same_rows(folder: StudyFolder, view: str, condition: str) -> None:
    """A filter reads statistics of row groups, which an expression does not (duckdb#25521)."""
    files = str(Path(folder.where("")) / view / "part-*.parquet")
    expression = pl.sql_expr(condition.replace("isnan(train_loss)", "false") if "isnan" in condition else condition)
    with connect([folder]) as connection:
        sql = f"SELECT count(*) FROM {view} WHERE {condition}"
        ours = connection.execute(sql).fetchall()[0][0]
    frame = pl.scan_parquet(files, missing_columns="insert", extra_columns="ignore")
    assert ours == frame.filter(expression).select(pl.len()).collect().item()
    assert frame.select(pl.col("train_loss").is_nan().any()).collect().item() is False
