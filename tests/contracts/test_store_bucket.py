"""A bucket on a real server that checks who asks: what is refused, what passes by itself, who may write, who reads."""

from __future__ import annotations

import dataclasses
import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from functools import partial
from pathlib import Path

import pytest
from test_store_parts import ROW

from grokstudy.spec.errors import BadInput, StorageUnavailable
from grokstudy.store import bucket
from grokstudy.store.bucket_errors import failure
from grokstudy.store.compact import compact
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import LOCK
from grokstudy.store.storage import Storage
from grokstudy.store.views import connect
from tests.services.s3 import REGION, S3, moto_server

LARGE = 12 << 20
"""Bytes: what some servers stored with checksum trailers in it."""
ROUNDS = 30


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with moto_server(tmp_path_factory.mktemp("moto")) as server:
        server.make_bucket("bucket")
        yield server


@pytest.fixture(autouse=True)
def _account(s3: S3, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    use(monkeypatch, s3.environment())
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


@pytest.fixture
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Gives a service that is away up after a second instead of a minute."""
    monkeypatch.setattr(bucket, "RETRIES", {**bucket.RETRIES, "retry_timeout": timedelta(seconds=1)})
    monkeypatch.setattr(bucket, "STALLED_SECONDS", 1)


def use(monkeypatch: pytest.MonkeyPatch, environment: Mapping[str, str]) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)


def reader_of(s3: S3) -> dict[str, str]:
    """Variables of an account that may read and list, no more."""
    import boto3

    iam = boto3.client(
        "iam",
        endpoint_url=s3.endpoint,
        aws_access_key_id=s3.access_key,
        aws_secret_access_key=s3.secret_key,
        region_name=REGION,
    )
    reading = {"Effect": "Allow", "Action": ["s3:GetObject", "s3:HeadObject", "s3:ListBucket"], "Resource": "*"}
    iam.create_user(UserName="reader")
    policy = json.dumps({"Version": "2012-10-17", "Statement": [reading]})
    iam.put_user_policy(UserName="reader", PolicyName="reading", PolicyDocument=policy)
    key = iam.create_access_key(UserName="reader")["AccessKey"]
    return {"AWS_ACCESS_KEY_ID": key["AccessKeyId"], "AWS_SECRET_ACCESS_KEY": key["SecretAccessKey"]}


CALLS: Mapping[str, Callable[[Storage], object]] = {
    "put": lambda storage: storage.put("study/new", b"x"),
    "create": lambda storage: storage.create("study/newer", b"x"),
    "get": lambda storage: storage.get("study/old"),
    "get_range": lambda storage: storage.get_range("study/old", 0, 1),
    "size": lambda storage: storage.size("study/old"),
    "exists": lambda storage: storage.exists("study/old"),
    "list": lambda storage: storage.list("study"),
    "direct": lambda storage: storage.direct("study"),
    "studies": lambda storage: storage.studies(),
    "delete": lambda storage: storage.delete(["study/old"]),
}
WRONG = {
    "secret": ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID"),
    "key": ({"AWS_ACCESS_KEY_ID": "AKIANOBODY"}, "does not know AWS_ACCESS_KEY_ID"),
    "http": ({"AWS_ALLOW_HTTP": "false"}, "set AWS_ALLOW_HTTP=true"),
}


@pytest.mark.parametrize("call", CALLS.values(), ids=CALLS)
@pytest.mark.parametrize(("changes", "message"), WRONG.values(), ids=WRONG)
def test_wrong_settings_are_named_whatever_is_asked(
    call: Callable[[Storage], object],
    changes: Mapping[str, str],
    message: str,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    use(monkeypatch, changes)
    with pytest.raises(BadInput, match=rf"storage\.root: 's3://bucket/root' .*{message}"):
        call(Storage.open("s3://bucket/root"))


def test_an_endpoint_that_is_no_address_is_refused_before_any_request(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "127.0.0.1:9000")
    with pytest.raises(BadInput, match=r"AWS_ENDPOINT_URL: got '127\.0\.0\.1:9000', must begin with https://"):
        Storage.open("s3://bucket/root")


def test_an_endpoint_that_leads_nowhere_is_named(s3: S3, impatient: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ENDPOINT_URL", "http://nobody.invalid:9")
    with pytest.raises(BadInput, match="AWS_ENDPOINT_URL names a host that does not exist"):
        Storage.open("s3://bucket/root").get("study/old")
    monkeypatch.setenv("AWS_ENDPOINT_URL", s3.endpoint.replace("http:", "https:"))
    with pytest.raises(BadInput, match="does not speak TLS"):
        Storage.open("s3://bucket/root").get("study/old")


@pytest.mark.parametrize("call", [name for name in CALLS if name not in ("size", "exists")])
def test_a_bucket_that_does_not_exist_is_never_a_missing_object(call: str) -> None:
    """But for a request whose answer has no body."""
    with pytest.raises(BadInput, match=r"no such bucket at .*NoSuchBucket"):
        CALLS[call](Storage.open("s3://nobody/root"))


def test_a_bucket_that_can_be_read_but_not_written_says_so(s3: S3, monkeypatch: pytest.MonkeyPatch) -> None:
    Storage.open("s3://bucket/shared").put("study/old", b"x")
    use(monkeypatch, reader_of(s3))
    storage = Storage.open("s3://bucket/shared")
    assert storage.get("study/old") == b"x"
    assert storage.list("") == ["study/old"]
    for call in ("put", "create"):
        with pytest.raises(BadInput, match=r"can be read but not written.*lack the permission s3:PutObject"):
            CALLS[call](storage)
    with pytest.raises(BadInput, match=r"cannot be deleted from: access is denied.*s3:DeleteObject"):
        CALLS["delete"](storage)


def test_a_service_that_hangs_or_is_away_is_unavailable(
    tmp_path: Path, impatient: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    with moto_server(tmp_path / "moto", accounts=False) as server:
        use(monkeypatch, server.environment())
        server.make_bucket("bucket")
        storage = Storage.open("s3://bucket/root")
        storage.put("study/old", b"x")
        assert server.service is not None
        server.service.pause()
        for call in ("put", "create", "get"):
            with pytest.raises(
                StorageUnavailable, match=rf"'s3://bucket/root' does not answer .*{server.endpoint} runs"
            ):
                CALLS[call](storage)
        server.service.kill()
        for call in ("list", "delete"):
            with pytest.raises(StorageUnavailable, match="the same command goes on"):
                CALLS[call](storage)


@pytest.mark.parametrize(
    ("said", "kind", "message"),
    [
        ("status code: 503 Slow Down: <Code>SlowDown</Code>", StorageUnavailable, "does not answer"),
        ("status code: 500 Internal", StorageUnavailable, "does not answer"),
        ("status code: 429 Too Many", StorageUnavailable, "does not answer"),
        ("status code: 403 Forbidden: <Code>QuotaExceeded</Code>", StorageUnavailable, "is full"),
        ("status code: 507 Insufficient", StorageUnavailable, "is full"),
        ("HTTP error: Temporary failure in name resolution", StorageUnavailable, "does not answer"),
        ("status code: 403 Forbidden: <Code>RequestTimeTooSkewed</Code>", BadInput, "clock"),
        ("status code: 400 Bad: <Code>ExpiredToken</Code>", BadInput, "AWS_SESSION_TOKEN has expired"),
        ("status code: 301 Moved: <Code>PermanentRedirect</Code>", BadInput, "AWS_REGION"),
        ("status code: 501 Not Implemented", BadInput, "cannot be used"),
        ("PUT http://169.254.169.254/latest/api/token - HTTP error", BadInput, "no credentials"),
    ],
)
def test_what_passes_and_what_does_not(said: str, kind: type[Exception], message: str) -> None:
    found = failure("s3://bucket/root", "write", said)
    assert type(found) is kind
    assert message in str(found)


def test_large_objects_come_back_bit_for_bit(s3: S3) -> None:
    data = os.urandom(LARGE)
    storage = Storage.open("s3://bucket/large")
    storage.put("study/object", data)
    assert storage.get("study/object") == data
    assert s3.client().get_object(Bucket="bucket", Key="large/study/object")["Body"].read() == data
    assert storage.get_range("study/object", LARGE - 5, 9) == data[-5:]


CONTENDER = """
import json, os, sys
from grokstudy.spec.errors import StudyBusy
from grokstudy.store.folder import StudyFolder
from grokstudy.store.lock import LOCK, study_lock
folder, alone, left = StudyFolder.open(sys.argv[1], "study"), sys.argv[2], int(sys.argv[3])
while left:
    try:
        with study_lock(folder) as lock:
            os.close(os.open(alone, os.O_CREAT | os.O_EXCL))  # fails if another one is in here
            assert lock.taken_over_from or left == int(sys.argv[3])
            left -= 1
            os.unlink(alone)
            # From now on it is as if this process had died here.
            dead = {**json.loads(folder.get_text(LOCK)), "process_start": "dead", "token": os.urandom(8).hex()}
            folder.put_text(LOCK, json.dumps(dead))
    except StudyBusy:
        pass
print("done")
"""


@pytest.mark.parametrize("takeovers", [15, pytest.param(200, marks=pytest.mark.campaign)])
def test_takeovers_by_two_processes_are_exclusive(takeovers: int, tmp_path: Path) -> None:
    root = f"s3://bucket/race-{takeovers}"
    words = [sys.executable, "-c", CONTENDER, root, str(tmp_path / "alone"), str(takeovers)]
    start = partial(subprocess.Popen, words, stdout=-1, stderr=-1, text=True, cwd=Path(__file__).parents[2])
    with start() as first, start() as second:
        said = [contender.communicate(timeout=240) for contender in (first, second)]
    assert said == [("done\n", "")] * 2
    folder = StudyFolder.open(root, "study")
    assert folder.names("") == [LOCK], "the last dead owner's lock, and no claim"


def test_readers_see_whole_parts_while_a_writer_compacts(s3: S3) -> None:
    """A listed part may be gone by the time it is fetched: the reader lists anew, and counts every trial once."""
    folder = StudyFolder.open("s3://bucket/read", "study")
    ended, counts = threading.Event(), []

    def write() -> None:
        try:
            for number in range(ROUNDS):
                folder.put_trials([dataclasses.replace(ROW, trial_id=f"{number:03}")])
                compact(folder, kinds=["trials"])
        finally:
            ended.set()

    folder.put_trials([dataclasses.replace(ROW, trial_id="first")])
    with ThreadPoolExecutor(1) as pool:
        writing = pool.submit(write)
        while not ended.is_set():
            with connect([folder]) as connection:
                counts.append(connection.execute("SELECT count(*), count(DISTINCT trial_id) FROM trials").fetchall()[0])
        writing.result()
    assert counts
    assert all(rows == trials for rows, trials in counts)
    assert counts == sorted(counts), "nothing that was there is ever missing"
