"""Writes the README's file tree: one line per file, taken from the first line of the file's own docstring."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).parent.parent
TARGET = ROOT / "README.md"
START, END = "<!-- files: made by `make docs` -->\n```text\n", "```\n<!-- /files -->"

FOLDERS: Mapping[str, str] = {
    "conf": "Hydra config groups; every YAML file is an option",
    "grokstudy": "the package; imports go one way, in the order of this list",
    "grokstudy/cli": "verbs",
    "grokstudy/explorer": "the explorer",
    "grokstudy/claims": "published results, judged by studies",
    "grokstudy/study": "the life of a study: propose, skip what is done, run, store, show, report",
    "grokstudy/phase": "censored statistics, phase diagrams, figures",
    "grokstudy/phase/inference": "what may be concluded: times, transitions and seeds, one fit each",
    "grokstudy/measure_jobs": "which measures are missing, and the tasks that compute them",
    "grokstudy/execution": "packs in this process or on Ray Tune; the only place that imports ray",
    "grokstudy/execution/k8s": "a study as a RayJob, and the API of Kubernetes; the only place that imports its client",
    "grokstudy/tracking": "MLflow as a projection; the only place that imports mlflow",
    "grokstudy/store": "the study folder: parts, views, cache, lock, compaction",
    "grokstudy/engine": "packs, the loop, evaluation, checkpoints, snapshots",
    "grokstudy/circuits": "measures as pure functions of a network; `_` files are shared by them",
    "grokstudy/circuits/detectors": "one algorithm each; found by file name",
    "grokstudy/circuits/reference": "what networks learn, written by hand in plain numpy, with margins that prove it",
    "grokstudy/tasks": "plug-ins",
    "grokstudy/models": "plug-ins",
    "grokstudy/losses": "plug-ins",
    "grokstudy/inits": "plug-ins",
    "grokstudy/optimizers": "plug-ins",
    "grokstudy/regularizers": "plug-ins",
    "grokstudy/samplers": "plug-ins",
    "grokstudy/samplers/surrogate": "censored margins as Gaussian processes, and where the next trial tells most",
    "grokstudy/spec": "frozen records of trials and studies, their identity, the outcome rule",
    "docs": "what the code does, for people",
    "tests": "`make test`",
    "tests/contracts": "one suite per kind of plug-in, and what every room promises",
    "tests/laws": "mathematics and bit-for-bit laws",
    "tests/golden": "curves and ids that never change, as text",
    "tests/e2e": "whole studies through the command line and Python",
    "tests/slow": "trainings of more than a few seconds",
    "tests/services": "servers that tests start: PostgreSQL, MLflow, S3, Ray nodes in network namespaces",
    "tests/chaos": "a killer with a seed, and what must hold after it: `make chaos`",
    "tests/k8s": "manifests against schemas, the operator's rules, Pod Security, network policies, seeded defects",
    "benchmarks": "one script per question",
    "k8s": "the platform on Kubernetes, README first: a base, opt-in components, overlays for kind and for production",
    ".ci": "what CI runs: `bash .ci/run`",
}
"""Folders in the order of the tree; those that hold no file yet are left out."""
DEEP = ("grokstudy", "docs")
"""Folders whose files are listed one by one."""
WIDTH = 30


def main() -> None:
    text = TARGET.read_text()
    before, found, rest = text.partition(START)
    _, ended, after = rest.partition(END)
    if not found or not ended:
        sys.exit(f"{TARGET.name} has no block between {START!r} and {END!r}.")
    TARGET.write_text(before + START + file_tree() + END + after)


def file_tree() -> str:
    """The lines of the tree."""
    return "".join(f"{line.rstrip()}\n" for line in _lines())


def _lines() -> Iterator[str]:
    for folder, meaning in FOLDERS.items():
        files = list(_files(ROOT / folder))
        if not any(path.is_file() for path in (ROOT / folder).rglob("*") if "__pycache__" not in path.parts):
            continue
        indent = "  " * folder.count("/")
        yield _line(f"{indent}{folder.rpartition('/')[2]}/", meaning)
        if folder.partition("/")[0] in DEEP:
            for path in files:
                yield _line(f"{indent}  {path.name}", _meaning(path))
        elif folder == "conf":
            for group in sorted(path for path in (ROOT / folder).iterdir() if any(path.glob("*.yaml"))):
                yield _line(f"  {group.name}/", ", ".join(sorted(option.stem for option in group.glob("*.yaml"))))


def _files(folder: Path) -> Iterator[Path]:
    for path in sorted(folder.glob("*")):
        if path.suffix in (".py", ".md") and path.stat().st_size:
            yield path


def _line(name: str, meaning: str) -> str:
    return f"{name:{WIDTH}} {meaning}"


def _meaning(path: Path) -> str:
    """First line of a module's docstring, or a page's title."""
    text = path.read_text()
    if path.suffix == ".md":
        return text.splitlines()[0].removeprefix("# ")
    return (ast.get_docstring(ast.parse(text)) or "").partition("\n")[0]


if __name__ == "__main__":
    main()
