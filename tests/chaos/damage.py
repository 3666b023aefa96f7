"""Files of a study that break: cut short, or with other bytes, on a disk or in S3."""

from __future__ import annotations

import random

from grokstudy.store.storage import Storage

BREAKABLE = ("trials/", "curves/", "measures/", "checkpoints/", "snapshots/")


def breakable(root: str, study: str) -> list[str]:
    """Keys of the files that could break; one that is rewritten all the time, or names the study, is not among them."""
    return [key for key in Storage.open(root).list(study) if key.removeprefix(f"{study}/").startswith(BREAKABLE)]


def damage(root: str, study: str, chance: random.Random) -> str:
    """Truncates one file of a study, empties it, or changes some of its bytes; says which and how."""
    storage, keys = Storage.open(root), breakable(root, study)
    # A kind of file first: checkpoints are far more than all others.
    kinds = sorted({key.split("/")[1] for key in keys})
    kind = chance.choice(kinds)
    key = chance.choice([key for key in keys if key.split("/")[1] == kind])
    data = bytearray(storage.get(key))
    name = key.removeprefix(f"{study}/")
    way = chance.choice(("cut", "empty", "bytes"))
    if way == "cut" and len(data) > 1:
        storage.put(key, bytes(data[: chance.randrange(1, len(data))]))
        return f"{name} cut short"
    if way == "empty" or not data:
        storage.put(key, b"")
        return f"{name} emptied"
    for _ in range(16):
        data[chance.randrange(len(data))] ^= chance.randrange(1, 256)
    storage.put(key, bytes(data))
    return f"16 bytes of {name} changed"
