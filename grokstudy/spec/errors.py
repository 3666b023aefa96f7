"""Errors that a user can cause, each with what must hold and what to do.

GrokstudyError
  ├── BadInput            a setting, name, permission or file that cannot be used: somebody must change it
  │     └── DamagedFile   a file of the study folder that cannot be read
  ├── StorageUnavailable  the storage does not answer or is full: the same command goes on once it does
  └── StudyBusy           another process writes the study
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable


class GrokstudyError(Exception):
    """Base of every error whose message is meant for a person."""

    exit_code = 2


class BadInput(GrokstudyError):
    """A key, value or name that cannot be used. Nothing was run or written."""


class DamagedFile(BadInput):
    """A stored file that cannot be read; the message names it and what was lost."""


class StorageUnavailable(GrokstudyError):
    """The storage does not answer, fails or is full, for a reason that may pass; nothing is wrong with the study.

    It is raised after about a minute of trying. Whoever computes stops: what is not stored is computed again, so that
    the same command goes on from what is there. It never says anything about a trial.
    """


class StudyBusy(GrokstudyError):
    """Another live process holds the study's lock."""


def nearest(given: str, allowed: Iterable[str]) -> str:
    """`; did you mean 'x'?` for the closest of `allowed`, or the sentence's full stop when nothing is near."""
    close = difflib.get_close_matches(given, list(allowed), n=1, cutoff=0.55)
    return f"; did you mean '{close[0]}'?" if close else "."


MOST_NAMES, FEW_NAMES = 30, 10
"""Up to so many allowed names a message lists all; of more, the few that are spelled most alike."""


def unknown(key: str, given: str, allowed: Iterable[str], remedy: str = "") -> BadInput:
    """Error for a name that is not among `allowed`: says the key, the value, the allowed ones and the nearest."""
    names = sorted(allowed)
    given = given if given.isprintable() else ascii(given)
    if len(names) > MOST_NAMES:
        close = difflib.get_close_matches(given, names, n=FEW_NAMES, cutoff=0.0)
        told = f"Nearest of {len(names)} names: {', '.join(close)}."
    else:
        told = f"Allowed: {', '.join(names) or 'nothing'}."
    text = f"{key}: no '{given}'{nearest(given, names)} {told}"
    return BadInput(f"{text} {remedy}".rstrip())
