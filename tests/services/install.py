"""What the services need beyond Python: `python -m tests.services.install`. PostgreSQL is installed, Ceph unpacked.

Ceph's packages are put into a folder of the user's cache and never installed: a real S3 server needs no more. They come
from the system's own package sources (Debian and its derivatives). What is there already is left as it is.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

from tests.services import postgres
from tests.services.process import ServiceFailed, done

CEPH = ("radosgw", "ceph-mon", "ceph-osd", "ceph-common")
WHOLE = "whole"
"""A file in the folder that is there once everything has been unpacked."""


def cache() -> Path:
    """Where unpacked services lie."""
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "grokstudy-services"


def ceph_root() -> Path:
    """Where Ceph lies once it is unpacked."""
    return cache() / "ceph"


def is_unpacked() -> bool:
    return (ceph_root() / WHOLE).exists()


def main() -> int:
    """Installs what is missing; 1 if something could not be had, with the reason on stderr."""
    failed = 0
    for name, install in (("PostgreSQL", install_postgres), ("Ceph RGW", unpack_ceph)):
        try:
            print(f"{name}: {install()}")
        except (OSError, ServiceFailed, subprocess.SubprocessError) as error:
            print(f"{name}: {error}", file=sys.stderr)
            failed = 1
    return failed


def install_postgres() -> str:
    """Installs PostgreSQL's server if there is none.

    Raises:
        ServiceFailed: it is missing and may not be installed.
    """
    if postgres.why_not() is None:
        return "is here"
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        raise ServiceFailed("is missing. Install your system's package (sudo apt-get install postgresql).")
    update()
    words = ["apt-get", "install", "-y", "-qq", "--no-install-recommends", "postgresql"]
    done(words, Path("/"), {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}, 600)
    postgres.forget()
    reason = postgres.why_not()
    if reason is not None:
        raise ServiceFailed(reason)
    return "installed"


def unpack_ceph() -> str:
    """Unpacks Ceph's gateway with what it needs and this system does not have (about 60 packages, 66 MB on Debian 12).

    Raises:
        ServiceFailed: the packages cannot be had.
    """
    root = ceph_root()
    if is_unpacked():
        return f"is in {root}"
    if shutil.which("apt-get") is None or shutil.which("dpkg") is None:
        raise ServiceFailed("can be unpacked on Debian and its derivatives only; tests that need it are skipped.")
    packages = needed()
    if not packages:
        update()
        packages = needed()
    if not packages:
        raise ServiceFailed(f"this system's package sources do not offer {', '.join(CEPH)}.")
    shutil.rmtree(root, ignore_errors=True)
    archives = root / "archives"
    archives.mkdir(parents=True)
    done(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", *packages], archives, None, 900)
    for archive in sorted(archives.glob("*.deb")):
        done(["dpkg", "-x", str(archive), str(root)], root)
    shutil.rmtree(archives)
    (root / WHOLE).touch()
    return f"unpacked {len(packages)} packages into {root}"


def needed() -> list[str]:
    """NAME=VERSION of Ceph's packages and of everything they need that is not installed; empty if unknown."""
    words = ["apt-get", "install", "--simulate", "-qq", "--no-install-recommends", *CEPH]
    said = subprocess.run(words, capture_output=True, text=True, check=False).stdout
    return [
        f"{name}={version}" for name, version in re.findall(r"^Inst (\S+) (?:\[\S+\] )?\((\S+)", said, re.MULTILINE)
    ]


def update() -> None:
    """Fetches the lists of packages, which a fresh container does not have."""
    if os.geteuid() == 0:
        done(["apt-get", "update", "-qq"], Path("/"), None, 300)


if __name__ == "__main__":
    sys.exit(main())
