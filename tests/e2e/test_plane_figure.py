"""The README's first picture, of studies small enough to train here; and a claim's plane of shares."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import matplotlib.image
import numpy as np
import pandas as pd

from grokstudy.claims.planes import draw_planes
from grokstudy.phase.figures_matplotlib import empty_figure
from grokstudy.spec.claim import ClaimFigure

from .conftest import Cli

SCRIPT = Path(__file__).parents[2] / "docs/make_plane_figure.py"
PLANE = ["regularization.weight_decay=log(0.3,10)", "task.frac_train=lin(0.3,0.8)", "sampler=sobol"]
RUNS = ["regularization.weight_decay=0.3,1,6", "measures.names=[cross_entropy,norms]", "measures.checkpoints=all"]


def test_a_plane_and_three_runs_become_one_picture(cli: Cli, tmp_path: Path) -> None:
    common = ["preset=quad23_fast", "cluster=none", "tracking=none"]
    cli.run("run", *common, *PLANE, "sampler.n_trials=16", "--steps", "300", "--name", "plane")
    cli.run("run", *common, *RUNS, "--steps", "300", "--name", "runs")
    target = tmp_path / "plane.png"
    words = [sys.executable, str(SCRIPT), "plane", "runs", "--out", str(target)]
    subprocess.run(words, cwd=cli.work, env=dict(cli.env), check=True, capture_output=True)
    picture = matplotlib.image.imread(target)
    left, right = picture[:, : picture.shape[1] // 2], picture[:, picture.shape[1] // 2 :]
    assert all(len(np.unique(half.reshape(-1, half.shape[-1]), axis=0)) > 50 for half in (left, right))


def test_every_row_is_a_cell_with_its_share_and_a_missing_one_is_blank() -> None:
    rows = [
        {"x": x, "y": y, "value": (x + y) / 4, "series": series}
        for series in ("1000 rows", "750 rows")
        for x in (0.0, 1.0, 2.0)
        for y in (1.0, 2.0)
        if (x, y, series) != (2.0, 1.0, "1000 rows")
    ]
    figure = empty_figure(6, 3)
    asked = ClaimFigure(sql="SELECT 1", x="decay", y="width", value="share")
    draw_planes(figure, figure.add_gridspec(1, 1)[0, 0], asked, pd.DataFrame(rows))
    few, many, bar = figure.axes
    written = [[text.get_text() for text in axes.texts] for axes in (few, many)]
    assert written == [["0.25", "0.5", "0.75", "0.5", "0.75", "1"], ["0.25", "0.5", "0.5", "0.75", "1"]]
    assert [axes.get_title() for axes in (few, many)] == ["750 rows", "1000 rows"]
    assert bar.get_ylabel() == "share"
