"""Last sections of a report, and its warnings: where the numbers come from, and what they cannot say."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

import numpy as np

from grokstudy.phase.report_document import Points, Section, Table, table
from grokstudy.phase.report_trials import grouped
from grokstudy.phase.times import UNDETERMINED
from grokstudy.spec import bounded_yaml
from grokstudy.spec.rows import FINAL
from grokstudy.spec.trial import plugin_name
from grokstudy.store.damage import damaged_parts
from grokstudy.store.damaged_part import LOST
from grokstudy.study.activity import activity
from grokstudy.study.document import FILE
from grokstudy.study.report_source import ReportSource, continuous, shown_slice

MOST_ATTEMPTS = 8
WORKING = ("preparing", "training", "measuring")
FEW_SEEDS = 10
"""Trials per cell below which a share says little."""


def provenance(source: ReportSource) -> Section:
    """Versions, numerics, attempts, dates, and how many trials ended how."""
    return Section("Provenance", (_origin(source), _versions(source)))


def warnings(source: ReportSource) -> tuple[str, ...]:
    """What must be known before any number is read: work under way, trials that are missing or unknown."""
    return tuple(_warnings(source))


def limits(source: ReportSource) -> Section:
    """What the numbers of this report cannot say."""
    return Section("Limits", (Points(tuple(_limits(source))),))


def _warnings(source: ReportSource) -> Iterator[str]:
    trials = source.trials
    for part in damaged_parts(source.folder):
        yield f"{part.name} is damaged ({part.reason}) and left out. {LOST[part.kind].replace('`', '')}."
    work = activity(source.folder)
    if work is not None and work.is_live and work.stage in WORKING:
        yield (
            f"The study was still at work ({work.stage}, {work.done:,} of {work.planned:,} trials done): "
            "this report shows it as it stood."
        )
    if trials is None:
        yield "The study has no trial yet: run it, or wait for its first pack to finish."
        return
    stored, planned = len(trials.table), len(source.spec.sampler.propose(source.spec.axes, 0, ()) or ())
    if stored < planned:
        yield f"{stored:,} of {planned:,} planned trials are here; the same command goes on with the others."
    status = trials.table["status"]
    if failed := int((~status.isin(FINAL)).sum()):
        yield f"{failed:,} trials failed or were stopped; the same command runs them again."
    if unknown := int((trials.table["outcome"] == UNDETERMINED).sum()):
        yield (
            f"{unknown:,} trials are undetermined: they ended before T without having generalised. Intervals allow for "
            f"either way; the same command goes on with them."
        )
    if (status == "diverged").all():
        yield "Every trial diverged: a loss was no longer finite. Try a smaller learning rate."


def _origin(source: ReportSource) -> Table:
    trials, folder = source.trials, source.folder
    rows = [("study folder", folder.where("")[:-1] if "://" in folder.storage.uri else folder.name)]
    if trials is not None:
        frame = trials.table
        statuses = ", ".join(f"{count:,} {name}" for name, count in frame["status"].value_counts().sort_index().items())
        written = sorted(frame["written_at"].astype(str))
        rows += [
            ("trials by status", statuses),
            ("updates", f"{int(frame['steps_run'].sum()):,}"),
            ("stepping time", f"{float(frame['seconds'].fillna(0).sum()) / 3600:.2f} hours"),
            ("rows written (UTC)", f"{_day(written[0])} to {_day(written[-1])}"),
            *(("numerics", f"{text} ({count:,} trials)") for text, count in frame["numerics"].value_counts().items()),
        ]
    moments = [_moment(name.rpartition("/")[2].removesuffix(".yaml")) for name in folder.names("attempts/")]
    more = f" and {len(moments) - MOST_ATTEMPTS} more" if len(moments) > MOST_ATTEMPTS else ""
    rows += [
        ("attempts", ", ".join(moments[:MOST_ATTEMPTS]) + more or "none kept"),
        ("budget now", f"{source.spec.budget:,} steps per trial"),
        ("sampler", plugin_name(source.spec.sampler)),
        ("early end", "off" if source.spec.early_end.after is None else f"at {source.spec.early_end.after:g} t_gen"),
        ("settings", "study.yaml and attempts/ in the study folder"),
    ]
    return table(("", "value"), rows, words=2)


def _versions(source: ReportSource) -> Table:
    document = bounded_yaml.load(source.folder.get_text(FILE) or "") or {}
    found = document.get("versions") or {}
    rows = [(str(name), str(version)) for name, version in found.items()]
    return table(("package", "version"), rows, words=2, note="Of the last attempt.")


def _limits(source: ReportSource) -> Iterator[str]:
    trials = source.trials
    yield (
        "Times are those of evaluations: every step to 20, then at most 3 % (or 100 steps) apart. Nothing in between "
        "is seen."
    )
    if trials is None:
        return
    sizes = np.bincount(grouped(trials, trials.varied).cell_of).tolist()
    if continuous(source, trials):
        yield (
            "Between its trials a diagram is a posterior, not a measurement: it takes times as smooth in every axis, "
            "with lengths and seed noise learned from the trials. The held-out check, where there is one, is what it "
            "can be judged by."
        )
    elif min(sizes) < FEW_SEEDS:
        few = f"{min(sizes)}" if min(sizes) == max(sizes) else f"{min(sizes)} to {max(sizes)}"
        trial = "trial" if few == "1" else "trials"
        yield f"A cell holds {few} {trial}: shares are coarse, their intervals wide. More seeds narrow them."
    yield (
        f"Outcomes are readings at T = {trials.budget.steps:,} steps. A trial that has not generalised by then may do "
        "so later; medians and shares are censored there."
    )
    yield "Intervals are for one cell at a time. Among many cells some will miss their true share by chance."
    unknown = int(((trials.table["retention"] == "unknown") & trials.table["t_gen"].notna()).sum())
    if unknown:
        yield f"{unknown:,} trials generalised but were not watched to 2 t_gen: whether they keep it is not known."
    shown = shown_slice(source.spec, trials)
    if shown is not None and shown.fix:
        yield "Diagrams show one slice of the study; the table of cells shows all of it."
    if trials.table["numerics"].nunique() > 1:
        yield "Trials were computed in more than one numerical mode: equal settings may differ in the last digits."
    yield "Seeds and settings are those listed above. Other tasks, sizes and schedules were not tried."


def _day(written: str) -> str:
    return written[:16].replace("T", " ")


def _moment(name: str) -> str:
    """The time that an attempt's file is named after."""
    try:
        return f"{datetime.strptime(name, '%Y%m%dT%H%M%S%f'):%Y-%m-%d %H:%M} UTC"
    except ValueError:
        return name
