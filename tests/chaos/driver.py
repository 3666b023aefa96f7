"""`grokstudy run` as a process that is watched: how it was started, whether it lives, what it said when it ended."""

from __future__ import annotations

import dataclasses
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.services import tree
from tests.services.namespaces import Host
from tests.services.process import Service, done, start

GROKSTUDY = (sys.executable, "-m", "grokstudy.cli.app")


@dataclasses.dataclass(slots=True, eq=False)
class Driver:
    """The command line on one machine, with an environment of its own."""

    folder: Path
    environment: Mapping[str, str] = dataclasses.field(repr=False)
    host: Host | None = None
    """Where it runs; None = here."""
    starts: int = 0
    service: Service | None = None
    """The last one that was started."""

    def start(self, words: Sequence[str]) -> None:
        """Starts it; what it says goes to a file of its own."""
        self.starts += 1
        name = f"driver-{self.starts:03}"
        if self.host is not None:
            self.service = self.host.start(name, [*GROKSTUDY, *words], self.environment)
        else:
            self.service = start(name, [*GROKSTUDY, *words], self.folder, self.environment)

    def run(self, words: Sequence[str], seconds: float = 300) -> str:
        """Runs another verb to its end.

        Raises:
            ServiceFailed: it failed.
        """
        if self.host is not None:
            return self.host.run([*GROKSTUDY, *words], self.environment, seconds)
        return done([*GROKSTUDY, *words], self.folder, self.environment, seconds)

    @property
    def alive(self) -> bool:
        return self.service is not None and self.service.alive

    @property
    def code(self) -> int | None:
        """Its exit code; None while it runs."""
        return None if self.service is None else self.service.process.poll()

    def said(self) -> str:
        """All that it printed."""
        return "" if self.service is None else self.service.log.read_text(errors="replace")

    def children(self) -> list[tree.Process]:
        return [] if self.service is None else tree.below(self.service.pid)

    def kill(self) -> None:
        """SIGKILL to it alone: what it started finds out by itself."""
        if self.service is not None:
            tree.kill([self.service.pid])
            self.service.process.wait()

    def kill_all(self) -> None:
        """SIGKILL to it and to everything it started."""
        pids = [one.pid for one in self.children()]
        self.kill()
        tree.kill(pids)
