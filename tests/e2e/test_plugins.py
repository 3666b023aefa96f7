"""docs/plugins.md, tried as a reader would: the example as a file, and as an installed package."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from tests.e2e.conftest import Cli

PAGE = (Path(__file__).parents[2] / "docs/plugins.md").read_text()
EXAMPLE = re.findall(r"```python\n(.*?)```", PAGE, flags=re.DOTALL)[0]
WORDS = ["preset=quad23", "task=gcd", "task.n=8", "model.width=16", "tracking=none", "cluster=none", "--steps", "40"]


def test_the_example_works_as_a_file(cli: Cli) -> None:
    path = cli.work / "tasks/gcd.py"
    path.parent.mkdir()
    path.write_text(EXAMPLE)
    cli.run("run", "--plugin", str(path), *WORDS, "task.frac_train=0.5,0.9", "--name", "gcd")
    rows = json.loads(cli.run("trials", "gcd", "--format", "json").stdout)
    assert {row["status"] for row in rows} == {"done"}
    assert sorted(row["task.frac_train"] for row in rows) == [0.5, 0.9]
    assert {row["task.n"] for row in rows} == {8}


@pytest.fixture
def installed(cli: Cli) -> Cli:
    """The package as an installer leaves it: modules, and metadata with its entry points, on the path."""
    site = cli.work.parent / "site"
    package, metadata = site / "my_grok_tasks", site / "my_grok_tasks-0.1.dist-info"
    for folder in (package, metadata):
        folder.mkdir(parents=True)
    (package / "__init__.py").touch()
    (package / "gcd.py").write_text(EXAMPLE)
    (metadata / "METADATA").write_text("Metadata-Version: 2.1\nName: my-grok-tasks\nVersion: 0.1\n")
    points = re.findall(r'\[project\.entry-points\."(.*?)"\]\n(.*?)\n```', PAGE, flags=re.DOTALL)
    ((group, line),) = points
    (metadata / "entry_points.txt").write_text(f"[{group}]\n{line.replace(chr(34), '')}\n")
    cli.env = {**cli.env, "PYTHONPATH": str(site)}
    return cli


def test_the_example_works_as_a_package(installed: Cli) -> None:
    listed = installed.run("list", "tasks").stdout
    assert "gcd(a, b) over all pairs" in listed
    assert "2308.15594" in listed
    installed.run("run", *WORDS, "--name", "gcd")
    (row,) = json.loads(installed.run("trials", "gcd", "--format", "json").stdout)
    assert (row["status"], row["task.name"]) == ("done", "gcd")


def test_its_wrong_values_are_refused_as_those_of_shipped_tasks(installed: Cli) -> None:
    refused = installed.run("run", *WORDS, "task.n=1", code=2)
    assert "task.n: got 1, must be >= 2" in refused.stderr
    misspelt = installed.run("run", *WORDS, "task.m=3", code=2)
    assert "task.n" in misspelt.stderr
