"""Packs on Ray Tune: one Tune trial is one pack. Tune places and retries packs, nothing more.

Tune's own state is thrown away after every run; the study folder is what a study resumes from (platform facts: reports
block the worker until the driver has read them, so they are rare and hold counters only).
"""

from __future__ import annotations

import contextlib
import dataclasses
import json
import logging
import os
import shutil
import socket
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ray import tune
from ray.tune.execution import class_cache
from ray.tune.search import Searcher

from grokstudy.execution.job import Death, PackJob, PackSource, Progress
from grokstudy.execution.placement import reserved
from grokstudy.execution.work import work
from grokstudy.spec.errors import GrokstudyError, StorageUnavailable
from grokstudy.spec.settings import ClusterSettings
from grokstudy.store.folder import StudyFolder

REPORT_SECONDS = 2.0
TUNE_READS = frozenset(name for name in class_cache.ENV_VARS_TO_PROPAGATE if not name.startswith("AWS_"))
"""Variables that Tune gives its workers, without this process's credentials."""


def run_on_tune(
    source: PackSource, settings: ClusterSettings, slots: int, name: str, *, environment: frozenset[str] = TUNE_READS
) -> None:
    """Runs packs until the source is exhausted or stopping, `slots` at a time.

    Args:
        source: of the packs.
        settings: what a pack reserves.
        slots: packs at a time.
        name: of this run of Tune.
        environment: variables of this process that a worker is given. Without any, packs run in the workers that wait
            since Ray started; with some, Ray starts new ones.

    Tune keeps its own state in a folder of this machine that is gone afterwards: other nodes need not see it, because
    no pack ever hands Tune a checkpoint.
    """
    logging.getLogger("ray.tune").setLevel(logging.CRITICAL)  # a worker that died is the source's business
    _give(environment)
    scratch = _scratch()
    try:
        tuner = tune.Tuner(
            tune.with_resources(_pack_trainable, tune.PlacementGroupFactory([reserved(settings)])),
            tune_config=tune.TuneConfig(
                search_alg=_PackSearcher(source),
                num_samples=-1,
                max_concurrent_trials=slots,
                reuse_actors=True,
                trial_name_creator=lambda trial: f"pack-{trial.trial_id}",
                trial_dirname_creator=lambda trial: f"pack-{trial.trial_id}",
            ),
            run_config=tune.RunConfig(
                name=name,
                storage_path=scratch,
                failure_config=tune.FailureConfig(max_failures=0),  # the source hands a pack out again that died
                stop=_Stop(source),
                verbose=0,
            ),
        )
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _scratch() -> str:
    """A new folder for Tune's state; those that killed drivers of this machine have left are removed."""
    ours = f"grokstudy-tune-{socket.gethostname()}-"
    for left in Path(tempfile.gettempdir()).glob(f"{ours}*"):
        pid = left.name.removeprefix(ours).partition("-")[0]
        if pid.isdigit() and not _is_alive(int(pid)):
            shutil.rmtree(left, ignore_errors=True)
    return tempfile.mkdtemp(prefix=f"{ours}{os.getpid()}-")


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except OSError:  # somebody else's
        return True
    return True


def _give(environment: frozenset[str]) -> None:
    """Tune would put the driver's keys on every worker's command line and on the dashboard; workers have their own."""
    class_cache.ENV_VARS_TO_PROPAGATE = set(environment)
    class_cache.DEFAULT_ENV_VARS = {}


def _pack_trainable(config: Mapping[str, Any]) -> None:
    """Runs on a worker: one pack, with counters reported every few seconds and at the end.

    A report is also where Tune stops a pack: it raises SystemExit there, and closing the work takes a snapshot. What a
    person has to know (a storage that is away) travels as a report too: Tune keeps no message of what a worker raises.
    """
    last, progress = time.monotonic(), None
    try:
        _check_shared(config["job"])
        with contextlib.closing(work(config["job"])) as progresses:
            for progress in progresses:
                if time.monotonic() - last > REPORT_SECONDS:
                    tune.report(_report(progress))
                    last = time.monotonic()
    except GrokstudyError as error:
        death = Death(reason=str(error), storage_away=isinstance(error, StorageUnavailable))
        tune.report({"death": json.dumps(dataclasses.asdict(death))})
        return
    assert progress is not None
    tune.report(_report(progress))


def _check_shared(job: PackJob) -> None:
    """A node that joined after the others were checked must not keep results where nobody looks for them.

    Raises:
        StorageUnavailable: the study that this pack belongs to is not there.
    """
    folder = StudyFolder.open(job.storage, job.study)
    if not folder.storage.exists(folder.key("study.yaml")):
        raise StorageUnavailable(
            f"storage.root: '{job.storage}' is another place on node {socket.gethostname()}: the study is not there. "
            "Use s3://BUCKET/PREFIX, or a folder that every node mounts under the same path."
        )


def _report(progress: Progress) -> dict[str, str]:
    """Counters as text: Tune keeps statistics of every number it is given, in every snapshot of its own state."""
    return {"counters": json.dumps(dataclasses.asdict(progress))}


class _PackSearcher(Searcher):
    """Tune's view of a PackSource: suggest = next pack, a result = counters, completion = the pack is finished."""

    def __init__(self, source: PackSource) -> None:
        super().__init__(metric=None, mode=None)
        self.source = source
        self.jobs: dict[str, PackJob] = {}

    def suggest(self, trial_id: str) -> dict[str, Any] | None:
        job = self.source.next()
        if job is None:
            return Searcher.FINISHED if self.source.exhausted else None  # type: ignore[return-value]
        self.jobs[trial_id] = job
        return {"job": job}

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if "counters" in result:
            self.source.progress(Progress(**json.loads(result["counters"])))

    def on_trial_complete(self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False) -> None:
        job = self.jobs.pop(trial_id, None)
        if job is None:
            return
        death = Death(reason="its worker died") if error else None
        if result is not None:
            self.on_trial_result(trial_id, result)
            death = Death(**json.loads(result["death"])) if "death" in result else death
        self.source.finished(job, death)

    def save(self, checkpoint_path: str) -> None:
        """Nothing: a study resumes from its folder."""

    def restore(self, checkpoint_path: str) -> None:
        """Nothing: a study resumes from its folder."""

    def __getstate__(self) -> dict[str, Any]:
        return {}  # a Tuner pickles its searcher once; this one is never restored


class _Stop(tune.Stopper):
    """Ends every pack at its next report once the study is stopping."""

    def __init__(self, source: PackSource) -> None:
        self.source = source

    def __call__(self, trial_id: str, result: Mapping[str, Any]) -> bool:
        return self.source.stopping

    def stop_all(self) -> bool:
        return False

    def __getstate__(self) -> dict[str, Any]:
        return {}
