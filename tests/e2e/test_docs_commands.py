"""Every command of the documentation and of the README, typed from top to bottom of its page.

Each page has a folder of its own in which the study `demo` lies: its plane with one seed and half of the steps. Four
things are changed, so that all pages take a minute or two: everything runs in this process and without MLflow,
`seeds(n)` is one seed, a training longer than the quickest preset's is ended after three steps unless the page says
how long it is, and `3f2a` becomes the start of a trial's id. Of a command that a page declares `checked only`, and of
one that serves until it is stopped, verb, options and settings are checked.
"""

from __future__ import annotations

import contextlib
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
import typer

import grokstudy as gs
from grokstudy.cli.app import app, main
from grokstudy.spec import plugins
from grokstudy.spec.compose import compose_study
from tests.e2e.docs_pages import PAGES, ROOT, Command, File, commands_of, steps_of

QUICK = {"preset=quad23", "preset=quad23_fast"}
"""Presets that are trained to their end: half a second per trial."""
HERE = {"cluster": "cluster=none", "tracking": "tracking=none", "engine.compile": "engine.compile=false"}
TRAINING = {"run", "train", "critical"}
SERVERS = {"mlflow", "ui"}
OTHERS = {"git", "cd", "source", "pip", "du", "export", "bash", "ssh"}
"""Programs of other people: what pages say about them is not checked."""
GUIDES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "k8s").rglob("README.md"))
ALL = [step for page in PAGES for step in steps_of(page) if isinstance(step, Command)]


@pytest.fixture(scope="module")
def demo(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A storage root with a small demo."""
    root = tmp_path_factory.mktemp("demo")
    gs.run("study=demo", *HERE.values(), seed=0, steps=1000, root=str(root), progress=False)
    return root


@pytest.fixture
def forgotten() -> Iterator[None]:
    """Plug-in files and threads are what they were."""
    before, threads = dict(plugins._files), torch.get_num_threads()
    yield
    torch.set_num_threads(threads)
    plugins._files.clear()
    plugins._files.update(before)
    plugins.load.cache_clear()


@pytest.mark.slow
@pytest.mark.usefixtures("forgotten")
@pytest.mark.parametrize("page", sorted({command.page for command in ALL}))
def test_every_command_of_a_page_runs(
    page: str, demo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = tmp_path / "grokstudy-data"
    shutil.copytree(demo, data)
    grokked = gs.open("demo", root=str(data)).trials("outcome = 'grokking' AND t_gen < 500").trial_id[0]
    for name, value in {"GROKSTUDY_STORAGE": str(data), "HOME": str(tmp_path), "BROWSER": "true"}.items():
        monkeypatch.setenv(name, value)
    with contextlib.chdir(tmp_path):
        for step in steps_of(page):
            if isinstance(step, File):
                Path(step.name).parent.mkdir(parents=True, exist_ok=True)
                Path(step.name).write_text(step.text)
                continue
            words = [word.replace("3f2a", grokked[:12]) for word in step.words]
            if why_not_run(step) is not None:
                check(words)
            else:
                code = execute(words, monkeypatch)
                assert code == 0, f"{step}\nexit {code}\n{capsys.readouterr().err}"


def why_not_run(command: Command) -> str | None:
    """Why a command is only checked; None if it is run."""
    return "serves until it is stopped" if SERVERS & set(command.words[1:2]) else command.checked_only


def execute(words: list[str], monkeypatch: pytest.MonkeyPatch) -> int:
    """Runs a command to its end; its exit code."""
    if words[0] == "python":
        return subprocess.run([sys.executable, *words[1:]], check=False).returncode
    if words[0] != "grokstudy":
        return 0
    monkeypatch.setattr(sys, "argv", shortened(words))
    with pytest.raises(SystemExit) as end:
        main()
    return int(end.value.code or 0)


def shortened(words: list[str]) -> list[str]:
    """The command as the test runs it; see the top of this file."""
    if words[1:] == ["demo"]:
        return [*words[:1], "run", "study=demo", "seed=0", "--steps", "1000", *HERE.values()]
    if words[1] not in TRAINING:
        return words
    here = [word for key, word in HERE.items() if not any(given.startswith(f"{key}=") for given in words)]
    as_it_is = words[1] == "critical" or {"--steps", "--dry-run", *QUICK} & set(words)
    short = [] if as_it_is else ["--steps", "3"]
    return [*(re.sub(r"seeds\(\d+\)", "seeds(1)", word) for word in words), *here, *short]


def check(words: list[str]) -> None:
    """Fails if verb, options or settings of a command do not exist; runs nothing."""
    if words[0] == "grokstudy":
        group = typer.main.get_command(app)
        assert isinstance(group, typer.core.TyperGroup)
        name, rest, verb = words[1], words[2:], group.commands[words[1]]
        while isinstance(verb, typer.core.TyperGroup):
            name, rest, verb = rest[0], rest[1:], verb.commands[rest[0]]
        context = verb.make_context(name, list(rest))
        if name in ("run", "train") or words[1:3] in (["k8s", "render"], ["k8s", "submit"]):
            compose_study(context.params["words"], name=context.params["name"])


@pytest.mark.parametrize("page", GUIDES)
def test_every_command_of_the_guides_to_kubernetes_exists(page: str) -> None:
    """They need a cluster, so none is run."""
    for step in steps_of(page):
        if isinstance(step, Command) and step.words[0] == "grokstudy":
            check(step.words)


def test_every_program_is_known_and_every_make_target_exists() -> None:
    targets = {line.partition(":")[0] for line in (ROOT / "Makefile").read_text().splitlines() if ":" in line}
    known = {"grokstudy", "python", "make"} | OTHERS
    assert [str(command) for command in ALL if command.words[0] not in known] == []
    assert [str(one) for one in ALL if one.words[0] == "make" and one.words[1] not in targets] == []


def test_most_commands_are_run_and_the_others_say_why() -> None:
    """`pytest -rP` prints what is only checked."""
    ours = [command for command in ALL if command.words[0] in ("grokstudy", "python")]
    checked = [command for command in ours if why_not_run(command) is not None]
    print(f"{len(ours) - len(checked)} commands are run, {len(checked)} only checked:")
    print("\n".join(f"{command} ({why_not_run(command)})" for command in checked))
    assert len(ours) >= 100
    assert len(checked) <= len(ours) / 4


def test_a_command_goes_to_the_end_of_its_quotes_and_not_into_its_remark() -> None:
    block = '$ grokstudy query demo "SELECT 1\n  FROM trials"   # all\nn\n1\n$ make demo   the picture\ngrokstudy no\n'
    assert list(commands_of(block)) == [(0, 'grokstudy query demo "SELECT 1\n  FROM trials"'), (4, "make demo")]
    assert list(commands_of("mine/\n  grokstudy no\ngrokstudy demo\n")) == [(2, "grokstudy demo")]
