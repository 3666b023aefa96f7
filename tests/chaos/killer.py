"""The killer: runs a study, does things to it at random moments, starts it again until it ends, and looks at it."""

from __future__ import annotations

import dataclasses
import random
import signal
import time
from collections.abc import Iterator, Mapping, Sequence

import pandas as pd

from grokstudy.spec.errors import GrokstudyError
from grokstudy.store.folder import StudyFolder
from grokstudy.study.activity import activity
from tests.chaos import invariants
from tests.chaos.damage import breakable, damage
from tests.chaos.report import WENT_ON, Event, Verdict, line_of
from tests.chaos.world import Blow, World
from tests.services.process import ServiceFailed

PATIENCE = 900.0
"""Seconds after the last event within which a study must come to its end."""
TRIES = 6
"""Starts without an event in between after which a study must have come to its end."""
DAMAGE = "damage"
LOOK_SECONDS = 0.5
EARLY = 0.03
"""Chance, at every look, of an event that does not wait until the driver works on the study: it hits how it starts."""
NOBODY_SECONDS = 60.0
"""For which somebody to hit is waited for before another kind of event has its turn."""


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Siege:
    """One study while it is disturbed."""

    study: str
    words: Sequence[str]
    most_kills: int
    """Of all studies so far, at which this one is left in peace."""
    next_at: float
    """When the next event is due."""
    anywhere: bool = False
    """The driver has been seen at work since the last event: the next one hits it wherever it is."""
    event_at: float = dataclasses.field(default_factory=time.monotonic)
    tries: int = 0
    """Starts since the last event."""
    over: bool = False
    broken: list[str] = dataclasses.field(default_factory=list)

    def struck(self, next_at: float) -> None:
        """There was an event, or nobody to hit."""
        self.event_at, self.tries, self.anywhere, self.next_at = time.monotonic(), 0, False, next_at

    def end(self, why: str) -> None:
        """It will not come to its end."""
        self.over = True
        self.broken.append(why)


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Killer:
    """One seed's killer. Its choices depend on the seed; what they hit depends on the moment."""

    world: World
    chance: random.Random
    kinds: Iterator[str]
    """Of the events, in their order; when it ends, so does the killer."""
    gap: float
    """Mean seconds between two events."""
    least_gap: float = 1.0
    aloud: bool = True
    events: list[Event] = dataclasses.field(default_factory=list)
    began: float = dataclasses.field(default_factory=time.monotonic)
    next_kind: str | None = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        self.next_kind = next(self.kinds, None)

    @property
    def kills(self) -> int:
        return sum(event.lethal for event in self.events)

    def run(self, study: str, words: Sequence[str], undisturbed: Mapping[str, pd.DataFrame], kills: int) -> Verdict:
        """Runs a study under at most so many kills, then once undisturbed, and looks at what it left."""
        begin, starts = time.monotonic(), self.world.driver.starts
        siege = Siege(study=study, words=words, most_kills=self.kills + kills, next_at=self._next())
        self._start(words)
        while not siege.over:
            self._step(siege)
            time.sleep(0.05)
        broken = siege.broken or self._settle(words) or self._look(study, undisturbed)
        for line in broken:
            self._say(f"BROKEN {study}: {line}")
        return Verdict(
            study=study,
            trials=len(undisturbed["trials"]),
            starts=self.world.driver.starts - starts,
            seconds=time.monotonic() - begin,
            broken=tuple(dict.fromkeys(broken)),
        )

    def _step(self, siege: Siege) -> None:
        """One look at how things are, and what is due."""
        self.world.tend()
        driver, now = self.world.driver, time.monotonic()
        if not driver.alive:
            self._ended(siege)
        elif now > siege.event_at + PATIENCE:
            driver.kill_all()
            siege.end(f"it is not done {PATIENCE:.0f} s after the last event")
        elif self.next_kind is not None and self.kills < siege.most_kills and now > siege.next_at:
            self._turn(siege, self.next_kind)

    def _ended(self, siege: Siege) -> None:
        """The driver came to an end, of itself or not: the study is done, or it is started again."""
        driver = self.world.driver
        siege.broken += invariants.broken_speech(driver.said())
        if driver.code == 0:
            siege.over = True
            return
        line = f"the driver ended with {driver.code}: {_last_line(driver.said())}"
        last = self.events[-1] if self.events and self.events[-1].study == siege.study else None
        if last is not None and last.outcome == WENT_ON:
            last.outcome = f"started again after {line}"
        if driver.code != -signal.SIGKILL:
            self._say(f"      {line}")
        siege.tries += 1
        if siege.tries > TRIES:
            siege.end(f"it ended {TRIES} times without an event in between: {_last_line(driver.said())}")
            return
        self._start(siege.words)

    def _turn(self, siege: Siege, kind: str) -> None:
        """An event is due: it happens if the driver is where it should hit it, and if there is somebody to hit."""
        now = time.monotonic()
        if not siege.anywhere and self.chance.random() > EARLY and not self._is_at_work(siege.study):
            siege.next_at = now + LOOK_SECONDS
            return
        siege.anywhere = True
        try:
            struck = self._strike(siege.study, kind)
        except ServiceFailed as error:
            siege.end(f"a repair failed: {error}")
            return
        if struck or now > siege.next_at + NOBODY_SECONDS:
            self.next_kind = next(self.kinds, None)
            siege.struck(self._next())

    def _start(self, words: Sequence[str]) -> None:
        """Starts the driver as soon as there is a place for it."""
        while not self.world.is_ready():
            self.world.tend()
            time.sleep(0.2)
        self.world.driver.start(words)

    def _strike(self, study: str, kind: str) -> bool:
        """One event; False if there was nobody to hit."""
        blow = self._break(study) if kind == DAMAGE else self.world.attack(kind, self.chance)
        if blow is None:
            return False
        at = time.monotonic() - self.began
        event = Event(at=at, study=study, kind=kind, what=blow.what, lethal=blow.lethal)
        if not self.world.driver.alive:
            event.outcome = "started again"
        self.events.append(event)
        self._say(f"{self.kills:4}  {line_of(event)}")
        return True

    def _break(self, study: str) -> Blow | None:
        """Kills the driver, breaks files of the study, and has them found and taken away; None if there are none."""
        world = self.world
        if not world.storage_answers() or not breakable(world.root, study):
            return None
        world.driver.kill_all()
        world.heal()
        broken = [damage(world.root, study, self.chance) for _ in range(self.chance.randint(1, 3))]
        world.driver.run(["store", "check", study, "--repair"])
        return Blow(f"driver killed, {', '.join(broken)}")

    def _settle(self, words: Sequence[str]) -> list[str]:
        """Again with everything well, until nothing is left to do: a pack may have failed more often than allowed."""
        self.world.heal()
        for _ in range(TRIES):
            try:
                said = self.world.driver.run(words, PATIENCE)
            except ServiceFailed as error:
                return [f"it cannot be run once more: {error}"]
            if "nothing to do" in said:
                return []
        return [f"there is always something left to do: {_last_line(said)}"]

    def _look(self, study: str, undisturbed: Mapping[str, pd.DataFrame]) -> list[str]:
        world = self.world
        broken = invariants.broken_tables(undisturbed, world.root, study)
        broken += invariants.broken_files(world.root, study)
        runs = world.runs(study)
        if runs is not None:
            broken += invariants.broken_runs(runs, undisturbed["trials"]["trial_id"])
        return broken

    def _is_at_work(self, study: str) -> bool:
        """Whether the driver that runs now has taken the study."""
        driver = self.world.driver
        if not self.world.storage_answers():
            return True
        try:
            found = activity(StudyFolder.open(self.world.root, study))
        except GrokstudyError:  # it has just been killed
            return True
        return found is not None and driver.service is not None and found.pid == driver.service.pid

    def _next(self) -> float:
        return time.monotonic() + self.least_gap + self.chance.expovariate(1 / max(self.gap - self.least_gap, 0.01))

    def _say(self, line: str) -> None:
        if self.aloud:
            print(line, flush=True)


def endless(chance: random.Random, weights: Mapping[str, float]) -> Iterator[str]:
    """Kinds of events, each as often as its weight says."""
    while True:
        yield chance.choices(list(weights), list(weights.values()))[0]


def _last_line(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1][:200] if lines else "(no message)"
