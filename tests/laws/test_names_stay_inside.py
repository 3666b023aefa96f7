"""Whatever a name says, nothing outside its folder is read, written or deleted: one list of attacks, every way in."""

from __future__ import annotations

import hashlib
import http.client
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from urllib.parse import quote, urlsplit

import pytest
import torch

import grokstudy as gs
from grokstudy.cli.app import app
from grokstudy.spec import plugins
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput, GrokstudyError
from grokstudy.spec.names import check_study_name
from grokstudy.spec.rows import CheckpointRow
from grokstudy.store.checkpoints import load_lane
from grokstudy.store.folder import StudyFolder
from grokstudy.store.snapshots import get_snapshot
from grokstudy.store.storage import Storage
from grokstudy.study.lookup import find_trial
from grokstudy.study.share import share_study
from tests.explorer import Explorer, explorer
from tests.services.process import in_environment
from tests.services.s3 import S3, moto_server

SMALL = ("preset=quad23", "task.p=7", "model.width=8", "tracking=none", "cluster=none")
SECRET = b"what lies outside"

WAYS_OUT = [
    *("..", ".", "", "../x", "../../outside/x", "a/../../outside/x", "a/..", "./../x", "a//b", "/", "/etc/x", "//x"),
    *("a\0b", "..\0", "../x\0.yaml", "a\nb", "a\r", "a\tb", "a\x1b[31m", "a\x7f", "a\u202eb", "a\u200bb"),
    *("..\\x", "a\\..\\..\\x", "\\\\host\\x", "C:\\x"),
    *("%2e%2e", "%2e%2e%2fx", "..%2fx", "..%5cx", "%252e%252e%252fx", "%25252e%25252e%25252fx", "a%00b", "%2fetc"),
    *("．．", "．．／x", "..／x", "‥", "‥/x", "…", ".. ", " ..", "...", "a/. ./x", "a/ /x"),
    *("x" * 300, "/".join("y" * 200 for _ in range(6)), "\ud800"),
]
"""No storage takes these as a key, and nothing takes them as a name."""
NO_NAMES = [
    *(
        "a/b",
        "a b",
        " a",
        "a ",
        "a.",
        "a..",
        ".a",
        "-rf",
        "_a",
        "~",
        "~root",
        "$HOME",
        "a*",
        "a;b",
        "a'b",
        'a"b',
        "a|b",
    ),
    *(
        "a?b",
        "a#b",
        "a%b",
        "a&b",
        "a:b",
        "file:///etc/x",
        "s3://bucket/x",
        "memory://x",
        "é",
        "ａ",
        "аdmin",
        "a／b",
        "a∕b",
    ),
    *("CON", "con", "nul.txt", "Aux", "COM1", "lpt9.yaml", "x" * 101),
    *("mlflow.db", "MLflow.db", "mlflow.db-wal", "mlflow-artifacts", "probes"),
]
"""Keys that a storage may hold, but no names of studies."""
FEW = ["../x", "/etc/x", "%2e%2e%2fx", "..\\x", "．．", "x" * 300]
FEWER = ["../x", "nul.txt"]
"""For ways in that take their time."""
NAMES = ["a", "A" * 100, "wd_x_frac", "a..b", "v1.2", "train-1a2b3c4d", "0", "console", "nullable", "com10", "a-"]


def is_refused(way: Callable[[], object]) -> bool:
    try:
        way()
    except BadInput:
        return True
    return False


def shown(text: str) -> str:
    return ascii(text)[:24]


@pytest.fixture
def root(tmp_path: Path) -> Iterator[Path]:
    """A storage root; whatever lies beside it must be there unchanged in the end."""
    outside = tmp_path / "outside"
    (outside / "x").mkdir(parents=True)
    for name in ("x/study.yaml", "secret.safetensors", "x/secret"):
        (outside / name).write_bytes(SECRET)
    root = tmp_path / "base" / "root"
    root.mkdir(parents=True)
    before = everything(tmp_path, root)
    yield root
    assert everything(tmp_path, root) == before


def everything(top: Path, but: Path) -> dict[str, bytes]:
    """All files and folders outside the root."""
    paths = [path for path in top.rglob("*") if but not in (path, *path.parents)]
    return {str(path): path.read_bytes() if path.is_file() else b"" for path in paths}


@pytest.mark.parametrize("name", NAMES, ids=shown)
def test_ordinary_names_are_names(name: str, root: Path) -> None:
    folder = StudyFolder.open(str(root), name)
    folder.put_text("study.yaml", "x")
    assert folder.storage.studies() == [name]


@pytest.mark.parametrize("name", [*WAYS_OUT, *NO_NAMES], ids=shown)
def test_a_study_has_no_name_that_leads_elsewhere(name: str, root: Path) -> None:
    for way in (
        check_study_name,
        lambda name: StudyFolder.open(str(root), name),
        lambda name: gs.open(name, str(root)),
    ):
        with pytest.raises(BadInput) as refusal:
            way(name)
        assert str(refusal.value).isprintable()
    assert not list(root.rglob("*"))


@pytest.mark.parametrize("name", FEWER, ids=shown)
def test_no_verb_takes_such_a_name(name: str, root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GROKSTUDY_STORAGE", str(root))
    ways: list[Callable[[], object]] = [
        lambda: app(["run", *SMALL, "--name", name], standalone_mode=False),
        lambda: app(["train", *SMALL, "--name", name], standalone_mode=False),
        lambda: compose_study([*SMALL, f"name='{name}'"]),
        lambda: gs.run(*SMALL, name=name, root=str(root), progress=False),
        lambda: app(["trials", name, "--storage", str(root)], standalone_mode=False),
        lambda: app(["export", name, "--to", str(root / "net")], standalone_mode=False),
    ]
    for way in ways:
        with pytest.raises(GrokstudyError):
            way()
    assert not list(root.rglob("*"))


@pytest.mark.parametrize("name", FEW, ids=shown)
def test_no_plugin_and_no_option_is_looked_for_elsewhere(name: str, tmp_path: Path) -> None:
    (tmp_path / "own" / "study").mkdir(parents=True)
    (tmp_path / "x.yaml").write_text("# @package _global_\nname: stolen\n")
    for way in (
        lambda: plugins.load("tasks", name),
        lambda: compose_study([f"task='{name}'"]),
        lambda: compose_study([f"study='{name}'"], name="fine", config_dir=tmp_path / "own"),
        lambda: compose_study(["study=../../x"], name="fine", config_dir=tmp_path / "own"),
        lambda: compose_study([f"hydra.searchpath=[file://{tmp_path}]", "study=x"]),
    ):
        with pytest.raises(BadInput):
            way()


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with moto_server(tmp_path_factory.mktemp("s3")) as server, in_environment(server.environment()):
        server.make_bucket("bucket")
        yield server


@pytest.mark.parametrize("kind", ["disk", "memory", "s3"])
def test_no_key_leads_out_of_a_storage_root(kind: str, root: Path, s3: S3) -> None:
    uri = {"disk": str(root), "memory": f"memory://{root}", "s3": "s3://bucket/team/root"}[kind]
    storage = Storage.open(uri)
    for key in [*WAYS_OUT, *(f"study/{way}" for way in WAYS_OUT if way)]:
        ways: list[Callable[[], object]] = [
            partial(storage.put, key, b"written"),
            partial(storage.create, key, b"written"),
            partial(storage.get, key),
            partial(storage.get_range, key, 0, 4),
            partial(storage.size, key),
            partial(storage.exists, key),
            partial(storage.local_path, key),
            partial(storage.delete, [key]),
        ]
        if key and key == key.rstrip("/"):
            ways += [partial(storage.list, key), partial(storage.direct, key)]
        taken = [f"{way} takes {key!r}" for way in ways if not is_refused(way)]
        assert not taken
    assert storage.list("") == []
    if kind == "s3":
        assert s3.keys("bucket") == []


def test_a_prefix_of_dots_cannot_be_a_bucket_root(s3: S3) -> None:
    """`s3://bucket/..` is a legal prefix, but no key below it is one."""
    for uri in ("s3://bucket/..", "s3://bucket/a/../b", "s3://bucket/%2e%2e"):
        with pytest.raises(BadInput):
            Storage.open(uri).put("study/x", b"written")
    assert s3.keys("bucket") == []


@pytest.mark.parametrize(
    "way", ["../../outside/secret.safetensors", "/etc/passwd", "..%2f..%2foutside/secret.safetensors"]
)
def test_no_row_points_out_of_its_study(way: str, root: Path, tmp_path: Path) -> None:
    """Rows, snapshots and their digests are what a stranger may have written."""
    folder = StudyFolder.open(str(root), "study")
    sha256 = hashlib.sha256(SECRET).hexdigest()
    for file, digest in ((way, sha256), (f"checkpoints/{way}", sha256), ("checkpoints/x", way)):
        row = CheckpointRow(trial_id="a", step=0, file=file, lane=0, sha256=digest, kind="end")
        with pytest.raises(GrokstudyError):
            load_lane(folder, row)
    with pytest.raises(GrokstudyError):
        get_snapshot(folder, way)


def test_links_do_not_lead_out_of_a_study(root: Path, tmp_path: Path) -> None:
    gs.train(*SMALL, name="s", steps=3, root=str(root), progress=False)
    study, outside = root / "s", tmp_path / "outside"
    storage, folder = Storage.open(str(root)), StudyFolder.open(str(root), "s")
    (study / "report").mkdir(exist_ok=True)
    (study / "report" / "notes.md").symlink_to(outside / "x" / "secret")
    (study / "report" / "more").symlink_to(outside)
    (study / "extra").symlink_to(outside)
    for way in (
        lambda: storage.get("s/report/notes.md"),
        lambda: storage.get("s/extra/secret.safetensors"),
        lambda: storage.put("s/extra/new", b"written"),
        lambda: storage.delete(["s/extra/secret.safetensors"]),
        lambda: storage.direct("s/extra"),
    ):
        with pytest.raises(BadInput):
            way()
    assert not [name for name in folder.names("") if name.startswith(("extra", "report/more", "report/notes"))]
    shared = share_study(folder, str(root / "shared")).folder
    assert all(SECRET not in (shared.get_bytes(name) or b"") for name in shared.names(""))


def test_a_study_folder_itself_may_be_a_link(root: Path, tmp_path: Path) -> None:
    gs.train(*SMALL, name="s", steps=3, root=str(root), progress=False)
    elsewhere = root / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "s").symlink_to(root / "s")
    assert len(gs.open("s", str(elsewhere)).trials()) == 1


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Explorer]:
    top = tmp_path_factory.mktemp("explorer")
    for place in ("root/s", "outside/x"):
        (top / place).mkdir(parents=True)
        (top / place / "study.yaml").write_text(f"name: {SECRET.decode()}")
    with explorer(str(top / "root")) as server:
        yield server


def asked(server: Explorer, path: str) -> tuple[int, bytes]:
    """The answer to a path as it stands: no client tidies it up."""
    connection = http.client.HTTPConnection(urlsplit(server.url).netloc, timeout=30)
    try:
        connection.putrequest("GET", path, skip_accept_encoding=True)
        connection.endheaders()
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()


@pytest.mark.parametrize("way", [way for way in [*WAYS_OUT, *NO_NAMES] if way and "\ud800" not in way], ids=shown)
def test_the_explorer_serves_nothing_from_elsewhere(way: str, running: Explorer) -> None:
    encoded = {quote(way, safe=""), quote(way, safe="/.%"), quote(quote(way, safe=""), safe="")}
    for name in encoded:
        for path in (
            f"/api/s/{name}",
            f"/api/s/{name}/diagram",
            f"/api/s/{name}/sql?q=SELECT%201",
            f"/api/s/s/trial/{name}",
            f"/api/s/s/trial/{name}/figure/{name}",
            f"/api/t/{name}",
            f"/api/s/s/download/phase.{name}",
            f"/static/{name}",
            f"/static/{name}/app.py",
        ):
            status, body = asked(running, path)
            assert 300 <= status < 500 or (status == 200 and b"studies" in body), (path, status)
            assert SECRET not in body, path
            assert b"root:x:" not in body, path


def test_an_exported_network_stays_in_its_folder(root: Path) -> None:
    """Names of tensors become names inside one file, never files."""
    gs.train(*SMALL, name="s", steps=3, root=str(root), progress=False)
    identity = gs.open("s", str(root)).trials()["trial_id"][0]
    app(["export", identity, "--to", str(root / "net"), "--storage", str(root)], standalone_mode=False)
    assert sorted(path.name for path in (root / "net").iterdir()) == ["config.json", "model.safetensors", "split.json"]
    assert find_trial(identity[:6], str(root)).trial_id == identity
    assert torch.get_num_threads() == 1
