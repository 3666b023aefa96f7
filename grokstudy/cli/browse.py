"""Verbs to look around: list, mlflow."""

from __future__ import annotations

import os
import subprocess
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from grokstudy.cli.read import Storage
from grokstudy.cli.run import Plugins
from grokstudy.cli.show import Format, out, print_entries, print_json, print_rows
from grokstudy.spec.errors import BadInput


class Kind(StrEnum):
    """What `list` can list."""

    tasks = "tasks"
    models = "models"
    losses = "losses"
    optimizers = "optimizers"
    regularizers = "regularizers"
    samplers = "samplers"
    measures = "measures"
    presets = "presets"
    studies = "studies"


def add_to(app: typer.Typer) -> None:
    """Registers the verbs."""
    app.command(name="list")(list_)
    app.command()(mlflow)


def list_(
    kind: Annotated[Kind, typer.Argument(help="what to list")],
    format: Annotated[Format, typer.Option("--format", help="table, csv or json")] = Format.table,
    config_dir: Annotated[Path | None, typer.Option("--config-dir", help="folder with your own config groups")] = None,
    plugin: Plugins = None,
    storage: Storage = None,
) -> None:
    """Plug-ins, presets and studies with what they are and where they come from.

    Example: grokstudy list presets
    """
    import pandas as pd

    from grokstudy.spec import plugins

    for path in plugin or []:
        plugins.add_file(path)
    rows = _configs(kind, config_dir, storage) if kind in (Kind.presets, Kind.studies) else _plugins(kind)
    if format is Format.json:
        print_json(rows)
    elif format is Format.table:
        print_entries([(row["name"], (row["what"], row["source"])) for row in rows])
    else:
        print_rows(pd.DataFrame(rows), format, None)


def mlflow(
    port: Annotated[int, typer.Option("--port", help="port on the loopback address")] = 5000,
    storage: Storage = None,
) -> None:
    """Opens the MLflow UI on the storage root's database (loopback only).

    Example: grokstudy mlflow --port 5001
    """
    from grokstudy.store.storage import Storage as StorageRoot
    from grokstudy.study.api import storage_root
    from grokstudy.tracking.settings import default_uri
    from grokstudy.tracking.ui import ui_command, ui_environment

    uri = default_uri(StorageRoot.open(storage_root(storage)).uri)
    out.print(f"MLflow: http://127.0.0.1:{port}/#/experiments (Ctrl-C ends it)", markup=False)
    raise typer.Exit(subprocess.run(ui_command(uri, port=port), env={**os.environ, **ui_environment()}).returncode)


def _plugins(kind: Kind) -> list[dict[str, str]]:
    from grokstudy.spec import plugins

    room = "circuits" if kind is Kind.measures else kind.value
    rows = []
    for name in plugins.names(room):
        kind_of = plugins.load(room, name)
        text = (kind_of.__doc__ or "").strip()
        source = text.rpartition("Source: ")[2] if "Source: " in text else ""
        when = "" if getattr(kind_of, "default", True) else " Only when named."
        rows.append({"name": name, "what": text.splitlines()[0] + when, "source": " ".join(source.split())})
    return rows


def _configs(kind: Kind, config_dir: Path | None, storage: str | None) -> list[dict[str, str]]:
    from grokstudy.spec.compose import options

    group = "preset" if kind is Kind.presets else "study"
    rows = [_described(group, name, config_dir) for name in options(group, config_dir)]
    if kind is Kind.studies:
        from grokstudy.study.api import studies

        try:
            stored = studies(storage)
        except BadInput:
            stored = []
        known = {row["name"] for row in rows}
        rows += [{"name": name, "what": "stored", "source": ""} for name in stored if name not in known]
    return rows


def _described(group: str, name: str, config_dir: Path | None) -> dict[str, str]:
    """What a preset or study says of itself: its first comment and its `source`. Nothing is composed."""
    import importlib.resources

    import yaml

    shipped = importlib.resources.files("grokstudy.conf") / group / f"{name}.yaml"
    own = None if config_dir is None else config_dir / group / f"{name}.yaml"
    text = own.read_text() if own is not None and own.is_file() else shipped.read_text()
    comments = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    what = next((line for line in comments if line and not line.startswith("@package")), "")
    try:
        document = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{group}={name}: its file is not readable YAML ({str(error).splitlines()[0]}).") from error
    source = document.get("source") if isinstance(document, dict) else None
    return {"name": name, "what": what, "source": " ".join(str(source or "").split())}
