"""What a measure looks at, and what it must offer. Nothing here imports torch."""

from __future__ import annotations

import dataclasses
from abc import abstractmethod
from collections.abc import Mapping
from typing import TYPE_CHECKING, ClassVar

from grokstudy.spec.interfaces import Plugin, TaskData

if TYPE_CHECKING:
    from torch import Tensor

    from grokstudy.spec.rows import MeasureValue
    from grokstudy.spec.trial import TrialSpec


NEVER_GENERALISED = "never_generalised"
"""Why a trial without a generalised checkpoint has no key frequencies."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Subject:
    """What a measure looks at: one network at one step, on its own task and split."""

    spec: TrialSpec
    data: TaskData
    params: Mapping[str, Tensor]
    """Float64, on the CPU."""
    key_freqs: tuple[int, ...] | None
    """Key frequencies of the trial's last generalised checkpoint; None if there are none (then `keys_reason` says
    why)."""
    keys_reason: str | None = None
    start: Mapping[str, Tensor] | None = None
    """The trial's weights at step 0, float64; None if they were not kept."""
    final: Mapping[str, Tensor] | None = None
    """Those of its last generalised checkpoint (where the keys come from), or of its last one if it has none."""


class Measure(Plugin):
    """One family of post-hoc numbers: a pure function of a network."""

    version: ClassVar[int]
    """Raised when the numbers change; stored with every value."""
    names: ClassVar[tuple[str, ...]]
    """Names of the values that `measure` returns."""
    needs_end: ClassVar[bool] = False
    """Whether it reads what is known only at the trial's end: its key frequencies or final weights."""
    default: ClassVar[bool] = True
    """Whether it is measured when nobody names it; False for what takes long."""

    @abstractmethod
    def applies(self, spec: TrialSpec) -> str | None:
        """None if the measure is defined for such trials, else the reason why not."""

    @abstractmethod
    def measure(self, subject: Subject) -> list[MeasureValue]:
        """The values. A value that is undefined here has `value=None` and a reason."""
