"""Sections of a report with what came out: outcomes, diagrams, cells, times, example runs."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

import pandas as pd
import xarray as xr

from grokstudy.phase.columns import label
from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.evenly import evenly
from grokstudy.phase.figure_data import figure_data
from grokstudy.phase.figures_matplotlib import phase_figure
from grokstudy.phase.planned import planned_levels, with_planned
from grokstudy.phase.posterior import is_posterior
from grokstudy.phase.posterior_figure import posterior_figure
from grokstudy.phase.posterior_matplotlib import drawn_posterior
from grokstudy.phase.proposals import CHOSEN
from grokstudy.phase.report_document import Block, Picture, Section, Text, table
from grokstudy.phase.report_figure import report_figure
from grokstudy.phase.report_pictures import (
    MOST_LINES,
    MOST_PANELS,
    as_picture,
    examples_figure,
    intervals_figure,
    survival_figure,
)
from grokstudy.phase.report_tables import cell_table, leaves, number, outcome_table
from grokstudy.phase.report_trials import ReportTrials, grouped
from grokstudy.phase.times import OUTCOMES
from grokstudy.spec.errors import BadInput
from grokstudy.study.document import stored_layout
from grokstudy.study.report_source import ReportSource, Slice, in_slice, shown_slice

EXAMPLES_ACROSS = 3
PHASE = "phase"
"""Name of the picture of outcomes and delays, which a finished run writes too."""


def outcomes(source: ReportSource, trials: ReportTrials) -> Section:
    """How many trials came to what."""
    told = (Text(CHOSEN),) if source.adaptive else ()
    return Section("Outcomes", (*told, outcome_table(trials, shares=not source.adaptive)))


def drawn_diagram(source: ReportSource, shown: Slice, trials: ReportTrials) -> xr.Dataset:
    """The diagram of the slice at the report's T, with the cells that are planned but have no trial yet.

    Raises:
        BadInput: it cannot be drawn, e.g. because a setting varies that is no axis.
    """
    layout = stored_layout(source.folder)
    diagram = phase_diagram(source.connection, shown.query(trials), layout.axes, layout.ratio)
    return with_planned(diagram, planned_levels(source.spec))


def diagrams(source: ReportSource, trials: ReportTrials, *, pictures: bool) -> Section | None:
    """Outcomes and delays, and the share that generalised; None for a study without an axis.

    Args:
        pictures: False = only the picture that a finished run writes.
    """
    shown = shown_slice(source.spec, trials)
    if shown is None:
        return None
    if shown.mixed:
        why = (
            f"No diagram: {' and '.join(shown.mixed)} varies too, with a value of its own in every trial; a plane "
            "would hide its effect. The cells below count the trials in bins of every axis."
        )
        return Section("Phase diagram", (Text(why),))
    try:
        diagram = drawn_diagram(source, shown, trials)
        blocks: list[Block] = [_phase(diagram, shown, trials)]
        if pictures:
            blocks += _shares(source, diagram, shown, trials)
    except BadInput as error:
        blocks = [Text(f"No diagram: {error}")]
    return Section("Phase diagram", tuple(blocks))


def cells(source: ReportSource, trials: ReportTrials) -> Section:
    """Censored statistics of every cell of every axis, and of all trials where there is none."""
    if source.adaptive:
        return Section("Cells", (Text(f"None are counted. {CHOSEN}"),))
    name = source.folder.name
    shown = shown_slice(source.spec, trials)
    axes = "" if shown is None else f" --x {shown.x}" + (f" --y {shown.y}" if shown.y else "")
    rest = f"All: grokstudy phases {name}{axes} --format csv." if axes else ""
    return Section("Cells", (cell_table(trials, trials.varied, rest),))


def times(source: ReportSource, trials: ReportTrials) -> Section | None:
    """Survival curves of t_gen; None if no trial generalised, or if trials were chosen by what others did."""
    if trials.table["t_gen"].isna().all() or source.adaptive:  # a curve over chosen trials says nothing of others
        return None
    shown = shown_slice(source.spec, trials)
    own = trials if shown is None else _only(trials, in_slice(shown, trials))
    lines, panels = (None, None) if shown is None else (shown.x, shown.y)
    slices = [
        ("" if panels is None else f"{panels} = {name}", _parts(part, lines, MOST_LINES))
        for name, part in _parts(own, panels, MOST_PANELS)
    ]
    title = f"{source.folder.name}: share generalised by step"
    figure = survival_figure(slices, float(trials.budget.steps), title, lines)
    caption = "Share of trials that generalised by each step, censored trials counted for as long as they were watched."
    if lines is not None:
        caption += f" A curve per value of {lines}" + (f", a panel per value of {panels}." if panels else ".")
    if shown is not None and shown.fix:
        caption += f" Fixed at {_fixed(shown)}."
    if shown is not None and (together := [path for path in (shown.facet, *shown.mixed) if path]):
        caption += f" All values of {' and '.join(together)} together."
    alt = "Kaplan-Meier curves of t_gen"
    return Section("Times", (as_picture(figure, "survival", alt, caption),))


def examples(source: ReportSource, trials: ReportTrials, *, pictures: bool) -> Section:
    """One run of every outcome, chosen by a rule that looks at nothing but times."""
    chosen = list(_chosen(trials.table))
    rule = Text(
        "One run of every outcome: the one in the middle by t_gen, then t_mem, then trial id. Not the prettiest one."
    )
    blocks: list[Block] = [rule]
    if pictures:
        curves = [_curve(source, str(row["trial_id"])) for row in chosen]
        titles = [f"{row['outcome']}  {str(row['trial_id'])[:8]}" for row in chosen]
        runs = [run for run in zip(titles, chosen, curves, strict=True) if len(run[2])]
        for start in range(0, len(runs), EXAMPLES_ACROSS):
            part = runs[start : start + EXAMPLES_ACROSS]
            figure = examples_figure(part, f"{source.folder.name}: example runs")
            names = ", ".join(str(row["outcome"]) for _, row, _ in part)
            blocks.append(as_picture(figure, f"examples-{start // EXAMPLES_ACROSS + 1}", f"Curves of {names}"))
    blocks.append(_example_table(chosen, trials))
    return Section("Example trials", tuple(blocks))


def _phase(diagram: xr.Dataset, shown: Slice, trials: ReportTrials) -> Picture:
    if is_posterior(diagram):
        return _posterior(diagram, shown)
    parts = ["Left: every trial is a tile in the colour of its outcome."]
    if shown.y:
        parts.append("Right: median delay; hatched where nothing ran or more than half never generalised.")
    else:
        parts.append("Right: t_mem and t_gen of every trial, with their censored medians.")
    if shown.fix:
        left = len(trials.table) - diagram.sizes["trial"]
        parts.append(f"Only trials with {_fixed(shown)} are drawn; the {left:,} others are in the table below.")
    if shown.bins:
        parts.append("Axes with many values are drawn in bins.")
    alt = f"Outcomes and delay of generalisation over {shown.x}" + (f" and {shown.y}" if shown.y else "")
    return as_picture(report_figure(diagram), PHASE, alt, " ".join(parts))


def _posterior(diagram: xr.Dataset, shown: Slice) -> Picture:
    """The picture of a study with continuous axes."""
    parts = [
        "Left: the most probable outcome; right: the expected delay. Both are a posterior fitted to all trials, which "
        "are drawn over it as points. Lines: where half of all seeds memorise, generalise, or have a delay of R; a "
        "dotted band holds its line with 95 %, and is paler."
    ]
    if shown.y is None:
        parts = [
            "A posterior fitted to all trials, which are drawn as points: the most probable outcome, and the expected "
            "delay with its 95 % band. Upright lines: where half of all seeds memorise, generalise, or have a delay "
            "of R; the bars above are their intervals."
        ]
    if shown.slices:
        held = ", ".join(f"{path} = {value:g}" for path, value in shown.slices)
        parts.append(f"A slice of the posterior at {held}; trials near it are drawn.")
    if shown.fix:
        parts.append(f"Only trials with {_fixed(shown)} are drawn.")
    alt = f"Posterior of outcomes and delay over {shown.x}" + (f" and {shown.y}" if shown.y else "")
    return as_picture(report_figure(diagram), PHASE, alt, " ".join(parts))


def _shares(source: ReportSource, diagram: xr.Dataset, shown: Slice, trials: ReportTrials) -> Iterator[Picture]:
    """The share that generalised over the plane, and with its intervals along x, a panel per value of y."""
    if is_posterior(diagram):
        alt = f"Chance that a trial generalises over {shown.x}" + (f" and {shown.y}" if shown.y else "")
        yield as_picture(drawn_posterior(posterior_figure(diagram)), "p_gen", alt, f"{alt}.")
        return
    alt = f"Share of trials that generalised over {shown.x}" + (f" and {shown.y}" if shown.y else "")
    caption = "Share of trials that generalised by T; the number in a cell counts its trials."
    if shown.y is None:
        caption = "Share of trials that generalised by T, with its 95 % interval."
    yield as_picture(phase_figure(figure_data(diagram)), "p_gen", alt, caption)
    if shown.y is None or shown.facet is not None or len(trials.levels(shown.y)) > MOST_PANELS:
        return
    asked = dataclasses.replace(shown.query(trials), y=None, facet=shown.y)
    lines = intervals_figure(figure_data(phase_diagram(source.connection, asked)))
    caption = f"The same with 95 % intervals, a panel per value of {shown.y}."
    yield as_picture(lines, "p_gen-intervals", f"{alt}, with intervals", caption)


def _chosen(table: pd.DataFrame) -> Iterator[pd.Series]:
    for name in OUTCOMES:
        own = table[table["outcome"] == name].sort_values(["t_gen", "t_mem", "trial_id"])
        if len(own):
            yield own.iloc[len(own) // 2]


def _curve(source: ReportSource, trial_id: str) -> pd.DataFrame:
    names = ("step", "train_loss", "test_loss", "train_acc", "test_acc")
    columns = ", ".join(f"{name}::DOUBLE AS {name}" for name in names)
    found: pd.DataFrame = source.connection.execute(
        f"SELECT {columns} FROM curves WHERE trial_id = ? ORDER BY step", [trial_id]
    ).df()
    return found


def _example_table(chosen: list[pd.Series], trials: ReportTrials) -> Block:
    ends = ("t_mem", "t_gen", "steps_run")
    header = (
        "outcome",
        "trial",
        *leaves(trials.varied),
        "seed",
        "t_mem",
        "t_gen",
        "steps",
        "test accuracy",
        "test loss",
    )
    rows = [
        (
            str(row["outcome"]),
            str(row["trial_id"]),
            *(label(row[path]) for path in trials.varied),
            label(row["seed"]),
            *(number(float(row[name]), ",.0f") for name in ends),
            *(number(_float(row.get(name)), form) for name, form in (("test_acc", ".3f"), ("test_loss", ".2e"))),
        )
        for row in chosen
    ]
    return table(header, rows, words=2, note="Accuracy and loss at the trial's last evaluation.")


def _float(value: object) -> float | None:
    return None if value is None or pd.isna(value) else float(value)  # type: ignore[arg-type]


def _only(trials: ReportTrials, table: pd.DataFrame) -> ReportTrials:
    return ReportTrials(table=table, budget=trials.budget, varied=trials.varied)


def _parts(trials: ReportTrials, path: str | None, most: int) -> list[tuple[str, ReportTrials]]:
    """The trials of each value of a setting (evenly chosen if there are many), by its text."""
    if path is None:
        return [("", trials)]
    cells = grouped(trials, (path,))
    chosen = evenly(len(cells.names), most).tolist()
    return [(cells.names[i][0], _only(trials, trials.table[cells.cell_of == i])) for i in chosen]


def _fixed(shown: Slice) -> str:
    return ", ".join(f"{path} = {label(value)}" for path, value in shown.fix)
