"""Samplers: one file is one `sampler=`; `BoundarySampler` is the adaptive one for any Optuna study."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from grokstudy.samplers._optuna_boundary import BoundarySampler as BoundarySampler

__all__ = ["BoundarySampler"]


def __getattr__(name: str) -> object:
    """Imports Optuna only for who asks for its sampler."""
    if name != "BoundarySampler":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from grokstudy.samplers._optuna_boundary import BoundarySampler

    return BoundarySampler
