"""The notebook in docs/ runs from top to bottom, in a kernel as a reader has it."""

from __future__ import annotations

from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "docs/notebooks/first_study.ipynb"
PLOTLY = "application/vnd.plotly.v1+json"


def _read() -> nbformat.NotebookNode:
    return nbformat.read(NOTEBOOK, as_version=4)


def test_no_outputs_are_kept_in_the_repository() -> None:
    code = [cell for cell in _read().cells if cell.cell_type == "code"]
    assert code
    assert all(not cell.outputs and cell.execution_count is None for cell in code)


@pytest.mark.slow
def test_every_cell_runs_without_error_or_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("GROKSTUDY_STORAGE", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    book = _read()
    NotebookClient(book, timeout=500, resources={"metadata": {"path": str(tmp_path)}}).execute()
    outputs = {cell.id: cell.outputs for cell in book.cells if cell.cell_type == "code"}
    printed = [(name, output) for name, shown in outputs.items() for output in shown if output.output_type == "stream"]
    assert {output.name for _, output in printed} == {"stdout"}  # a warning would be on stderr
    ((run, text),) = {name: "".join(o.text for n, o in printed if n == name) for name, _ in printed}.items()
    last = text.rpartition("\r")[2]
    assert last.startswith("first: finished · 27/27 trials"), (run, last)
    figures = [output for shown in outputs.values() for output in shown if PLOTLY in output.get("data", {})]
    assert len(figures) == 6
    assert (tmp_path / "grokstudy-data/first/study.yaml").exists()
