"""Figures of one trial from the command line."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner, Result

import grokstudy as gs
from grokstudy.cli import figure
from grokstudy.spec.errors import BadInput
from grokstudy.study.figures import NAMES

from .conftest import SMALL

verb = typer.Typer()
figure.add_to(verb)


@pytest.fixture(scope="module")
def trial_id(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("figures")
    root = str(folder / "data")
    study = gs.train(*SMALL[:-1], steps=60, name="one", root=root, progress=False)
    with pytest.MonkeyPatch.context() as patch, contextlib.chdir(folder):
        patch.setenv("GROKSTUDY_STORAGE", root)
        yield study.trial().trial_id


def invoke(*words: str) -> Result:
    return CliRunner().invoke(verb, words)


def test_alone_it_lists_every_figure_with_a_sentence() -> None:
    listed = invoke().stdout
    assert [name for name in NAMES if f"\n{name} " not in f"\n{listed}"] == []


def test_a_figure_is_named_after_itself_and_its_trial(trial_id: str) -> None:
    result = invoke(trial_id[:6], "fourier_norms", "--step", "0")
    assert result.stdout == f"fourier_norms-{trial_id[:8]}.png\n"
    assert Path(result.stdout.strip()).read_bytes().startswith(b"\x89PNG")


def test_the_suffix_decides_the_format(trial_id: str) -> None:
    assert invoke(trial_id, "curves", "--out", "curves.svg").exit_code == 0
    assert "<svg" in Path("curves.svg").read_text()


@pytest.mark.parametrize(
    ("words", "what"),
    [
        (["fourier_norm"], "NAME: no 'fourier_norm'; did you mean 'fourier_norms'"),
        ([], "NAME: missing, must be one of curves, progress"),
        (["curves", "--step", "end"], "--step: curves shows all steps"),
        (["fourier_norms", "--step", "8"], "got 8"),
        (["fourier_norms", "--out", "a.gif"], r"a\.gif"),
        (["attention"], "attention"),
    ],
)
def test_what_cannot_be_drawn_is_refused(trial_id: str, words: list[str], what: str) -> None:
    with pytest.raises(BadInput, match=what):
        CliRunner().invoke(verb, [trial_id, *words], catch_exceptions=False)


def test_trial_and_figure_the_wrong_way_round_are_put_right(trial_id: str) -> None:
    with pytest.raises(BadInput, match=f"the trial comes first: grokstudy figure {trial_id} curves"):
        CliRunner().invoke(verb, ["curves", trial_id], catch_exceptions=False)
