"""The descriptions that MLflow shows, as Markdown: what stands here, what it means, where to look and what to type."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from grokstudy.spec.axes import is_seed
from grokstudy.spec.rows import TrialRow
from grokstudy.tracking.charts import charts_path, run_path
from grokstudy.tracking.settings import Granularity
from grokstudy.tracking.source import StudyProjection

SMALL_PICTURE = "phase_small.png"
"""The diagram in a size that fits into a description (MLflow shows pictures there at their full size)."""
MOST_LISTED = 200
"""Trials of a cell that its description names: a command that MLflow's limit cuts in two is none."""
TRIAL_WORDS = (
    "Each run is one trial. `t_mem`, `t_gen`: first step from which training and test accuracy stay high, missing if "
    "not seen; `delay_ratio` = t_gen / t_mem; `grokstudy.outcome`: what these times make of the trial; `measures/...`: "
    "circuit measures at their checkpoint's step. Curves are thinned to log-spaced steps."
)
CELL_WORDS = (
    "Each run is one cell: the trials that differ in their seeds only, as median and quartiles (`q25`, `q75`). "
    "`n_seeds` counts them; `p_gen` is the share that generalised by step `p_gen_steps`. "
    "`grokstudy.cell` names the cell."
)
STUDY_WORDS = (
    "This study has so many cells that it is shown as one run: its report has the diagram and the table of "
    "all trials. `tracking.granularity=cell` or `trial`, given before the first run, shows them all the same."
)
WORDS: Mapping[Granularity, str] = {"trial": TRIAL_WORDS, "cell": CELL_WORDS, "study": STUDY_WORDS}


def study_note(study: StudyProjection, granularity: Granularity, experiment_id: str, run_id: str) -> str:
    """Description of the experiment and of the study's run; links are relative and hold on any host."""
    return "\n\n".join(_study_lines(study, granularity, experiment_id, run_id))


def trial_note(row: TrialRow, outcome: str | None) -> str:
    """Description of a trial's run."""
    retention = "" if row.retention is None else f", retention {row.retention}"
    return (
        f"{outcome or row.status} after {row.steps_run} steps: t_mem {_time(row.t_mem)}, t_gen {_time(row.t_gen)}"
        f"{retention}.\n\n"
        f"    grokstudy trials {row.study} --where \"trial_id = '{row.trial_id}'\"\n"
        f"    grokstudy curves {row.study} --where \"trial_id = '{row.trial_id}'\"\n"
        f'    gs.trial("{row.trial_id[:8]}", root=...)     # weights, spectra, figures in Python'
    )


def cell_note(study: str, trial_ids: list[str]) -> str:
    """Description of a cell's run."""
    few = len(trial_ids) <= MOST_LISTED
    listed = ", ".join(f"'{trial_id}'" for trial_id in sorted(trial_ids)[:MOST_LISTED])
    head = f"{len(trial_ids)} trials of one cell" + ("" if few else f"; the first {MOST_LISTED} of them")
    return f'{head}:\n\n    grokstudy trials {study} --where "trial_id IN ({listed})"'


def _study_lines(study: StudyProjection, granularity: Granularity, experiment_id: str, run_id: str) -> Iterator[str]:
    # the list of experiments shows the first lines as they are, so they are plain words
    counts = ", ".join(f"{count} {label}" for label, count in study.outcomes.items() if count)
    yield f"{study.n_done} of {study.n_planned} trials done{': ' if counts else ''}{counts}."
    links = [f"[charts]({charts_path(experiment_id)})", f"[table]({charts_path(experiment_id, 'TABLE')})"]
    links.append(f"[study run]({run_path(experiment_id, run_id)})")
    if "phase.html" in study.report:
        links.append(f"[phase diagram]({run_path(experiment_id, run_id, '/artifacts/phase.html')})")
    yield " · ".join(links)  # early: MLflow folds a long description
    if study.note_markdown:
        yield study.note_markdown
    if "phase.png" in study.report:
        yield f"![phase diagram](get-artifact?path={SMALL_PICTURE}&run_uuid={run_id})"
    yield WORDS[granularity]
    yield "This is a copy to browse; the study folder is the truth. There:"
    yield "\n".join(f"    {command}" for command in _commands(study))


def _commands(study: StudyProjection) -> Iterator[str]:
    plane = [path for path in study.varied if not is_seed(path)]
    if len(plane) == 2:
        yield f"grokstudy phases {study.name} --x {plane[0]} --y {plane[1]}"
    yield f"grokstudy ui {study.name}"
    yield f"grokstudy mlflow {study.name}"


def _time(step: int | None) -> str:
    return "not seen" if step is None else str(step)
