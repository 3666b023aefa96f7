"""Plug-ins are found by file name: `grokstudy/tasks/modular.py` is `task=modular`. There is no list to forget.

A plug-in file holds one final class: a frozen dataclass derived from its kind's interface (`spec/interfaces.py`). Other
packages bring plug-ins through the entry-point group `grokstudy.<room>`; `--plugin my.py` adds one from a file.
"""

from __future__ import annotations

import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Mapping
from pathlib import Path
from types import ModuleType

from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.interfaces import Plugin
from grokstudy.spec.rooms import ROOMS

_files: dict[tuple[str, str], Path] = {}


def names(room: str) -> list[str]:
    """Names of the plug-ins in `room` ("tasks", "models", ...), sorted. Imports none of them."""
    package = importlib.import_module(f"grokstudy.{room}")
    own = {m.name for m in pkgutil.iter_modules(package.__path__) if not (m.ispkg or m.name.startswith("_"))}
    return sorted(own | set(_entry_points(room)) | {name for kind, name in _files if kind == room})


@functools.cache
def load(room: str, name: str, key: str = "") -> type[Plugin]:
    """The plug-in class `name` of `room`.

    Raises:
        BadInput: there is no such plug-in, or its file holds no (or more than one) class of the kind.
    """
    if name not in names(room):
        raise unknown(key or room, name, names(room), f"See `grokstudy list {room}`.")
    kind = ROOMS[room]
    module = _module(room, name)
    found = [
        cls
        for _, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, kind) and cls.__module__ == module.__name__ and not inspect.isabstract(cls)
    ]
    if len(found) != 1:
        raise BadInput(f"{room}/{name}: a plug-in file holds exactly one {kind.__name__} class, found {len(found)}.")
    return found[0]


def add_file(path: Path) -> None:
    """Registers a user's plug-in file, given as `--plugin room/name.py`; the folder's name says the kind.

    Raises:
        BadInput: the file does not exist or its folder is not one of the plug-in rooms.
    """
    room = path.resolve().parent.name
    if not path.is_file():
        raise BadInput(f"--plugin: no file '{path}'.")
    if room not in ROOMS:
        raise BadInput(f"--plugin: '{path}' must lie in a folder named after its kind, one of {', '.join(ROOMS)}.")
    _files[room, path.stem] = path.resolve()
    load.cache_clear()


def files() -> list[str]:
    """Paths registered by `add_file`, for workers in other processes."""
    return [str(path) for path in _files.values()]


def _module(room: str, name: str) -> ModuleType:
    if (room, name) in _files:
        qualified = f"grokstudy_user.{room}.{name}"
        spec = importlib.util.spec_from_file_location(qualified, _files[room, name])
        assert spec is not None
        assert spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[qualified] = module
        try:
            spec.loader.exec_module(module)
        except Exception as error:  # whatever a user's file may raise
            raise BadInput(
                f"--plugin: '{_files[room, name]}' cannot be loaded: {type(error).__name__}: {error}"
            ) from error
        return module
    points = _entry_points(room)
    return importlib.import_module(points[name].value if name in points else f"grokstudy.{room}.{name}")


@functools.cache
def _entry_points(room: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=f"grokstudy.{room}")}
