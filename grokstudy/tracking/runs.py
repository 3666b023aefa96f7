"""Runs in MLflow: found in bulk, written in as few calls as its limits allow."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Iterator, Mapping

from grokstudy.tracking import names
from grokstudy.tracking.connection import Connection, reaching
from grokstudy.tracking.content import RunContent
from grokstudy.tracking.mlflow_api import Metric, Param, Run, RunTag, ViewType

PAGE = 500
ENTITIES, PARAMS, TAGS = 1000, 100, 100
"""What one log_batch takes."""
FINISHED_SEEDS = "n_seeds"
"""Metric of a cell."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StoredRun:
    """What is known of a run in MLflow."""

    run_id: str
    name: str
    status: str
    started: int
    digest: str | None
    """Of its content; None if it was never written to the end."""
    curve_end: int
    """Curve points up to this step are there; -1 = none."""
    finished: int
    """Trials that ran to an end when the run of a cell was written; 0 for other runs."""
    tags: frozenset[str]
    """Keys of its tags."""

    def is_current(self, digest: str) -> bool:
        """Whether it was written in full, with this content."""
        return self.status not in ("RUNNING", "SCHEDULED") and self.digest == digest


def find_runs(connection: Connection, experiment_id: str, role: str, tag: str) -> Iterator[tuple[str, StoredRun]]:
    """All runs of one role that are not deleted, each with its value of `tag`; read by pages, for they are large."""
    token: str | None = None
    while True:
        with reaching(connection.uri):
            page = connection.client.search_runs(
                [experiment_id],
                filter_string=f"tags.`{names.ROLE}` = '{role}'",
                run_view_type=ViewType.ACTIVE_ONLY,
                max_results=PAGE,
                page_token=token,
            )
        for run in page:
            if (key := run.data.tags.get(tag)) is not None:  # else it is not ours
                yield key, _stored(run)
        token = page.token
        if not token:
            return


def by_key(runs: Iterable[tuple[str, StoredRun]]) -> tuple[dict[str, StoredRun], list[str]]:
    """Runs by key, and the ids of those that repeat another; complete runs go before earlier ones."""
    kept: dict[str, StoredRun] = {}
    repeated: list[str] = []
    for key, run in sorted(runs, key=lambda pair: (pair[1].digest is None, pair[1].started, pair[1].run_id)):
        if key in kept:
            repeated.append(run.run_id)
        else:
            kept[key] = run
    return kept, repeated


def create_run(connection: Connection, experiment_id: str, content: RunContent) -> StoredRun:
    """A new run with all its content."""
    given = {**content.identity, **{key: value for key, value in content.tags.items() if value}}
    tags = {key: names.cut(value, names.TAG_LIMIT) for key, value in given.items()}
    with reaching(connection.uri):
        run = connection.client.create_run(experiment_id, start_time=content.started, tags=tags, run_name=content.name)
        return _write(connection, run.info.run_id, content, after=-1, is_new=True, tagged=frozenset(tags), tags={})


def update_run(connection: Connection, run: StoredRun, content: RunContent) -> StoredRun:
    """An existing run with new content: curve points that it has are not sent again, params never change."""
    with reaching(connection.uri):
        if run.name != content.name:
            connection.client.update_run(run.run_id, name=content.name)
        # an empty text takes back a tag of an earlier write (a failed trial's error)
        tags = {key: value or "" for key, value in content.tags.items() if value is not None or key in run.tags}
        is_new = run.digest is None
        return _write(connection, run.run_id, content, after=run.curve_end, is_new=is_new, tagged=run.tags, tags=tags)


def delete_run(connection: Connection, run_id: str) -> None:
    """Moves a run to MLflow's bin."""
    with reaching(connection.uri):
        connection.client.delete_run(run_id)


def _write(
    connection: Connection,
    run_id: str,
    content: RunContent,
    *,
    after: int,
    is_new: bool,
    tagged: frozenset[str],
    tags: Mapping[str, str],
) -> StoredRun:
    """Numbers, settings and these tags; the tags that say that all of it is there go last."""
    points = [point for point in content.curves if point.step > after] + list(content.facts)
    metrics = [Metric(point.key, point.value, point.timestamp, point.step) for point in points]
    params = [Param(key, value) for key, value in content.params.items()] if is_new else []
    given = {**tags, names.CURVE_END: str(content.curve_end), names.SYNCED: content.digest}
    labels = [RunTag(key, names.cut(value, names.TAG_LIMIT)) for key, value in given.items()]
    client = connection.client
    if len(metrics) + len(params) + len(labels) <= ENTITIES and len(params) <= PARAMS and len(labels) <= TAGS:
        client.log_batch(run_id, metrics=metrics, params=params, tags=labels)  # MLflow writes the tags last
    else:
        client.log_batch(run_id, metrics=metrics, params=params)  # cut into batches by the client
        client.log_batch(run_id, tags=labels)
    client.set_terminated(run_id, status=content.status, end_time=content.ended)
    return StoredRun(
        run_id=run_id,
        name=content.name,
        status=content.status,
        started=content.started,
        digest=content.digest,
        curve_end=content.curve_end,
        finished=content.finished,
        tags=tagged | given.keys(),
    )


def _stored(run: Run) -> StoredRun:
    tags = run.data.tags
    return StoredRun(
        run_id=run.info.run_id,
        name=run.info.run_name or "",
        status=run.info.status,
        started=run.info.start_time or 0,
        digest=tags.get(names.SYNCED),
        curve_end=int(tags.get(names.CURVE_END, -1)),
        finished=int(run.data.metrics.get(FINISHED_SEEDS, 0)),
        tags=frozenset(tags),
    )
