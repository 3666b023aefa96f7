"""What the Dockerfile does, without a container engine: its steps in a folder, its commands as user 1000, root sealed.

Not replayed: the base image and what apt brings. The Python, compiler and kernel are this machine's.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from packaging.utils import canonicalize_name

from tests.k8s.dockerfile import ROOT, Stage, command, pairs, stages

DEPENDENCIES, WHEEL, FINAL = stages((ROOT / "Dockerfile").read_text())
HOME = "/home/grokstudy"
USER = "setpriv --reuid 1000 --regid 1000 --clear-groups"
# Everything is the machine's own and read-only, but /tmp and HOME, which are empty and belong to user 1000. A Python in
# a folder that only its owner may enter is shown without the rest of that folder.
READ_ONLY = f"""
mount --make-rprivate /
mount --rbind / "$ROOT"
mount -o remount,bind,ro "$ROOT"
mount -t tmpfs -o mode=1777 tmpfs "$ROOT/tmp"
mount -t tmpfs tmpfs "$ROOT/home"
install -d -o 1000 -g 1000 "$ROOT{HOME}"
if ! {USER} test -x "$PYTHON/bin"; then
    top="$ROOT/$(cut -d / -f 2 <<< "$PYTHON")"
    mount -t tmpfs -o mode=755 tmpfs "$top"
    mkdir -p "$ROOT$PYTHON"
    mount --bind "$PYTHON" "$ROOT$PYTHON"
fi
cd /
exec chroot "$ROOT" {USER} --no-new-privs "$@"
"""
IMPORTS = "import boto3, flask_wtf, grokstudy, kubernetes, mlflow, psycopg2, ray, torch"

pytestmark = [
    pytest.mark.campaign,
    pytest.mark.timeout(1800),
    pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("unshare"), reason="needs root, to make a read-only root"),
]


@pytest.fixture(scope="module")
def image() -> Iterator[Path]:
    """What is /opt/grokstudy in the image, below a folder that user 1000 may read and no test's /tmp hides."""
    with tempfile.TemporaryDirectory(dir="/var/tmp", prefix="grokstudy-image-") as folder:
        root = Path(folder)
        root.chmod(0o755)
        (root / "build").mkdir()
        (root / "root").mkdir()
        for stage in (DEPENDENCIES, WHEEL, FINAL):
            replay(stage, root)
        yield root


def replay(stage: Stage, root: Path) -> None:
    """Does a stage's COPY and RUN steps; what belongs to Debian is left out."""
    python = Path(sys.base_prefix) / "bin"
    path = f"{root}/opt/grokstudy/bin:{python}:{os.environ['PATH']}"
    environment = {**os.environ, "PATH": path, "VARIANT": "cpu", "TORCH_INDEX": os.environ.get("TORCH_INDEX", "")}
    for step in stage.steps:
        if step.word == "COPY" and not step.text.startswith("--from"):
            for name in step.text.split()[:-1]:
                copy(ROOT / name, root / "build" / name)
        if step.word == "RUN" and "apt-get" not in step.text:
            text = command(step.text).replace("/opt/grokstudy", f"{root}/opt/grokstudy")
            text = text.replace("/dist/", f"{root}/build/dist/")
            subprocess.run(["bash", "-euo", "pipefail", "-c", text], cwd=root / "build", env=environment, check=True)


def copy(source: Path, target: Path) -> None:
    if source.is_dir():
        shutil.copytree(source, target, ignore=shutil.ignore_patterns("__pycache__"))
    else:
        shutil.copy(source, target)


def in_image(image: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Runs a command as a pod would: the image's variables and no others, user 1000, read-only root."""
    given = {key: value for text in FINAL.texts("ENV") for key, value in pairs(text).items() if key != "PATH"}
    path = f"{image}/opt/grokstudy/bin:/usr/local/bin:/usr/bin:/bin"
    variables = [f"{key}={value}" for key, value in {**given, "PATH": path, "OMP_NUM_THREADS": "1"}.items()]
    call = ["unshare", "--mount", "bash", "-euc", READ_ONLY, "bash", "env", "-i", *variables, *words]
    environment = {**os.environ, "ROOT": str(image / "root"), "PYTHON": sys.base_prefix}
    return subprocess.run(call, env=environment, capture_output=True, text=True, check=False, timeout=600)


def answered(done: subprocess.CompletedProcess[str]) -> str:
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_what_is_installed_is_what_is_pinned(image: Path) -> None:
    pins = dict(re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE))
    pins = {canonicalize_name(name): version for name, version in pins.items()}
    frozen = answered(in_image(image, "python", "-m", "pip", "list", "--format", "freeze"))
    found = {
        canonicalize_name(name): version for name, version in re.findall(r"^([\w.-]+)==([^+\s]+)", frozen, re.MULTILINE)
    }
    # torch pins what its CUDA build brings.
    bring = {name for name in found if name.startswith("nvidia-") or name == "triton"}
    for own in ("pip", "grokstudy", *bring):
        found.pop(canonicalize_name(own), None)
    assert found == {name: pins.get(name) for name in found}


def test_nothing_of_the_root_can_be_written_to(image: Path) -> None:
    done = in_image(image, "touch", "/var/tmp/written")
    assert "Read-only file system" in done.stderr
    assert in_image(image, "touch", f"{HOME}/written", "/tmp/written").returncode == 0


def test_every_program_of_the_image_answers(image: Path) -> None:
    assert answered(in_image(image, "python", "-c", f"{IMPORTS}; print('whole')")) == "whole\n"
    assert "ray, version" in answered(in_image(image, "ray", "--version"))
    assert "mlflow, version" in answered(in_image(image, "mlflow", "--version"))
    assert "modular" in answered(in_image(image, "grokstudy", "list", "tasks"))


def test_a_study_runs_in_the_image_with_ray_and_a_compiler(image: Path) -> None:
    words = "preset=small31 'seed=seeds(2)' --steps 20 --name image tracking=none engine.compile=true"
    run = f"export GROKSTUDY_STORAGE=/tmp/studies; grokstudy run {words} --progress lines >&2"
    rows = json.loads(answered(in_image(image, "bash", "-c", f"{run} && grokstudy trials image --format json")))
    assert [row["status"] for row in rows] == ["done", "done"]
    assert all(",compiled," in row["numerics"] for row in rows)
