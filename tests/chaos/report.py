"""What was done to a study and what came of it, as rows, a table and a file."""

from __future__ import annotations

import dataclasses
import json
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

WENT_ON = "the study went on"


@dataclasses.dataclass(slots=True, eq=False, kw_only=True)
class Event:
    """One thing that was done to a study."""

    at: float
    """Seconds since the killer began."""
    study: str
    kind: str
    what: str
    """To whom, in words."""
    lethal: bool
    """Whether something was killed (and not just paused, cut off, filled or damaged)."""
    outcome: str = WENT_ON


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What was found of a study in the end."""

    study: str
    trials: int
    starts: int
    """How often it was started until it came to its end."""
    seconds: float
    broken: tuple[str, ...]
    """Invariants that do not hold; empty = all do."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """A whole campaign."""

    seed: int
    world: str | None
    """Where the cluster was; None = there was none."""
    remarks: Sequence[str] = ()
    """What the campaign lacked, and why."""
    events: Sequence[Event]
    verdicts: Sequence[Verdict]

    @property
    def kills(self) -> int:
        return sum(event.lethal for event in self.events)

    @property
    def broken(self) -> list[str]:
        return [f"{verdict.study}: {line}" for verdict in self.verdicts for line in verdict.broken]

    def write(self, folder: Path) -> None:
        """Leaves chaos.json and chaos.md."""
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps({**dataclasses.asdict(self), "kills": self.kills}, indent=1)
        (folder / "chaos.json").write_text(text + "\n")
        (folder / "chaos.md").write_text(self.markdown())

    def markdown(self) -> str:
        """Events by kind, then studies, as tables."""
        kinds = Counter(event.kind for event in self.events)
        rows = []
        for kind, count in sorted(kinds.items(), key=lambda item: (-item[1], item[0])):
            outcomes = Counter(_class(event.outcome) for event in self.events if event.kind == kind)
            said = "; ".join(f"{outcome} {n}" for outcome, n in outcomes.most_common())
            rows.append((kind, str(count), said))
        studies = [
            (v.study, str(v.trials), str(v.starts), f"{v.seconds:.0f}", "; ".join(v.broken) or "all hold")
            for v in self.verdicts
        ]
        return "\n".join(
            [
                f"Seed {self.seed}: {len(self.events)} events, {self.kills} of them kills; "
                f"{len(self.verdicts)} studies, {sum(v.trials for v in self.verdicts)} trials; "
                f"world: {self.world or 'no cluster'}.",
                "",
                *(line for remark in self.remarks for line in (f"**{remark}**", "")),
                *table(("event", "times", "what the study did"), rows),
                "",
                *table(("study", "trials", "starts", "seconds", "invariants"), studies),
                "",
            ]
        )

    def lines(self) -> list[str]:
        """Every event, one line each."""
        return [line_of(event) for event in self.events]


def line_of(event: Event) -> str:
    return f"{event.at:7.1f} s  {event.study:10}  {event.kind:10}  {event.what}: {event.outcome}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of a markdown table."""
    return [f"| {' | '.join(cells)} |" for cells in (head, ["---"] * len(head), *rows)]


def _class(outcome: str) -> str:
    """An outcome without what is special to one event."""
    return outcome.partition(":")[0]
