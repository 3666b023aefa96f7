"""What `grokstudy submit` sends: a command, the files it needs and a name that the same submission always has.

Nothing of the user's directory or environment goes along: a package holds the resolved study, the plug-in files that
were named and, if asked for, the code of grokstudy itself.
"""

from __future__ import annotations

import dataclasses
import hashlib
import importlib.metadata
import importlib.resources
import io
import json
import shlex
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from importlib.resources.abc import Traversable
from pathlib import Path

from grokstudy.spec.axes import Value
from grokstudy.spec.identity import leaves
from grokstudy.spec.rooms import ROOMS
from grokstudy.spec.study import StudySpec, with_values
from grokstudy.study.document import plain, to_yaml

STUDY_FILE = "study.yaml"
PROGRAM = ("python", "-m", "grokstudy.cli.app")
ENVIRONMENT = ("GROKSTUDY_DEBUG",)
"""The only variables that travel."""
CODE = (".py", ".yaml", ".jinja")
"""Endings of the files that are the code."""
FREE_ROOM = "circuits"
"""Room of a plug-in file that lies in no room's folder: it is a measure."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """What a job does: a verb with its words, run beside these files."""

    verb: str
    study: str
    """Name of the study; empty if the verb is about none or all."""
    storage: str
    words: tuple[str, ...]
    files: Mapping[str, bytes]
    settings: str
    """The study as text without versions: with verb, words and plug-ins, what makes two submissions the same."""

    @property
    def entrypoint(self) -> str:
        return shlex.join([*PROGRAM, self.verb, *self.words])

    @property
    def stem(self) -> str:
        """The submission's id without its attempt: `<study>-<8 hex>`."""
        plugins = {name: hashlib.sha256(data).hexdigest() for name, data in self.files.items() if name != STUDY_FILE}
        text = json.dumps([self.verb, self.words, self.settings, self.storage, plugins], sort_keys=True)
        return f"{self.study or self.verb}-{hashlib.sha256(text.encode()).hexdigest()[:8]}"


def study_work(spec: StudySpec, plugins: Sequence[Path], options: Sequence[str] = ()) -> Work:
    """`run` of a resolved study: packs go to the cluster that the job runs on, unless another kind was chosen."""
    spec = on_cluster(without_local_files(spec))
    files = plugin_files(plugins)
    return Work(
        verb="run",
        study=spec.name,
        storage=spec.storage.root,
        words=("--from", STUDY_FILE, *plugin_words(files), *options),
        files={STUDY_FILE: to_yaml(spec).encode(), **files},
        settings=json.dumps(plain(spec), sort_keys=True),
    )


def words_work(
    verb: str,
    study: str,
    storage: str,
    words: Sequence[str],
    plugins: Sequence[Path],
    options: Sequence[tuple[str, str]] = (),
) -> Work:
    """Another verb with the words it was given; `options` with a value replace what the words say of them."""
    files = plugin_files(plugins)
    kept = without_options(words, ["--plugin", *(name for name, _ in options)])
    added = [word for option in options for word in option]
    return Work(
        verb=verb,
        study=study,
        storage=storage,
        words=(*kept, *added, *plugin_words(files)),
        files=files,
        settings="",
    )


def without_options(words: Sequence[str], names: Sequence[str]) -> list[str]:
    """The words without these options and their values, as `--name value` or `--name=value`."""
    kept, skip = [], False
    for word in words:
        if skip:
            skip = False
        elif word in names:
            skip = True
        elif word.partition("=")[0] not in names:
            kept.append(word)
    return kept


def on_cluster(spec: StudySpec) -> StudySpec:
    """The study as it runs inside a cluster: embedded Ray becomes the Ray that is there."""
    if spec.cluster.kind != "local":
        return spec
    return dataclasses.replace(spec, cluster=dataclasses.replace(spec.cluster, kind="ray"))


def without_local_files(spec: StudySpec) -> StudySpec:
    """The study with the content of every file that a setting names (a Cayley table) in place of the file's name."""

    def content(path: str, value: Value) -> Value:
        found: Value = leaves(spec.trial({path: value}))[path].value if _names_file(value) else value
        return found

    base = {path: content(path, value) for path, value in _texts(spec.base, "") if _names_file(value)}
    axes = (
        dataclasses.replace(axis, values=tuple(content(axis.path, value) for value in axis.values))
        for axis in spec.axes
    )
    return dataclasses.replace(spec, base=with_values(spec.base, base), axes=tuple(axes))


def _names_file(value: Value) -> bool:
    try:
        return isinstance(value, str) and Path(value).is_file()
    except (OSError, ValueError):  # too long for a name, or not one
        return False


def _texts(node: Mapping[str, object], prefix: str) -> Iterator[tuple[str, str]]:
    for key, value in node.items():
        if isinstance(value, Mapping):
            yield from _texts(value, f"{prefix}{key}.")
        elif isinstance(value, str):
            yield f"{prefix}{key}", value


def plugin_files(plugins: Sequence[Path]) -> dict[str, bytes]:
    """Plug-in files by their place in the package: the folder's name says the kind."""
    rooms = [(path.resolve(), path.resolve().parent.name) for path in plugins]
    return {f"plugins/{room if room in ROOMS else FREE_ROOM}/{path.name}": path.read_bytes() for path, room in rooms}


def plugin_words(files: Mapping[str, bytes]) -> list[str]:
    """The options that name plug-in files of a package."""
    return [word for name in files for word in ("--plugin", name)]


def code_files() -> dict[str, bytes]:
    """The installed grokstudy: its modules, templates and conf/, and the one line that tells its version."""
    version = importlib.metadata.version("grokstudy")
    metadata = f"Metadata-Version: 2.1\nName: grokstudy\nVersion: {version}\n"
    found = {f"grokstudy-{version}.dist-info/METADATA": metadata.encode()}
    found |= _code(importlib.resources.files("grokstudy"), "grokstudy")
    return found | _code(importlib.resources.files("grokstudy.conf"), "grokstudy/conf")


def _code(folder: Traversable, name: str) -> dict[str, bytes]:
    found: dict[str, bytes] = {}
    for entry in folder.iterdir():
        if entry.is_dir() and entry.name.isidentifier() and entry.name != "__pycache__":
            found |= _code(entry, f"{name}/{entry.name}")
        elif entry.is_file() and entry.name.endswith(CODE) and not entry.name.startswith("."):
            found[f"{name}/{entry.name}"] = entry.read_bytes()
    return found


def archive(files: Mapping[str, bytes]) -> bytes:
    """A zip file of exactly these files; equal files give equal bytes, so that a cluster keeps one copy."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as target:
        for name in sorted(files):
            entry = zipfile.ZipInfo(name)  # dated 1980
            entry.compress_type, entry.external_attr = zipfile.ZIP_DEFLATED, 0o644 << 16
            target.writestr(entry, files[name])
    return buffer.getvalue()
