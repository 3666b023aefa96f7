"""The verb `doctor`: what works here and on a cluster, and what to do where something does not."""

from __future__ import annotations

import collections
import textwrap
from typing import TYPE_CHECKING, Annotated

import typer
from rich.text import Text

from grokstudy.cli.run import ConfigDir, Plugins, Words
from grokstudy.cli.show import ENTRY_WIDTH, Format, check_document, out, print_json

if TYPE_CHECKING:
    from grokstudy.study.doctor import Check

STYLES = {"ok": "green", "warning": "bold yellow", "failed": "bold red", "not checked": "dim"}
STATE, NAME = 13, 22
"""Columns."""


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(doctor)


def doctor(
    words: Words = None,
    address: Annotated[
        str | None, typer.Option("--address", help="dashboard of a Ray cluster that jobs go to, http://HOST:8265")
    ] = None,
    config_dir: ConfigDir = None,
    plugin: Plugins = None,
    format: Annotated[Format, typer.Option("--format", help="table, or json: one document on stdout")] = Format.table,
) -> None:
    """Checks versions, memory, GPUs, disks, the storage, clocks, MLflow and a Ray cluster; exit code 1 if one fails.

    Example: grokstudy doctor storage.root=s3://bucket/studies tracking.uri=http://mlflow:5000 cluster=ray
    """
    import dataclasses

    from grokstudy.spec import plugins
    from grokstudy.spec.compose import compose_study
    from grokstudy.study.doctor import examined

    check_document(format)
    for path in plugin or []:
        plugins.add_file(path)
    checks = []
    for check in examined(compose_study(words or [], config_dir=config_dir), address):
        checks.append(check)
        if format is Format.table:
            _show(check)
    counts = collections.Counter(str(check.state) for check in checks)
    if format is Format.json:
        print_json({"checks": [dataclasses.asdict(check) for check in checks], "failed": counts["failed"]})
    else:
        out.print(", ".join(f"{counts[state]} {state}" for state in STYLES if counts[state]), style="bold")
    if counts["failed"]:
        raise typer.Exit(1)


def _show(check: Check) -> None:
    """One line with what was found; what to do stands below it."""
    line = Text(check.state.ljust(STATE), style=STYLES[check.state])
    line.append(check.name.ljust(NAME), style="default")
    line.append(check.found, style="dim" if check.state == "not checked" else "default")
    out.print(line)
    indent = " " * (STATE + NAME)
    width = max(out.width if out.is_terminal else ENTRY_WIDTH, len(indent) + 40)
    for text in textwrap.wrap(check.remedy, width - len(indent), break_on_hyphens=False, break_long_words=False):
        out.print(Text(indent + text, style="bold"))
