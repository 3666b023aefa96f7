"""Statistics of a whole study that a reviewer would accept: censored times, boundaries, transitions."""
