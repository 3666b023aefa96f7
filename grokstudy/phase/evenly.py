"""Which of many things are drawn where there is room for a few."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int


def evenly(count: int, most: int) -> Int[np.ndarray, " chosen"]:
    """At most `most` of the numbers 0 .. count - 1, rising, at equal distances, first and last among them."""
    return np.arange(count) if count <= most else np.linspace(0, count - 1, most).round().astype(np.int64)
