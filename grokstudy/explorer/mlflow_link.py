"""Where MLflow shows a study or a trial."""

from __future__ import annotations

import re

from grokstudy.spec.errors import BadInput
from grokstudy.store.folder import StudyFolder
from grokstudy.study.api import Study
from grokstudy.tracking.browse import study_path, trial_path
from grokstudy.tracking.settings import redacted, resolved_uri, sqlite_file

_TRIAL = re.compile("[0-9a-f]{4,64}")


def mlflow_link(folder: StudyFolder, trial_id: str | None, local: str) -> str:
    """Address of the study's charts, or of one trial's run.

    Args:
        trial_id: whole; None = the study.
        local: address of the UI that `grokstudy mlflow` starts, where MLflow is a file of the storage root.

    Raises:
        BadInput: the study is not tracked, or MLflow does not show it.
        TrackingUnavailable: no answer.
    """
    spec = Study(folder=folder).spec
    if not spec.tracking.enabled:
        raise BadInput("mlflow: this study ran with tracking=none; run it again with tracking=mlflow to see it there.")
    if trial_id is not None and not _TRIAL.fullmatch(trial_id):
        raise BadInput(f"trial: got '{trial_id}', must be the id of a trial.")
    uri = resolved_uri(spec.tracking, folder.storage.uri)
    path = (
        study_path(spec.tracking, uri, folder.name)
        if trial_id is None
        else trial_path(spec.tracking, uri, folder.name, trial_id)
    )
    base = redacted(uri) if sqlite_file(uri) is None else local
    return f"{base.rstrip('/')}/{path}"
