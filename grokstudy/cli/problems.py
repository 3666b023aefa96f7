"""The verb `problems`: open problems on toy networks, and what there is for each."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from grokstudy.cli.show import Format, check_document, out, print_entries, print_json
from grokstudy.spec.errors import unknown


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(problems)


def problems(
    number: Annotated[str | None, typer.Argument(help="one of them, e.g. 3.16")] = None,
    format: Annotated[Format, typer.Option("--format", help="table, or json: one document on stdout")] = Format.table,
) -> None:
    """Problems 3.1 to 3.33 of the 200 concrete open problems: a command where we have one, what is missing where not.

    Example: grokstudy problems 3.16
    """
    from grokstudy.claims.problems import PROBLEMS

    check_document(format)
    chosen = [problem for problem in PROBLEMS if number in (None, problem.number)]
    if not chosen:
        raise unknown("problem", number or "", [problem.number for problem in PROBLEMS])
    if format is Format.json:
        rows = [
            {**dataclasses.asdict(one), "words": list(one.words), "status": one.status, "command": one.command or None}
            for one in chosen
        ]
        print_json(rows)
        return
    entries = []
    for problem in chosen:
        lines = [f"{problem.title} ({problem.letter}, {problem.status})"]
        lines += [line for line in (problem.command, problem.see) if line]
        lines += [f"missing: {problem.missing}"] if problem.missing else []
        entries.append((problem.number, lines))
    print_entries(entries)
    if number is None:
        counts = ", ".join(
            f"{sum(one.status == status for one in PROBLEMS)} {status}" for status in ("there", "in part", "missing")
        )
        out.print(f"{len(PROBLEMS)} problems: {counts}.", markup=False)
