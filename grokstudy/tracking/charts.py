"""Charts that the experiment page opens with, if this MLflow still reads them.

`mlflow.sharedViewState.<key>` is an undocumented tag of MLflow's "share view" button; its content mirrors the UI's
own state (compareRunCharts, compareRunSections). A UI that does not know it shows its default charts.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any, Final

from grokstudy.spec.axes import is_seed
from grokstudy.tracking import names
from grokstudy.tracking.settings import Granularity

VIEW_KEY: Final = "grokstudy"
VIEW_TAG: Final = f"mlflow.sharedViewState.{VIEW_KEY}"
_SECTION: Final = "grokstudy"


def view_state(varied: Sequence[str], granularity: Granularity) -> str:
    """The state as JSON: accuracy and loss over log steps, then t_gen over the first two varied settings."""
    suffix = "_median" if granularity == "cell" else ""
    axes = [names.metric_key(path) for path in varied if granularity == "trial" or not is_seed(path)]
    times = [f"{key}{suffix}" for key in ("t_mem", "t_gen", "delay_ratio")]
    charts = [
        _lines("accuracy", [f"train_acc{suffix}", f"test_acc{suffix}"], y_scale="linear"),
        _lines("loss", [f"train_loss{suffix}", f"test_loss{suffix}"], y_scale="log"),
    ]
    if len(axes) >= 2:
        x, y, z = _place("PARAM", axes[0]), _place("PARAM", axes[1]), _place("METRIC", times[1])
        charts.append(_card("CONTOUR", "t_gen", {"xaxis": x, "yaxis": y, "zaxis": z}))
    if axes:
        columns = {"selectedParams": axes, "selectedMetrics": times, "showAllRuns": True}
        charts.append(_card("PARALLEL", "times", columns))
    section = {"uuid": _SECTION, "name": "grokstudy", "display": True, "isReordered": False}
    return json.dumps({"compareRunCharts": charts, "compareRunSections": [section]})


def charts_link(uri: str, experiment_id: str) -> str:
    """Address of the experiment's charts on an MLflow UI at `uri` (http...)."""
    query = f"workflowType=machine_learning&viewStateShareKey={VIEW_KEY}&compareRunsMode=CHART"
    return f"{uri.rstrip('/')}/#/experiments/{experiment_id}/runs?{query}"


def _card(kind: str, name: str, settings: dict[str, Any]) -> dict[str, Any]:
    return {
        "type": kind,
        "uuid": f"{_SECTION}-{name}",
        "displayName": name,
        "metricSectionId": _SECTION,
        "isGenerated": False,
        "deleted": False,
        "runsCountToCompare": 100,
        **settings,
    }


def _lines(name: str, metrics: list[str], *, y_scale: str) -> dict[str, Any]:
    lines = {
        "metricKey": metrics[0],
        "selectedMetricKeys": metrics,
        "xAxisKey": "step",
        "xAxisScaleType": "log",
        "scaleType": y_scale,
        "lineSmoothness": 0,
        "useGlobalLineSmoothing": False,
        "useGlobalXaxisKey": False,
        "selectedXAxisMetricKey": "",
        "yAxisKey": "metric",
        "yAxisExpressions": [],
        "range": {},
    }
    return _card("LINE", name, lines)


def _place(kind: str, key: str) -> dict[str, str]:
    return {"type": kind, "key": key}
