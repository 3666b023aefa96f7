"""report.md of a study: what was run, what came out, how to look further."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb
import numpy as np
import pandas as pd
import xarray as xr

from grokstudy.phase.columns import columns_of, config_paths, label, quoted, shown
from grokstudy.phase.figure_data import note
from grokstudy.spec.outcome import LABELS

_MOST_ROWS = 200
_MOST_PARENTS = 5


def report_markdown(connection: duckdb.DuckDBPyConnection, diagram: xr.Dataset, study: str) -> str:
    """The report as Markdown; phase.png and phase.html are expected beside it."""
    sections = [
        f"# {study}",
        "![Outcomes and delay of generalisation](phase.png)",
        note(diagram),
        "## What was run",
        _settings(connection),
        "## Outcomes",
        _outcomes(diagram),
        "## Cells",
        _cells(diagram),
        "## Look further",
        _further(diagram, study),
    ]
    return "\n\n".join(sections) + "\n"


def _settings(connection: duckdb.DuckDBPyConnection) -> str:
    paths = config_paths(columns_of(connection, "trials"))
    fixed_names = ("seed", "steps_run", "status", "seconds", "parent_trial", "parent_step")
    chosen = ", ".join(map(quoted, (*paths, *fixed_names)))
    trials = connection.execute(f"SELECT {chosen} FROM trials ORDER BY trial_id").df()
    varied = [path for path in paths if trials[path].nunique(dropna=False) > 1]
    constant = [path for path in paths if path not in varied]
    statuses = ", ".join(f"{count} {name}" for name, count in trials["status"].value_counts().sort_index().items())
    hours = float(trials["seconds"].fillna(0).sum()) / 3600
    rows = [(f"`{path}`", shown(trials[path])) for path in varied] + [("`seed`", shown(trials["seed"]))]
    fixed = "  ".join(f"`{path}={label(trials[path].iloc[0])}`" for path in constant)
    return (
        f"{len(trials):,} trials ({statuses}), {trials['steps_run'].sum():,} steps, {hours:.2f} hours of stepping.\n\n"
        f"{_lineage(trials)}{_table(('varied', 'values'), rows)}\n\nThe same in all trials: {fixed}"
    )


def _lineage(trials: pd.DataFrame) -> str:
    """A line about forks, where there are any."""
    forks = trials.dropna(subset=["parent_trial"])
    if forks.empty:
        return ""
    parents = forks["parent_trial"].unique().tolist()
    named = ", ".join(f"`{parent}`" for parent in parents[:_MOST_PARENTS])
    more = f" and {len(parents) - _MOST_PARENTS} more" if len(parents) > _MOST_PARENTS else ""
    steps = shown(forks["parent_step"].astype(int))
    return f"{len(forks):,} of them are forks of {named}{more}, from step {steps}.\n\n"


def _outcomes(diagram: xr.Dataset) -> str:
    names, counts = np.unique(diagram["trial_outcome"].to_numpy().astype(str), return_counts=True)
    found = dict(zip(names.tolist(), counts.tolist(), strict=True))
    total = sum(found.values())
    rows = [
        (name, str(found[name]), f"{found[name] / total:.1%}") for name in (*LABELS, "undetermined") if name in found
    ]
    lost = int((diagram["trial_retention"] == "lost").sum())
    text = _table(("outcome", "trials", "share"), rows)
    return text + (f"\n\n{lost} trials generalised and later fell below the threshold again." if lost else "")


def _cells(diagram: xr.Dataset) -> str:
    dims = [diagram.attrs[key] for key in ("facet_dim", "y_dim", "x_dim") if diagram.attrs[key]]
    header = (*dims, "trials", "p_gen", "interval", "median t_mem", "median t_gen", "median log10 delay")
    stacked = diagram.drop_dims(["trial", *(["seed"] if "seed" in diagram.dims and "seed" not in dims else [])])
    cells = stacked.to_dataframe(dim_order=dims).reset_index()
    cells = cells[cells["n"] + cells["n_undetermined"] > 0]
    rows = [
        (
            *(label(cell[dim]) for dim in dims),
            f"{cell['n']:.0f}" + (f" + {cell['n_undetermined']:.0f} undetermined" if cell["n_undetermined"] else ""),
            _number(cell["p_gen"], ".2f"),
            f"{_number(cell['p_gen_low'], '.2f')} to {_number(cell['p_gen_high'], '.2f')}",
            _number(cell["t_mem_median"], ",.0f"),
            _number(cell["t_gen_median"], ",.0f"),
            _number(cell["log10_delay_ratio"], ".2f"),
        )
        for _, cell in cells.head(_MOST_ROWS).iterrows()
    ]
    more = f"\n\nThe first {_MOST_ROWS} of {len(cells)} cells." if len(cells) > _MOST_ROWS else ""
    return (
        f"{_table(header, rows)}{more}\n\nIntervals: Wilson, {diagram.attrs['confidence']:.0%}. Medians of times are "
        "Kaplan-Meier's; a dash: more than half of the trials did not get there by T."
    )


def _further(diagram: xr.Dataset, study: str) -> str:
    attrs = diagram.attrs
    y = f" --y {attrs['y']}" if attrs["y"] else ""
    axes = f"--x {attrs['x']}{y}"
    commands = [
        f"grokstudy phases {study} {axes} --value log10_delay_ratio --out delay.pdf",
        f"grokstudy phases {study} {axes} --tau .99 --ratio 10",
        f"grokstudy trials {study} --where \"outcome = 'grokking'\" --format csv",
        f"grokstudy ui {study}",
    ]
    return "```\n" + "\n".join(commands) + "\n```"


def _table(header: tuple[str, ...], rows: Sequence[tuple[str, ...]]) -> str:
    lines = [header, ("---",) * len(header), *rows]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def _number(value: float, form: str) -> str:
    return "–" if np.isnan(value) else format(value, form)
