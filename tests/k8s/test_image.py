"""The image: all that goes into it is pinned, nothing else is sent to the builder, nothing in it is secret or root."""

from __future__ import annotations

import importlib.metadata
import re
import subprocess
import sysconfig
import tomllib
from pathlib import Path

from docker.utils.build import exclude_paths
from packaging.requirements import Requirement
from packaging.specifiers import SpecifierSet
from packaging.utils import canonicalize_name

from tests.k8s.dockerfile import ROOT, instructions, pairs, stages

TEXT = (ROOT / "Dockerfile").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
PINS = {
    canonicalize_name(name): version
    for name, version in re.findall(r"^([\w.-]+)==(\S+)$", (ROOT / "constraints.txt").read_text(), re.MULTILINE)
}
ALSO = re.findall(r"'?([\w-]+(?:\[\w+\])?)'?", TEXT.split("printf '%s\\n' ")[1].split(">>")[0])
"""What the Dockerfile installs beside grokstudy's own requirements."""
EXTRAS = re.findall(r"extras\['(\w+)'\]", TEXT)
NEVER_SENT = (
    ".env",
    ".git/config",
    ".venv/lib/x.py",
    "ray.token",
    "kubeconfig",
    "mlflow.db",
    "grokstudy-data/study/trials/part-1.parquet",
    "id_rsa",
    "k8s/overlays/mine/secrets.env",
    "tests/test_house.py",
    "grokstudy/.env",
    "grokstudy/cli/__pycache__/app.pyc",
    "conf/.cache/x",
)
SENT = ("pyproject.toml", "constraints.txt", "README.md", "LICENSE", "conf/config.yaml", "grokstudy/cli/app.py")


def test_hadolint_has_nothing_to_say() -> None:
    program = Path(sysconfig.get_path("scripts")) / "hadolint"
    said = subprocess.run([program, ROOT / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (said.returncode, said.stdout + said.stderr) == (0, "")


def test_only_what_the_image_is_made_of_is_sent_to_the_builder(tmp_path: Path) -> None:
    """By Docker's own matcher, on a folder with things that must stay at home."""
    for name in (*NEVER_SENT, *SENT):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("x")
    patterns = [line for line in (ROOT / ".dockerignore").read_text().splitlines() if line and not line.startswith("#")]
    sent = exclude_paths(str(tmp_path), patterns, dockerfile="Dockerfile")
    assert {name for name in sent if (tmp_path / name).is_file()} == set(SENT)


def test_every_file_that_is_copied_is_there_and_sent() -> None:
    patterns = [line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")]
    copied = [
        source
        for stage in stages(TEXT)
        for text in stage.texts("COPY")
        if not text.startswith("--from")
        for source in text.split()[:-1]
    ]
    assert sorted(copied) == sorted(patterns)
    assert all((ROOT / name).exists() for name in copied)


def test_every_package_of_the_image_is_pinned() -> None:
    """Everything that pip would bring, found by following requirements through the packages installed here."""
    named = [*PROJECT["dependencies"], *(one for extra in EXTRAS for one in PROJECT["optional-dependencies"][extra])]
    waiting, seen = [Requirement(text) for text in (*named, *ALSO)], set[tuple[str, str]]()
    while waiting:
        asked = waiting.pop()
        name = canonicalize_name(asked.name)
        for extra in ("", *asked.extras):
            if (name, extra) in seen:
                continue
            seen.add((name, extra))
            further = map(Requirement, importlib.metadata.requires(name) or ())
            waiting += [one for one in further if one.marker is None or one.marker.evaluate({"extra": extra})]
    unpinned = {name for name, _ in seen} - set(PINS)
    assert not unpinned, f"add to constraints.txt: {sorted(unpinned)}"
    assert {"torch", "ray", "mlflow", "kubernetes", "flask-wtf", "psycopg2-binary", "boto3"} <= {
        name for name, _ in seen
    }


def test_pins_are_what_the_project_asks_for() -> None:
    for text in PROJECT["dependencies"]:
        asked = Requirement(text)
        assert PINS[canonicalize_name(asked.name)] in asked.specifier, text


def test_versions_are_the_projects() -> None:
    given = {key: value for one in instructions(TEXT) if one.word == "ARG" for key, value in pairs(one.text).items()}
    assert given["VERSION"] == PROJECT["version"]
    assert given["PYTHON_VERSION"] in SpecifierSet(PROJECT["requires-python"])
    assert f"-t grokstudy:{PROJECT['version']} ." in TEXT
    assert f"-t grokstudy:{PROJECT['version']}-cuda ." in TEXT


def test_no_base_floats_and_no_index_is_named() -> None:
    """A version's tag, which a build argument replaces by a digest; where packages come from is the builder's pip."""
    given = {key: value for one in instructions(TEXT) if one.word == "ARG" for key, value in pairs(one.text).items()}
    assert re.fullmatch(r"python:\$\{PYTHON_VERSION\}-slim-[a-z]+", given["BASE"])
    assert {stage.base for stage in stages(TEXT)} == {"${BASE}", "dependencies"}
    assert given["TORCH_INDEX"] == ""
    assert "://" not in TEXT


def test_nothing_secret_is_an_argument_or_a_variable() -> None:
    named = {key for one in instructions(TEXT) if one.word in ("ARG", "ENV") for key in pairs(one.text)}
    assert not [key for key in named if re.search("TOKEN|PASS|SECRET|KEY|CREDENTIAL", key)]


def test_the_image_runs_as_user_1000_by_number() -> None:
    """By number, so that `runAsNonRoot` can tell; in the passwd file, so that torch finds a name for its cache."""
    final = stages(TEXT)[-1]
    assert final.texts("USER") == ["1000:1000"]
    assert [step.word for step in final.steps][-2:] == ["USER", "CMD"]
    assert "useradd --uid 1000" in " ".join(final.texts("RUN"))


def test_a_read_only_root_has_every_cache_in_tmp() -> None:
    given = {key: value for text in stages(TEXT)[-1].texts("ENV") for key, value in pairs(text).items()}
    caches = {key: value for key, value in given.items() if re.search("CACHE|CONFIGDIR", key)}
    assert set(caches) == {"MPLCONFIGDIR", "XDG_CACHE_HOME", "TORCHINDUCTOR_CACHE_DIR", "TRITON_CACHE_DIR"}
    assert all(value.startswith("/tmp/") for value in caches.values())
    assert given["PYTHONDONTWRITEBYTECODE"] == "1"
