"""The report of a study: one document about everything that is stored, as a page, as text, and as a run leaves it."""

from __future__ import annotations

import contextlib
import importlib.metadata
import io
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from grokstudy.phase.overview_plotly import overview_html
from grokstudy.phase.report_document import Document, Section, Text
from grokstudy.phase.report_figure import save_report_png
from grokstudy.phase.report_html import to_html
from grokstudy.phase.report_markdown import to_markdown
from grokstudy.phase.report_trials import ReportTrials, report_trials
from grokstudy.spec.errors import BadInput, nearest
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect
from grokstudy.study.document import stored_spec
from grokstudy.study.report_circuits import circuits, last_measures, verification
from grokstudy.study.report_commands import commands
from grokstudy.study.report_provenance import limits, provenance
from grokstudy.study.report_provenance import warnings as caveats
from grokstudy.study.report_results import PHASE, cells, diagrams, drawn_diagram, examples, outcomes, times
from grokstudy.study.report_setup import question, settings
from grokstudy.study.report_source import ReportSource, axes_of, shown_slice

SUFFIXES = (".html", ".md")
NAME = "report"
"""Of the files in a directory."""


def write_study_report(folder: StudyFolder, target: Path | str) -> Path:
    """Writes the report of a stored study and returns the path of its page (or of its text).

    Args:
        folder: the study, in whatever state: running, failed, of one trial or of ten thousand.
        target: a file ending in .html, which needs nothing else; one ending in .md, with its pictures beside it; or a
            directory, which gets both (and is made if only it is missing).

    Raises:
        BadInput: another suffix, or a folder that does not exist.
    """
    target = check_target(target)
    document = study_document(folder)
    if target.suffix.lower() == ".html":
        target.write_text(to_html(document), encoding="utf-8")
        return target
    if target.suffix.lower() == ".md":
        return _write_markdown(document, target)
    target.mkdir(exist_ok=True)
    _write_markdown(document, target / f"{NAME}.md")
    page = target / f"{NAME}.html"
    page.write_text(to_html(document), encoding="utf-8")
    return page


def check_target(target: Path | str) -> Path:
    """The path, if a report can be written there.

    Raises:
        BadInput: as `write_study_report`.
    """
    target = Path(target)
    suffix = target.suffix.lower()
    if suffix in SUFFIXES and target.is_dir():
        raise BadInput(f"--out: '{target}' is a directory; name a file in it, or a directory without this ending.")
    if suffix and suffix not in SUFFIXES and not target.is_dir():
        raise BadInput(
            f"--out: got '{target}'{nearest(suffix, SUFFIXES)} It must end in .html or .md, or be a directory."
        )
    if not suffix and target.exists() and not target.is_dir():
        raise BadInput(f"--out: '{target}' is a file; end the name in .html or .md, or give a directory.")
    if not target.parent.is_dir():
        raise BadInput(f"--out: the folder '{target.parent}' does not exist; create it first.")
    return target


def study_document(folder: StudyFolder, *, pictures: bool = True) -> Document:
    """The report of a study as it stands now.

    Args:
        folder: the study.
        pictures: False = only the one that a finished run writes, and no weights are read.
    """
    spec = stored_spec(folder)
    assert spec is not None  # callers found it
    with _opened(folder, spec) as source:
        return _document(source, pictures=pictures)


def write_report(folder: StudyFolder, spec: StudySpec) -> list[str]:
    """Writes `report/` at the end of a run and returns the names of its files; none without an axis or a trial.

    Of more axes than a diagram has, the others are fixed at their first value, and the report says so.
    """
    if not axes_of(spec):
        return []
    with _opened(folder, spec) as source:
        if source.trials is None:
            return []
        shown = shown_slice(source.spec, source.trials)
        assert shown is not None  # there is an axis
        try:
            diagram = drawn_diagram(source, shown, source.trials)
        except BadInput:
            return []  # nothing to draw yet; `grokstudy phases` says what is missing
        picture = io.BytesIO()
        save_report_png(diagram, picture)
        table = source.connection.execute("SELECT * FROM trials ORDER BY trial_id").df()
        files = {
            f"{PHASE}.png": picture.getvalue(),
            "phase.html": overview_html(diagram).encode(),
            "report.md": to_markdown(_document(source, pictures=False)).encode(),
            "trials.csv": table.to_csv(index=False).encode(),
        }
    for name, data in files.items():
        folder.put_bytes(f"report/{name}", data)
    return list(files)


@contextlib.contextmanager
def _opened(folder: StudyFolder, spec: StudySpec) -> Iterator[ReportSource]:
    """The study opened for reading."""
    with connect([folder]) as connection:
        trials = report_trials(connection, axes_of(spec))
        yield ReportSource(folder=folder, spec=spec, connection=connection, trials=trials)


def _document(source: ReportSource, *, pictures: bool) -> Document:
    trials, version = source.trials, importlib.metadata.version("grokstudy")
    results = (Section("Outcomes", (Text("No trial has ended yet."),)),)
    found = results if trials is None else tuple(_results(source, trials, pictures=pictures))
    return Document(
        title=source.folder.name,
        written=f"Report of a study by grokstudy {version}, written {datetime.now(UTC):%Y-%m-%d %H:%M} UTC.",
        facts=() if trials is None else _facts(trials),
        warnings=caveats(source),
        sections=(question(source), *found, settings(source), provenance(source), commands(source), limits(source)),
    )


def _results(source: ReportSource, trials: ReportTrials, *, pictures: bool) -> Iterator[Section]:
    last = last_measures(source.connection, trials)
    sections = (
        diagrams(source, trials, pictures=pictures),
        outcomes(source, trials),
        cells(source, trials),
        times(source, trials) if pictures else None,
        examples(source, trials, pictures=pictures),
        circuits(source, trials, last, pictures=pictures),
        verification(source, last),
    )
    return (section for section in sections if section is not None)


def _facts(trials: ReportTrials) -> tuple[tuple[str, str], ...]:
    table = trials.table
    counts = table["outcome"].value_counts()
    return (
        ("trials", f"{len(table):,}"),
        ("settings that vary", f"{len(trials.varied):,}"),
        ("seeds", f"{table['seed'].nunique():,}"),
        ("generalised by T", f"{int(table['t_gen'].notna().sum()):,}"),
        ("of these, grokking", f"{counts.get('grokking', 0):,}"),
        ("T (steps)", f"{trials.budget.steps:,}"),
    )


def _write_markdown(document: Document, target: Path) -> Path:
    prefix = f"{target.stem}-"
    for picture in document.pictures:
        (target.parent / f"{prefix}{picture.name}.png").write_bytes(picture.data)
    target.write_text(to_markdown(document, prefix), encoding="utf-8")
    return target
