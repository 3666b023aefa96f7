"""Times of which one knows between which two steps they lie."""

from __future__ import annotations

import dataclasses

import numpy as np
from jaxtyping import Bool, Float


@dataclasses.dataclass(frozen=True, eq=False, slots=True, kw_only=True)
class Intervals:
    """Each time lies in (low, high]: between two evaluations, or after the last one (high is infinite)."""

    low: Float[np.ndarray, " trials"]
    """Steps, at least 0."""
    high: Float[np.ndarray, " trials"]

    @classmethod
    def of(
        cls,
        times: Float[np.ndarray, " trials"],
        censored_at: Float[np.ndarray, " trials"],
        low: Float[np.ndarray, " trials"] | None = None,
    ) -> Intervals:
        """From times (NaN: not seen until `censored_at`) and the evaluations before them.

        Without those a time is known to one part in a thousand.
        """
        happened = ~np.isnan(times)
        before = times * (1 - 1e-3) if low is None else low
        return cls(low=np.where(happened, before, censored_at), high=np.where(happened, times, np.inf))

    def __len__(self) -> int:
        return len(self.low)

    @property
    def happened(self) -> Bool[np.ndarray, " trials"]:
        return np.asarray(np.isfinite(self.high))

    def take(self, rows: Bool[np.ndarray, " trials"]) -> Intervals:
        """Some of them."""
        return Intervals(low=self.low[rows], high=self.high[rows])

    def until(self, budget: float) -> Intervals:
        """The same trials as they were known at a smaller budget: what came later is not seen."""
        late = self.high > budget
        return Intervals(
            low=np.where(late, np.minimum(self.low, budget), self.low), high=np.where(late, np.inf, self.high)
        )
