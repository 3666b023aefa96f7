"""What only a disk does: a mount that fails under a listing, a directory that others write meanwhile."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from grokstudy.spec.errors import StorageUnavailable
from grokstudy.store.storage import Storage

SOME = 5


@pytest.mark.parametrize(
    "looks", [lambda s: s.list("study"), lambda s: s.direct("study/trials"), lambda s: s.sweep("study", 0)]
)
def test_a_folder_that_cannot_be_looked_into_is_not_an_empty_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, looks: Callable[[Storage], object]
) -> None:
    storage = Storage.open(str(tmp_path))
    storage.put("study/trials/a", b"a")
    scandir = os.scandir

    def away(path: str | Path) -> object:
        if Path(path).name == "trials":
            raise OSError(errno.EIO, "Input/output error", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", away)
    with pytest.raises(StorageUnavailable, match=r"does not answer .*Input/output error"):
        looks(storage)


def test_a_delete_that_a_mount_refuses_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.open(str(tmp_path))
    storage.put("study/a", b"a")

    def away(*_: object, **__: object) -> None:
        raise OSError(errno.EIO, "Input/output error")

    monkeypatch.setattr(os, "unlink", away)
    monkeypatch.setattr(Path, "unlink", away)
    with pytest.raises(StorageUnavailable, match="does not answer"):
        storage.delete(["study/a"])


def test_a_listing_ends_while_others_add(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.open(str(tmp_path))
    storage.put("study/trials/0", b"a")
    scandir, looks = os.scandir, list[str]()

    def busy(path: str | Path) -> object:
        looks.append(str(path))
        assert len(looks) < SOME
        storage.put(f"study/trials/{len(looks)}", b"a")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", busy)
    assert "study/trials/0" in storage.direct("study/trials")


def test_a_listing_looks_again_when_files_went(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.open(str(tmp_path))
    for name in "ab":
        storage.put(f"study/trials/{name}", b"a")
    scandir, looks = os.scandir, list[str]()

    def compacting(path: str | Path) -> object:
        """The second look holds neither the sources nor what replaces them."""
        looks.append(str(path))
        if len(looks) == 2:
            storage.delete(["study/trials/a", "study/trials/b"])
        if len(looks) == 3:
            storage.put("study/trials/c", b"a")
        return scandir(path)

    monkeypatch.setattr(os, "scandir", compacting)
    assert storage.direct("study/trials") == ["study/trials/c"]


def test_a_system_that_lacks_some_errors_has_a_storage() -> None:
    """EREMOTEIO is Linux's own."""
    program = "import errno; del errno.EREMOTEIO; import grokstudy.store.disk"
    subprocess.run([sys.executable, "-c", program], check=True, timeout=60)
