"""A study rendered as Kubernetes objects, and where to find things in them."""

from __future__ import annotations

import shlex
from typing import Any

import typer

from grokstudy.cli.app import app
from grokstudy.cli.k8s import planned
from grokstudy.execution.k8s.objects import Documents
from grokstudy.spec.study import StudySpec
from grokstudy.study.document import from_yaml
from grokstudy.study.k8s_job import documents

STUDY = ["preset=quad23", "task.p=11", "model.width=32", "seed=seeds(2)"]
GPU = ["engine=cuda", "cluster.gpus_per_pack=0.25"]
VARIABLES = ("GROKSTUDY_STORAGE", "GROKSTUDY_IMAGE", "MLFLOW_TRACKING_URI")
"""Those of a person's environment that would be read."""
PLUGIN = """
import dataclasses
from grokstudy.models.quad_mlp import QuadMLP

@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class Mine(QuadMLP):
    pass
"""


def rendered(attempt: int = 1, **options: Any) -> Documents:
    """What `grokstudy k8s render` prints for STUDY with these options."""
    found = planned(**{"words": STUDY, **options})
    return documents(found.work, found.settings, attempt)


def spec_of(found: Documents) -> StudySpec:
    """The study that the job will read."""
    return from_yaml(found.config_map["data"]["study.yaml"], "study.yaml")


def cluster(found: Documents) -> dict[str, Any]:
    """The Ray cluster of the job."""
    spec: dict[str, Any] = found.ray_job["spec"]["rayClusterSpec"]
    return spec


def templates(found: Documents) -> dict[str, dict[str, Any]]:
    """Pod templates by component."""
    (workers,) = cluster(found)["workerGroupSpecs"]
    return {
        "head": cluster(found)["headGroupSpec"]["template"],
        "worker": workers["template"],
        "submitter": found.ray_job["spec"]["submitterPodTemplate"],
    }


def ray_container(found: Documents, component: str) -> dict[str, Any]:
    """The one container that we say of a pod; KubeRay adds others."""
    (container,) = templates(found)[component]["spec"]["containers"]
    return dict(container)


def understood(entrypoint: str) -> tuple[list[str], dict[str, Any]]:
    """The program of an entrypoint, and what the real command line reads in its words."""
    words = shlex.split(entrypoint)
    command = typer.main.get_command(app).commands["run"]  # type: ignore[attr-defined]
    return words[:4], dict(command.make_context("run", words[4:]).params)
