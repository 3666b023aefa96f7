"""PostgreSQL in a folder of the test: a password of its own, writes synced to the disk, killed and started at will."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import pwd
import secrets
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

from tests.services import tree
from tests.services.ports import answers, free_port
from tests.services.process import Service, ServiceFailed, done, own_environment, start

USER = "grokstudy"
PREFERRED_USERS = ("postgres", "nobody")
"""Who runs the server where we are root, which it refuses to be."""


@dataclasses.dataclass(slots=True, eq=False)
class Postgres:
    """A server with one database."""

    folder: Path
    host: str
    port: int
    password: str = dataclasses.field(repr=False)
    service: Service | None = None
    """Its process; None while it is stopped."""

    @property
    def uri(self) -> str:
        """For SQLAlchemy; the password comes from the file that `environment` names."""
        return f"postgresql+psycopg2://{USER}@{self.host}:{self.port}/postgres"

    @property
    def password_file(self) -> Path:
        return self.folder / "pgpass"

    def environment(self) -> dict[str, str]:
        """What a client needs besides the address."""
        return {"PGPASSFILE": str(self.password_file)}

    def start(self) -> None:
        """Starts it; after a kill it first replays its log.

        Raises:
            ServiceFailed: it did not come up.
        """
        words = [_program("postgres"), "-D", str(self.folder / "data"), "-h", self.host, "-p", str(self.port)]
        # No unix socket: a test's folder may be too deep for one.
        words += ["-c", "unix_socket_directories=", "-c", "max_connections=60", "-c", "shared_buffers=32MB"]
        words += ["-c", "fsync=on"]
        self.service = start("postgres", [*_as_another_user(), *words], self.folder, own_environment(LC_ALL="C.UTF-8"))
        self.service.wait_until(self._answers, 60)

    def stop(self) -> None:
        """Ends it in order (SIGINT: its "fast shutdown" waits for no client)."""
        if self.service is not None:
            self.service.stop(number=signal.SIGINT)
            self.service = None

    def kill(self) -> None:
        """SIGKILL to every process of it, as a lost machine would."""
        if self.service is not None:
            below = [one.pid for one in tree.below(self.service.pid)]  # each leads a group of its own
            self.service.kill()
            tree.kill(below)
            self.service = None

    def _answers(self) -> bool:
        """Whether it takes queries: while it replays its log it accepts connections and refuses them."""
        if not answers(self.host, self.port):
            return False
        import psycopg2

        try:
            psycopg2.connect(
                host=self.host, port=self.port, user=USER, password=self.password, dbname="postgres", connect_timeout=5
            ).close()
        except psycopg2.OperationalError:
            return False
        return True


@contextlib.contextmanager
def postgres(folder: Path, host: str = "127.0.0.1") -> Iterator[Postgres]:
    """A running server; gone after the block.

    Raises:
        ServiceFailed: it did not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    server = Postgres(folder, host, free_port(host), secrets.token_hex(12))
    server.password_file.touch(mode=0o600)
    server.password_file.write_text(f"*:*:*:{USER}:{server.password}\n")
    _make(server)
    try:
        server.start()
        yield server
    finally:
        server.stop()


def why_not() -> str | None:
    """Why there is no PostgreSQL to start here; None if there is."""
    try:
        _program("initdb")
        _as_another_user()
    except ServiceFailed as error:
        return str(error)
    return None


def forget() -> None:
    """Looks for the programs and the account anew: they have just been installed."""
    _program.cache_clear()
    _account.cache_clear()


def _make(server: Postgres) -> None:
    """A new cluster of databases whose only account has the server's password, given in a file."""
    data, secret = server.folder / "data", server.folder / "initial-password"
    data.mkdir(mode=0o700)
    secret.touch(mode=0o600)
    secret.write_text(server.password + "\n")
    if _as_another_user():
        account = _account()
        for path in (data, secret):
            os.chown(path, account.pw_uid, account.pw_gid)
    words = ["-D", str(data), "-U", USER, "--auth=scram-sha-256", f"--pwfile={secret}", "-E", "UTF8"]
    words += ["--locale=C.UTF-8", "--no-instructions"]
    done([*_as_another_user(), _program("initdb"), *words], server.folder, own_environment())
    secret.unlink()
    with (data / "pg_hba.conf").open("a") as rules:  # whoever is on the address that it listens at, with the password
        rules.write(f"host all all {server.host}/24 scram-sha-256\n")


def _as_another_user() -> list[str]:
    """Words before a command that must not be root's. It may still enter the folders of root's tests."""
    if os.geteuid() != 0:
        return []
    account = _account()
    groups = [f"--reuid={account.pw_uid}", f"--regid={account.pw_gid}", "--clear-groups"]
    return ["setpriv", *groups, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"]


@functools.cache
def _account() -> pwd.struct_passwd:
    for name in PREFERRED_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    raise ServiceFailed(f"PostgreSQL does not run as root, and there is no user {' or '.join(PREFERRED_USERS)}.")


@functools.cache
def _program(name: str) -> str:
    """A program of PostgreSQL: the newest of Debian's folders, or what PATH has.

    Raises:
        ServiceFailed: it is not installed.
    """
    folders = Path("/usr/lib/postgresql").glob("*/bin")
    newest = sorted((folder for folder in folders if (folder / name).exists()), key=lambda f: int(f.parent.name))
    found = str(newest[-1] / name) if newest else shutil.which(name)
    if found is None:
        raise ServiceFailed(f"PostgreSQL is not installed (no {name}): `make services`.")
    return found
