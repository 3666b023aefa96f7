"""Where a study runs while it is disturbed, and what a killer can do there."""

from __future__ import annotations

import dataclasses
import random
import time
from collections.abc import Callable
from typing import Protocol

from tests.chaos.driver import Driver


@dataclasses.dataclass(frozen=True, slots=True)
class Blow:
    """What was done."""

    what: str
    lethal: bool = True


class World(Protocol):
    """The places and services of a study."""

    root: str
    """Storage root, as this process reaches it."""
    driver: Driver

    def attack(self, kind: str, chance: random.Random) -> Blow | None:
        """Does something to somebody; None if there is nobody to do it to just now."""

    def tend(self) -> None:
        """Called often: brings back what has ended, as whatever looks after services would, when its time has come."""

    def is_ready(self) -> bool:
        """Whether there is a place for a driver to run."""

    def heal(self) -> None:
        """Brings everything back and waits until it answers."""

    def storage_answers(self) -> bool:
        """Whether a question to the storage is answered at once."""

    def runs(self, study: str) -> list[dict[str, str]] | None:
        """Status and tags of the study's MLflow runs; None if it has none."""


@dataclasses.dataclass(slots=True, eq=False)
class Agenda:
    """What is to be done later: a node goes on, a cable is plugged in, a server starts."""

    waiting: list[tuple[float, Callable[[], None]]] = dataclasses.field(default_factory=list)

    def add(self, seconds: float, action: Callable[[], None]) -> None:
        self.waiting.append((time.monotonic() + seconds, action))

    def do_due(self, *, all_of_it: bool = False) -> None:
        """Does what is due, in the order of its time."""
        now = time.monotonic()
        due = sorted((item for item in self.waiting if all_of_it or item[0] <= now), key=lambda item: item[0])
        for item in due:
            self.waiting.remove(item)
            item[1]()
