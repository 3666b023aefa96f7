"""One job as it is to be written down: what runs, which files it finds, where its words come from."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from grokstudy.execution.k8s import names
from grokstudy.execution.k8s.settings import KubeSettings

Document = dict[str, Any]
"""One Kubernetes object, or a part of one: the nested dict that its YAML is."""
MOUNTED = "/study"
"""Where every Ray pod finds the job's files."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class KubeJob:
    """A study's job with its settings."""

    name: str
    study: str
    verb: str
    storage: str
    """Storage root."""
    entrypoint: str
    """Shell command that the head runs as driver."""
    files: Mapping[str, str]
    """Text by path below /study: study.yaml and plug-ins."""
    threads: int
    """Of a pack."""
    tracked: bool
    """Whether the driver logs to MLflow."""
    settings: KubeSettings

    @property
    def labels(self) -> dict[str, str]:
        return names.labels(self.name, self.study, self.verb)

    def metadata(self, more: Mapping[str, str] | None = None) -> Document:
        """Of every object: where it lies, and the true names that labels may have cut.

        Args:
            more: further labels.
        """
        return {
            "name": self.name,
            "namespace": self.settings.namespace,
            "labels": {**self.labels, **(more or {})},
            "annotations": {names.STUDY: self.study, names.VERB: self.verb, names.STORAGE: self.storage},
        }


def key_of(path: str) -> str:
    """A file's key in the ConfigMap, which knows no folders."""
    return path.replace("/", ".")
