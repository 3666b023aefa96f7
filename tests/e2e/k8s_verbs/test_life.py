"""A study's life on a cluster as users type it: sent once, followed, stopped, sent again. The API is on loopback."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from grokstudy.execution.k8s import following
from grokstudy.study import k8s_submission
from tests.services.kube_api import BREAKS, CONFIG_MAPS, NETWORK_POLICIES, PODS, RAY_JOBS, status

from .conftest import PULL, STUDY, User

OBJECTS = (RAY_JOBS, CONFIG_MAPS, NETWORK_POLICIES)


def test_a_submission_makes_a_job_that_owns_its_files_and_its_network_policy(user: User) -> None:
    name = user.submitted()
    assert [user.api.names(kind) for kind in OBJECTS] == [[name]] * 3
    job = user.api.get(RAY_JOBS, name)
    assert job["metadata"]["annotations"]["grokstudy/study"] == "Wide_Frac"
    for kind in (CONFIG_MAPS, NETWORK_POLICIES):
        (owner,) = user.api.get(kind, name)["metadata"]["ownerReferences"]
        assert (owner["kind"], owner["name"], owner["uid"]) == ("RayJob", name, job["metadata"]["uid"])
    (listed,) = user.json("list")
    assert (listed["study"], listed["state"], listed["storage"]) == ("Wide_Frac", "waiting", "s3://grokstudy/studies")
    assert "not seen by the operator yet" in user.run("status", "Wide_Frac")[0]


def test_the_same_again_is_one_job_until_it_has_ended_then_the_next_attempt(user: User) -> None:
    first = user.submitted()
    again = user.json("submit", *STUDY, "--image", "elsewhere/grokstudy:2")
    assert (again["id"], again["submitted"]) == (first, False)
    assert user.api.names(RAY_JOBS) == [first]
    assert "already waiting; nothing was sent" in user.run("submit", *STUDY)[0]
    user.has(first, {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED"})
    second = user.submitted()
    assert (first[-2:], second) == ("-1", f"{first[:-1]}2")
    assert [job["id"] for job in user.json("list")] == [second, first]


def test_another_submission_of_a_study_that_runs_is_refused(user: User) -> None:
    first = user.submitted()
    said = user.run("submit", *STUDY, "optimizer.lr=0.5", code=2)[1]
    assert first in said
    assert f"grokstudy k8s stop {first}" in said
    assert "--name" in said
    assert user.api.names(RAY_JOBS) == [first]


def test_two_who_send_the_same_at_the_same_time_get_one_job(user: User) -> None:
    first = user.submitted()
    user.refuses("GET rayjobs", 200, {"items": []}, times=1)  # as it was a moment ago
    again = user.json("submit", *STUDY)
    assert (again["id"], again["submitted"]) == (first, False)
    assert user.api.names(RAY_JOBS) == [first]


def test_a_submission_that_fails_half_way_leaves_nothing(user: User) -> None:
    user.refuses("POST networkpolicies", 422, status(422, 'NetworkPolicy "x" is invalid: no'))
    assert 'NetworkPolicy "x" is invalid: no' in user.run("submit", *STUDY, code=2)[1]
    assert [user.api.names(kind) for kind in OBJECTS] == [[], [], []]


def test_a_submission_that_was_cut_short_is_completed_by_the_next(user: User) -> None:
    """The process died after the RayJob; or files of a job that was deleted a moment ago are still there."""
    name = user.submitted()
    user.api.drop(CONFIG_MAPS, name)
    leftover = user.api.get(NETWORK_POLICIES, name)
    leftover["metadata"]["ownerReferences"][0]["uid"] = "of-another-life"
    user.api.put(NETWORK_POLICIES, leftover)
    assert not user.json("submit", *STUDY)["submitted"]
    uid = user.api.get(RAY_JOBS, name)["metadata"]["uid"]
    for kind in (CONFIG_MAPS, NETWORK_POLICIES):
        assert user.api.get(kind, name)["metadata"]["ownerReferences"][0]["uid"] == uid


def test_a_dry_run_is_checked_by_the_cluster_and_leaves_nothing(user: User) -> None:
    out, err = user.run("submit", *STUDY, "--dry-run")
    assert "RayJob wide-frac-" in out
    assert "nothing was sent" in err
    posts = [asked for asked in user.api.asked if asked.startswith("POST")]
    assert len(posts) == 3
    assert all("dryRun=All" in asked and "fieldValidation=Strict" in asked for asked in posts)
    assert user.api.names(RAY_JOBS) == []
    away = user.json("submit", *STUDY, "--dry-run", "--context", "elsewhere")
    assert not away["checked"]
    name = user.submitted()
    assert f"{name} is at this work already" in user.run("submit", *STUDY, "--dry-run")[1]


def test_following_survives_a_broken_connection_and_a_retry_and_shows_each_line_once(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = user.submitted()
    user.has(name, {"jobDeploymentStatus": "Running", "jobStatus": "RUNNING", "failed": 1})
    pod = user.pod(name, "submitter", phase="Running")
    one, two, three = (b"2026-11-22T10:00:0%d.000000000Z line %d\n" % (n, n) for n in (1, 2, 3))
    user.api.logs[pod] = [one + BREAKS, one + two + BREAKS, one + two + three]
    user.refuses("GET pods", 503, "upstream connect error", times=1)
    steps: Iterator[Callable[[], None]] = iter(
        [lambda: None] * 4
        + [lambda: user.has(name, {"jobDeploymentStatus": "Complete", "jobStatus": "SUCCEEDED", "failed": 1})]
    )
    monkeypatch.setattr(following.time, "sleep", lambda _: next(steps)())
    out, err = user.run("logs", "-f", name)
    assert out == "line 1\nline 2\nline 3\n"
    assert "1 earlier attempt failed" in err
    assert f"{name}: finished." in err


def test_following_a_job_that_waits_says_for_what_and_an_interrupt_leaves_it(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = user.submitted()
    user.pod(name, "head", phase="Pending", containerStatuses=[{"state": PULL}])

    def interrupt(_: float) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(following.time, "sleep", interrupt)
    err = user.run("logs", "-f", name, code=130)[1]
    assert "head waits, ImagePullBackOff" in err
    assert "the job goes on" in err
    assert "ImagePullBackOff" in user.run("logs", name)[1]


def test_a_job_deleted_while_it_is_followed_is_said(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    name = user.submitted()
    monkeypatch.setattr(following.time, "sleep", lambda _: user.api.drop(RAY_JOBS, name))
    assert "it was deleted" in user.run("logs", "-f", name, code=2)[1]


def test_a_stopped_job_keeps_its_record_and_the_same_submission_goes_on(user: User) -> None:
    name = user.submitted()
    user.pod(name, "head", phase="Running")
    assert "stopped" in user.run("stop", "Wide_Frac")[0]
    document = user.api.get(RAY_JOBS, name)
    assert document["spec"]["suspend"] is True
    assert document["spec"]["shutdownAfterJobFinishes"] is True  # else the operator refuses to suspend
    assert user.api.names(PODS) == []
    assert "stopped already" in user.run("stop", name)[0]
    assert user.submitted() == f"{name[:-1]}2"
    deleted = user.json("stop", name, "--delete")
    assert (deleted["state"], deleted["pods_left"]) == ("deleted", 0)
    assert user.api.names(RAY_JOBS) == [f"{name[:-1]}2"]


def test_a_job_of_a_queue_waits_suspended_and_is_stopped_by_deleting_it(user: User) -> None:
    """Kueue would resume a suspended job."""
    name = user.submitted("--queue", "team", "--workers", "1")
    user.has(name, {"jobDeploymentStatus": "Suspended"}, suspend=True)
    assert "waiting (RayJob: Suspended, in queue team)" in user.run("status", name)[0]
    assert "waits in queue team" in user.run("logs", name)[1]
    assert user.json("stop", name)["state"] == "deleted"
    assert [user.api.names(kind) for kind in OBJECTS] == [[], [], []]


def test_stop_says_when_nobody_answers_it(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    name = user.submitted()
    user.pod(name, "head", phase="Running")
    user.api.operator_runs = False
    ticks = iter(range(0, 1_000_000, 40))
    monkeypatch.setattr(k8s_submission.time, "monotonic", lambda: next(ticks))
    err = user.run("stop", name, code=1)[1]
    assert "1 pod left" in err
    assert "operator" in err
