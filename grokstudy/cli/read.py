"""Verbs that read rows: trials, curves, measures, query."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grokstudy.cli.show import Format, err, print_rows

if TYPE_CHECKING:
    from grokstudy.study.api import Study

StudyName = Annotated[str, typer.Argument(help="name of a study, or path of its folder", metavar="STUDY")]
Storage = Annotated[
    str | None, typer.Option("--storage", help="storage root; default GROKSTUDY_STORAGE or ./grokstudy-data")
]
Fix = Annotated[list[str] | None, typer.Option("--fix", help="setting=value; may be repeated")]
Tau = Annotated[float, typer.Option("--tau", help="accuracy threshold of t_mem and t_gen")]
Ratio = Annotated[float, typer.Option("--ratio", help="t_gen / t_mem from which it is grokking")]
Budget = Annotated[int | None, typer.Option("--budget", help="T: times past it count as not seen")]
Rule = Annotated[str | None, typer.Option("--rule", help="condition for t_gen on curves, e.g. 'test_loss<1e-6'")]
At = Annotated[str | None, typer.Option("--at", help="where measures are read: end, t_gen, 2*t_gen, step:S")]
Where = Annotated[str | None, typer.Option("--where", help="SQL condition on the columns of trials")]
Output = Annotated[Format, typer.Option("--format", help="table, csv, json or parquet")]
Target = Annotated[Path | None, typer.Option("--out", help="file to write instead of stdout")]


def add_to(app: typer.Typer) -> None:
    """Registers the verbs."""
    app.command()(trials)
    app.command()(curves)
    app.command()(measures)
    app.command()(query)


def trials(
    study: StudyName, where: Where = None, format: Output = Format.table, out: Target = None, storage: Storage = None
) -> None:
    """Trials of a study, one row each.

    Example: grokstudy trials demo --where 'weight_decay = 1 AND t_gen IS NOT NULL' --format csv
    """
    frame = _opened(study, storage).trials(where)
    if format is Format.table:
        frame = frame[[name for name in TRIAL_COLUMNS if name in frame] + _varied(frame)]
    print_rows(frame, format, out)


def curves(
    study: StudyName, where: Where = None, format: Output = Format.table, out: Target = None, storage: Storage = None
) -> None:
    """Train and test curves, one row per evaluation.

    Example: grokstudy curves demo --where "trial_id = '...'" --format csv
    """
    print_rows(_opened(study, storage).curves(where), format, out)


def measures(
    study: StudyName, where: Where = None, format: Output = Format.table, out: Target = None, storage: Storage = None
) -> None:
    """Post-hoc measures, one row per measured checkpoint.

    Example: grokstudy measures demo --where 't_gen IS NOT NULL' --format json
    """
    frame = _opened(study, storage).measures(where)
    print_rows(frame, format, out)
    if format is Format.table and frame.drop(columns=["trial_id", "step"]).isna().all(axis=None):
        err.print(f"No values here. Why: grokstudy query {study} 'SELECT DISTINCT measure, reason FROM measures_long'")


def query(
    study: StudyName,
    sql: Annotated[
        str | None, typer.Argument(help="one SELECT over trials, curves, measures, measures_long, checkpoints")
    ] = None,
    tables: Annotated[bool, typer.Option("--tables", help="print every view and column with its meaning")] = False,
    format: Output = Format.table,
    out: Target = None,
    storage: Storage = None,
) -> None:
    """Read-only SQL over a study.

    Example: grokstudy query demo "SELECT weight_decay, avg((t_gen IS NOT NULL)::int) FROM trials GROUP BY 1 ORDER BY 1"
    """
    import pandas as pd

    from grokstudy.spec.errors import BadInput
    from grokstudy.store.columns import explain

    opened = _opened(study, storage)
    if tables:
        print_rows(pd.DataFrame(explain(), columns=["view", "column", "meaning"]), format, out, most=None)
    elif sql is None:
        raise BadInput("query: give one SELECT, or --tables to see what can be asked.")
    else:
        print_rows(opened.sql(sql), format, out)


TRIAL_COLUMNS = [
    "trial_id",
    "seed",
    "status",
    "steps_run",
    "t_mem",
    "t_gen",
    "outcome",
    "retention",
    "train_acc",
    "test_acc",
    "parent_trial",
    "parent_step",
]
"""What the table shows besides the settings that vary; the other formats hold all columns."""


def _opened(name: str, storage: str | None) -> Study:
    from grokstudy.study.api import open

    return open(name, storage)


def _varied(frame: object) -> list[str]:
    import pandas as pd

    assert isinstance(frame, pd.DataFrame)
    return [name for name in frame if "." in name and frame[name].nunique(dropna=False) > 1]
