"""Where a study is found on an MLflow UI."""

from __future__ import annotations

from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import TrackingSettings
from grokstudy.tracking import names
from grokstudy.tracking.charts import TRAINING_MODE, charts_path
from grokstudy.tracking.connection import connect, reaching
from grokstudy.tracking.settings import redacted


def start_path() -> str:
    """The list of experiments, below an MLflow UI's address."""
    return f"#/experiments?{TRAINING_MODE}"


def study_path(settings: TrackingSettings, uri: str, study: str) -> str:
    """A study's charts, below an MLflow UI's address.

    Args:
        settings: of the study.
        uri: the resolved tracking.uri.
        study: its name.

    Raises:
        BadInput: MLflow does not show this study.
        TrackingUnavailable: no answer.
    """
    connection = connect(settings, uri)
    with reaching(connection.uri):
        found = connection.client.get_experiment_by_name(names.experiment_name(study))
    if found is None or found.lifecycle_stage == "deleted":
        raise BadInput(
            f"study '{study}': MLflow at {redacted(uri)} does not show it. Run it again with tracking=mlflow: what is "
            "done is not trained again, only shown."
        )
    return charts_path(found.experiment_id)
