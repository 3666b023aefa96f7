"""A published result as it is judged: statement, source, numbers with provenance, and what would be equivalent."""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from grokstudy.spec.errors import BadInput
from grokstudy.spec.outcome import RATIO, TAU

Cost = Literal["S", "S-M", "M", "M-L", "L", "G"]
Estimate = Literal["share", "mean", "geometric_mean", "median", "slope", "spearman", "crossing"]
Provenance = Literal["paper", "code", "quoted", "computed", "identity"]

COSTS: dict[Cost, str] = {
    "S": "at most a minute on two cores",
    "S-M": "one to a few minutes",
    "M": "at most ten minutes",
    "M-L": "tens of minutes",
    "L": "hours",
    "G": "a GPU",
}
MAIN = "main"
"""The arm that the config itself describes."""
_ARM = re.compile(r"[a-z][a-z0-9_]{0,39}")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimArm:
    """Another study of the same claim: the config with some words changed, a control for instance."""

    name: str
    words: tuple[str, ...]
    """Overrides of the claim's own config."""
    why: str

    def __post_init__(self) -> None:
        if not _ARM.fullmatch(self.name) or self.name == MAIN:
            raise BadInput(f"name: got '{self.name}', must be a lower-case word (a-z, 0-9, _) other than {MAIN}.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimCheck:
    """One number of the claim: how it is read, and what is equivalent to what was published."""

    name: str
    sql: str
    """A SELECT over trials (with a column `arm`), curves, measures and measures_long. Its column `value` holds one
    number per unit of replication (a seed); slope, spearman and crossing also read `x`, and `seed` to tell units
    apart."""
    estimate: Estimate
    equivalence: tuple[float | None, float | None]
    """Ends of the interval in which an effect counts as the published one; null = open."""
    published: str
    """What the source says, in its own numbers."""
    rising: bool | None = None
    """Of a crossing, and given there: whether units hold above it (true) or below it (false)."""
    within: tuple[float | None, float | None] = (None, None)
    """Ends of what the effect can be at all, e.g. 0 to 1 for a mean of shares: an interval ends there."""
    value: float | None = None
    """The published number, where there is one, for the figure."""
    provenance: Provenance = "paper"
    """Where the number was read: the paper, the authors' code or logs, quoted by others, computed from released
    material, or it follows from definitions."""
    control: bool = False
    """Whether this is what must NOT show the effect."""

    def __post_init__(self) -> None:
        low, high = self.equivalence
        if low is None and high is None:
            raise BadInput(f"equivalence: {self.name}: got no end at all, so that everything would be equivalent.")
        if low is not None and high is not None and low > high:
            raise BadInput(f"equivalence: {self.name}: got {low} to {high}, must rise.")
        if (self.rising is None) == (self.estimate == "crossing"):
            raise BadInput(
                f"rising: {self.name}: got {self.rising}, estimate={self.estimate}; say true or false of a crossing, "
                "and nothing of other estimates."
            )


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimPoint:
    """A published number in the figure's plane."""

    x: float
    y: float
    label: str


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimFigure:
    """What is drawn beside the intervals: one dot per row of the SELECT (columns x, y and series).

    With a column `value` each row is a cell of a plane instead, in the colour of that share, with a plane per series.
    """

    sql: str
    x: str
    y: str
    value: str = ""
    """What the shares of a plane's cells are."""
    log_x: bool = False
    log_y: bool = False
    lines: bool = False
    """Rows of a series are joined in the order of x (curves); else the median of each x is."""
    points: tuple[ClaimPoint, ...] = ()


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClaimRecord:
    """The `claim` of a config in `conf/study/claims/`."""

    number: str
    """Of the row in the list of published results that this is, e.g. "24" or "31b"."""
    statement: str
    source: str
    """Paper and section, or repository."""
    cost: Cost
    setting: str
    """`as published`, or what differs and why."""
    measured: str
    """How, in words."""
    checks: tuple[ClaimCheck, ...]
    arms: tuple[ClaimArm, ...] = ()
    figure: ClaimFigure | None = None
    tau: float = TAU
    ratio: float = RATIO
    tried: str = ""
    """For results that did not come out: what was tried, and the reason found."""

    def __post_init__(self) -> None:
        if not self.checks:
            raise BadInput("checks: a claim needs at least one number that can be judged.")
        if all(check.control for check in self.checks):
            raise BadInput(
                f"checks: got {len(self.checks)}, each with control: true; at least one must be what the claim says, "
                "without control."
            )
        for kind, names in (("arms", [a.name for a in self.arms]), ("checks", [c.name for c in self.checks])):
            for name in names:
                if names.count(name) > 1:
                    raise BadInput(f"{kind}: '{name}' stands there {names.count(name)} times.")
