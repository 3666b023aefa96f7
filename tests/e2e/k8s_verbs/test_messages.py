"""What the verbs say of a job and of a cluster that refuses, fails or is away, each with what to do."""

from __future__ import annotations

import socket
import sys
from pathlib import Path
from typing import Any

import pytest
import typer

from grokstudy.execution.k8s import client
from grokstudy.store.folder import StudyFolder
from grokstudy.study.activity import published
from grokstudy.study.board import Board
from tests.services import kube_api
from tests.services.kube_api import RAY_JOBS, status

from .conftest import PULL, STUDY, User

WAITING = {"jobDeploymentStatus": "Initializing"}
SECRET = {"waiting": {"reason": "CreateContainerConfigError", "message": 'secret "mlflow-client" not found'}}
KEY = {
    "waiting": {
        "reason": "CreateContainerConfigError",
        "message": "couldn't find key auth_token in Secret grokstudy/ray-token",
    }
}
NO_NODE = {
    "type": "PodScheduled",
    "status": "False",
    "reason": "Unschedulable",
    "message": "0/3 nodes are available: 3 ",
}


@pytest.mark.parametrize(
    ("role", "pod", "told"),
    [
        ("head", {"containerStatuses": [{"state": PULL}]}, ["ImagePullBackOff", "GROKSTUDY_IMAGE"]),
        ("head", {"containerStatuses": [{"state": SECRET}]}, ["The Secret mlflow-client is missing", "k8s/README.md"]),
        ("head", {"containerStatuses": [{"state": KEY}]}, ["The Secret ray-token lacks the key auth_token"]),
        (
            "worker",
            {"conditions": [{**NO_NODE, "message": "3 Insufficient nvidia.com/gpu."}]},
            ["Unschedulable", "GPU"],
        ),
        ("worker", {"conditions": [{**NO_NODE, "message": "3 Insufficient cpu."}]}, ["Unschedulable", "--cpus"]),
        (
            "worker",
            {"containerStatuses": [{"state": {"terminated": {"reason": "OOMKilled", "exitCode": 137}}}]},
            ["--memory"],
        ),
    ],
)
def test_status_says_what_a_pod_waits_for_and_what_to_do(user: User, role: str, pod: Any, told: list[str]) -> None:
    name = user.submitted()
    user.has(name, WAITING)
    user.pod(name, role, phase="Pending", **pod)
    shown = user.run("status", name)[0]
    assert all(part in shown for part in [*told, "Initializing", role, "remedy"]), shown


def test_status_says_why_a_pod_could_not_even_be_made(user: User) -> None:
    """Only an event tells. Those of another job, even with a name that begins alike, are another's."""
    name = user.submitted()
    user.has(name, WAITING)
    user.warns(f"{name}-x7k2p", "FailedCreate", 'pods "a" is forbidden: exceeded quota: team, requested: cpu=4')
    user.warns(f"{name}0-x7k2p", "FailedCreate", "violates PodSecurity")
    shown = user.json("status", name)
    assert [one["about"] for one in shown["warnings"]] == [f"RayCluster {name}-x7k2p"]
    assert shown["remedies"] == [each for each in shown["remedies"] if "quota team" in each] != []
    user.refuses("GET events", 403, _forbidden("list", "events", ""))
    assert user.json("status", name)["warnings"] == []


def test_a_running_study_is_shown_with_its_own_progress_and_a_finished_one_with_its_end(
    user: User, tmp_path: Path
) -> None:
    name = user.submitted()
    document = user.api.get(RAY_JOBS, name)
    document["metadata"]["annotations"]["grokstudy/storage"] = str(tmp_path)
    user.api.put(RAY_JOBS, document)
    user.has(name, {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "startTime": "2026-11-22T10:00:00Z"})
    submitter = user.pod(name, "submitter", phase="Running", conditions=[{"type": "Ready", "status": "True"}])
    user.api.logs[submitter] = [b"2026-11-22T10:00:01.000000001Z 12/81 trials\n"]
    shown = user.run("status", name)[0]
    assert "running (RayJob: Running)" in shown
    assert "last      12/81 trials" in shown
    board = Board(study="Wide_Frac", planned=81, done_before=20, stage="training", notices=["a pack failed"])
    with published(board, StudyFolder.open(str(tmp_path), "Wide_Frac")):
        shown = user.run("status", name)[0]
    assert "progress  training · 20/81 trials" in shown
    assert "notice    a pack failed" in shown
    assert f"{submitter}  ready" in shown
    user.has(
        name,
        {
            "jobDeploymentStatus": "Complete",
            "jobStatus": "SUCCEEDED",
            "startTime": "2026-11-22T10:00:00Z",
            "endTime": "2026-11-22T10:30:05Z",
        },
    )
    assert "took 30:05" in user.run("status", name)[0]
    assert user.run("logs", name)[0] == "12/81 trials\n"


def test_a_failed_job_shows_the_end_of_its_log_and_what_kubernetes_says(user: User) -> None:
    name = user.submitted()
    message = (
        "Job entrypoint command failed with exit code 2, last available logs (truncated to 20,000 chars):\nerror: x\n"
    )
    ended = {"jobDeploymentStatus": "Failed", "jobStatus": "FAILED", "reason": "AppFailed", "failed": 3}
    user.has(name, {**ended, "message": message})
    shown = user.json("status", name)
    assert (shown["state"], shown["exit_code"], shown["failed_attempts"]) == ("failed", 2, 3)
    assert shown["last_lines"] == ["error: x"]
    user.api.logs[user.pod(name, "submitter", phase="Failed")] = [
        b"2026-11-22T10:00:01.000000001Z Traceback\n2026-11-22T10:00:01.000000002Z No module named 'obstore'\n"
    ]
    text = user.run("status", "Wide_Frac")[0]
    assert "AppFailed: Job entrypoint command failed with exit code 2" in text
    assert "No module named 'obstore'" in text
    assert "Dockerfile" in text
    assert "3 failed of at most 3" in text
    assert "Dockerfile" in user.run("logs", "-f", name, code=1)[1]


def _forbidden(verb: str, what: str, group: str) -> dict[str, Any]:
    may_not = f'User "ann" cannot {verb} resource "{what}" in API group "{group}" in the namespace "grokstudy"'
    return status(403, f"{what} is forbidden: {may_not}")


SEND = ["submit", *STUDY]
NO_NAMESPACE = status(404, 'namespaces "grokstudy" not found', kind="namespaces")
NO_FIELD = status(400, 'strict decoding error: unknown field "spec.x"')


@pytest.mark.parametrize(
    ("request_", "code", "body", "words", "told"),
    [
        ("GET rayjobs", 403, _forbidden("list", "rayjobs", "ray.io"), ["list"], ["ann may not list rayjobs", "Role"]),
        ("GET pods", 403, _forbidden("list", "pods", ""), ["status", "Wide_Frac"], ["ann may not list pods"]),
        ("POST rayjobs", 403, status(403, "a webhook denied it"), SEND, ["a webhook denied it"]),
        ("GET rayjobs", 404, "404 page not found", ["list"], ["KubeRay operator is not installed", "k8s/README.md"]),
        ("POST rayjobs", 404, NO_NAMESPACE, SEND, ["--namespace: no 'grokstudy'"]),
        ("POST rayjobs", 422, status(422, "spec.backoffLimit: Invalid value"), SEND, ["spec.backoffLimit"]),
        ("POST rayjobs", 400, NO_FIELD, SEND, ["1.6.0 or newer"]),
        ("GET rayjobs", 401, status(401, "Unauthorized"), ["list"], ["refuses the credentials of context 'here'"]),
        ("GET rayjobs", 503, "upstream connect error", ["list"], ["fails for now (503)"]),
        ("GET rayjobs", 200, "<html>a login page</html>", ["list"], ["no Kubernetes API"]),
    ],
)
def test_what_the_cluster_refuses_is_one_sentence_that_names_the_remedy(
    user: User, request_: str, code: int, body: dict[str, Any] | str, words: list[str], told: list[str]
) -> None:
    if words[0] == "status":
        user.submitted()
    user.refuses(request_, code, body)
    out, err = user.run(*words, code=2)
    assert out == ""
    assert all(part in err for part in told), err


@pytest.mark.parametrize(
    ("words", "kubeconfig", "told"),
    [
        (["--context", "heer"], None, ["no 'heer'", "did you mean 'here'?"]),
        (["--context", "elsewhere"], None, ["Nothing answers at http://127.0.0.1:9", "'elsewhere'"]),
        (["--kubeconfig", "gone.yaml"], None, ["no file gone.yaml"]),
        ([], "nowhere", ["no kubeconfig here", "KUBECONFIG"]),
        (["--kubeconfig", "text.yaml"], None, ["is no kubeconfig"]),
    ],
)
def test_who_cannot_be_reached_is_told_with_the_setting(
    user: User, monkeypatch: pytest.MonkeyPatch, words: list[str], kubeconfig: str | None, told: list[str]
) -> None:
    Path("text.yaml").write_text("just text")
    if kubeconfig is not None:
        monkeypatch.setenv("KUBECONFIG", kubeconfig)
    err = user.run("list", *words, code=2)[1]
    assert all(part in err for part in told), err


def test_an_api_that_accepts_and_never_answers_is_given_up(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(client, "ANSWER_SECONDS", 0.2)
    with socket.create_server(("127.0.0.1", 0)) as silent:
        address = f"http://127.0.0.1:{silent.getsockname()[1]}"
        path = kube_api.kubeconfig(Path("silent.yaml").absolute(), address)
        assert "does not answer in time" in user.run("list", "--kubeconfig", str(path), code=2)[1]


def test_without_the_client_library_the_extra_is_named(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes", None)
    monkeypatch.delitem(sys.modules, "grokstudy.execution.k8s.client")
    err = user.run("list", code=2)[1]
    assert "grokstudy[k8s]" in err


def test_a_wrong_name_is_answered_with_the_nearest_and_the_verb_that_lists(user: User) -> None:
    name = user.submitted()
    err = user.run("logs", f"{name[:-1]}9", code=2)[1]
    assert f"did you mean '{name}'?" in err
    assert "grokstudy k8s status" in err


def test_every_verb_is_documented_with_an_example() -> None:
    from grokstudy.cli.k8s import verbs

    commands = typer.main.get_command(verbs).commands  # type: ignore[attr-defined]
    assert {"render", "submit", "list", "status", "logs", "stop"} <= set(commands)
    assert all("Example: grokstudy k8s" in command.help for command in commands.values())
