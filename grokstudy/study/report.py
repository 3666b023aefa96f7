"""The report of a study: picture, page, text and table of its first two axes."""

from __future__ import annotations

import io

from grokstudy.phase.diagram import phase_diagram
from grokstudy.phase.figure_data import figure_data
from grokstudy.phase.figures_plotly import phase_html
from grokstudy.phase.query import PhaseQuery
from grokstudy.phase.report import report_markdown
from grokstudy.phase.report_figure import save_report_png
from grokstudy.spec.axes import Value, is_seed
from grokstudy.spec.errors import BadInput
from grokstudy.spec.study import StudySpec
from grokstudy.store.folder import StudyFolder
from grokstudy.store.views import connect


def write_report(folder: StudyFolder, spec: StudySpec) -> list[str]:
    """Writes `report/` and returns the names of its files; none if the study has no axis to draw or no trial yet.

    Further axes than two are fixed at their first value, and the report says so.
    """
    axes = [axis for axis in spec.axes if not is_seed(axis.path)]
    if not axes:
        return []
    fixed: list[tuple[str, Value]] = [(axis.path, axis.values[0]) for axis in axes[2:] if axis.values]
    y = axes[1].path if len(axes) > 1 else None
    with connect([folder]) as connection:
        try:
            diagram = phase_diagram(connection, PhaseQuery(x=axes[0].path, y=y, fix=tuple(fixed), bins=_bins(spec)))
        except BadInput:
            return []  # nothing to draw yet; `grokstudy phases` says what is missing
        picture = io.BytesIO()
        save_report_png(diagram, picture)
        files = {
            "phase.png": picture.getvalue(),
            "phase.html": phase_html(figure_data(diagram)).encode(),
            "report.md": report_markdown(connection, diagram, spec.name).encode(),
            "trials.csv": connection.execute("SELECT * FROM trials ORDER BY trial_id")
            .df()
            .to_csv(index=False)
            .encode(),
        }
    for name, data in files.items():
        folder.put_bytes(f"report/{name}", data)
    return list(files)


def _bins(spec: StudySpec) -> int | None:
    return 12 if any(axis.is_interval for axis in spec.axes) else None
