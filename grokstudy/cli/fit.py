"""The verb `fit`: statistics of a whole study, with what a reviewer must be told about them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grokstudy.cli.phases import fixed_settings
from grokstudy.cli.read import At, Budget, Fix, Ratio, Rule, Storage, StudyName, Tau
from grokstudy.cli.show import Format, err, out, print_rows
from grokstudy.spec.errors import BadInput


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(fit)


def fit(
    study: StudyName,
    what: Annotated[
        str,
        typer.Argument(
            help="interval, aft, cure, exponent, budget-shift, susceptibility, bimodality, collapse, hysteresis, "
            "sentinels or seeds",
            metavar="WHAT",
        ),
    ],
    x: Annotated[list[str] | None, typer.Option("--x", help="setting that it depends on; may be repeated")] = None,
    event: Annotated[str, typer.Option("--event", help="t_gen or t_mem")] = "t_gen",
    value: Annotated[str | None, typer.Option("--value", help="column of trials or measure, e.g. test_acc")] = None,
    size: Annotated[str | None, typer.Option("--size", help="setting that says how large, e.g. task.p")] = None,
    fix: Fix = None,
    tau: Tau = 0.95,
    ratio: Ratio = 5.0,
    budget: Budget = None,
    rule: Rule = None,
    at: At = None,
    cluster: Annotated[
        str, typer.Option("--cluster", help="trials that share this column are not independent")
    ] = "seed_data",
    confidence: Annotated[float, typer.Option("--confidence", help="of every interval")] = 0.95,
    resamples: Annotated[int, typer.Option("--resamples", help="of a bootstrap")] = 1000,
    resampling_seed: Annotated[int, typer.Option("--resampling-seed", help="of a bootstrap")] = 0,
    target: Annotated[Path | None, typer.Option("--out", help="file: .png .svg .pdf .html .csv .json .parquet")] = None,
    format: Annotated[Format, typer.Option("--format", help="what is printed without --out")] = Format.table,
    storage: Storage = None,
) -> None:
    """Censored times, critical values and transitions of a study, with assumptions and what is not claimed.

    Example: grokstudy fit demo aft --x weight_decay --x frac_train --out aft.png
    """
    from grokstudy.phase.export import check_suffix
    from grokstudy.phase.inference.export import to_json, write
    from grokstudy.study.api import open

    if target is not None:
        check_suffix(target)
    elif format is Format.parquet:
        raise BadInput("--format: parquet is not text; give --out FILE.parquet.")
    found = open(study, storage).fit(
        what,
        x=tuple(x or ()),
        fix=fixed_settings(fix or ()),
        event=event,
        value=value,
        size=size,
        tau=tau,
        ratio=ratio,
        budget=budget,
        rule=rule,
        at=at,
        cluster=cluster,
        confidence=confidence,
        resamples=resamples,
        resampling_seed=resampling_seed,
    )
    if target is not None:
        out.print(str(write(found, target)), markup=False)
    elif format is Format.json:
        print(to_json(found))
    else:
        print_rows(found.table(), format, None)
    if format is not Format.json or target is not None:
        for sentence in found.sentences():
            err.print(f"- {sentence}", markup=False)
