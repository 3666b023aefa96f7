"""`grokstudy report` on real studies of every kind: the page, the text, and what a run leaves behind."""

from __future__ import annotations

import re
import shlex
import shutil
from pathlib import Path

import pytest
from typer.testing import CliRunner

import grokstudy as gs
from grokstudy.cli.app import app
from grokstudy.phase.report_document import Document, Section, Table
from grokstudy.spec.compose import compose_study
from grokstudy.spec.errors import BadInput
from grokstudy.spec.study import StudySpec
from grokstudy.store.damage import DamagedPartWarning
from grokstudy.store.folder import StudyFolder
from grokstudy.study.board import Board
from grokstudy.study.document import record_attempt
from grokstudy.study.report import study_document, write_study_report
from grokstudy.study.run import plan_study, run_study

QUAD = ["preset=quad23", "task.p=11", "model.width=32"]
DECAYS, FRACTIONS = "regularization.weight_decay=0,1", "task.frac_train=0.6,0.8"
SOURCE = "source='Pipes | and <b>tags</b> and `ticks` & more'"
STUDIES: dict[str, list[str]] = {
    "one": [*QUAD, "task.frac_train=0.8", "budget=300"],
    "seeds": [*QUAD, "seed=seeds(3)", "budget=60"],
    "line": [*QUAD, DECAYS, "task.frac_train=0.8", "seed=seeds(2)", "budget=300"],
    "plane": [
        *QUAD,
        DECAYS,
        FRACTIONS,
        "seed=seeds(2)",
        "budget=300",
        "measures.names=[algorithm,cross_entropy,detector_scores,gini,key_freqs]",
        SOURCE,
    ],
    "four": [*QUAD, DECAYS, FRACTIONS, "model.width=16,32", "optimizer.lr=0.01,0.02", "budget=20"],
    "names": [*QUAD, "optimizer.filter=none,orthograd", FRACTIONS, "seed=seeds(2)", "budget=100"],
    "interval": [
        *QUAD,
        "regularization.weight_decay=log(0.1,10)",
        "task.frac_train=lin(0.4,0.8)",
        "optimizer.lr=log(0.001,0.1)",
        "sampler=random",
        "sampler.n_trials=26",
        "budget=30",
    ],
    "diverged": [*QUAD, "optimizer=sgd", "optimizer.lr=1e12,1e13", "budget=40"],
    "vectors": ["preset=wine", "init.scale=1,8", "budget=30"],
}


RUNS = {"empty": STUDIES["line"], "unfinished": [*QUAD, DECAYS, "seed=seeds(2)", "budget=60"], **STUDIES}
FIGURES = {
    "plane": {"phase", "p_gen", "p_gen-intervals", "survival", "examples-1", "progress", "fourier-norms", "embedding"},
    "line": {"phase", "p_gen", "survival", "examples-1"},
    "interval": {"phase", "p_gen", "examples-1"},
    "diverged": {"phase", "p_gen", "examples-1"},
    "one": {"survival", "examples-1"},
    "empty": set(),
}


def spec_of(root: Path, name: str, *more: str) -> StudySpec:
    return compose_study([*RUNS[name], *more, "tracking=none", "cluster=none", f"storage.root={root}"], name=name)


@pytest.fixture(scope="module")
def root(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A study of every kind; of `unfinished` half of the seeds, of `empty` nothing but its settings."""
    root = tmp_path_factory.mktemp("data")
    for name in STUDIES:
        run_study(spec_of(root, name), Board(study=name))
    run_study(spec_of(root, "unfinished"), Board(study="unfinished"))
    record_attempt(StudyFolder.open(str(root), "unfinished"), spec_of(root, "unfinished", "seed=seeds(4)"))
    record_attempt(StudyFolder.open(str(root), "empty"), spec_of(root, "empty"))
    return root


@pytest.fixture(scope="module")
def written(root: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder per study with its page, its text and its pictures."""
    target = tmp_path_factory.mktemp("reports")
    for name in RUNS:
        assert write_study_report(folder_of(root, name), target / name) == target / name / "report.html"
    return target


def folder_of(root: Path, name: str) -> StudyFolder:
    return StudyFolder.open(str(root), name)


def section(document: Document, title: str) -> Section:
    (found,) = (each for each in document.sections if each.title == title)
    return found


def first_table(found: Section) -> Table:
    return next(block for block in found.blocks if isinstance(block, Table))


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RUNS))
def test_every_kind_of_study_has_a_report(written: Path, name: str) -> None:
    page, text = written / name / "report.html", (written / name / "report.md").read_text()
    for title in ("Question", "Outcomes", "Settings", "Provenance", "Commands", "Limits"):
        assert f"\n## {title}\n" in text
        assert f">{title}</h2>" in page.read_text()
    named = re.findall(r"\]\(<(.+?)>\)", text)
    pictures = sorted(path.name for path in (written / name).glob("*.png"))
    assert sorted(named) == pictures
    if name in FIGURES:
        assert {path.removeprefix("report-").removesuffix(".png") for path in pictures} == FIGURES[name]
    assert page.stat().st_size < 3_000_000  # small enough to mail


@pytest.mark.slow
@pytest.mark.parametrize("name", list(RUNS))
def test_the_run_command_of_a_report_describes_the_same_trials(root: Path, written: Path, name: str) -> None:
    """Composed again, every trial it plans is there: nothing is left to run (of half a study, the other half)."""
    (run,) = re.findall(r"^grokstudy run .*$", (written / name / "report.md").read_text(), re.MULTILINE)
    words = shlex.split(run)
    assert words[:2] == ["grokstudy", "run"]
    assert words[-2:] == ["--name", name]
    here = ["tracking=none", "cluster=none", f"storage.root={root}"]
    plan = plan_study(compose_study([*words[2:-2], *here], name=name), 1)
    assert len(plan.left) == {"unfinished": 4, "empty": 4}.get(name, 0)
    assert len(plan.trials) == {"empty": 0}.get(name, len(gs.open(name, str(root)).trials())) + len(plan.left)


@pytest.mark.slow
def test_the_page_needs_no_network_and_runs_no_script(written: Path) -> None:
    page = (written / "plane/report.html").read_text()
    addresses = re.findall(r"""(?:src|href|url\()\s*=?\s*["']?([^"'\s>)]+)""", page)
    assert len([each for each in addresses if each.startswith("data:image/png;base64,")]) == len(FIGURES["plane"])
    assert [each for each in addresses if not each.startswith(("data:", "#"))] == []
    assert "<script" not in page
    assert "@import" not in page


@pytest.mark.slow
def test_what_a_study_says_of_itself_is_text_and_never_markup(written: Path) -> None:
    page, text = (written / "plane/report.html").read_text(), (written / "plane/report.md").read_text()
    assert "Pipes | and &lt;b&gt;tags&lt;/b&gt; and `ticks` &amp; more" in page
    assert r"Pipes \| and \<b\>tags\</b\> and \`ticks\` & more" in text


@pytest.mark.slow
def test_cells_say_what_the_diagram_says(root: Path) -> None:
    found = first_table(section(study_document(folder_of(root, "plane"), pictures=False), "Cells"))
    diagram = gs.open("plane", str(root)).phase_diagram("weight_decay", "frac_train")
    assert len(found.rows) == 4
    for row in found.rows:
        cell = dict(zip(found.header, row, strict=True))
        there = diagram.sel(weight_decay=float(cell["weight_decay"]), frac_train=float(cell["frac_train"]))
        assert int(cell["trials"]) == int(there["n"] + there["n_undetermined"])
        assert cell["p_gen"] == f"{float(there['p_gen']):.2f}"
        assert cell["95 % interval"] == f"{float(there['p_gen_low']):.2f} to {float(there['p_gen_high']):.2f}"
        median = float(there["t_gen_median"])
        assert cell["t_gen"] == (f"{median:,.0f}" if median == median else "–")


@pytest.mark.slow
def test_a_report_says_first_what_is_missing(written: Path) -> None:
    texts = {name: (written / name / "report.md").read_text() for name in RUNS}
    warnings = {name: " ".join(re.findall(r"^> (.*)$", text, re.MULTILINE)) for name, text in texts.items()}
    assert "no trial yet" in warnings["empty"]
    assert "4 of 8 planned trials are here" in warnings["unfinished"]
    assert "Every trial diverged" in warnings["diverged"]
    assert [name for name, text in warnings.items() if text] == ["empty", "unfinished", "diverged"]


@pytest.mark.slow
def test_further_axes_are_fixed_and_a_report_says_so(root: Path) -> None:
    document = study_document(folder_of(root, "four"), pictures=False)
    (picture,) = document.pictures
    assert "Only trials with optimizer.lr = 0.01 are drawn; the 8 others are in the table below." in picture.caption
    assert len(first_table(section(document, "Cells")).rows) == 16
    (posterior,) = study_document(folder_of(root, "interval"), pictures=False).pictures
    assert "A slice of the posterior at optimizer.lr = 0.01; trials near it are drawn." in posterior.caption


@pytest.mark.slow
def test_a_finished_run_leaves_the_same_text(root: Path, written: Path) -> None:
    """What `run` writes is the report of that moment, with the one picture that lies beside it."""
    text = (root / "line/report/report.md").read_text()
    whole = (written / "line/report.md").read_text()
    assert re.findall(r"\(<(.+?)>\)", text) == ["phase.png"]
    assert (root / "line/report/phase.png").exists()
    tables = [line for line in text.splitlines() if line.startswith("|")]
    assert tables == [line for line in whole.splitlines() if line.startswith("|")]
    assert not (root / "one/report").exists()  # no axis, no diagram; `grokstudy report` has all there is


@pytest.mark.slow
def test_a_damaged_part_is_named_and_the_rest_is_shown(root: Path, tmp_path: Path) -> None:
    shutil.copytree(root / "seeds", tmp_path / "seeds")
    part = next((tmp_path / "seeds/curves").glob("part-*.parquet"))
    part.write_bytes(b"not a part")
    with pytest.warns(DamagedPartWarning):
        document = study_document(folder_of(tmp_path, "seeds"))
    assert f"curves/{part.name} is damaged" in document.warnings[0]
    assert str(tmp_path) not in document.warnings[0]  # a report is handed on
    assert len(first_table(section(document, "Cells")).rows) == 1


@pytest.mark.slow
def test_the_verb_says_where_the_report_is(root: Path, tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["report", "one", "--out", str(tmp_path / "one.md"), "--storage", str(root)])
    assert result.exit_code == 0, result.output
    assert result.stdout.strip() == str(tmp_path / "one.md")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one-examples-1.png", "one-survival.png", "one.md"]


@pytest.mark.slow
def test_a_target_that_cannot_be_is_refused_before_anything_is_drawn(root: Path, tmp_path: Path) -> None:
    (tmp_path / "plain").write_text("")
    for target, words in {
        "r.htm": "did you mean '.html'?",
        "r.pdf": "must end in .html or .md",
        "none/r.html": "does not exist",
        "plain": "is a file",
    }.items():
        result = CliRunner().invoke(app, ["report", "one", "--out", str(tmp_path / target), "--storage", str(root)])
        assert isinstance(result.exception, BadInput), result.output
        assert words in str(result.exception)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["plain"]
