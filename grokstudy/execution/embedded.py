"""Ray embedded in this process: the executor of `cluster=local`."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from grokstudy.execution import ray_environment
from grokstudy.execution.job import PackSource
from grokstudy.execution.placement import Node, Placed, placed_on, reserved, slots_of
from grokstudy.spec.errors import GrokstudyError
from grokstudy.spec.settings import ClusterSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

OBJECT_STORE_BYTES = 128 << 20
"""Packs travel as a few kilobytes; results go to the study folder."""


class RayDidNotStart(GrokstudyError):
    """One of Ray's processes ended, or did not answer, while Ray was starting. Nothing was run."""


class OnRay:
    """Started at first use or before it by `prepare()`, gone with `close()`."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._ray: _RayThread | None = None

    def slots(self) -> int:
        """Packs at a time, from this machine's CPUs (no Ray needed to know).

        Raises:
            BadInput: no pack fits.
        """
        return slots_of([self._machine()], self._settings)

    def placement(self) -> tuple[Placed, ...]:
        return placed_on([self._machine()], reserved(self._settings))

    def prepare(self) -> None:
        """Begins to start Ray. Its processes take seconds to find each other, in which this one can load torch."""
        if self._ray is not None:
            return
        ray_environment.for_embedded()
        self._ray = _RayThread()
        self._ray.start()

    def run_packs(self, source: PackSource, name: str) -> None:
        self.prepare()
        from grokstudy.execution.tune import run_on_tune

        self._started()
        nothing: frozenset[str] = frozenset()  # workers are children of this process: they have all of it
        run_on_tune(source, self._settings, self.slots(), name, environment=nothing)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        self._started()
        from grokstudy.execution.tasks import mapped

        return mapped(function, items, self._settings)

    def release(self) -> None:
        """Begins to stop Ray; `close()` waits until it has."""
        if self._ray is not None:
            self._ray.unneeded.set()

    def close(self) -> None:
        self.release()
        if self._ray is not None:
            self._ray.join()
            self._ray = None

    def _machine(self) -> Node:
        gpus = 0
        if self._settings.gpus_per_pack:
            import torch

            gpus = torch.cuda.device_count()
        return Node(name="this machine", amounts={"CPU": os.cpu_count() or 1, "GPU": gpus})

    def _started(self) -> None:
        """Waits until Ray is there.

        Raises:
            RayDidNotStart: it will not be.
        """
        self.prepare()
        assert self._ray is not None
        self._ray.ready.wait()
        if (error := self._ray.error) is not None:
            why = str(error).partition("\n")[0] or type(error).__name__
            raise RayDidNotStart(f"Ray could not be started here ({why}). Run again, or with cluster=none.") from error
        ray_environment.keep_sigterm()


class _RayThread(threading.Thread):
    """Starts Ray, and stops it when it is not needed any more.

    One thread for both: the kernel ends Ray's processes with the thread that started them, so that none outlives a
    driver that was killed.
    """

    def __init__(self) -> None:
        super().__init__(name="ray", daemon=True)
        self.ready, self.unneeded = threading.Event(), threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            ours = _init()
        except BaseException as error:  # whatever one of its processes died of, in whatever class
            self.error, ours = error, False
        self.ready.set()
        if ours:
            import ray

            self.unneeded.wait()
            ray.shutdown()


def _init() -> bool:
    """Starts Ray; False if the caller's own is there already."""
    import ray

    if ray.is_initialized():
        return False
    ray.init(
        address="local",
        num_cpus=os.cpu_count(),
        include_dashboard=False,
        log_to_driver=False,
        logging_level=logging.ERROR,
        object_store_memory=OBJECT_STORE_BYTES,
    )
    return True
