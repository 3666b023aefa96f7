"""The verb `figure`: one picture of one trial as a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from grokstudy.cli.read import Storage
from grokstudy.cli.run import Plugins
from grokstudy.cli.show import out, print_entries
from grokstudy.spec import plugins
from grokstudy.spec.errors import BadInput, unknown

if TYPE_CHECKING:
    from grokstudy.phase.circuit_figures_plotly import CircuitFigure
    from grokstudy.study.trial import Trial


def add_to(app: typer.Typer) -> None:
    """Registers the verb."""
    app.command()(figure)


def figure(
    trial: Annotated[
        str | None, typer.Argument(help="unique prefix of a trial_id over all studies", metavar="TRIAL")
    ] = None,
    name: Annotated[str | None, typer.Argument(help="the figure; without TRIAL all are listed", metavar="NAME")] = None,
    step: Annotated[
        str | None, typer.Option("--step", help="a checkpoint's step, end, t_gen or 2*t_gen; default: end")
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--out", help="file: .png .svg .pdf .html; default NAME-<first digits of the id>.png")
    ] = None,
    plugin: Plugins = None,
    storage: Storage = None,
) -> None:
    """A figure of one trial: curves, Fourier norms, spectra, embedding circles, attention ... Alone it lists them.

    Example: grokstudy figure 3f2a embedding_circles --step t_gen --out circles.pdf
    """
    from grokstudy.study.figures import NAMES, Figures

    if trial is None:
        print_entries([(each, (_what(getattr(Figures, each)),)) for each in NAMES])
        return
    if name is None:
        raise BadInput(f"NAME: missing, must be one of {', '.join(NAMES)}. `grokstudy figure` says what they are.")
    if trial in NAMES and name not in NAMES:
        raise BadInput(f"TRIAL: got the figure '{trial}'; the trial comes first: grokstudy figure {name} {trial}.")
    if name not in NAMES:
        raise unknown("NAME", name, NAMES)
    for path in plugin or []:
        plugins.add_file(path)
    from grokstudy.study.api import trial as stored

    found = stored(trial, storage)
    picture = _drawn(found, name, step)
    out.print(str(picture.save(target or Path(f"{name}-{found.trial_id[:8]}.png"))), markup=False)


def _drawn(trial: Trial, name: str, step: str | None) -> CircuitFigure:
    """The figure at a step.

    Raises:
        BadInput: a step for a figure over all steps, or there is no such checkpoint.
    """
    import inspect

    method = getattr(trial.figures, name)
    if step is None:
        picture: CircuitFigure = method()
    elif "step" not in inspect.signature(method).parameters:
        raise BadInput(f"--step: {name} shows all steps; leave it out.")
    else:
        picture = method(step=int(step) if step.isdigit() else step)
    return picture


def _what(method: object) -> str:
    """First sentence of a figure's documentation."""
    return (method.__doc__ or "").strip().splitlines()[0]
