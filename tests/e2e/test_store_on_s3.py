"""`store check` and `store gc` on an S3 server: objects are read themselves, never this machine's copies of them."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator

import pytest

from grokstudy.store.cache import copied
from grokstudy.store.folder import StudyFolder
from grokstudy.store.gc import cache_copies
from grokstudy.study import run
from tests.services.process import in_environment
from tests.services.s3 import S3, moto_server

from .conftest import Cli
from .store_damage import checked, damage, files, flipped, quarantined, repaired, train
from .stored import assert_equal, tables


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    cache = str(tmp_path_factory.mktemp("cache"))
    with (
        moto_server(tmp_path_factory.mktemp("s3")) as server,
        in_environment({**server.environment(), "XDG_CACHE_HOME": cache}),
    ):
        yield server


@pytest.fixture
def folder(s3: S3, monkeypatch: pytest.MonkeyPatch) -> StudyFolder:
    """A study in a bucket."""
    monkeypatch.setattr(run, "_report", lambda *_, **__: [])
    root = s3.make_bucket("studies") + "/mine"
    train(root)
    return StudyFolder.open(root, "s")


@pytest.mark.slow
def test_damage_in_a_bucket_is_found_behind_whole_copies_and_comes_back(folder: StudyFolder, s3: S3, cli: Cli) -> None:
    before = tables(folder.storage.uri, "s")  # every part is copied here now
    assert checked(folder).is_whole
    expected = {}
    for kind in ("curves", "weights", "snapshot"):
        name = files(folder, kind)[0]
        expected[name] = damage(folder, name, flipped)
    found = checked(folder)
    assert {file.name for file in found.findings.damaged} == expected.keys()
    told = json.loads(_cli(cli, s3, "store", "check", "s", "--format", "json", root=folder.storage.uri, code=1))
    assert {file["file"] for file in told["damaged"]} == expected.keys()
    repaired(folder)
    assert quarantined(folder) == expected
    train(folder.storage.uri)
    assert checked(folder).is_whole
    assert_equal(tables(folder.storage.uri, "s"), before)
    _copies_go_and_come_again(folder, cli, s3)


def _copies_go_and_come_again(folder: StudyFolder, cli: Cli, s3: S3) -> None:
    waste = cache_copies(folder.storage, "s")
    assert len(waste.names) > 3
    assert waste.size == sum(path.stat().st_size for path in copied(folder.storage, "s"))
    _cli(cli, s3, "store", "gc", "--cache", root=folder.storage.uri)
    assert copied(folder.storage, None) == []
    assert len(tables(folder.storage.uri, "s")["trials"]) == 4


def _cli(cli: Cli, s3: S3, *words: str, root: str, code: int = 0) -> str:
    cli.env = {**cli.env, **s3.environment(), "XDG_CACHE_HOME": os.environ["XDG_CACHE_HOME"]}
    return cli.run(*words, "--storage", root, code=code).stdout
