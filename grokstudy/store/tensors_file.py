"""What the first bytes of a safetensors file say of the rest: names, types, shapes and places; no tensor is read."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Mapping
from typing import Any

LENGTH = 8
"""Bytes of the header's own length, little endian."""
ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E4M3", "F8_E5M2"), 1),
    **dict.fromkeys(("I16", "U16", "F16", "BF16"), 2),
    **dict.fromkeys(("I32", "U32", "F32"), 4),
    **dict.fromkeys(("I64", "U64", "F64"), 8),
}


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Header:
    """The header of one file, found whole: every tensor lies inside the file and is as large as its shape says."""

    shapes: Mapping[str, tuple[int, ...]]
    metadata: Mapping[str, str]
    start: int
    """Byte at which the tensors begin."""

    def lanes(self) -> int | None:
        """Common length of all tensors along their first axis; None if they have none."""
        lengths = {shape[0] if shape else None for shape in self.shapes.values()}
        return lengths.pop() if len(lengths) == 1 else None


def header_length(first: bytes, size: int) -> int:
    """Bytes of the JSON text after the first eight of a file of `size` bytes.

    Raises:
        ValueError: the file is too short to hold it.
    """
    length = int.from_bytes(first[:LENGTH], "little") if len(first) >= LENGTH else 0
    if not 0 < length <= size - LENGTH:
        raise ValueError("an empty file" if size == 0 else f"{size} bytes, its header is cut off")
    return length


def header_of(text: bytes, size: int) -> Header:
    """The header from its JSON text, checked against the size of the file.

    Raises:
        ValueError: it is not the header of a file of this size.
    """
    try:
        document: dict[str, Any] = _document(text)
        metadata = document.pop("__metadata__", {})
        end = max((int(tensor["data_offsets"][1]) for tensor in document.values()), default=0)
        whole = LENGTH + len(text) + end
        if size != whole:
            raise ValueError(f"{size} bytes, must be {whole}")
        for name, tensor in document.items():
            first, last = tensor["data_offsets"]
            if last - first != ITEM_BYTES[tensor["dtype"]] * math.prod(tensor["shape"]):
                raise ValueError(f"tensor '{name}' is not as large as its shape says")
        return Header(
            shapes={name: tuple(map(int, tensor["shape"])) for name, tensor in document.items()},
            metadata={str(name): str(value) for name, value in metadata.items()},
            start=LENGTH + len(text),
        )
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise ValueError(f"its header is not readable ({error})") from error


def _document(text: bytes) -> Any:
    try:
        return json.loads(text)
    except ValueError as error:  # text that is no UTF-8 too
        raise ValueError("its header is not readable JSON") from error
