"""Ceph's S3 gateway: a real one, with its monitor and an object server that keeps everything in memory.

The data live in the object server, so that the gateway alone can be killed and started again. Nothing is installed:
`python -m tests.services.install` unpacks the packages.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import json
import os
import shutil
import sys
import tempfile
import time
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path

from tests.services.install import ceph_root, is_unpacked
from tests.services.ports import answers, free_port
from tests.services.process import Service, ServiceFailed, done, own_environment, start
from tests.services.s3 import S3

MEMORY_BYTES = 2 << 30
TRIES = 10
SETTINGS = """\
[global]
fsid = {fsid}
mon host = v1:{monitor}
auth cluster required = none
auth service required = none
auth client required = none
osd pool default size = 1
osd pool default min size = 1
osd pool default pg num = 1
osd pool default pgp num = 1
osd crush chooseleaf type = 0
mon allow pool size one = true
mon warn on pool no redundancy = false
mon data = {data}/mon
osd data = {data}/osd
osd objectstore = memstore
memstore device bytes = {memory}
osd memory target = 939524096
run dir = {data}/run
admin socket = {data}/run/$name.asok
log file = {data}/$name.log
plugin dir = {libraries}/ceph
erasure code dir = {libraries}/ceph/erasure-code
osd class dir = {libraries}/rados-classes
crush location = root=default host=here
osd crush update on start = true
public addr = 127.0.0.1
cluster addr = 127.0.0.1
rgw frontends = beast endpoint={gateway}
rgw enable apis = s3, admin
rgw enable usage log = false
keyring = {data}/keyring
"""


@dataclasses.dataclass(slots=True, eq=False)
class Rgw:
    """The three processes; `s3` is how a client sees them."""

    s3: S3
    folder: Path
    port: int
    environment: Mapping[str, str] = dataclasses.field(repr=False)
    """Of its programs."""
    gateway: Service | None = None

    def start_gateway(self, wait: bool = True) -> None:
        """Starts the gateway; the objects are where they were.

        Raises:
            ServiceFailed: it did not come up.
        """
        words = ["radosgw", *_configured(self.folder), "-f", "-n", "client.rgw"]
        self.gateway = start("radosgw", words, self.folder, self.environment)
        if wait:
            self.wait()

    def wait(self, seconds: float = 60) -> None:
        """Until the gateway answers."""
        assert self.gateway is not None
        self.gateway.wait_until(self.answers, seconds)

    def answers(self) -> bool:
        """Whether the gateway takes requests."""
        host = self.s3.endpoint.removeprefix("http://").rpartition(":")[0]
        return self.gateway is not None and answers(host, self.port)

    def kill_gateway(self) -> None:
        """SIGKILL to the gateway alone."""
        if self.gateway is not None:
            self.gateway.kill()
            self.gateway = None


def why_not() -> str | None:
    """Why there is no gateway to start here; None if there is."""
    return None if is_unpacked() else "Ceph is not unpacked: `make services`"


@contextlib.contextmanager
def rgw(folder: Path, host: str = "127.0.0.1") -> Iterator[Rgw]:
    """A gateway with an empty store and one account; gone after the block.

    Raises:
        ServiceFailed: a part of it did not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    # Sockets lie in its folder, and their paths must be short.
    data = Path(tempfile.mkdtemp(prefix="gs-rgw-"))
    monitor_port, port = free_port(), free_port(host)
    with contextlib.ExitStack() as stack:
        stack.callback(shutil.rmtree, data, ignore_errors=True)
        fsid = _write_settings(folder, data, monitor_port, f"{host}:{port}")
        _start_monitor(stack, folder, data, monitor_port, fsid)
        _start_object_server(stack, folder)
        access_key, secret_key = _account(folder)
        found = Rgw(S3(f"http://{host}:{port}", access_key, secret_key), folder, port, _environment())
        stack.callback(lambda: found.gateway.stop() if found.gateway else None)
        found.start_gateway()
        yield found


def _write_settings(folder: Path, data: Path, monitor_port: int, gateway: str) -> str:
    """ceph.conf and the keyring that the programs insist on; the cluster's id."""
    fsid = str(uuid.uuid4())
    for name in ("mon", "osd", "rgw", "run"):
        (data / name).mkdir()
    text = SETTINGS.format(
        fsid=fsid,
        monitor=f"127.0.0.1:{monitor_port}",
        data=data,
        memory=MEMORY_BYTES,
        libraries=_libraries(),
        gateway=gateway,
    )
    (folder / "ceph.conf").write_text(text)
    # Well-formed and unused: authentication between the parts is off, they speak on loopback only.
    (data / "keyring").write_text("[client.admin]\n\tkey = AQAAAAAAAAAAABAAAAAAAAAAAAAAAAAAAAAAAA==\n")
    return fsid


def _start_monitor(stack: contextlib.ExitStack, folder: Path, data: Path, port: int, fsid: str) -> None:
    settings, map_file = _configured(folder), str(data / "monmap")
    words = ["monmaptool", "--create", "--addv", "a", f"[v1:127.0.0.1:{port}]", "--fsid", fsid, map_file]
    done(words, folder, _environment())
    done(["ceph-mon", *settings, "--mkfs", "-i", "a", "--monmap", map_file], folder, _environment())
    service = start("ceph-mon", ["ceph-mon", *settings, "-f", "-i", "a"], folder, _environment())
    stack.callback(service.stop)
    service.wait_until(lambda: answers("127.0.0.1", port), 30)


def _start_object_server(stack: contextlib.ExitStack, folder: Path) -> None:
    """The process that has the data. On a busy machine it may ask the monitor for something before it knows its
    cluster's name, is refused and ends: then it is started again."""
    settings, identity = _configured(folder), str(uuid.uuid4())
    _ask(folder, "osd", "new", identity)
    done(["ceph-osd", *settings, "-i", "0", "--mkfs", "--osd-uuid", identity], folder, _environment())
    for _ in range(TRIES):
        service = start("ceph-osd", ["ceph-osd", *settings, "-f", "-i", "0"], folder, _environment())
        stack.callback(service.stop)
        while service.alive:
            if json.loads(_ask(folder, "osd", "stat", "--format", "json"))["num_up_osds"]:
                return
            time.sleep(0.1)
    raise ServiceFailed(f"ceph-osd ended {TRIES} times:\n{service.last_lines()}")


def _ask(folder: Path, *words: str) -> str:
    """The monitor's answer. While it has not yet come to itself it refuses everybody: it is asked again."""
    command = [_python(), str(ceph_root() / "usr/bin/ceph"), *_configured(folder), "--connect-timeout", "30", *words]
    for _ in range(TRIES - 1):
        with contextlib.suppress(ServiceFailed):
            return done(command, folder, _environment())
        time.sleep(0.5)
    return done(command, folder, _environment())


def _account(folder: Path) -> tuple[str, str]:
    """A new account; the gateway's own program makes up its keys."""
    words = ["radosgw-admin", *_configured(folder), "-n", "client.rgw", "user", "create", "--uid=grokstudy"]
    said = done([*words, "--display-name=grokstudy"], folder, _environment())
    key = json.loads(said[said.index("{") :])["keys"][0]
    return str(key["access_key"]), str(key["secret_key"])


def _configured(folder: Path) -> list[str]:
    return ["-c", str(folder / "ceph.conf")]


@functools.cache
def _libraries() -> Path:
    """The folder of shared libraries, whose name has the machine's architecture."""
    found = sorted((ceph_root() / "usr/lib").glob("*/ceph"))
    if not found:
        raise ServiceFailed("Ceph is not unpacked: `make services`")
    return found[0].parent


def _environment() -> Mapping[str, str]:
    root, libraries = ceph_root(), _libraries()
    folders = [libraries, libraries / "ceph", root / "usr/lib/ceph", root / "lib" / libraries.name]
    return own_environment(
        LD_LIBRARY_PATH=os.pathsep.join(map(str, folders)),
        PATH=os.pathsep.join([str(root / "usr/bin"), str(root / "usr/sbin"), os.environ["PATH"]]),
        PYTHONPATH=str(root / "usr/lib/python3/dist-packages"),
    )


def _python() -> str:
    """The system's Python, for which Ceph's own command was built."""
    return "/usr/bin/python3" if Path("/usr/bin/python3").exists() else sys.executable
