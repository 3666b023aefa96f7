"""grokstudy maps where neural networks grok: studies of small trainings become phase diagrams."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from grokstudy.study.api import Study as Study
    from grokstudy.study.api import open as open
    from grokstudy.study.api import run as run
    from grokstudy.study.api import studies as studies
    from grokstudy.study.api import train as train
    from grokstudy.study.api import trial as trial

__all__ = ["Study", "open", "run", "studies", "train", "trial"]


def __getattr__(name: str) -> Any:
    """Everything is loaded when first used, so that `import grokstudy` stays light."""
    if name in __all__:
        from grokstudy.study import api

        return getattr(api, name)
    raise AttributeError(f"module 'grokstudy' has no attribute '{name}'")


def __dir__() -> list[str]:
    """What completion offers."""
    return [*globals(), *__all__]
