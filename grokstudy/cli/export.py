"""The verb `export`: one network as files for other code bases."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from grokstudy.cli.read import Storage
from grokstudy.cli.run import Plugins
from grokstudy.cli.show import Format, check_document, out, print_json
from grokstudy.spec import plugins


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(export)


def export(
    trial: Annotated[str, typer.Argument(help="unique prefix of a trial_id over all studies", metavar="TRIAL")],
    to: Annotated[Path, typer.Option("--to", help="folder to write to")],
    step: Annotated[int | None, typer.Option("--step", min=0, help="a checkpoint's step; default: the last")] = None,
    force: Annotated[bool, typer.Option("--force", help="replace the files of an earlier export")] = False,
    plugin: Plugins = None,
    format: Annotated[Format, typer.Option("--format", help="table or json")] = Format.table,
    storage: Storage = None,
) -> None:
    """Writes model.safetensors (TransformerLens names), config.json and split.json of one trial at one step.

    Example: grokstudy export 3f2a --step 900 --to net ; then grokstudy measure --weights net/model.safetensors
    """
    from grokstudy.study.api import storage_root
    from grokstudy.study.export import export_trial

    check_document(format)
    for path in plugin or []:
        plugins.add_file(path)
    written = export_trial(trial, storage_root(storage), step, to, force=force)
    network = written.network
    if format is Format.json:
        print_json(
            {
                "trial_id": network.trial_id,
                "study": written.study,
                "step": network.step,
                "to": str(to),
                "layout": network.layout,
                "reason": network.reason,
                "tensors": written.tensors,
            }
        )
        return
    names = "TransformerLens's names" if network.reason is None else f"its own names ({network.reason})"
    out.print(f"{network.trial_id} of {written.study} at step {network.step}: {written.tensors} tensors by {names}.")
    out.print(f"  read back   grokstudy measure --weights {to / 'model.safetensors'}", markup=False)
