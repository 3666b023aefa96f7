"""First sections of a report: what was asked, and with which settings."""

from __future__ import annotations

import pandas as pd

from grokstudy.phase.columns import config_paths, label, shown
from grokstudy.phase.report_document import Section, Text, table
from grokstudy.phase.report_tables import thresholds
from grokstudy.phase.report_trials import ReportTrials
from grokstudy.spec.axes import Axis, is_seed
from grokstudy.spec.identity import config_columns
from grokstudy.study.report_source import ReportSource

MOST_PARENTS = 5


def question(source: ReportSource) -> Section:
    """What the study asks, in a sentence made from its axes, and where its settings come from."""
    spec = source.spec
    axes = [axis for axis in spec.axes if not is_seed(axis.path)]
    what = config_columns(spec.trial({}))
    setting = f"a {what['model.name']} trained with {what['optimizer.name']} on the task {what['task.name']}"
    if "task.op" in what:
        setting += f" ({what['task.op']})"
    if axes:
        names = " and ".join(axis.path for axis in axes) if len(axes) < 3 else ", ".join(axis.path for axis in axes)
        asked = f"How does generalisation depend on {names}, for {setting}?"
    else:
        asked = f"When does {setting} memorise, and when does it generalise?"
    blocks = [Text(asked)]
    if spec.source:
        blocks.append(Text(f"Settings after: {spec.source}"))
    if source.trials is not None:
        blocks.append(Text(thresholds(source.trials)))
    return Section("Question", tuple(blocks))


def settings(source: ReportSource) -> Section:
    """The axes with their values, and everything that is the same in all trials."""
    rows = [(axis.path, _values(axis), _present(source.trials, axis.path)) for axis in source.spec.axes]
    if source.trials is not None:
        extra = [path for path in source.trials.varied if path not in {axis.path for axis in source.spec.axes}]
        rows += [(path, "follows from others, or from a fork", _present(source.trials, path)) for path in extra]
    header = ("varied", "asked for", "among the trials")
    varied = table(header, rows, words=3) if rows else Text("Nothing varies: the study is one setting.")
    fixed = [(path, label(value)) for path, value in _fixed(source) if label(value) != "null"]
    unset = [path for path, value in _fixed(source) if label(value) == "null"]
    note = f"Not set: {', '.join(unset)}." if unset else ""
    constant = table(("the same in all trials", "value"), fixed, words=2, note=note)
    return Section("Settings", (varied, *_lineage(source.trials), constant))


def _fixed(source: ReportSource) -> list[tuple[str, object]]:
    """Settings that no axis varies, with the budget."""
    if source.trials is None:
        varied = {axis.path for axis in source.spec.axes}
        found = [(path, value) for path, value in config_columns(source.spec.trial({})).items() if path not in varied]
    else:
        table, varied = source.trials.table, set(source.trials.varied)
        found = [(path, table[path].iloc[0]) for path in config_paths(tuple(table.columns)) if path not in varied]
    return [("budget (steps per trial)", f"{source.spec.budget:,}"), *found]


def _values(axis: Axis) -> str:
    if axis.is_interval:
        return f"{axis.low:g} to {axis.high:g}{', log' if axis.log else ''}{', whole numbers' if axis.integer else ''}"
    return shown(pd.Series(list(axis.values), dtype=object))


def _present(trials: ReportTrials | None, path: str) -> str:
    if trials is None:
        return "no trial yet"
    name = path.replace("seeds.", "seed_", 1)
    if name not in trials.table:
        return ""
    column = trials.table[name]
    return shown(column) if column.nunique(dropna=False) <= 8 else f"{column.nunique(dropna=False):,} values"


def _lineage(trials: ReportTrials | None) -> tuple[Text, ...]:
    """A line about forks, where there are any."""
    forks = pd.DataFrame() if trials is None else trials.table.dropna(subset=["parent_trial"])
    if forks.empty:
        return ()
    parents = forks["parent_trial"].unique().tolist()
    named = ", ".join(map(str, parents[:MOST_PARENTS]))
    more = f" and {len(parents) - MOST_PARENTS} more" if len(parents) > MOST_PARENTS else ""
    steps = shown(forks["parent_step"].astype(int))
    return (Text(f"{len(forks):,} of them are forks of {named}{more}, from step {steps}."),)
