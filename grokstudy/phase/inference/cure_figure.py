"""The picture of a mixture-cure fit: P(ever) and the time of those that get there, along the first setting."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pandas as pd
from jaxtyping import Float

from grokstudy.phase import columns
from grokstudy.phase.inference import words
from grokstudy.phase.inference.covariates import on_log_axis
from grokstudy.phase.inference.result import Band, FitFigure, Line, Mark, Panel, Points
from grokstudy.phase.inference.trials import TrialTimes
from grokstudy.phase.statistics import wilson
from grokstudy.spec.errors import BadInput

if TYPE_CHECKING:
    from grokstudy.phase.inference.cure import CureFit

_POINTS = 120
_MOST_GROUPS = 12


def cure_figure(fit: CureFit) -> FitFigure:
    """Two panels along the first setting, the others at their middle value."""
    trials = fit.trials
    path = str(trials.settings.columns[0])
    if not columns.is_numeric(trials.settings[path]):
        raise BadInput(f"x: the figure is drawn along the first --x, and {path} has names; give a number first.")
    along = _along(trials.settings, path)
    x = along[path].to_numpy(dtype=float)
    ever, low, high = fit.ever(along)
    time, early, late = fit.median(along)
    log = on_log_axis(trials.settings[path].to_numpy(dtype=float))
    held = "" if len(trials.settings.columns) == 1 else ", other settings at their median"
    share = Panel(
        title=f"does it ever happen?{held}",
        x_label=words.label(path),
        y_label=f"P(ever reaches {trials.query.event})",
        x_log=log,
        bands=() if fit.is_step else (Band(x=x, low=low, high=high),),
        marks=_edge_marks(fit),
        lines=(Line(x=x, y=ever, name="P(ever), fitted"),),
        points=(observed_shares(trials, path, log),),
    )
    times = Panel(
        title="how long does it take those that get there?",
        x_label=words.label(path),
        y_label="steps",
        x_log=log,
        y_log=True,
        bands=(Band(x=x, low=early, high=late),),
        lines=(Line(x=x, y=time, name="median of those, fitted"),),
        points=observed_times(trials, path),
    )
    return FitFigure(
        title=f"{trials.study}: slow or never",
        note=words.note(trials, f"mixture-cure lognormal, {trials.query.confidence:.0%} pointwise bands"),
        panels=(share, times),
    )


def _edge_marks(fit: CureFit) -> tuple[Mark, ...]:
    """The interval of the edge, where it is too sharp for a band."""
    if not fit.is_step or fit.edge is None:
        return ()
    return tuple(Mark(at=end, upright=True, text="edge") for end in fit.edge[1:] if np.isfinite(end))


def observed_times(trials: TrialTimes, path: str) -> tuple[Points, ...]:
    """Every trial: a dot where its time was seen, an open triangle where it was not until then."""
    seen = trials.seen
    x = trials.settings[path].to_numpy(dtype=float)
    shown = np.where(seen.happened, seen.high, np.maximum(seen.low, 1.0))
    return (Points(x=x, y=shown, beyond=~seen.happened, name="trials (triangle: not seen until then)", series=1),)


def observed_shares(trials: TrialTimes, path: str, log: bool) -> Points:
    """Share seen by T with Wilson's interval: per value, or in twelve groups of equal size where values are many."""
    x = trials.settings[path].to_numpy(dtype=float)
    group = pd.factorize(x, sort=True)[0]
    if len(np.unique(group)) > _MOST_GROUPS:
        group = np.argsort(np.argsort(x, kind="stable")) * _MOST_GROUPS // len(x)
    rows = []
    for one in np.unique(group):
        inside = group == one
        k, n = int(trials.seen.happened[inside].sum()), int(inside.sum())
        place = float(np.exp(np.log(x[inside]).mean())) if log else float(x[inside].mean())
        rows.append((place, k / n, *wilson(k, n)))
    at, share, low, high = np.array(rows).T
    return Points(x=at, y=share, low=low, high=high, name="share seen by T (Wilson)", series=1)


def _along(settings: pd.DataFrame, path: str) -> pd.DataFrame:
    column = settings[path].to_numpy(dtype=float)
    ends = float(column.min()), float(column.max())
    line: Float[np.ndarray, " points"] = (
        np.geomspace(*ends, _POINTS) if on_log_axis(column) else np.linspace(*ends, _POINTS)
    )
    middle = {
        name: settings[name].median() if columns.is_numeric(settings[name]) else settings[name].mode().iloc[0]
        for name in settings.columns
    }
    return pd.DataFrame({name: line if name == path else np.full(_POINTS, value) for name, value in middle.items()})
