"""Somebody at a terminal with a kubeconfig, and the Kubernetes API that it leads to."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from grokstudy.cli.run import asked_study
from grokstudy.execution.k8s import following
from grokstudy.execution.k8s.names import COMPONENT, JOB
from grokstudy.spec.study import StudySpec
from grokstudy.study import k8s_submission
from tests.services import kube_api
from tests.services.kube_api import EVENTS, PODS, RAY_JOBS, TOKEN, KubeApi, Refusal

STUDY = ["preset=quad23", "seed=seeds(2)", "tracking=none", "--name", "Wide_Frac"]
PULL = {"waiting": {"reason": "ImagePullBackOff", "message": 'Back-off pulling image "grokstudy:0.1.0"'}}


class User:
    """Somebody at a terminal."""

    def __init__(self, kube: KubeApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
        self.kube, self.api = kube, kube.api
        self._capsys, self._monkeypatch = capsys, monkeypatch

    def run(self, *words: str, code: int = 0) -> tuple[str, str]:
        """Standard output and error of `grokstudy k8s ...`; no message may hold the token or a traceback."""
        from grokstudy.cli.app import main

        self._monkeypatch.setattr("sys.argv", ["grokstudy", "k8s", *words])
        with pytest.raises(SystemExit) as end:
            main()
        out, err = self._capsys.readouterr()
        assert end.value.code == code, f"{end.value.code}\n{out}\n{err}"
        assert TOKEN not in out + err
        assert "Traceback (most recent" not in err
        return out, err

    def json(self, *words: str, code: int = 0) -> Any:
        return json.loads(self.run(*words, "--format", "json", code=code)[0])

    def submitted(self, *words: str) -> str:
        """The name of a new job."""
        told = self.json("submit", *STUDY, *words)
        assert told["submitted"]
        return str(told["id"])

    def has(self, name: str, state: dict[str, Any], **spec: Any) -> None:
        """The operator says this of the job."""
        document = self.api.get(RAY_JOBS, name)
        self.api.put(RAY_JOBS, {**document, "status": state, "spec": {**document["spec"], **spec}})

    def pod(self, job: str, role: str, **status: Any) -> str:
        """A pod of the job, made by the operator."""
        name = f"{job}-{role}-abcde"
        labels = {JOB: job, COMPONENT: role}
        containers = [{"name": f"ray-{role}"}]
        self.api.put(
            PODS, {"metadata": {"name": name, "labels": labels}, "spec": {"containers": containers}, "status": status}
        )
        return name

    def refuses(self, request: str, code: int, body: dict[str, Any] | str, times: int = 1_000_000) -> None:
        """From now on the API answers this to `METHOD resources`."""
        method, _, what = request.partition(" ")
        self.api.refusals.append(Refusal(method, what, code, body, times))

    def warns(self, about: str, reason: str, message: str) -> None:
        event = {"involvedObject": {"kind": "RayCluster", "name": about}, "type": "Warning", "reason": reason}
        event |= {"metadata": {"name": f"event-{next(self.api.number)}"}, "message": message}
        self.api.put(EVENTS, {**event, "lastTimestamp": "2026-11-22T10:00:00Z"})


_COMPOSED: dict[str, StudySpec] = {}


def composed_once(*words: Any) -> StudySpec:
    """Composing a study costs half a second; the same words mean the same study."""
    key = repr(words)
    if key not in _COMPOSED:
        _COMPOSED[key] = asked_study(*words)
    return _COMPOSED[key]


@pytest.fixture(scope="module")
def kube(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubeApi]:
    with kube_api.kube_api(tmp_path_factory.mktemp("kube")) as running:
        yield running


@pytest.fixture
def user(kube: KubeApi, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> User:
    """A user of an empty namespace, who need not wait long."""
    for name in [name for name in os.environ if name.startswith(("GROKSTUDY_", "KUBE")) or "PROXY" in name.upper()]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("KUBECONFIG", str(kube.kubeconfig))
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    for module in (following, k8s_submission):
        monkeypatch.setattr(module, "PAUSE_SECONDS", 0.01)
    monkeypatch.setattr("grokstudy.cli.k8s.asked_study", composed_once)
    kube.api.clear()
    return User(kube, capsys, monkeypatch)
