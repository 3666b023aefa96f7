"""The repository keeps its own rules: names, sizes, imports, links, and pages that follow the code."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
import tomllib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from grokstudy.spec import plugins
from grokstudy.spec.measure import Measure

ROOT = Path(__file__).parent.parent
PACKAGE = sorted(path for path in (ROOT / "grokstudy").rglob("*.py") if "__pycache__" not in path.parts)
FOLDERS = (".ci", "benchmarks", "conf", "docs", "grokstudy", "k8s", "tests")
TEXT = {"", ".cfg", ".csv", ".ini", ".json", ".md", ".py", ".sh", ".toml", ".txt", ".yaml", ".yml"}
MOST_LINES = 400


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def texts() -> Iterator[Path]:
    """Every text file of the repository (not of an environment, a cache or a study that lies beside it)."""
    yield from (path for path in ROOT.iterdir() if path.is_file() and path.suffix in TEXT and path.name != ".git")
    for folder in FOLDERS:
        for path in (ROOT / folder).rglob("*"):
            if path.is_file() and path.suffix in TEXT and "__pycache__" not in path.parts:
                yield path


def lines_with(pattern: str, paths: list[Path]) -> list[str]:
    found = re.compile(pattern)
    return [
        f"{name_of(path)}:{number}: {line.strip()}"
        for path in paths
        for number, line in enumerate(path.read_text().splitlines(), 1)
        if found.search(line)
    ]


@pytest.mark.parametrize("stem", ["utils", "util", "helpers", "helper", "common", "misc"])
def test_no_file_is_named_after_nothing_in_particular(stem: str) -> None:
    assert [name_of(path) for path in PACKAGE if stem in (path.stem, path.parent.name)] == []


def test_no_class_is_a_manager_a_factory_or_a_helper() -> None:
    assert lines_with(r"^\s*class \w*(Manager|Factory|Helper|Util|Utils)\b", PACKAGE) == []


def test_nothing_is_unpickled_evaluated_or_instantiated_from_a_config() -> None:
    configs = list((ROOT / "conf").rglob("*.yaml"))
    # safetensors.torch.load reads tensors and nothing else; so does torch.load with weights_only.
    forbidden = (
        r"\b(import|from) (cloud)?pickle\b|(?<![\w.])(eval|exec)\(|\b_target_\b"
        r"|(?<!safetensors\.)\btorch\.load\((?!.*weights_only=True)"
    )
    assert lines_with(forbidden, [*PACKAGE, *configs]) == []


def test_no_file_is_too_long_to_read() -> None:
    assert {name_of(path): n for path in PACKAGE if (n := path.read_text().count("\n")) > MOST_LINES} == {}


def test_every_folder_of_the_package_is_a_package_and_is_shipped() -> None:
    folders = {path.parent for path in PACKAGE}
    assert sorted(name_of(path) for path in folders if not (path / "__init__.py").exists()) == []
    shipped = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]["packages"]
    assert sorted(shipped) == sorted({"grokstudy.conf", *(name_of(path).replace("/", ".") for path in folders)})


@pytest.mark.parametrize(("library", "room"), [("ray", "execution"), ("mlflow", "tracking")])
def test_every_room_but_one_is_forbidden_to_import_a_framework(library: str, room: str) -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    (contract,) = [one for one in contracts if one.get("forbidden_modules") == [library]]
    rooms = {f"grokstudy.{parts[1]}" for path in PACKAGE if len(parts := path.relative_to(ROOT).parts) > 2}
    assert sorted(contract["source_modules"]) == sorted(rooms - {f"grokstudy.{room}"})


@pytest.mark.parametrize("module", ["grokstudy", "grokstudy.spec.compose"])
def test_a_config_is_checked_without_loading_a_heavy_library(module: str) -> None:
    heavy = ("torch", "ray", "mlflow", "duckdb", "pyarrow", "plotly", "matplotlib", "optuna")
    code = f"import sys, {module}; print(*(name for name in {heavy} if name in sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.split() == []


def test_the_readmes_file_tree_is_the_disk() -> None:
    listed = Counter(path for path, _ in tree())
    files = {name_of(path) for path in PACKAGE if path.stat().st_size}
    folders = {name_of(path.parent) + "/" for path in PACKAGE}
    assert {path: n for path, n in listed.items() if n > 1} == {}
    assert sorted((files | folders) - set(listed)) == [], "run `make docs`"
    assert sorted(path for path in listed if not (ROOT / path).exists()) == [], "run `make docs`"


def test_every_line_of_the_file_tree_says_something() -> None:
    assert [path for path, meaning in tree() if not meaning] == []


def tree() -> list[tuple[str, str]]:
    """Paths (folders end in a slash) and meanings of the README's file tree; two spaces per level."""
    (block,) = re.findall(r"<!-- files.*?```text\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    found, above = [], list[str]()
    for line in block.splitlines():
        name, _, meaning = line.strip().partition(" ")
        depth = (len(line) - len(line.lstrip())) // 2
        above[depth:] = [name]
        found.append(("".join(above), meaning.strip()))
    return found


def test_every_relative_link_leads_somewhere() -> None:
    pages = [path for path in texts() if path.suffix == ".md"]
    broken = [
        f"{name_of(page)}: {target}"
        for page in pages
        for target in re.findall(r"\]\(([^)#\s]+)(?:#[^)]*)?\)", page.read_text())
        if "://" not in target and not (page.parent / target).exists()
    ]
    assert len(pages) > 5
    assert broken == []


def test_a_page_that_a_docstring_cites_exists() -> None:
    cited = [
        (name_of(path), page)
        for path in [*PACKAGE, *(ROOT / "conf").rglob("*.yaml")]
        for page in re.findall(r"(?<![\w/])((?:\w+/)*\w+\.md)\b", path.read_text())
        if page not in ("report.md", "report/report.md")  # a file of a study
    ]
    assert [(where, page) for where, page in cited if not (ROOT / page).exists()] == []


def test_no_page_names_a_package_registry_or_a_path_of_one_machine() -> None:
    # Joined from halves, so that this file does not contain what it forbids.
    registries = ["py" + r"pi\.org", "pythonhosted" + r"\.org", "down" + r"load\.pytorch"]
    machine = ["/wo" + "rk/", "/ro" + "ot/", "/ho" + r"me/(?!(ray|grokstudy)\b)\w", "/Us" + r"ers/\w"]
    pattern = "|".join([*registries, *(rf"(?<![\w.}}]){path}" for path in machine)])
    assert lines_with(pattern, list(texts())) == []


def test_the_table_of_settings_is_up_to_date() -> None:
    made = generator("make_config_table").config_table()
    assert (ROOT / "docs/config.md").read_text() == made, "run `make docs`"


def test_the_file_tree_is_up_to_date() -> None:
    assert generator("make_file_tree").file_tree() in (ROOT / "README.md").read_text(), "run `make docs`"


def generator(name: str) -> ModuleType:
    """A script of docs/, which is no package."""
    spec = importlib.util.spec_from_file_location(name, ROOT / f"docs/{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    spec.loader.exec_module(module)
    return module


def test_every_measured_name_is_explained() -> None:
    page = (ROOT / "docs/measures.md").read_text()
    names = {name for plugin in plugins.names("circuits") for name in measure_names(plugin)}
    unexplained = [name for name in sorted(names) if f"`{name}`" not in page and not explained_by_parts(name, page)]
    assert unexplained == []


def measure_names(plugin: str) -> tuple[str, ...]:
    kind = plugins.load("circuits", plugin)
    assert issubclass(kind, Measure)
    return kind.names


def explained_by_parts(name: str, page: str) -> bool:
    """`restricted_loss.train | .test | .all`, `detector.fourier | clock`, and a common `.merged`: family and suffix are
    both named."""
    family, dot, suffix = name.partition(".")
    named = f".{suffix}" in page or f"| {suffix}" in page
    return bool(dot) and f"`{family}" in page and named
