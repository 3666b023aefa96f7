"""A diagram as a file: figure or table, chosen by the suffix."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet
import xarray as xr

from grokstudy.phase.categories import category_names
from grokstudy.phase.figure_data import figure_data
from grokstudy.phase.figures_matplotlib import save
from grokstudy.phase.figures_plotly import phase_html
from grokstudy.phase.overlay import read_overlay
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
        data = figure_data(diagram, None if overlay is None else read_overlay(overlay, diagram))
        if suffix == ".html":
            path.write_text(phase_html(data), encoding="utf-8")
        else:
            save(data, path, suffix[1:])
    elif suffix == ".json":
        path.write_text(to_json(diagram) + "\n", encoding="utf-8")
    elif suffix == ".csv":
        pyarrow.csv.write_csv(cells_table(diagram), path)
    else:
        pyarrow.parquet.write_table(cells_table(diagram), path)
    return path


def cells_table(diagram: xr.Dataset) -> pa.Table:
    """One row per cell: its coordinates, then every statistic. NULL, never NaN; a kind has its name."""
    dims = _dims(diagram)
    names = [str(name) for name, variable in diagram.data_vars.items() if set(variable.dims) == set(dims)]
    grids = np.meshgrid(*(diagram[dim].to_numpy() for dim in dims), indexing="ij")
    columns = {dim: grid.ravel() for dim, grid in zip(dims, grids, strict=True)}
    columns |= {name: diagram[name].transpose(*dims).to_numpy().ravel() for name in names}
    columns["value"] = _named(columns["value"], diagram.attrs["value"])
    table = pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})
    about = {f"grokstudy.{key}": str(value) for key, value in diagram.attrs.items() if value is not None}
    return table.replace_schema_metadata(about)


def trials_table(diagram: xr.Dataset) -> pa.Table:
    """One row per trial behind the diagram. NULL, never NaN; a kind has its name."""
    names = [str(name) for name, v in diagram.data_vars.items() if v.dims == ("trial",) and "_cell_" not in str(name)]
    columns = {("trial_id" if n == "trial_id" else n.removeprefix("trial_")): diagram[n].to_numpy() for n in names}
    columns["value"] = _named(columns["value"], diagram.attrs["value"])
    return pa.table({name: pa.array(values, from_pandas=True) for name, values in columns.items()})


def to_json(diagram: xr.Dataset) -> str:
    """Strict JSON (null, never NaN): `query` (thresholds, T, axes), `axes` (values), `cells`, `trials`."""
    document = {
        "query": dict(diagram.attrs),
        "axes": {dim: diagram[dim].to_numpy().tolist() for dim in _dims(diagram)},
        "cells": cells_table(diagram).to_pylist(),
        "trials": trials_table(diagram).to_pylist(),
    }
    return json.dumps(document, allow_nan=False, ensure_ascii=False)


def _named(values: np.ndarray, value: str) -> np.ndarray:
    """Names in place of their numbers, None where there is none; amounts as they are."""
    names = category_names(value)
    if not names:
        return values
    return np.array([None if np.isnan(code) else names[int(code)] for code in values], dtype=object)


def _dims(diagram: xr.Dataset) -> list[str]:
    return [diagram.attrs[key] for key in ("y_dim", "x_dim", "facet_dim") if diagram.attrs[key] is not None]
