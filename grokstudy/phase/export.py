"""A diagram as a file: figure or table, chosen by the suffix."""

from __future__ import annotations

import json
from pathlib import Path
from typing import IO

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import xarray as xr

from grokstudy.phase.categories import category_names
from grokstudy.phase.figure_data import figure_data
from grokstudy.phase.figures_matplotlib import save
from grokstudy.phase.figures_plotly import phase_html
from grokstudy.phase.overlay import Overlay, read_overlay
from grokstudy.phase.posterior import is_posterior
from grokstudy.phase.posterior_figure import posterior_figure
from grokstudy.phase.posterior_matplotlib import save_posterior
from grokstudy.phase.posterior_plotly import posterior_html
from grokstudy.spec.errors import BadInput, nearest

PICTURES: tuple[str, ...] = (".png", ".svg", ".pdf", ".html")
SUFFIXES: tuple[str, ...] = (*PICTURES, ".csv", ".json", ".parquet")


def check_suffix(path: Path) -> str:
    """The suffix, if a diagram can be written so.

    Raises:
        BadInput: another suffix, or a folder that does not exist.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        shown = suffix or "no suffix"
        raise BadInput(f"out: got '{path}' ({shown}){nearest(suffix, SUFFIXES)} Allowed: {', '.join(SUFFIXES)}.")
    if not path.parent.is_dir():
        raise BadInput(f"out: the folder '{path.parent}' does not exist; create it first.")
    return suffix


def write(diagram: xr.Dataset, path: Path | str, overlay: Path | None = None) -> Path:
    """Writes a diagram as figure (.png .svg .pdf .html) or as table of cells (.csv .json .parquet).

    Args:
        overlay: file of points from elsewhere to draw over a figure.

    Raises:
        BadInput: see `check_suffix` and `read_overlay`; also points over a table.
    """
    path = Path(path)
    suffix = check_suffix(path)
    if overlay is not None and suffix not in PICTURES:
        raise BadInput(f"overlay: points are drawn over a figure, got '{path}'; give --out {path.stem}.png or .html.")
    if suffix in PICTURES:
        points = None if overlay is None else read_overlay(overlay, diagram)
        if suffix == ".html":
            path.write_text(page_of(diagram, points), encoding="utf-8")
        else:
            save_figure(diagram, path, suffix[1:], points)
    elif suffix == ".json":
        path.write_text(to_json(diagram) + "\n", encoding="utf-8")
    elif suffix == ".csv":
        pyarrow.csv.write_csv(cells_table(diagram), path)
    else:
        pyarrow.parquet.write_table(cells_table(diagram), path)
    return path


def page_of(diagram: xr.Dataset, overlay: Overlay | None = None) -> str:
    """The figure of any diagram as a page."""
    if is_posterior(diagram):
        return posterior_html(posterior_figure(diagram, overlay))
    return phase_html(figure_data(diagram, overlay))


def save_figure(diagram: xr.Dataset, target: Path | IO[bytes], format: str, overlay: Overlay | None = None) -> None:
    """The figure of any diagram as png, svg or pdf."""
    if is_posterior(diagram):
        save_posterior(posterior_figure(diagram, overlay), target, format)
    else:
        save(figure_data(diagram, overlay), target, format)


def cells_table(diagram: xr.Dataset) -> pa.Table:
    """One row per cell, or per place of a lattice: its coordinates, then every statistic.

    NULL, never NaN; a kind has its name.
    """
    dims = _dims(diagram)
    names = [str(name) for name, variable in diagram.data_vars.items() if set(variable.dims) == set(dims)]
    grids = np.meshgrid(*(diagram[dim].to_numpy() for dim in dims), indexing="ij")
    columns = {dim: grid.ravel() for dim, grid in zip(dims, grids, strict=True)}
    columns |= {name: diagram[name].transpose(*dims).to_numpy().ravel() for name in names}
    columns["value"] = _named(columns["value"], diagram.attrs["value"])
    if is_posterior(diagram):
        columns["outcome"] = _named(columns["outcome"], "outcome")
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})
    about = {f"grokstudy.{key}": str(value) for key, value in diagram.attrs.items() if value is not None}
    return table.replace_schema_metadata(about)


def trials_table(diagram: xr.Dataset) -> pa.Table:
    """One row per trial behind the diagram. NULL, never NaN; a kind has its name."""
    names = [str(name) for name, v in diagram.data_vars.items() if v.dims == ("trial",) and "_cell_" not in str(name)]
    columns = {("trial_id" if n == "trial_id" else n.removeprefix("trial_")): diagram[n].to_numpy() for n in names}
    columns["value"] = _named(columns["value"], diagram.attrs["value"])
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})


def edges_table(diagram: xr.Dataset) -> pa.Table:
    """One row per vertex of a posterior's boundaries: margin, number of the facet, line or band, piece, x, y."""
    names = ("margin", "facet", "part", "piece", "x", "y")
    return pa.table({name: pa.array(diagram[f"edge_{name}"].to_numpy(), from_pandas=True) for name in names})


def to_json(diagram: xr.Dataset) -> str:
    """Strict JSON (null, never NaN): `query` (thresholds, T, axes), `axes` (values), `cells`, `trials`.

    Of continuous axes the cells are the places of the lattice; `margins` and `boundary` (vertices) are there besides.
    """
    document = {
        "query": dict(diagram.attrs),
        "axes": {dim: diagram[dim].to_numpy().tolist() for dim in _dims(diagram)},
        "cells": cells_table(diagram).to_pylist(),
        "trials": trials_table(diagram).to_pylist(),
    }
    if is_posterior(diagram):
        margins = {
            name: pa.array(diagram[name].to_numpy(), from_pandas=True) for name in ("margin", "noise", "half_width")
        }
        document |= {"margins": pa.table(margins).to_pylist(), "boundary": edges_table(diagram).to_pylist()}
    return json.dumps(document, allow_nan=False, ensure_ascii=False)


def _named(values: np.ndarray, value: str) -> np.ndarray:
    """Names in place of their numbers, None where there is none; amounts as they are."""
    names = category_names(value)
    if not names:
        return values
    return np.array([None if np.isnan(code) else names[int(code)] for code in values], dtype=object)


def _dims(diagram: xr.Dataset) -> list[str]:
    return [diagram.attrs[key] for key in ("y_dim", "x_dim", "facet_dim") if diagram.attrs[key] is not None]
