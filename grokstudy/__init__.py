"""grokstudy maps where neural networks grok: studies of small trainings become phase diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grokstudy.study.api import Study as Study
    from grokstudy.study.api import open as open

__all__ = ["Study", "open"]


def __getattr__(name: str) -> Any:
    """`open` and `Study` are loaded when first used, so that `import grokstudy` stays light."""
    if name in __all__:
        from grokstudy.study import api

        return getattr(api, name)
    raise AttributeError(f"module 'grokstudy' has no attribute '{name}'")
