"""Amounts of memory as Kubernetes writes them."""

from __future__ import annotations

import re

from grokstudy.spec.errors import BadInput

MEMORY = re.compile(r"(\d+(?:\.\d+)?)(Ki|Mi|Gi|Ti|k|M|G|T)")
UNITS = {"k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "Ki": 2**10, "Mi": 2**20, "Gi": 2**30, "Ti": 2**40}


def memory_bytes(key: str, text: str, least: float) -> int:
    """Bytes of `8Gi`.

    Kubernetes reads a number without a unit as bytes and `m` as thousandths of one; nobody means either of memory.

    Raises:
        BadInput: the text is no amount with a unit, or less than `least` bytes.
    """
    match = MEMORY.fullmatch(text)
    if match is None:
        raise BadInput(f"{key}: got '{text}', must be a number with a unit of memory, one of {', '.join(UNITS)}: 8Gi.")
    size = int(float(match[1]) * UNITS[match[2]])
    if size < least:
        raise BadInput(f"{key}: got '{text}', must be at least {in_gi(least)}.")
    return size


def in_gi(size: float) -> str:
    """The amount in whole Gi, rounded up."""
    return f"{-int(-size // 2**30)}Gi"
