"""One trial as its page shows it: what it is, how it went, its figures at any checkpoint, and its verification."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from grokstudy.circuits._verification import Verification
from grokstudy.explorer.overview import version
from grokstudy.phase.circuit_figures_plotly import CircuitFigure
from grokstudy.phase.columns import label
from grokstudy.phase.theme import themed
from grokstudy.spec.errors import DamagedFile, unknown
from grokstudy.store.folder import StudyFolder
from grokstudy.study.figures import NAMES, Figures
from grokstudy.study.trial import Trial, trial_of
from grokstudy.study.verify import plan_trial, verified

MOST_DIGITS = 15
"""Of a step in an address; no trial has more steps."""
RULE = "neuron"
"""Key-frequency rule of the verification."""
FACTS = (
    "outcome",
    "retention",
    "t_mem",
    "t_gen",
    "delay_ratio",
    "t_lose",
    "steps_run",
    "status",
    "stop_reason",
    "error",
    "train_loss",
    "test_loss",
    "train_acc",
    "test_acc",
    "seconds",
    "numerics",
    "pack_id",
    "parent_trial",
    "written_at",
)
"""Columns of its row that say how it went, in the order of the page."""


@dataclasses.dataclass(frozen=True, slots=True)
class Fact:
    """A name and its value, as texts."""

    name: str
    value: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class FigureName:
    """A figure that a trial may have."""

    name: str
    text: str
    """What it shows."""
    at_step: bool
    """Whether it is of one checkpoint."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrialPage:
    """Everything of a trial's page that is not a figure."""

    trial_id: str
    study: str
    outcome: str
    facts: tuple[Fact, ...]
    config: tuple[Fact, ...]
    """Every setting by its path."""
    steps: tuple[int, ...]
    """Of its checkpoints."""
    t_mem: int | None
    t_gen: int | None
    figures: tuple[FigureName, ...]
    python: str
    commands: tuple[str, ...]


def opened(folder: StudyFolder, prefix: str) -> Trial:
    """The trial whose id starts like this. Kept open: looking at one checkpoint after another reads little anew.

    Raises:
        BadInput: no trial of the study starts like this, or several do.
    """
    return _opened(folder, prefix, version(folder))


@functools.lru_cache(maxsize=16)
def _opened(folder: StudyFolder, prefix: str, version: str) -> Trial:
    return trial_of(folder, prefix)


def trial_page(trial: Trial) -> TrialPage:
    """Reads a trial's row and config."""
    row = trial.row
    name = trial.trial_id[:8]
    return TrialPage(
        trial_id=trial.trial_id,
        study=trial.study,
        outcome=label(row["outcome"]),
        facts=tuple(Fact(key, label(row[key])) for key in FACTS if key in row and label(row[key]) != "null"),
        config=tuple(Fact(path, text) for path, text in _leaves(trial.config)),
        steps=trial.steps,
        t_mem=_step(row["t_mem"]),
        t_gen=_step(row["t_gen"]),
        figures=figure_names(),
        python=f"import grokstudy as gs\n\ntrial = gs.open({trial.study!r}).trial({name!r})",
        commands=(
            f"grokstudy verify {name}",
            f"grokstudy progress {trial.study} --trial {name} --out progress.png",
            f"grokstudy export {name} --to net",
            f"grokstudy mlflow {trial.study}",
        ),
    )


def figure_names() -> tuple[FigureName, ...]:
    """The figures of `Trial.figures`, in the order in which they are defined."""
    methods = {name: getattr(Figures, name) for name in NAMES}
    return tuple(
        FigureName(
            name=name,
            text=(inspect.getdoc(method) or "").splitlines()[0],
            at_step="step" in inspect.signature(method).parameters,
        )
        for name, method in methods.items()
    )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DrawnFigure:
    """A figure for the page, which says its note below it in lines that wrap."""

    figure: go.Figure
    note: str
    least: int
    """Pixels; on a narrower screen the figure scrolls sideways, alone."""


def trial_figure(trial: Trial, name: str, step: int | str, *, dark: bool) -> DrawnFigure:
    """One figure of the trial.

    Args:
        step: of a checkpoint, "end", "t_gen" or a multiple of it; ignored by figures over all steps.

    Raises:
        BadInput: there is no such figure, or it is not defined for this trial.
    """
    known = {figure.name: figure for figure in figure_names()}
    if name not in known:
        raise unknown("figure", name, known)
    method = getattr(trial.figures, name)
    figure: CircuitFigure = method(step) if known[name].at_step else method()
    placed = figure.on_page()
    note = figure.picture.note if figure.picture else ""
    return DrawnFigure(figure=themed(placed.figure, dark=dark), note=note, least=placed.least)


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class VerifiedStep:
    """One checkpoint against the algorithm of its task."""

    step: int
    found: Verification
    fitted_margin: float | None


def verification(trial: Trial, step: int | None) -> tuple[VerifiedStep, ...]:
    """The hand-written algorithm against the network: at the start, the last generalised checkpoint and the end, or at
    one step.

    Raises:
        BadInput: no algorithm is known for the task, or there is no such checkpoint.
        DamagedFile: a checkpoint cannot be read.
    """
    steps = []
    for one in verified(plan_trial(trial.stored, () if step is None else (step,)), RULE):
        if isinstance(one, DamagedFile):
            raise one
        assert one.step is not None  # it comes from a checkpoint
        steps.append(VerifiedStep(step=one.step, found=one.found, fitted_margin=one.fitted_margin))
    return tuple(steps)


def parsed_step(text: str | None) -> int | str:
    """A step as in an address: a number, or words that `Trial` knows; None is the end."""
    if text is None or not text:
        return "end"
    return int(text) if text.isdecimal() and len(text) <= MOST_DIGITS else text


def _leaves(config: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in config.items():
        path = f"{prefix}{name}"
        if isinstance(value, Mapping):
            yield from _leaves(value, f"{path}.")
        else:
            yield path, ", ".join(map(str, value)) if isinstance(value, (list, tuple)) else label(value)


def _step(value: object) -> int | None:
    return None if pd.isna(value) else int(value)  # type: ignore[call-overload]
