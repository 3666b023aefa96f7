"""The curves of a cell by plotly: accuracy above, loss below, one thin line per trial."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from itertools import groupby

import numpy as np
import plotly.graph_objects as go
from jaxtyping import Float32
from plotly.subplots import make_subplots

from grokstudy.phase.cell_curves import CellCurves, TrialCurve
from grokstudy.phase.palette import INK, OUTCOME_COLOURS, QUIET
from grokstudy.phase.theme import LINE_COLOURS, LINE_DASHES, translucent

WEBGL_FROM = 100_000
"""Points from which lines are drawn by WebGL. Fewer are SVG, which zooms and copies better, and is drawn faster where
WebGL has no graphics card."""
_FIRST_STEP = 0.45
"""Where step 0 is drawn on the log axis; rounds to 0 in the hover text."""
_RUG = -0.06
"""Accuracy at which the ticks of t_gen lie."""


def cell_curves_figure(data: CellCurves) -> go.Figure:
    """Test curves by outcome over faint train curves; a tick under the accuracy at every t_gen.

    The trace of a test curve has its trial_id in `meta`, points of the ticks have it in `customdata`.
    """
    figure = make_subplots(2, 1, shared_xaxes=True, vertical_spacing=0.05)
    ranked = sorted(data.curves, key=lambda curve: list(OUTCOME_COLOURS).index(curve.outcome))
    line = go.Scattergl if 4 * sum(len(curve.step) for curve in ranked) > WEBGL_FROM else go.Scatter
    traces: list[go.Scatter | go.Scattergl] = []
    for outcome, group in groupby(ranked, key=lambda curve: curve.outcome):
        own = list(group)
        traces += [_faint(line, own, outcome, row) for row in (1, 2)]
        traces += [_test(line, curve, row) for curve in own for row in (1, 2)]
        traces.append(_legend(outcome, len(own)))
    traces += [_rug([curve for curve in ranked if not math.isnan(curve.t_gen)])]
    figure.add_traces(traces)
    _dress(figure, data)
    return figure


def _test(line: Callable[..., go.Scatter], curve: TrialCurve, row: int) -> go.Scatter:
    value, name = (curve.test_acc, "test accuracy") if row == 1 else (curve.test_loss, "test loss")
    return line(
        x=_steps(curve),
        y=value,
        mode="lines",
        line={"color": LINE_COLOURS[curve.outcome], "width": 1.2, "dash": LINE_DASHES[curve.outcome]},
        opacity=0.8,
        meta=curve.trial_id,
        hovertemplate=f"{_words(curve)}<br>step %{{x:,.0f}}: {name} %{{y:.3g}}<extra></extra>",
        legendgroup=curve.outcome,
        showlegend=False,
        **_axes(row),
    )


def _faint(line: Callable[..., go.Scatter], curves: Sequence[TrialCurve], outcome: str, row: int) -> go.Scatter:
    """Train curves of all trials of an outcome as one trace with gaps."""
    gap = np.array([np.nan], dtype=np.float32)
    values = [curve.train_acc if row == 1 else curve.train_loss for curve in curves]
    return line(
        x=np.concatenate([part for curve in curves for part in (_steps(curve), gap)]),
        y=np.concatenate([part for value in values for part in (value, gap)]),
        mode="lines",
        line={"color": translucent(LINE_COLOURS[outcome], 0.25), "width": 0.8},
        hoverinfo="skip",
        legendgroup=outcome,
        showlegend=False,
        **_axes(row),
    )


def _legend(outcome: str, count: int) -> go.Scatter:
    """One entry per outcome; a click on it hides all its trials."""
    style = {"color": LINE_COLOURS[outcome], "width": 2, "dash": LINE_DASHES[outcome]}
    return go.Scatter(
        x=[None], y=[None], mode="lines", line=style, name=f"{outcome} ({count})", legendgroup=outcome, **_axes(1)
    )


def _rug(curves: Sequence[TrialCurve]) -> go.Scatter:
    colours = [LINE_COLOURS[curve.outcome] for curve in curves]
    return go.Scatter(
        x=[max(curve.t_gen, _FIRST_STEP) for curve in curves],
        y=[_RUG] * len(curves),
        mode="markers",
        marker={"symbol": "line-ns-open", "size": 9, "color": colours, "line": {"width": 1.2, "color": colours}},
        customdata=[curve.trial_id for curve in curves],
        text=[_words(curve) for curve in curves],
        hovertemplate="%{text}<extra></extra>",
        showlegend=False,
        **_axes(1),
    )


def _dress(figure: go.Figure, data: CellCurves) -> None:
    ticks = {"type": "log", "dtick": 1, "exponentformat": "power", "zeroline": False}
    figure.update_xaxes(**ticks)
    figure.update_xaxes(title={"text": "steps"}, row=2, col=1)
    figure.update_yaxes(title={"text": "accuracy"}, range=[-0.1, 1.05], zeroline=False, row=1, col=1)
    figure.update_yaxes(title={"text": "loss"}, **ticks, row=2, col=1)
    note = f"strong: test   ·   faint: train   ·   ticks: t_gen of every trial<br>{data.note}"
    at = {"xref": "paper", "yref": "paper", "x": 0, "y": 0, "yshift": -44, "xanchor": "left", "yanchor": "top"}
    figure.add_annotation(text=note, **at, align="left", showarrow=False, font={"size": 11, "color": QUIET})
    if not data.curves:
        centre = {"xref": "paper", "yref": "paper", "x": 0.5, "y": 0.5, "showarrow": False}
        figure.add_annotation(text="no curves here yet", **centre, font={"size": 15, "color": QUIET})
    figure.update_layout(
        title={"text": f"<b>{data.title}</b><br><sub>{data.cell}</sub>", "x": 0.01, "y": 0.985, "yanchor": "top"},
        title_font_size=15,
        template="plotly_white",
        font={"color": INK},
        height=640,
        hovermode="closest",
        legend={"orientation": "h", "y": 1.01, "yanchor": "bottom", "x": 0, "xanchor": "left"},
        margin={"l": 60, "r": 15, "t": 85, "b": 95},
    )


def _steps(curve: TrialCurve) -> Float32[np.ndarray, " points"]:
    drawn: Float32[np.ndarray, " points"] = np.maximum(curve.step, _FIRST_STEP).astype(np.float32)
    return drawn


def _words(curve: TrialCurve) -> str:
    mem, gen = (f"{t:,.0f}" if not math.isnan(t) else "not seen" for t in (curve.t_mem, curve.t_gen))
    return f"seed {curve.seed}, {curve.outcome}<br>t_mem {mem}, t_gen {gen}<br>trial {curve.trial_id[:12]}"


def _axes(row: int) -> dict[str, str]:
    return {"xaxis": "x", "yaxis": "y"} if row == 1 else {"xaxis": "x2", "yaxis": "y2"}
