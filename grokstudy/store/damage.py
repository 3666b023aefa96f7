"""Parts that cannot be read: how they are found.

A damaged part never stops a reader: it is left out, and everybody who asks is told. Writers never touch it.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import hashlib
import itertools
import warnings
from collections.abc import Iterable, Mapping
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

from grokstudy.spec.errors import DamagedFile
from grokstudy.store.cache import forget, local_files
from grokstudy.store.damaged_part import DamagedPart, DamagedPartWarning
from grokstudy.store.folder import StudyFolder
from grokstudy.store.parts import KEYS, SETTLED, TYPES, Kind

ATTEMPTS = 5
"""Times that a reader lists parts anew when a compaction removes them under it."""


@dataclasses.dataclass(frozen=True, eq=False, slots=True)
class Footer:
    """What a part says of itself."""

    types: Mapping[str, pa.DataType]
    """By column."""
    settled: bool
    """No two of its rows are about the same thing."""


def damaged_parts(folder: StudyFolder) -> tuple[DamagedPart, ...]:
    """The parts of a study that cannot be read, as far as known: footers of all parts, pages of those that failed."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            return tuple(part for kind in TYPES for part in _damaged(folder, kind))
        except FileNotFoundError:  # compacted between listing and reading
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


def warn(parts: Iterable[DamagedPart]) -> None:
    """Issues one warning per part."""
    for part in parts:
        warnings.warn(DamagedPartWarning(part), stacklevel=3)


def refuse(parts: Iterable[DamagedPart]) -> None:
    """For writers of another study: a copy that lacks rows would not show it.

    Raises:
        DamagedFile: if there is a damaged part; names the first.
    """
    for part in parts:
        raise DamagedFile(f"{part} Nothing is copied from a study with a damaged part.")


def footer_of(folder: StudyFolder, name: str, path: Path, kind: Kind) -> Footer | DamagedPart:
    """The footer of a part (`path` is the file or a local copy of it), read once per process.

    Raises:
        FileNotFoundError: it was compacted away meanwhile.
    """
    found = _footer(path, kind, *_version(path))
    if isinstance(found, str):
        forget(folder, name, path)
        return DamagedPart(study=folder.name, kind=kind, name=name, where=folder.where(name), reason=found)
    return found


def look_closer(folders: Iterable[StudyFolder], attempt: int) -> None:
    """After reading failed: if listing parts anew did not help, reads every part to its last page.

    Readers leave out a part that fails, as long as this process lives and the file holds the same.
    """
    if attempt > 1:
        for folder, kind in itertools.product(folders, TYPES):
            with contextlib.suppress(FileNotFoundError):  # compacted away, so that the next listing will do
                names = folder.parts(kind)
                for name, path in zip(names, local_files(folder, names), strict=True):
                    if not isinstance(footer_of(folder, name, path, kind), DamagedPart) and not _is_whole(path):
                        _BROKEN[path] = _digest(path)
        _footer.cache_clear()


_BROKEN: dict[Path, str] = {}
"""Content of files with a whole footer whose pages cannot be read."""


def _damaged(folder: StudyFolder, kind: Kind) -> list[DamagedPart]:
    names = folder.parts(kind)
    found = [footer_of(folder, n, path, kind) for n, path in zip(names, local_files(folder, names), strict=True)]
    return [part for part in found if isinstance(part, DamagedPart)]


def _version(path: Path) -> tuple[int, int]:
    state = path.stat()
    return state.st_mtime_ns, state.st_size


@functools.lru_cache(maxsize=100_000)
def _footer(path: Path, kind: Kind, modified: int, size: int) -> Footer | str:
    """The part's footer, or what is wrong with it."""
    if path in _BROKEN and _BROKEN[path] == _digest(path):
        return "its pages cannot be decoded"
    try:
        schema = pq.read_schema(path)
    except (pa.ArrowException, OSError) as error:
        if not path.exists():
            raise FileNotFoundError(path) from error
        return "an empty file" if size == 0 else f"{size} bytes, not a whole Parquet file"
    types = {field.name: field.type for field in schema}
    return wrong_schema(schema, kind) or Footer(types, settled=(schema.metadata or {}).keys() >= SETTLED.keys())


def wrong_schema(schema: pa.Schema, kind: Kind) -> str | None:
    """What makes the columns unusable for this kind of part."""
    missing = [name for name in KEYS[kind] if name not in schema.names]
    if missing:
        return f"not a part of {kind}: it has no column '{missing[0]}'"
    if len(set(schema.names)) < len(schema.names):
        return "a column appears twice"
    for field in schema:
        wanted = TYPES[kind].get(field.name)
        if wanted is not None and _family(field.type) not in (_family(wanted), "nothing"):
            return f"column '{field.name}' holds {field.type}, must be {wanted}"
        if wanted is None and kind == "trials" and pa.types.is_nested(field.type):
            return f"column '{field.name}' holds {field.type}, which no setting does"
    return None


def _family(type_: pa.DataType) -> str:
    """Types that a reader may take for each other."""
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return f"list of {_family(type_.value_type)}"
    families = {
        "text": (pa.types.is_string, pa.types.is_large_string, pa.types.is_string_view),
        "whole": (pa.types.is_integer,),
        "number": (pa.types.is_floating,),
        "nothing": (pa.types.is_null,),
    }
    return next((name for name, tests in families.items() if any(test(type_) for test in tests)), str(type_))


def _digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def _is_whole(path: Path) -> bool:
    try:
        for _ in pq.ParquetFile(path).iter_batches():
            pass
    except (pa.ArrowException, OSError):
        return not path.exists()  # one that was compacted away is not damaged
    return True
