"""`diagram.gs`: figures and files of a diagram, from Python. Importing this file registers it with xarray."""

from __future__ import annotations

from pathlib import Path

import plotly.graph_objects as go
import xarray as xr

from grokstudy.phase import export
from grokstudy.phase.figure_data import figure_data
from grokstudy.phase.figures_plotly import phase_figure
from grokstudy.phase.posterior import is_posterior
from grokstudy.phase.posterior_figure import posterior_figure
from grokstudy.phase.posterior_plotly import posterior_plot


@xr.register_dataset_accessor("gs")  # type: ignore[no-untyped-call]
class DiagramAccessor:
    """Methods of a data set made by `phase_diagram`."""

    def __init__(self, diagram: xr.Dataset) -> None:
        self._diagram = diagram

    def plot(self) -> go.Figure:
        """The diagram as a plotly figure."""
        if is_posterior(self._diagram):
            return posterior_plot(posterior_figure(self._diagram))
        return phase_figure(figure_data(self._diagram))

    def save(self, path: Path | str) -> Path:
        """Writes .png .svg .pdf .html .csv .json or .parquet; see `export.write`."""
        return export.write(self._diagram, path)
