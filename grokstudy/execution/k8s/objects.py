"""The objects of a job: its files, who may speak with whom, and the RayJob; and how they are printed."""

from __future__ import annotations

import dataclasses
from typing import Any

import yaml

from grokstudy.execution.k8s import names
from grokstudy.execution.k8s.job import Document, KubeJob, key_of
from grokstudy.execution.k8s.pods import DASHBOARD_PORT
from grokstudy.execution.k8s.rayjob import ray_job
from grokstudy.spec.errors import BadInput

MOST_BYTES = 2**20
"""Of a ConfigMap's data, keys included: the API server takes no more."""


@dataclasses.dataclass(frozen=True, slots=True)
class Documents:
    """What makes a study run on Kubernetes."""

    config_map: Document
    network_policy: Document
    ray_job: Document

    @property
    def all(self) -> tuple[Document, Document, Document]:
        """In the order in which they are needed."""
        return self.config_map, self.network_policy, self.ray_job


def documents_of(job: KubeJob) -> Documents:
    """The job written down.

    Raises:
        BadInput: its files are more than a ConfigMap holds.
    """
    return Documents(config_map=config_map(job), network_policy=network_policy(job), ray_job=ray_job(job))


def config_map(job: KubeJob) -> Document:
    """The resolved study and its plug-in files, which nobody can change while the job runs."""
    data = {key_of(path): text for path, text in sorted(job.files.items())}
    size = sum(len(key.encode()) + len(text.encode()) for key, text in data.items())
    if size > MOST_BYTES:
        largest = max(data, key=lambda key: len(data[key]))
        raise BadInput(
            f"files: {size:,} bytes, most of them {largest}; Kubernetes takes {MOST_BYTES:,} in a ConfigMap. Say long "
            "axes as lin(), log() or an interval, split the study, or put large plug-ins and tables into the image."
        )
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": job.metadata(), "immutable": True, "data": data}


def network_policy(job: KubeJob) -> Document:
    """Ray's nodes of this job speak with each other on any port, and with no other job's: Ray chooses most of its
    ports as it goes, so only labels can say who belongs together. The job's own submitter reaches the dashboard."""
    ours = {names.NAME: "ray", names.JOB: job.name}
    selector = {
        "matchLabels": ours,
        "matchExpressions": [{"key": names.COMPONENT, "operator": "In", "values": ["head", "worker"]}],
    }
    among_themselves = [{"podSelector": selector}]
    submitter = [{"podSelector": {"matchLabels": {**ours, names.COMPONENT: "submitter"}}}]
    return {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": job.metadata(),
        "spec": {
            "podSelector": selector,
            "policyTypes": ["Ingress", "Egress"],
            "ingress": [
                {"from": among_themselves},
                {"from": submitter, "ports": [{"protocol": "TCP", "port": DASHBOARD_PORT}]},
            ],
            "egress": [{"to": among_themselves}],
        },
    }


def as_list(documents: Documents) -> Document:
    """One document that holds them all."""
    return {"apiVersion": "v1", "kind": "List", "items": list(documents.all)}


def as_yaml(documents: Documents) -> str:
    """The job as a YAML stream."""
    return as_stream(*documents.all)


def as_stream(*documents: Document) -> str:
    """A YAML stream; equal documents give equal bytes."""
    return str(
        yaml.dump_all(documents, Dumper=_Readable, sort_keys=False, allow_unicode=True, explicit_start=True, width=120)
    )


class _Readable(yaml.SafeDumper):  # type: ignore[misc]
    """Writes values that stand twice twice, and files as the lines they are."""

    def ignore_aliases(self, data: Any) -> bool:
        return True


def _text(dumper: yaml.SafeDumper, text: str) -> yaml.Node:
    return dumper.represent_scalar("tag:yaml.org,2002:str", text, style="|" if "\n" in text else None)


_Readable.add_representer(str, _text)
