"""Ray embedded in this process: the executor of `cluster=local`."""

from __future__ import annotations

import logging
import os
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
    """Started at first use, gone with `close()`."""

    def __init__(self, settings: ClusterSettings) -> None:
        self._settings = settings
        self._started = False

    def slots(self) -> int:
        """Packs at a time, from this machine's CPUs (no Ray needed to know).

        Raises:
            BadInput: no pack fits.
        """
        return slots_of([self._machine()], self._settings)

    def placement(self) -> tuple[Placed, ...]:
        return placed_on([self._machine()], reserved(self._settings))

    def run_packs(self, source: PackSource, name: str) -> None:
        self._start()
        from grokstudy.execution.tune import run_on_tune

        run_on_tune(source, self._settings, self.slots(), name)

    def map(self, function: Callable[[Item], Result], items: Sequence[Item]) -> Iterator[Result]:
        self._start()
        from grokstudy.execution.tasks import mapped

        return mapped(function, items, self._settings)

    def close(self) -> None:
        if self._started:
            import ray

            ray.shutdown()
            self._started = False

    def _machine(self) -> Node:
        gpus = 0
        if self._settings.gpus_per_pack:
            import torch

            gpus = torch.cuda.device_count()
        return Node(name="this machine", amounts={"CPU": os.cpu_count() or 1, "GPU": gpus})

    def _start(self) -> None:
        ray_environment.for_embedded()
        import ray

        if self._started or ray.is_initialized():
            return
        try:
            ray.init(
                address="local",
                num_cpus=os.cpu_count(),
                include_dashboard=False,
                log_to_driver=False,
                logging_level=logging.ERROR,
                object_store_memory=OBJECT_STORE_BYTES,
            )
        except Exception as error:  # whatever one of its processes died of, in whatever class
            why = str(error).partition("\n")[0] or type(error).__name__
            raise RayDidNotStart(f"Ray could not be started here ({why}). Run again, or with cluster=none.") from error
        ray_environment.keep_sigterm()
        self._started = True
