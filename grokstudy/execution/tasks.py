"""A function over many items as Ray tasks, wherever Ray runs."""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

import ray
from ray.exceptions import RayError, RayTaskError

from grokstudy.execution.nodes import alive_nodes
from grokstudy.spec.errors import GrokstudyError
from grokstudy.spec.settings import ClusterSettings

Item = TypeVar("Item")
Result = TypeVar("Result")

AHEAD = 2
"""Tasks in flight for every one that can run: a free CPU finds its next one there already."""
FEWEST = 16
"""In flight, however small the cluster is now: nodes may come."""
LOOK_SECONDS = 10.0
"""Between two looks at which nodes there are."""


def mapped(function: Callable[[Item], Result], items: Sequence[Item], settings: ClusterSettings) -> Iterator[Result]:
    """Results as they come, in any order; a task whose worker or node dies is run again.

    Raises:
        GrokstudyError: the function raised it, or workers died more often than `cluster.retries` allows.
    """
    cpus, looked = _cpus(), time.monotonic()
    each = min(settings.cpus_per_pack, max(cpus, default=0) or settings.cpus_per_pack)
    remote = ray.remote(num_cpus=each, max_retries=settings.retries)(function)
    left = deque(items)
    flying: list[ray.ObjectRef[Result]] = []
    while left or flying:
        if time.monotonic() - looked > LOOK_SECONDS:
            cpus, looked = _cpus(), time.monotonic()
        free = max(FEWEST, int(AHEAD * sum(cpus) / each)) - len(flying)
        flying += [remote.remote(left.popleft()) for _ in range(min(len(left), max(free, 0)))]
        ready, flying = ray.wait(flying)
        yield from (_result(one) for one in ready)


def _cpus() -> list[float]:
    """Of every node that is alive."""
    return [node.amounts.get("CPU", 0.0) for node in alive_nodes()]


def _result(one: ray.ObjectRef[Result]) -> Result:
    try:
        return ray.get(one)
    except RayTaskError as error:
        if isinstance(error.cause, GrokstudyError):
            raise error.cause from None
        raise
    except RayError as error:
        raise GrokstudyError(
            f"A task's worker died more often than cluster.retries allows ({type(error).__name__}). "
            "Everything finished is kept; the same command goes on."
        ) from error
