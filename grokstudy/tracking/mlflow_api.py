"""The only import of MLflow, so that its telemetry is off before it loads (it decides once, at import)."""

from __future__ import annotations

import os

os.environ.setdefault("MLFLOW_DISABLE_TELEMETRY", "true")  # whoever set it otherwise has chosen

from mlflow import MlflowClient
from mlflow.entities import Experiment, Metric, Param, Run, RunTag, ViewType
from mlflow.exceptions import ERROR_CODE_TO_HTTP_STATUS, MlflowException

__all__ = [
    "ERROR_CODE_TO_HTTP_STATUS",
    "Experiment",
    "Metric",
    "MlflowClient",
    "MlflowException",
    "Param",
    "Run",
    "RunTag",
    "ViewType",
]
