"""Something done again and again beside the work: a picture redrawn, a line printed, a file kept up to date."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager


@contextmanager
def repeated(act: Callable[[], None], seconds: float) -> Iterator[None]:
    """Acts every so many seconds in a thread of its own until the block ends; never at its start or end."""
    ended = threading.Event()

    def until_ended() -> None:
        while not ended.wait(seconds):
            act()

    thread = threading.Thread(target=until_ended, daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
