"""What may be a key of the storage: the name of an object inside the root, however it is read on the way there."""

from __future__ import annotations

import os
import re
import unicodedata
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import unquote

from grokstudy.spec.errors import BadInput

ORDINARY = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9_.@+=-]{0,199}(/[A-Za-z0-9_-][A-Za-z0-9_.@+=-]{0,199}){0,4}")
"""Keys that need no second look: nearly all."""
LONGEST_PART, LONGEST_KEY = 220, 900
"""Bytes: a file that is being written has a longer name for a moment (255 on most disks); S3 takes keys up to 1024."""
DECODINGS = 3
"""How often percent signs are undone: a proxy and a server may each do it once."""


def check_key(key: str) -> None:
    """Refuses what is not the name of an object inside the root, on a disk as in a bucket.

    `..`, also percent-encoded or in letters that look like it, an absolute path, control characters, backslashes.

    Raises:
        BadInput: it is no key.
    """
    if ORDINARY.fullmatch(key):
        return
    reason = _reason(key)
    if reason:
        raise BadInput(
            f"storage: {key[:100]!r} is not a key ({reason}); it must name an object inside the storage root."
        )


def check_links(root: Path, key: str) -> None:
    """Refuses a key whose path a link leads out of its study's folder; the folder itself may be a link.

    Raises:
        BadInput: it leads elsewhere.
    """
    study, _, below = key.partition("/")
    top, path = os.path.join(root, study), os.path.join(root, study)
    for part in below.split("/") if below else ():
        path = os.path.join(path, part)
        if os.path.islink(path) and not _is_below(os.path.realpath(path), os.path.realpath(top)):
            raise BadInput(
                f"storage: '{path}' is a link that leads out of the folder of '{study}', and is not followed. Put what "
                "it points to in its place, or make the whole study folder a link."
            )


def _reason(key: str) -> str:
    try:
        parts = [part.encode() for part in key.split("/")]
    except UnicodeEncodeError:
        return "it is not text"
    if max(map(len, parts)) > LONGEST_PART or len(key.encode()) > LONGEST_KEY:
        return f"longer than {LONGEST_PART} bytes between slashes, or than {LONGEST_KEY} in all"
    if "\\" in key:
        return "it has a backslash"
    for form in _readings(key):
        if any(unicodedata.category(letter) in ("Cc", "Cf") for letter in form):
            return "it has control characters"
        if not all(part.strip(" .") for part in re.split(r"[/\\]", form)):
            return "it leads out of its folder or has an empty part"
    return ""


def _readings(key: str) -> Iterator[str]:
    """The key as those on its way may read it."""
    for _ in range(DECODINGS + 1):
        yield key
        yield unicodedata.normalize("NFKC", key)
        key = unquote(key)


def _is_below(path: str, top: str) -> bool:
    return os.path.commonpath([path, top]) == top
