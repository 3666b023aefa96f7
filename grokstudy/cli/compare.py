"""The verb `compare`: paired effects between studies or between the values of one axis."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grokstudy.cli.phases import fixed_settings
from grokstudy.cli.read import At, Budget, Fix, Ratio, Rule, Storage, Tau
from grokstudy.cli.show import Format, err, out, print_rows
from grokstudy.spec.errors import BadInput

if TYPE_CHECKING:
    import pandas as pd

    from grokstudy.phase.compare import Comparison


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(compare)


def compare(
    studies: Annotated[
        list[str],
        typer.Argument(help="baseline, then others; or one with --axis", metavar="STUDY..."),
    ],
    axis: Annotated[
        str | None, typer.Option("--axis", help="compare the values of this setting inside one study")
    ] = None,
    against: Annotated[
        str | None, typer.Option("--against", help="value of --axis that the others are compared with")
    ] = None,
    value: Annotated[
        str, typer.Option("--value", help="t_gen, t_mem, log10_delay_ratio, test_loss or any measure")
    ] = "t_gen",
    by: Annotated[list[str] | None, typer.Option("--by", help="a strip per value; may be repeated")] = None,
    fix: Fix = None,
    tau: Tau = 0.95,
    ratio: Ratio = 5.0,
    budget: Budget = None,
    rule: Rule = None,
    at: At = None,
    target: Annotated[Path | None, typer.Option("--out", help="file: .png .svg .pdf .html .csv .json .parquet")] = None,
    format: Annotated[Format, typer.Option("--format", help="what is printed without --out")] = Format.table,
    storage: Storage = None,
) -> None:
    """How studies, or values of one axis, differ: trials paired by equal seeds and settings, with intervals.

    Example: grokstudy compare plain filtered --out compare.png ; grokstudy compare mine --axis optimizer.filter
    """
    from grokstudy.phase.compare_export import effects, to_json, write
    from grokstudy.phase.compare_sides import CompareQuery
    from grokstudy.phase.export import check_suffix
    from grokstudy.study.api import open
    from grokstudy.study.compare import compare_levels, compare_studies

    if target is not None:
        check_suffix(target)
    query = CompareQuery(
        value=value,
        by=tuple(by or ()),
        fix=tuple(fixed_settings(fix or ()).items()),
        tau=tau,
        ratio=ratio,
        budget=budget,
        rule=rule,
        at=at,
    )
    if against is not None and axis is None:
        raise BadInput("--against: names a value of --axis; give --axis too. Of two studies the first is the baseline.")
    if axis is not None and len(studies) != 1:
        raise BadInput(f"--axis: compares values inside one study, got {len(studies)} studies.")
    if axis is None and len(studies) < 2:
        raise BadInput("compare: give two studies, or one and --axis SETTING.")
    opened = [open(study, storage) for study in studies]
    comparisons = (
        compare_levels(opened[0], axis, query, against) if axis else compare_studies(opened[0], opened[1:], query)
    )
    if target is not None:
        out.print(str(write(comparisons, target)), markup=False)
    elif format is Format.json:
        print(to_json(comparisons))
    elif format is Format.table:
        print_rows(_readable(effects(comparisons)), format, None)
        _tell(comparisons)
    else:
        print_rows(effects(comparisons), format, None)


def _readable(rows: pd.DataFrame) -> pd.DataFrame:
    """What fits on a terminal: the median as one number or a bound, the interval as text."""
    import pandas as pd

    def bounds(row: pd.Series, low: str, high: str) -> str:
        ends = [None if pd.isna(row[name]) else f"{row[name]:.3g}" for name in (low, high)]
        if ends[0] == ends[1]:
            return ends[0] or "unknown"
        return f">= {ends[0]}" if ends[1] is None else f"<= {ends[1]}" if ends[0] is None else f"{ends[0]} to {ends[1]}"

    table = rows.drop(columns=["median", "median_low", "median_high", "low", "high", "confidence"])
    table["median"] = rows.apply(bounds, axis=1, args=("median_low", "median_high"))
    table["interval"] = rows.apply(bounds, axis=1, args=("low", "high"))
    table["reaches"] = rows["confidence"].map("{:.1%}".format)
    return table


def _tell(comparisons: Sequence[Comparison]) -> None:
    """What the rows are about: what differs, the common T, and what was left out."""
    for one in comparisons:
        kind = "ratio" if one.is_ratio else "difference"
        differs = "; ".join(f"{d.path}: {d.a} -> {d.b}" for d in one.differences)
        err.print(f"{one.query.value}, {kind} {one.name}. What differs: {differs}", markup=False)
        if one.unpaired_a or one.unpaired_b:
            err.print(f"  without a partner: {one.unpaired_a} of {one.a}, {one.unpaired_b} of {one.b}", markup=False)
    first = comparisons[0]
    err.print(f"T = {first.budget.steps:,} steps ({first.budget.source}). A picture: --out compare.png", markup=False)
