"""Verbs to look around: list, mlflow."""

from __future__ import annotations

import dataclasses
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from grokstudy.cli.read import Storage
from grokstudy.cli.run import Plugins
from grokstudy.cli.show import Format, out, print_entries, print_json, print_rows
from grokstudy.spec.errors import BadInput, StorageUnavailable


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
    study: Annotated[str | None, typer.Argument(help="a study whose charts to open; without it the list")] = None,
    port: Annotated[int, typer.Option("--port", help="on the loopback address; if taken, the next free")] = 5000,
    uri: Annotated[str | None, typer.Option("--uri", help="tracking.uri; default the study's, else the root's")] = None,
    storage: Storage = None,
) -> None:
    """Opens the MLflow UI on the storage root's database (loopback only) and prints the address to open.

    Example: grokstudy mlflow demo --port 5001
    """
    from grokstudy.spec.settings import TrackingSettings
    from grokstudy.store.storage import Storage as StorageRoot
    from grokstudy.study.api import find, storage_root
    from grokstudy.study.document import stored_spec
    from grokstudy.tracking.browse import start_path, study_path
    from grokstudy.tracking.settings import redacted, resolved_uri, sqlite_file
    from grokstudy.tracking.ui import free_port, served, ui_command

    root = storage_root(storage)
    spec = None if study is None else stored_spec(find(study, root))
    settings = TrackingSettings() if spec is None else spec.tracking
    settings = dataclasses.replace(settings, uri=uri or settings.uri)
    store = resolved_uri(settings, StorageRoot.open(root).uri)
    if sqlite_file(store) is None:
        path = start_path() if study is None else study_path(settings, store, study)
        out.print(f"MLflow is a server of its own; open {redacted(store).rstrip('/')}/{path}", markup=False)
        return
    free = free_port(port)
    command = ui_command(store, port=free)
    path = start_path() if study is None else study_path(settings, store, study)
    if free != port:
        out.print(f"Port {port} is taken; using {free}.", markup=False)
    out.print(f"Store: {store}; MLflow takes some seconds to start.", markup=False)
    with served(command, "127.0.0.1", free) as server:
        out.print(f"MLflow: http://127.0.0.1:{free}/{path} (Ctrl-C ends it)", markup=False)
        raise typer.Exit(server.wait())


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
        except (BadInput, StorageUnavailable):
            stored = []
        known = {row["name"] for row in rows}
        rows += [{"name": name, "what": "stored", "source": ""} for name in stored if name not in known]
    return rows


def _described(group: str, name: str, config_dir: Path | None) -> dict[str, str]:
    """What a preset or study says of itself: its first comment and its `source`. Nothing is composed."""
    import importlib.resources

    import yaml

    from grokstudy.spec import bounded_yaml

    shipped = importlib.resources.files("grokstudy.conf") / group / f"{name}.yaml"
    own = None if config_dir is None else config_dir / group / f"{name}.yaml"
    text = own.read_text() if own is not None and own.is_file() else shipped.read_text()
    comments = [line.lstrip("# ") for line in text.splitlines() if line.startswith("#")]
    what = next((line for line in comments if line and not line.startswith("@package")), "")
    try:
        document = bounded_yaml.load(text)
    except yaml.YAMLError as error:
        raise BadInput(f"{group}={name}: its file is not readable YAML ({str(error).splitlines()[0]}).") from error
    source = document.get("source") if isinstance(document, dict) else None
    return {"name": name, "what": what, "source": " ".join(str(source or "").split())}
