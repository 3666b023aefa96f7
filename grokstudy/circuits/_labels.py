"""Names of the algorithms that detectors tell apart."""

from __future__ import annotations

LABELS = ("unknown", "lookup_table", "fourier", "clock", "pizza", "irrep", "sparse_input", "induction_head")
"""`algorithm_label` is stored as an index into this tuple: append, never reorder."""
