"""What was read a moment ago: the parts behind a set of views never change, so the next question has it at hand."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable
from typing import Generic, TypeVar

import duckdb

from grokstudy.store.shared_views import views_of

Answer = TypeVar("Answer")
MOST_VALUES = 32_000_000
"""Numbers and words that are kept of one kind of answer: at most a quarter of a gigabyte."""


class Kept(Generic[Answer]):
    """The answers given last, together at most `MOST_VALUES` values by `size`. Threads may ask at the same time."""

    def __init__(self, size: Callable[[Answer], int]) -> None:
        self._answers: OrderedDict[tuple[str, str], Answer] = OrderedDict()
        self._size = size
        self._lock = threading.Lock()

    def answer(self, connection: duckdb.DuckDBPyConnection, question: str, ask: Callable[[], Answer]) -> Answer:
        """What `ask` gives, asked once for every question and set of views."""
        views = views_of(connection)
        if views is None:
            return ask()
        key = (views, question)
        with self._lock:
            if key in self._answers:
                self._answers.move_to_end(key)
                return self._answers[key]
        found = ask()
        with self._lock:
            self._answers[key] = found
            while sum(map(self._size, self._answers.values())) > MOST_VALUES:
                self._answers.popitem(last=False)
        return found
