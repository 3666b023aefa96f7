"""Several hosts on one machine: each has a network, a host name, a home, /dev/shm and Ray's folder of its own.

A host is a process that sleeps in namespaces of its own, as a pod's first container does; everything else enters them.
Hosts see each other over a bridge in a namespace of its own, and this process at `Network.gateway`, where it is also
where services that all hosts reach are bound.
"""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from tests.services import tree
from tests.services.process import Service, done, start

SHM_MB, RAY_MB = 300, 600
SET_UP = """
set -e
hostname "$1"
ip link set lo up
mount --bind "$2" "$3"
mount -t tmpfs tmpfs /dev/shm -o size=$4m
mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray -o size=$5m
shift 5
for path in "$@"; do mkdir -p "$path" && mount -t tmpfs tmpfs "$path"; done
touch ready
exec sleep infinity
"""
"""What makes namespaces a host. In it, the folder of the whole network shows nothing but the host's own."""


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Host:
    """One of the hosts."""

    name: str
    address: str
    namespace: str
    folder: Path
    """Its folder, seen from outside; logs of what it runs lie there."""
    inside: Path
    """The same folder, as the host sees it."""
    link: str
    """Its cable's end at the bridge."""
    bridge: str
    """The bridge's namespace."""
    sleeper: Service

    @property
    def home(self) -> Path:
        """HOME, as the host sees it."""
        return self.inside / "home"

    def words(self, words: Sequence[str]) -> list[str]:
        """A command as it is started from outside, so that it runs on this host and keeps its process id."""
        enter = ["nsenter", f"--target={self.sleeper.pid}", "--net", "--mount", "--uts", "--"]
        return [*enter, "env", f"--chdir={self.inside}", *words]

    def start(self, name: str, words: Sequence[str], environment: Mapping[str, str]) -> Service:
        """Starts a process on this host."""
        return start(name, self.words(words), self.folder, {**environment, "HOME": str(self.home)})

    def run(self, words: Sequence[str], environment: Mapping[str, str], seconds: float = 120) -> str:
        """Runs a command on this host; what it printed.

        Raises:
            ServiceFailed: it failed.
        """
        return done(self.words(words), self.folder, {**environment, "HOME": str(self.home)}, seconds)

    def pids(self) -> list[int]:
        """Everything that runs on it."""
        found = subprocess.run(["ip", "netns", "pids", self.namespace], capture_output=True, text=True, check=False)
        return [pid for pid in map(int, found.stdout.split()) if pid != self.sleeper.pid]

    def pause(self) -> None:
        """SIGSTOP to everything on it: a host that hangs."""
        tree.send(self.pids(), signal.SIGSTOP)

    def resume(self) -> None:
        tree.send(self.pids(), signal.SIGCONT)

    def unplug(self) -> None:
        """Takes its cable down: everything goes on running and reaches nobody."""
        _ip("-n", self.bridge, "link", "set", self.link, "down")

    def plug(self) -> None:
        _ip("-n", self.bridge, "link", "set", self.link, "up")


@dataclasses.dataclass(frozen=True, slots=True, eq=False)
class Network:
    """Hosts that reach each other and this process."""

    gateway: str
    """This process's address among them."""
    hosts: tuple[Host, ...]

    def host(self, name: str) -> Host:
        return next(host for host in self.hosts if host.name == name)


@contextlib.contextmanager
def network(folder: Path, names: Sequence[str], private: Sequence[Path] = ()) -> Iterator[Network]:
    """Hosts of these names; gone after the block, with everything that runs on them.

    Args:
        folder: each host's own lies in it, and is all that the host sees of it.
        names: of the hosts.
        private: further folders that are empty and its own on every host.

    Raises:
        ServiceFailed: a host did not come up.
        PermissionError: namespaces are not allowed here; ask `why_not` first.
    """
    reason = why_not()
    if reason is not None:
        raise PermissionError(reason)
    prefix, subnet = f"gs{secrets.token_hex(3)}", _free_subnet()
    bridge, outside = f"{prefix}sw", f"{prefix}r"
    hosts: list[Host] = []
    try:
        _ip("netns", "add", bridge)
        _ip("-n", bridge, "link", "add", "br0", "type", "bridge")
        _ip("-n", bridge, "link", "set", "br0", "up")
        _ip("link", "add", outside, "type", "veth", "peer", "name", "out", "netns", bridge)
        _ip("-n", bridge, "link", "set", "out", "master", "br0", "up")
        _ip("addr", "add", f"{subnet}.254/24", "dev", outside)
        _ip("link", "set", outside, "up")
        for number, name in enumerate(names, 1):
            hosts.append(_host(folder, name, f"{prefix}h{number}", f"{subnet}.{number}", bridge, private))
        yield Network(f"{subnet}.254", tuple(hosts))
    finally:
        for host in hosts:
            host.resume()
            tree.kill(host.pids())
            host.sleeper.kill()
        for name in [*(f"{prefix}h{number}" for number in range(1, len(names) + 1)), bridge]:
            with contextlib.suppress(OSError):
                _ip("netns", "del", name)
        with contextlib.suppress(OSError):
            _ip("link", "del", outside)


@functools.cache
def why_not() -> str | None:
    """Why there can be no hosts of this kind here; None if there can."""
    if os.geteuid() != 0:
        return "network namespaces need root"
    probe = f"gs{secrets.token_hex(3)}"
    try:
        _ip("netns", "add", probe)
        _ip("link", "add", f"{probe}a", "type", "veth", "peer", "name", "b", "netns", probe)
        enter = ["ip", "netns", "exec", probe, "unshare", "--mount", "--uts", "mount", "-t", "tmpfs", "tmpfs", "/mnt"]
        subprocess.run(enter, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        return f"network namespaces are not allowed here ({error})"
    finally:
        with contextlib.suppress(OSError):
            _ip("netns", "del", probe)
    return None


def _host(folder: Path, name: str, namespace: str, address: str, bridge: str, private: Sequence[Path]) -> Host:
    own, link = folder / name, f"v{namespace}"
    (own / "home").mkdir(parents=True, exist_ok=True)
    (own / "ready").unlink(missing_ok=True)
    _ip("netns", "add", namespace)
    _ip("link", "add", link, "netns", bridge, "type", "veth", "peer", "name", "eth0", "netns", namespace)
    _ip("-n", bridge, "link", "set", link, "master", "br0", "up")
    _ip("-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
    _ip("-n", namespace, "link", "set", "eth0", "up")
    words = ["ip", "netns", "exec", namespace, "unshare", "--mount", "--uts", "--propagation=private"]
    words += ["bash", "-c", SET_UP, "host", name, str(own), str(folder), str(SHM_MB), str(RAY_MB), *map(str, private)]
    sleeper = start("host", words, own)
    sleeper.wait_until((own / "ready").exists, 20)
    return Host(name, address, namespace, own, folder, link, bridge, sleeper)


def _free_subnet() -> str:
    """The first three numbers of a network of addresses that nobody here uses."""
    used = subprocess.run(["ip", "-o", "-4", "addr"], capture_output=True, text=True, check=True).stdout
    while True:
        subnet = f"10.{200 + secrets.randbelow(50)}.{secrets.randbelow(256)}"
        if f" {subnet}." not in used:
            return subnet


def _ip(*words: str) -> None:
    """Runs `ip`. Raises OSError with what it said."""
    result = subprocess.run(["ip", *words], capture_output=True, text=True, check=False)
    if result.returncode:
        raise OSError(f"ip {' '.join(words)}: {result.stderr.strip()}")
