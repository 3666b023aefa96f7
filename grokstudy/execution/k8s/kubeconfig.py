"""Kubeconfig files: where they lie and which contexts they name."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import yaml

from grokstudy.spec.errors import BadInput

DEFAULT = "~/.kube/config"


def files(given: Path | None) -> list[Path]:
    """The files that exist of what was given, else of `KUBECONFIG`, else the usual one."""
    named = str(given) if given is not None else os.environ.get("KUBECONFIG") or DEFAULT
    paths = [Path(each).expanduser() for each in named.split(os.pathsep) if each]
    return [path for path in paths if path.is_file()]


def contexts(paths: Sequence[Path]) -> tuple[list[str], str]:
    """Names of all contexts, and the current one (empty if none is set); what comes first counts.

    Raises:
        BadInput: a file that is no kubeconfig.
    """
    names: list[str] = []
    current = ""
    for path in paths:
        try:
            document = yaml.safe_load(path.read_text())
            names += [str(each["name"]) for each in document.get("contexts") or ()]
            current = current or str(document.get("current-context") or "")
        except (yaml.YAMLError, AttributeError, KeyError, TypeError, UnicodeDecodeError):
            raise BadInput(f"--kubeconfig: {path} is no kubeconfig file.") from None
    return names, current
