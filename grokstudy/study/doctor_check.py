"""One finding of `grokstudy doctor`."""

from __future__ import annotations

import dataclasses
from typing import Literal

State = Literal["ok", "warning", "failed", "not checked"]


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """What was looked at, what was found, and what to do about it."""

    name: str
    state: State
    found: str
    """The figure found, with its unit, in one line."""
    remedy: str = ""
    """What to do; empty where nothing has to be done."""


def good(name: str, found: str) -> Check:
    return Check(name=name, state="ok", found=found)


def doubtful(name: str, found: str, remedy: str) -> Check:
    """Works, but slower or less safe than it could."""
    return Check(name=name, state="warning", found=found, remedy=remedy)


def bad(name: str, found: str, remedy: str) -> Check:
    """A study would fail."""
    return Check(name=name, state="failed", found=found, remedy=remedy)


def unseen(name: str, why: str) -> Check:
    return Check(name=name, state="not checked", found=why)


def refused(name: str, text: str) -> Check:
    """From an error made for people: its first sentence says what is wrong, the rest what to do."""
    found, stop, remedy = " ".join(text.split()).partition(". ")
    return bad(name, found + stop.strip(), remedy)


def gigabytes(size: int) -> str:
    """12.3 GB."""
    return f"{size / 1e9:.3g} GB"
