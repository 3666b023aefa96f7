"""What every storage must do: on a disk, in memory, and as S3 over HTTP (a small server here speaks the protocol)."""

from __future__ import annotations

import itertools
import os
import pickle
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import parse_qs, unquote, urlsplit

import pytest

from grokstudy.spec.errors import BadInput, StorageUnavailable
from grokstudy.store.folder import StudyFolder
from grokstudy.store.storage import Storage

NUMBERS = itertools.count()


class S3Handler(BaseHTTPRequestHandler):
    """PUT (with If-None-Match), GET (with Range), HEAD, ListObjectsV2 and DeleteObjects over a dict of objects."""

    objects: dict[str, bytes]

    def do_PUT(self) -> None:
        data = self.rfile.read(int(self.headers["Content-Length"]))
        if self.headers.get("If-None-Match") == "*" and self.path in self.objects:
            return self.answer(412)
        self.objects[self.path] = data
        return self.answer(200)

    def do_GET(self) -> None:
        url = urlsplit(self.path)
        if "list-type" in url.query:
            return self.answer(200, self.listing(parse_qs(url.query, keep_blank_values=True)))
        if url.path not in self.objects:
            return self.answer(404)
        data = self.objects[url.path]
        if (span := self.headers.get("Range")) is None:
            return self.answer(200, data)
        first, last = (int(number) for number in span.removeprefix("bytes=").split("-"))
        piece = data[first : last + 1]
        return self.answer(206, piece, **{"Content-Range": f"bytes {first}-{first + len(piece) - 1}/{len(data)}"})

    def do_HEAD(self) -> None:
        self.answer(200 if self.path in self.objects else 404, self.objects.get(self.path, b""))

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        keys = re.findall("<Key>(.*?)</Key>", body)
        for key in keys:
            self.objects.pop(f"/bucket/{key}", None)
        deleted = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
        self.answer(200, f"<DeleteResult>{deleted}</DeleteResult>".encode())

    def listing(self, asked: dict[str, list[str]]) -> bytes:
        prefix = asked.get("prefix", [""])[0]
        keys = sorted(unquote(path).removeprefix("/bucket/") for path in self.objects)
        keys = [key for key in keys if key.startswith(prefix)]
        text, folders = "", set()
        for key in keys:
            if asked.get("delimiter") and "/" in (rest := key[len(prefix) :]):
                folders.add(prefix + rest.partition("/")[0] + "/")
                continue
            size = len(self.objects[f"/bucket/{key}"])
            text += f"<Contents><Key>{key}</Key><LastModified>2026-01-01T00:00:00Z</LastModified><Size>{size}</Size>"
            text += '<ETag>"e"</ETag></Contents>'
        text += "".join(f"<CommonPrefixes><Prefix>{name}</Prefix></CommonPrefixes>" for name in sorted(folders))
        return f"<ListBucketResult><IsTruncated>false</IsTruncated>{text}</ListBucketResult>".encode()

    def answer(self, status: int, body: bytes = b"", **headers: str) -> None:
        self.send_response(status)
        fixed = {"Content-Length": str(len(body)), "ETag": '"e"', "Last-Modified": "Thu, 01 Jan 2026 00:00:00 GMT"}
        for name, value in {**fixed, **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(autouse=True)
def _private_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture(params=["disk", "memory", "s3"])
def root(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """URI of an empty storage of each kind."""
    if request.param != "s3":
        yield str(tmp_path / "root") if request.param == "disk" else f"memory://{next(NUMBERS)}"
        return
    server = ThreadingHTTPServer(("127.0.0.1", 0), type("Handler", (S3Handler,), {"objects": {}}))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    settings = {"ACCESS_KEY_ID": "a", "SECRET_ACCESS_KEY": "b", "REGION": "us-east-1", "ALLOW_HTTP": "true"}
    for name, value in {**settings, "ENDPOINT_URL": f"http://127.0.0.1:{server.server_port}"}.items():
        monkeypatch.setenv(f"AWS_{name}", value)
    yield "s3://bucket/some/prefix"
    server.shutdown()
    server.server_close()
    thread.join()


def test_an_object_is_what_was_put_last(root: str) -> None:
    storage = Storage.open(root)
    storage.put("study/a.txt", b"first")
    storage.put("study/a.txt", b"second")
    assert storage.get("study/a.txt") == b"second"
    assert storage.size("study/a.txt") == 6
    assert storage.get_range("study/a.txt", 2, 3) == b"con"
    assert Storage.open(root).get("study/a.txt") == b"second"


def test_an_object_that_is_not_there_is_file_not_found(root: str) -> None:
    storage = Storage.open(root)
    with pytest.raises(FileNotFoundError):
        storage.get("study/none")
    with pytest.raises(FileNotFoundError):
        storage.size("study/none")
    assert not storage.exists("study/none")


def test_create_leaves_what_is_there(root: str) -> None:
    storage = Storage.open(root)
    assert storage.create("study/lock", b"mine")
    assert not storage.create("study/lock", b"yours")
    assert storage.get("study/lock") == b"mine"


def test_of_many_creators_exactly_one_succeeds(root: str) -> None:
    storage = Storage.open(root)
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(lambda i: storage.create("study/lock", b"%d" % i), range(16)))
    assert made.count(True) == 1
    assert storage.get("study/lock") == b"%d" % made.index(True)


def test_listing_is_sorted_relative_to_the_root_and_by_whole_folders(root: str) -> None:
    storage = Storage.open(root)
    assert storage.list("") == []
    for key in ("b/2", "b/1", "b/deep/er", "bb/1"):
        storage.put(key, b"x")
    assert storage.list("b") == storage.list("b/") == ["b/1", "b/2", "b/deep/er"]
    assert storage.list("") == ["b/1", "b/2", "b/deep/er", "bb/1"]
    assert storage.list("none") == []
    assert storage.direct("b") == ["b/1", "b/2"]
    assert storage.direct("none") == []


def test_deleting_twice_is_no_error(root: str) -> None:
    storage = Storage.open(root)
    storage.put("b/1", b"x")
    storage.put("b/2", b"x")
    storage.delete(["b/1"])
    storage.delete(["b/1"])
    storage.delete([])
    assert storage.list("") == ["b/2"]


def test_studies_are_the_folders_with_a_study_yaml(root: str) -> None:
    storage = Storage.open(root)
    assert storage.studies() == []
    for key in ("two/study.yaml", "one/study.yaml", "three/trials/x", "mlflow.db"):
        storage.put(key, b"x")
    assert storage.studies() == ["one", "two"]
    assert StudyFolder(storage, "one").exists()
    assert not StudyFolder(storage, "three").exists()


def test_a_folder_travels_by_uri_and_name(root: str) -> None:
    folder = StudyFolder.open(root, "study")
    folder.put_text("report/report.md", "t_gen ≥ 5 t_mem")
    copy = pickle.loads(pickle.dumps(folder))
    assert copy == folder
    assert copy.get_text("report/report.md") == "t_gen ≥ 5 t_mem"
    assert copy.get_text("report/none.md") is None
    assert copy.get_bytes("none") is None


@pytest.mark.parametrize("name", ["", "..", "a/b", "-x", ".hidden", "a b"])
def test_a_name_that_is_no_folder_is_refused(name: str) -> None:
    with pytest.raises(BadInput, match=r"^name: got"):
        StudyFolder.open("memory://names", name)


def test_local_roots_become_absolute(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    storage = Storage.open("studies")
    assert storage.uri == str(tmp_path / "studies")
    assert storage == Storage.open(f"file://{tmp_path}/studies")
    assert not (tmp_path / "studies").exists(), "nothing is made before something is written"
    assert storage.local_path("a/b") == tmp_path / "studies/a/b"
    assert Storage.open("memory://x").local_path("a/b") is None


def test_a_root_that_cannot_be_written_is_named_with_the_remedy(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    for bad in (tmp_path / "file", tmp_path / "file" / "below"):
        with pytest.raises(BadInput, match=r"storage\.root: cannot write to .*file.*storage\.root=DIR"):
            Storage.open(str(bad))
    # A directory that lets itself be listed but not written, for root too.
    with pytest.raises(BadInput, match=r"storage\.root: cannot write to '/proc/self'.*storage\.root=DIR"):
        Storage.open("/proc/self").put("a/b", b"x")


def test_roots_of_unknown_kinds_are_refused() -> None:
    with pytest.raises(BadInput, match=r"storage\.root: got 'gs://b/p'"):
        Storage.open("gs://b/p")
    with pytest.raises(BadInput, match=r"storage\.root: got 's3://'"):
        Storage.open("s3://")


@pytest.mark.parametrize("key", ["../x", "a/../../x", "/etc/passwd", "a//b", "."])
def test_no_key_leads_out_of_the_root(tmp_path: Path, key: str) -> None:
    with pytest.raises(BadInput, match="is not a key"):
        Storage.open(str(tmp_path)).get(key)


KILLED_WRITER = """
import os, sys, time
from grokstudy.store.storage import Storage
def hang(*_):
    print("there", flush=True)
    time.sleep(60)
setattr(os, sys.argv[2], hang)
Storage.open(sys.argv[1]).put("study/trials/part-1.parquet", b"x" * 1_000_000)
"""


@pytest.mark.parametrize("moment", ["fsync", "replace"])
def test_a_writer_killed_before_the_rename_leaves_nothing_to_see(tmp_path: Path, moment: str) -> None:
    command = [sys.executable, "-c", KILLED_WRITER, str(tmp_path), moment]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[2]) as writer:
        assert writer.stdout is not None
        assert writer.stdout.readline() == "there\n"
        writer.send_signal(signal.SIGKILL)
    storage = Storage.open(str(tmp_path))
    assert storage.list("") == []
    left = list((tmp_path / "study/trials").iterdir())
    assert len(left) == 1, "the kill came after the bytes and before the name"
    storage.sweep("study", older_than_seconds=3600)
    assert left[0].exists(), "it may still be written"
    os.utime(left[0], (0, 0))
    storage.sweep("study", older_than_seconds=3600)
    assert not left[0].exists()


def test_a_failed_put_leaves_the_old_object(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.open(str(tmp_path))
    storage.put("study/a", b"old")

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StorageUnavailable, match=r"is full .*No space left on device.*Free space"):
        storage.put("study/a", b"new")
    assert storage.get("study/a") == b"old"
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["a"]


def test_a_put_survives_a_sweep_that_takes_its_unfinished_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Storage.open(str(tmp_path))
    replace, swept = os.replace, []

    def late(source: Path, target: Path) -> None:
        if not swept:
            storage.sweep("study", older_than_seconds=0)
            swept.append(source)
        replace(source, target)

    monkeypatch.setattr(os, "replace", late)
    storage.put("study/a", b"new")
    assert swept
    assert storage.get("study/a") == b"new"
    assert [path.name for path in (tmp_path / "study").iterdir()] == ["a"]


def test_create_works_on_a_file_system_without_hard_links(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def unsupported(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", unsupported)
    storage = Storage.open(str(tmp_path))
    assert storage.create("a/lock", b"mine")
    assert not storage.create("a/lock", b"yours")
    assert storage.get("a/lock") == b"mine"
