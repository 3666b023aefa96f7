"""A fit as a file: figure, or its numbers with the sentences that belong to them."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pandas as pd

from grokstudy.phase.export import PICTURES, check_suffix
from grokstudy.phase.inference.result import Fit


def write(fit: Fit, path: Path) -> Path:
    """Writes a figure (.png .svg .pdf .html) or the numbers (.csv .json .parquet).

    Raises:
        BadInput: another suffix, or a folder that does not exist.
    """
    suffix = check_suffix(path)
    if suffix in PICTURES:
        from grokstudy.phase.inference.figure_matplotlib import save
        from grokstudy.phase.inference.figure_plotly import fit_html

        if suffix == ".html":
            path.write_text(fit_html(fit.figure()), encoding="utf-8")
        else:
            save(fit.figure(), path, suffix[1:])
    elif suffix == ".json":
        path.write_text(to_json(fit) + "\n", encoding="utf-8")
    elif suffix == ".csv":
        fit.table().to_csv(path, index=False)
    else:
        stored(fit.table()).to_parquet(path, index=False)
    return path


def to_json(fit: Fit) -> str:
    """Strict JSON: `rows` (an end that is not bounded is null) and `sentences`."""
    rows = [{str(name): _plain(value) for name, value in row.items()} for row in fit.table().to_dict(orient="records")]
    return json.dumps({"rows": rows, "sentences": list(fit.sentences())}, allow_nan=False, ensure_ascii=False)


def stored(table: pd.DataFrame) -> pd.DataFrame:
    """The table with NULL for what is not finite."""
    return table.replace([np.inf, -np.inf], np.nan).convert_dtypes()


def _plain(value: object) -> object:
    if isinstance(value, np.generic):
        value = value.item()
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return None if value is pd.NA else value
