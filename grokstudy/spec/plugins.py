"""Plug-ins are found by file name: `grokstudy/tasks/modular.py` is `task=modular`. There is no list to forget.

A plug-in file holds one final class: a frozen dataclass derived from its kind's interface (`spec/interfaces.py`). Other
packages bring plug-ins through the entry-point group `grokstudy.<room>`; `--plugin my.py` adds one from a file. A
measure may be one public function of the network instead of a class: `circuits/_function.py` makes the class.
"""

from __future__ import annotations

import ast
import contextlib
import functools
import importlib
import importlib.metadata
import importlib.util
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import ModuleType
from typing import Any

from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.interfaces import Plugin
from grokstudy.spec.rooms import ROOMS

MEASURES = "circuits"
"""The room whose plug-ins may be plain functions."""

_files: dict[tuple[str, str], Path] = {}
_given: dict[tuple[str, str], type[Plugin]] = {}
"""Classes that a caller made and lent for a while."""


def names(room: str) -> list[str]:
    """Names of the plug-ins in `room` ("tasks", "models", ...), sorted. Imports none of them."""
    added = {name for kind, name in (*_files, *_given) if kind == room}
    return sorted({*shipped(room), *_entry_points(room), *added})


@functools.cache
def shipped(room: str) -> tuple[str, ...]:
    """Names of those that are part of this package, sorted."""
    package = importlib.import_module(f"grokstudy.{room}")
    modules = pkgutil.iter_modules(package.__path__)
    return tuple(sorted(m.name for m in modules if not (m.ispkg or m.name.startswith("_"))))


@functools.cache
def load(room: str, name: str, key: str = "") -> type[Plugin]:
    """The plug-in class `name` of `room`.

    Raises:
        BadInput: there is no such plug-in, or its file holds no (or more than one) class of the kind.
    """
    if name not in names(room):
        raise unknown(key or room, name, names(room), f"See `grokstudy list {room}`.")
    if (room, name) in _given:
        return _given[room, name]
    kind, module, only = ROOMS[room], _module(room, name), _attribute(room, name)
    found = [
        cls
        for own, cls in inspect.getmembers(module, inspect.isclass)
        if issubclass(cls, kind) and cls.__module__ == module.__name__ and not inspect.isabstract(cls)
        if only in ("", own)
    ]
    functions = _own_functions(module, only) if room == MEASURES and not found else []
    if len(functions) == 1:
        return _of_function(functions[0], name, module)
    if len(found) != 1:
        raise BadInput(
            f"{room}/{name}: a plug-in file holds exactly one {kind.__name__} class, found {len(found)}."
            + (_or_function(functions) if room == MEASURES else "")
        )
    return found[0]


def add_file(path: Path) -> None:
    """Registers a user's plug-in file, given as `--plugin room/name.py`; the folder's name says the kind.

    A file in any other folder is a measure if functions are all that it defines.

    Raises:
        BadInput: the file does not exist, or neither its folder nor what it holds says its kind.
    """
    if not path.is_file():
        raise BadInput(f"--plugin: no file '{path}'.")
    room = path.resolve().parent.name
    if room not in ROOMS:
        if not _defines_functions_only(path):
            raise BadInput(
                f"--plugin: '{path}' must lie in a folder named after its kind, one of {', '.join(ROOMS)}; only a "
                "measure written as one function may lie anywhere."
            )
        room = MEASURES
    _files[room, path.stem] = path.resolve()
    load.cache_clear()


@contextlib.contextmanager
def lent(room: str, name: str, plugin: type[Plugin]) -> Iterator[None]:
    """Within the block `plugin` goes by this name in this process."""
    if name in names(room):
        raise BadInput(f"{room}: there is already a plug-in '{name}'; choose another name.")
    _given[room, name] = plugin
    load.cache_clear()
    try:
        yield
    finally:
        del _given[room, name]
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
    return importlib.import_module(points[name].module if name in points else f"grokstudy.{room}.{name}")


def _attribute(room: str, name: str) -> str:
    """What an entry point `package.module:attribute` names in its module; empty if it names the module alone."""
    points = {} if (room, name) in _files else _entry_points(room)
    return (points[name].attr or "") if name in points else ""


@functools.cache
def _entry_points(room: str) -> Mapping[str, importlib.metadata.EntryPoint]:
    return {point.name: point for point in importlib.metadata.entry_points(group=f"grokstudy.{room}")}


def _defines_functions_only(path: Path) -> bool:
    """Whether a file's top level has a public function and no class, read without running it."""
    try:
        body = ast.parse(path.read_text()).body
    except (SyntaxError, ValueError) as error:
        raise BadInput(f"--plugin: '{path}' cannot be loaded: {type(error).__name__}: {error}") from error
    public = [node for node in body if isinstance(node, ast.FunctionDef) and not node.name.startswith("_")]
    return bool(public) and not any(isinstance(node, ast.ClassDef) for node in body)


def _own_functions(module: ModuleType, only: str) -> list[Callable[..., Any]]:
    """Public functions that the module itself defines; the one named `only` if that is given."""
    return [
        function
        for name, function in inspect.getmembers(module, inspect.isfunction)
        if function.__module__ == module.__name__ and not name.startswith("_") and only in ("", name)
    ]


def _of_function(function: Callable[..., Any], name: str, module: ModuleType) -> type[Plugin]:
    """The measure class that calls a function; its constants VERSION and NEEDS_END stand in the module."""
    wrapper = importlib.import_module(f"grokstudy.{MEASURES}._function")
    version, needs_end = getattr(module, "VERSION", 1), bool(getattr(module, "NEEDS_END", True))
    made: type[Plugin] = wrapper.as_plugin(function, name, version=version, needs_end=needs_end)
    return made


def _or_function(functions: list[Callable[..., Any]]) -> str:
    given = ", ".join(function.__name__ for function in functions) or "none"
    return f" Instead it may hold one public function of the network; found {given}. Start others with an underscore."
