"""The verb `phases`: phase diagrams as tables, files and pictures."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from grokstudy.cli.read import At, Budget, Fix, Ratio, Rule, Storage, StudyName, Tau
from grokstudy.cli.show import Format, err, out, print_rows
from grokstudy.spec.axes import Value
from grokstudy.spec.errors import BadInput


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(phases)


def phases(
    study: StudyName,
    x: Annotated[str, typer.Option("--x", help="setting on the x axis")],
    y: Annotated[str | None, typer.Option("--y", help="setting on the y axis; none = one dimension")] = None,
    value: Annotated[
        str, typer.Option("--value", help="p_gen, p_<outcome>, t_gen, log10_delay_ratio, retention or any measure")
    ] = "p_gen",
    fix: Fix = None,
    facet: Annotated[str | None, typer.Option("--facet", help="one diagram for each value of this setting")] = None,
    tau: Tau = 0.95,
    ratio: Ratio = 5.0,
    budget: Budget = None,
    rule: Rule = None,
    at: At = None,
    bins: Annotated[
        int | None, typer.Option("--bins", help="bins of continuous axes, in place of a fitted posterior")
    ] = None,
    boundary: Annotated[
        str | None,
        typer.Option(
            "--boundary", help="line over a figure's cells: logistic or gp; continuous axes have a posterior's"
        ),
    ] = None,
    overlay: Annotated[
        Path | None,
        typer.Option("--overlay", help="CSV or JSON of points; columns named like the axes"),
    ] = None,
    target: Annotated[Path | None, typer.Option("--out", help="file: .png .svg .pdf .html .csv .json .parquet")] = None,
    format: Annotated[Format, typer.Option("--format", help="what is printed without --out")] = Format.table,
    storage: Storage = None,
) -> None:
    """A phase diagram of a study under any threshold, ratio, budget or rule, without running anything.

    An axis that was drawn from an interval has no cells: the diagram is a fitted posterior with every trial over it.

    Example: grokstudy phases demo --x weight_decay --y frac_train --value log10_delay_ratio --out delay.png
    """
    import pandas as pd

    from grokstudy.phase.export import cells_table, check_suffix, to_json, write
    from grokstudy.phase.posterior import is_posterior
    from grokstudy.phase.posterior_words import summary
    from grokstudy.study.api import open

    if target is not None:
        check_suffix(target)
    elif overlay is not None:
        raise BadInput("--overlay: points are drawn over a figure; give --out phase.png (or .html .svg .pdf).")
    diagram = open(study, storage).phase_diagram(
        x,
        y,
        value,
        fix=fixed_settings(fix or []),
        facet=facet,
        tau=tau,
        ratio=ratio,
        budget=budget,
        rule=rule,
        at=at,
        bins=bins,
        boundary=boundary,
    )
    if "caution" in diagram.attrs:
        err.print(diagram.attrs["caution"])
    if target is not None:
        out.print(str(write(diagram, target, overlay)), markup=False)
    elif format is Format.json:
        print(to_json(diagram))
    elif is_posterior(diagram) and format is Format.table:
        print_rows(pd.DataFrame(summary(diagram), columns=["", "posterior"]), format, None)
        err.print("A picture: --out phase.png (or .html .svg .pdf); the posterior on a lattice: --format csv|json.")
    else:
        cells = cells_table(diagram).to_pandas()
        print_rows(cells[_short(cells.columns)] if format is Format.table else cells, format, None)
        if format is Format.table:
            err.print("A picture: --out phase.png (or .html .svg .pdf); all columns: --format csv|json.")


def _short(columns: Sequence[str]) -> list[str]:
    """The axes (which come first), counts, the interval of p_gen and the value: what fits on a terminal."""
    wanted = ("n", "n_undetermined", "p_gen", "p_gen_low", "p_gen_high", "t_gen_median", "log10_delay_ratio", "value")
    axes = list(columns)[: list(columns).index("n")]
    return [*axes, *(name for name in wanted if name in columns)]


def fixed_settings(texts: Sequence[str]) -> dict[str, Value]:
    """What is fixed at which value. Raises BadInput for a setting fixed twice: a trial has one value of it."""
    fixed: dict[str, Value] = {}
    for name, value in map(setting_and_value, texts):
        if name in fixed:
            given = " and ".join(f"--fix {name}={each}" for each in (fixed[name], value))
            raise BadInput(f"--fix: {name} is given twice ({given}); fix it at one value, or draw both with --facet.")
        fixed[name] = value
    return fixed


def setting_and_value(text: str) -> tuple[str, Value]:
    """Reads `setting=value`. Raises BadInput for anything else."""
    name, equals, value = text.partition("=")
    if not equals or not name:
        raise BadInput(f"--fix: got '{text}', must be setting=value, e.g. --fix optimizer.lr=0.01.")
    return name, value
