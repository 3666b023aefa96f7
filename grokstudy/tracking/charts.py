"""The view that the experiment page opens with, if this MLflow still reads it.

`mlflow.sharedViewState.<key>` is an undocumented tag of MLflow's "share view" button; its content mirrors the UI's
own state (read from the UI of MLflow 3.17). A UI that does not know it shows its default charts.
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
VIEW_NAME: Final = "grokstudy: curves, plane, times"
TRAINING_MODE: Final = "workflowType=machine_learning"
"""Part of every link: MLflow 3 else opens in its mode for language models, whatever the experiment's kind."""
_SECTION: Final = "grokstudy"


def view_state(varied: Sequence[str], granularity: Granularity, created: int) -> str:
    """The view as JSON: all loaded runs but the study's own, its columns, and the charts of `_charts`.

    MLflow loads 100 runs at a time and draws those. Sorted by seed, the first hundred are whole planes of the diagram.

    Args:
        varied: config paths that vary.
        granularity: what a run is.
        created: milliseconds since 1970 that the menu shows.
    """
    axes = [names.metric_key(path) for path in varied if granularity == "trial" or not is_seed(path)]
    seed = next((path for path in varied if granularity == "trial" and is_seed(path)), None)
    columns = [f"params.`{axis}`" for axis in axes]
    columns += [f"tags.`{names.OUTCOME}`"] if granularity == "trial" else []
    state = {
        "searchFilter": f"tags.`{names.ROLE}` = '{granularity}'",
        "orderByKey": f"params.`{seed}`" if seed else "attributes.start_time",
        "orderByAsc": True,
        "runsHiddenMode": "SHOW_ALL",  # MLflow's own choice is the first ten
        "selectedColumns": [*columns, *(f"metrics.`{key}`" for key in _numbers(granularity))],
        "compareRunCharts": _charts(axes, granularity),
        "compareRunSections": [{"uuid": _SECTION, "name": "grokstudy", "display": True, "isReordered": False}],
    }
    # with a name it also stands in the page's "Views" menu
    view = {"name": VIEW_NAME, "createdAt": created, "updatedAt": created, "state": json.dumps(state)}
    return json.dumps(view)


def charts_path(experiment_id: str, mode: str = "CHART") -> str:
    """The seeded view below an MLflow UI's address; `mode` is CHART or TABLE."""
    query = f"{TRAINING_MODE}&viewStateShareKey={VIEW_KEY}&compareRunsMode={mode}"
    return f"#/experiments/{experiment_id}/runs?{query}"


def run_path(experiment_id: str, run_id: str, tab: str = "") -> str:
    """A run's page below an MLflow UI's address; `tab` e.g. `/artifacts/phase.html`."""
    return f"#/experiments/{experiment_id}/runs/{run_id}{tab}?{TRAINING_MODE}"


def _numbers(granularity: Granularity) -> list[str]:
    """What the table and the parallel coordinates show."""
    if granularity == "trial":
        return ["t_mem", "t_gen", "delay_ratio", "test_acc"]
    return ["n_seeds", "p_gen", "t_mem_median", "t_gen_median", "delay_ratio_median", "test_acc_median"]


def _charts(axes: list[str], granularity: Granularity) -> list[dict[str, Any]]:
    """Accuracy and loss over log steps; where the plane generalises; times as parallel coordinates."""
    suffix = "_median" if granularity == "cell" else ""
    charts = [
        _lines("accuracy", [f"train_acc{suffix}", f"test_acc{suffix}"], y_scale="linear"),
        _lines("loss", [f"train_loss{suffix}", f"test_loss{suffix}"], y_scale="log"),
    ]
    if len(axes) >= 2:
        # a value that every run has: t_gen is missing where a diagram is dark, and MLflow would draw across the gap
        shown = "test_acc" if granularity == "trial" else "p_gen"
        x, y, z = _place("PARAM", axes[0]), _place("PARAM", axes[1]), _place("METRIC", shown)
        charts.append(_card("CONTOUR", shown, {"xaxis": x, "yaxis": y, "zaxis": z}))
    times = {"xaxis": _place("METRIC", f"t_mem{suffix}"), "yaxis": _place("METRIC", f"t_gen{suffix}")}
    charts.append(_card("SCATTER", "t_gen over t_mem", times))
    if axes:
        metrics = [f"t_mem{suffix}", f"t_gen{suffix}"]
        columns = {"selectedParams": axes, "selectedMetrics": metrics, "showAllRuns": True}
        charts.append(_card("PARALLEL", "times", columns))
    return charts


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
        "displayPoints": False,
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
