"""Defects that somebody could make, each a change of one place, and the check that must notice it."""

from __future__ import annotations

from tests.k8s.defects import kubernetes, ours

DEFECTS = (*kubernetes.DEFECTS, *ours.DEFECTS)
