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
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, TypeVar

import ray
import torch
from ray import tune
from ray.tune.search import Searcher

from grokstudy.execution.job import PackJob, PackSource, Progress
from grokstudy.execution.work import work
from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import ClusterSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

REPORT_SECONDS = 2.0
ENVIRONMENT = {
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "TUNE_DISABLE_STRICT_METRIC_CHECKING": "1",
    "TUNE_DISABLE_SIGINT_HANDLER": "1",
    "TUNE_GLOBAL_CHECKPOINT_S": "3600",
    "TUNE_WARN_THRESHOLD_S": "60",
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_TRAIN_ENABLE_V2_MIGRATION_WARNINGS": "0",
    "RAY_DEDUP_LOGS": "1",
}
OBJECT_STORE_BYTES = 128 << 20
"""Packs travel as a few kilobytes; results go to the study folder."""


class OnRay:
    """The executor of `cluster=local`: Ray, embedded in this process and started at first use."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._started = False

    def slots(self) -> int:
        """Packs at a time, from this machine's CPUs (no Ray needed to know).

        Raises:
            BadInput: no pack fits.
        """
        gpus = torch.cuda.device_count() if self._settings.gpus_per_pack else 0
        return slots_of(os.cpu_count() or 1, gpus, self._settings)

    def run_packs(self, source: PackSource, name: str) -> None:
        self._start()
        _fit(source, self._settings, self.slots(), name)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        self._start()
        remote = ray.remote(num_cpus=self._settings.cpus_per_pack, max_retries=self._settings.retries)(function)
        waiting = [remote.remote(item) for item in items]
        while waiting:
            ready, waiting = ray.wait(waiting)
            yield from ray.get(ready)

    def close(self) -> None:
        if self._started:
            ray.shutdown()
            self._started = False

    def _start(self) -> None:
        if self._started or ray.is_initialized():
            return
        for key, value in ENVIRONMENT.items():
            os.environ.setdefault(key, value)
        ray.init(
            address="local",
            num_cpus=os.cpu_count(),
            include_dashboard=False,
            log_to_driver=False,
            logging_level=logging.ERROR,
            object_store_memory=OBJECT_STORE_BYTES,
        )
        self._started = True


def slots_of(cpus: float, gpus: float, settings: ClusterSettings) -> int:
    """Packs that fit at a time.

    Raises:
        BadInput: not even one does.
    """
    fits = [int(cpus / settings.cpus_per_pack + 1e-9)]
    if settings.gpus_per_pack:
        fits.append(int(gpus / settings.gpus_per_pack + 1e-9))
    slots = min(fits)
    if slots < 1:
        raise BadInput(
            f"cluster: a pack asks for {settings.cpus_per_pack:g} CPUs and {settings.gpus_per_pack:g} GPUs, this "
            f"cluster has {cpus:g} and {gpus:g}. Lower cluster.cpus_per_pack or cluster.gpus_per_pack."
        )
    return min(slots, settings.max_packs) if settings.max_packs else slots


def _fit(source: PackSource, settings: ClusterSettings, slots: int, name: str) -> None:
    scratch = tempfile.mkdtemp(prefix="grokstudy-tune-")
    resources = {"cpu": settings.cpus_per_pack, "gpu": settings.gpus_per_pack}
    try:
        tuner = tune.Tuner(
            tune.with_resources(_pack_trainable, resources),
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
                failure_config=tune.FailureConfig(max_failures=settings.retries),
                stop=_Stop(source),
                verbose=0,
            ),
        )
        tuner.fit()
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def _pack_trainable(config: Mapping[str, Any]) -> None:
    """Runs on a worker: one pack, with counters reported every few seconds and at the end.

    A report is also where Tune stops a pack: it raises SystemExit there, and closing the work takes a snapshot.
    """
    last, progress = time.monotonic(), None
    with contextlib.closing(work(config["job"])) as progresses:
        for progress in progresses:
            if time.monotonic() - last > REPORT_SECONDS:
                tune.report(_report(progress))
                last = time.monotonic()
    assert progress is not None
    tune.report(_report(progress))


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
        if result is not None:
            self.on_trial_result(trial_id, result)
        job = self.jobs.pop(trial_id, None)
        if job is not None:
            self.source.finished(job, "its worker died more often than cluster.retries allows" if error else None)

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
