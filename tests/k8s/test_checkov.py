"""A second opinion: checkov, which knows nothing of us, on everything that is applied and on the pods it becomes."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml

from tests.k8s.documents import Document
from tests.k8s.pods import made_pods
from tests.k8s.rendered import ROOT, scene

CHECKOV = Path(os.environ.get("GROKSTUDY_CHECKOV", ROOT / ".venv-checkov/bin/checkov"))
SKIPPED = {
    "CKV_K8S_35": "secrets as variables: libpq, boto3, MLflow and Ray read variables and no files",
    "CKV_K8S_43": "images by digest: an administrator's registry gives it, see overlays/production",
    "CKV_K8S_15": "imagePullPolicy Always: a version's tag does not move, and nodes start while the registry is away",
    "CKV_K8S_11": "CPU limits: packs would be slowed down on an idle node; requests share a busy one",
    "CKV_K8S_40": "user ids above 10000: the image's user is 1000, and no volume of the node is mounted",
    "CKV_K8S_8": "liveness probes of Ray pods: KubeRay adds them; servers' are held to by tests/k8s/containers.py",
    "CKV_K8S_9": "readiness probes of Ray pods: KubeRay adds them; servers' are held to by tests/k8s/containers.py",
}
"""Checks that do not apply, each with the reason."""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["overlay dev", "whole"])
def test_checkov_has_nothing_to_add(name: str, tmp_path: Path) -> None:
    if not CHECKOV.exists():
        pytest.skip(f"NO SECOND OPINION ON THE MANIFESTS: {CHECKOV} is not there; `make checkov` installs it")
    (tmp_path / "applied.yaml").write_text(yaml.safe_dump_all(expanded(list(scene(name)))))
    words = ["-f", "applied.yaml", "--framework", "kubernetes", "--compact", "--quiet", "--skip-download"]
    words += ["-o", "json", "--skip-check", ",".join(SKIPPED)]
    done = subprocess.run([CHECKOV, *words], cwd=tmp_path, capture_output=True, text=True, timeout=300, check=False)
    report = json.loads(done.stdout)
    assert report["summary"]["passed"] > len(scene(name)), done.stderr
    assert [
        f"{one['check_id']} {one['resource']}: {one['check_name']}" for one in report["results"]["failed_checks"]
    ] == []


def expanded(documents: list[Document]) -> list[Document]:
    """The documents with Ray's custom resources replaced by their pods, since checkov does not look inside."""
    pods = [made.pod for made in made_pods(documents) if made.role]
    return [one for one in documents if not one["apiVersion"].startswith("ray.io/")] + pods
