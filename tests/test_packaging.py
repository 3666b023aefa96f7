"""What a user installs is whole: the wheel brings its configs, its command and nothing of the repository's own."""

from __future__ import annotations

import os
import shutil
import site
import subprocess
import sys
import sysconfig
import venv
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Built from a copy of the tracked folders, so that an old `build/` can add nothing."""
    source, target = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for folder in ("grokstudy", "conf"):
        shutil.copytree(ROOT / folder, source / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "README.md", "LICENSE"):
        shutil.copy(ROOT / file, source)
    run("-m", "pip", "wheel", "--no-deps", "--no-index", "--no-build-isolation", "--wheel-dir", target, source)
    (built,) = target.glob("*.whl")
    return built


@pytest.fixture(scope="module")
def installed(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Folder of the commands of a new environment that has the wheel, and every other package from this one."""
    home = tmp_path_factory.mktemp("environment")
    venv.create(home, with_pip=False, symlinks=True)
    packages = Path(sysconfig.get_path("purelib", vars={"base": str(home), "platbase": str(home)}))
    run("-m", "pip", "install", "--no-deps", "--no-index", "--prefix", home, "--ignore-installed", wheel)
    # A plain line of a .pth file joins the path *behind* the folder it lies in: the wheel's grokstudy wins. The other
    # folder's own .pth files are not read, so the editable install stays out.
    (packages / "others.pth").write_text("\n".join(site.getsitepackages()) + "\n")
    return home / "bin"


def run(*words: str | Path, python: Path | str = sys.executable, cwd: Path | None = None) -> str:
    """Output of a Python command; its errors are shown when it fails."""
    environment = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "VIRTUAL_ENV")}
    done = subprocess.run(
        [str(python), *map(str, words)],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def test_the_wheel_holds_the_package_its_configs_and_nothing_else(wheel: Path) -> None:
    names = {name for name in zipfile.ZipFile(wheel).namelist() if ".dist-info/" not in name}
    expected = {
        path.relative_to(ROOT).as_posix()
        for path in (ROOT / "grokstudy").rglob("*")
        if path.suffix in (".py", ".typed") and "__pycache__" not in path.parts
    }
    configs = {
        "grokstudy/" + path.relative_to(ROOT).as_posix()
        for path in (ROOT / "conf").rglob("*")
        if path.suffix in (".py", ".yaml") and "__pycache__" not in path.parts
    }
    pages = {
        path.relative_to(ROOT).as_posix()
        for pattern in ("explorer/static/*", "phase/*.jinja", "tracking/*.ini")
        for path in (ROOT / "grokstudy").glob(pattern)
    }
    assert sorted((expected | configs | pages) - names) == []
    assert sorted(names - expected - configs - pages) == []


def test_the_installed_command_finds_its_configs_from_an_empty_folder(installed: Path, tmp_path: Path) -> None:
    # The script is named after the Python that ran pip; here the new environment's Python must run it.
    words = (installed / "grokstudy", "list", "presets", "--format", "json")
    assert '"quad23"' in run(*words, python=installed / "python", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_the_installed_package_is_the_wheels_own(installed: Path, tmp_path: Path) -> None:
    code = "import grokstudy, grokstudy.conf; print(grokstudy.__file__); print(grokstudy.conf.__file__)"
    found = run("-c", code, python=installed / "python", cwd=tmp_path).split()
    assert all(Path(file).is_relative_to(installed.parent) for file in found)
