"""Where a study is found on an MLflow UI."""

from __future__ import annotations

from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import TrackingSettings
from grokstudy.tracking import names
from grokstudy.tracking.charts import TRAINING_MODE, charts_path, run_path
from grokstudy.tracking.connection import Connection, connect, reaching
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
    return charts_path(_experiment_id(connect(settings, uri), study))


def trial_path(settings: TrackingSettings, uri: str, study: str, trial_id: str) -> str:
    """A trial's run, below an MLflow UI's address; the study's charts where MLflow has no run of its own for it.

    Arguments and errors as `study_path`.
    """
    connection = connect(settings, uri)
    experiment_id = _experiment_id(connection, study)
    with reaching(connection.uri):
        found = connection.client.search_runs([experiment_id], f"tags.`{names.TRIAL}` = '{trial_id}'", max_results=1)
    return run_path(experiment_id, found[0].info.run_id) if found else charts_path(experiment_id)


def _experiment_id(connection: Connection, study: str) -> str:
    with reaching(connection.uri):
        found = connection.client.get_experiment_by_name(names.experiment_name(study))
    if found is None or found.lifecycle_stage == "deleted":
        raise BadInput(
            f"study '{study}': MLflow at {redacted(connection.uri)} does not show it. Run it again with "
            "tracking=mlflow: what is done is not trained again, only shown."
        )
    identity: str = found.experiment_id
    return identity
