"""When a pack that died is started again, and when it is given up: a pure rule over what it has stored."""

from __future__ import annotations

import dataclasses


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Reached:
    """How far a pack has come for good: what it would not do again."""

    step: int = 0
    """Of its snapshot."""
    finished: int = 0
    """Trials that have their rows."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Deaths:
    """What the deaths of a pack's workers have shown so far."""

    reached: Reached = Reached()
    """The furthest that it ever came."""
    in_vain: int = 0
    """Starts in a row that died without coming any further."""

    def after(self, reached: Reached) -> Deaths:
        """With one death more, `reached` being how far the pack has come."""
        furthest = Reached(
            step=max(reached.step, self.reached.step), finished=max(reached.finished, self.reached.finished)
        )
        return Deaths(reached=furthest, in_vain=self.in_vain + 1 if furthest == self.reached else 0)

    def may_start_again(self, retries: int) -> bool:
        """Whether the pack is worth another start.

        A cluster that loses nodes often never uses up a pack that gets on; one that kills its worker at the same step
        every time is given up after `retries` more starts.
        """
        return self.in_vain <= retries
