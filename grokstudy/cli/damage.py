"""Damaged parts on the command line: one line each on stderr, and the verb goes on with what can be read."""

from __future__ import annotations

import warnings
from typing import Any

from grokstudy.cli.show import err
from grokstudy.store.damaged_part import DamagedPartWarning


def show_damage() -> None:
    """From now on a `DamagedPartWarning` is one line on stderr, each part once; other warnings are as they were."""
    others, told = warnings.showwarning, set[str]()

    def show(message: Warning | str, category: type[Warning], *place: Any, **more: Any) -> None:
        if not issubclass(category, DamagedPartWarning):
            others(message, category, *place, **more)
        elif str(message) not in told:
            told.add(str(message))
            err.print("warning:", style="bold yellow", end=" ")
            err.print(str(message), markup=False)

    warnings.simplefilter("always", DamagedPartWarning)
    warnings.showwarning = show
