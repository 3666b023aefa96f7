"""What is known of a part that cannot be read, and the warning that says it; light, so that a command line may ask."""

from __future__ import annotations

import dataclasses
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grokstudy.store.parts import Kind

LOST: dict[Kind, str] = {
    "trials": "Trials recorded only there are missing: `grokstudy run` of the study runs them again",
    "curves": "The times of its trials stay; their curves cannot be drawn or re-read at another threshold",
    "measures": "What it held is missing: `grokstudy measure` of the study computes it again",
    "checkpoints": "Checkpoints listed only there are missing and cannot be measured",
    "proposals": "Why these trials were chosen is lost; the trials themselves stay",
}
"""What is missing while a part is damaged, and what brings it back."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class DamagedPart:
    """A part that is left out of everything that is read."""

    study: str
    kind: Kind
    name: str
    """Relative to the study folder."""
    where: str
    """Path or URI, for people."""
    reason: str

    def __str__(self) -> str:
        return (
            f"{self.where}: this part of the study is damaged ({self.reason}) and left out; all other parts are whole. "
            f"{LOST[self.kind]}. Put back a whole copy, or `grokstudy store check {self.study} --repair` moves it away "
            "and lets the next run bring back what it held."
        )


class DamagedPartWarning(UserWarning):
    """A part of the study was left out; `part` says which and what is lost."""

    def __init__(self, part: DamagedPart) -> None:
        super().__init__(str(part))
        self.part = part
