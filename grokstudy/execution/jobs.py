"""Jobs of a remote Ray cluster through its Jobs API, with errors that say what to do. The token is never shown."""

from __future__ import annotations

import contextlib
import logging
import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import ray
import requests
from ray.exceptions import AuthenticationError
from ray.job_submission import JobDetails, JobStatus, JobSubmissionClient, JobType

from grokstudy.execution.job_log import LogBroken, new_text
from grokstudy.execution.remote_job import STORAGE, STUDY, VERB, JobRequest, RemoteJob, State
from grokstudy.spec.errors import BadInput

CONNECT_SECONDS, ANSWER_SECONDS = 10.0, 60.0
"""Ray's own client waits for ever."""
STOP_SECONDS = 10.0
"""A job is killed 3 s after it was asked to end; its state follows a moment later."""
RECONNECTS, PAUSE_SECONDS = 5, 2.0
FOLLOWED = ("RAY_API_SERVER_ADDRESS", "RAY_ADDRESS")
"""Variables that Ray's client follows rather than the address it is given."""
CHATTY = ("ray.dashboard.modules.dashboard_sdk", "ray.dashboard.modules.job.sdk")
"""Loggers of the client that tell every upload and closed connection."""
STATES: dict[JobStatus, State] = {
    JobStatus.PENDING: "waiting",
    JobStatus.RUNNING: "running",
    JobStatus.SUCCEEDED: "finished",
    JobStatus.FAILED: "failed",
    JobStatus.STOPPED: "stopped",
}


class Jobs:
    """The jobs on one cluster. Every method raises BadInput if the cluster does not answer or refuses."""

    def __init__(self, address: str) -> None:
        """Connects.

        Args:
            address: http(s)://HOST:PORT of the cluster's dashboard.

        Raises:
            BadInput: nothing answers there, it is no Ray dashboard, or the token is missing or wrong.
        """
        check_address(address)
        self.address = address
        with _explained(address):
            self._client = _Client(address)
            self.ray_version = self._client.ray_version()

    def check_version(self) -> None:
        """Refuses a cluster whose Ray has another major or minor version than the one here. Raises BadInput."""
        if self.ray_version.split(".")[:2] != ray.__version__.split(".")[:2]:
            raise BadInput(
                f"--address: the cluster at {self.address} runs Ray {self.ray_version}, here is {ray.__version__}; "
                f"both must be of one minor version. Install ray=={self.ray_version} here, or give the cluster's nodes "
                f"ray=={ray.__version__}."
            )

    def all(self) -> list[RemoteJob]:
        """Every job that `grokstudy submit` sent to this cluster, newest first."""
        with _explained(self.address):
            found = self._client.list_jobs()
        jobs = [_seen(each) for each in found if each.type is JobType.SUBMISSION and VERB in (each.metadata or {})]
        return sorted(jobs, key=lambda job: job.started or "", reverse=True)

    def one(self, job_id: str) -> RemoteJob:
        """A job as it stands now."""
        with _explained(self.address):
            return _seen(self._client.get_job_info(job_id))

    def submit(self, request: JobRequest) -> None:
        """Sends the package and starts the job; returns once the cluster has taken it on."""
        with _explained(self.address), tempfile.TemporaryDirectory(prefix="grokstudy-submit-") as scratch:
            environment: dict[str, Any] = {"env_vars": dict(request.environment)} if request.environment else {}
            if request.package:
                archive = Path(scratch) / "package.zip"
                archive.write_bytes(request.package)
                environment["working_dir"] = str(archive)
            self._client.submit_job(
                entrypoint=request.entrypoint,
                submission_id=request.id,
                runtime_env=environment,
                metadata={STUDY: request.study, VERB: request.verb, STORAGE: request.storage},
                entrypoint_num_cpus=request.cpus or None,
                entrypoint_resources=dict(request.resources) or None,
            )

    def stop(self, job_id: str, seconds: float = STOP_SECONDS) -> RemoteJob:
        """Asks the job to end and waits until it has; the job as it stands then, or when the time is over."""
        end = time.monotonic() + seconds
        with _explained(self.address):
            self._client.stop_job(job_id)
        while not (job := self.one(job_id)).is_over and time.monotonic() < end:
            time.sleep(0.2)
        return job

    def log(self, job_id: str) -> str:
        """All that the job has printed; empty before it runs."""
        with _explained(self.address):
            return str(self._client.get_job_logs(job_id))

    def follow(self, job_id: str) -> Iterator[str]:
        """What the job prints, from its beginning until it ends. A connection that breaks is taken up again."""
        shown, away = 0, 0
        while True:
            with contextlib.suppress(LogBroken):
                for text in new_text(self._client.tail_job_logs(job_id), shown):
                    shown += len(text)
                    yield text
            try:
                over, away = self.one(job_id).is_over, 0
            except BadInput:
                over, away = False, away + 1
                if away > RECONNECTS:
                    raise
            if over:
                with contextlib.suppress(BadInput):  # its node is gone, and the rest of its log with it
                    yield self.log(job_id)[shown:]
                return
            time.sleep(PAUSE_SECONDS)


class _Client(JobSubmissionClient):
    """Ray's client, bound to the address it is given and with a limit to its patience."""

    def __init__(self, address: str) -> None:
        for name in CHATTY:
            logging.getLogger(name).setLevel(logging.ERROR)
        held = {name: os.environ.pop(name) for name in FOLLOWED if name in os.environ}
        try:
            super().__init__(address)
        finally:
            os.environ.update(held)

    def _do_request(self, method: str, endpoint: str, **rest: Any) -> requests.Response:
        answer = super()._do_request(method, endpoint, timeout=(CONNECT_SECONDS, ANSWER_SECONDS), **rest)
        assert isinstance(answer, requests.Response)
        return answer

    def ray_version(self) -> str:
        """Of the cluster."""
        return str(self._do_request("GET", "/api/version").json()["ray_version"])


def check_address(address: str) -> None:
    """Refuses what is no dashboard's address. Raises BadInput."""
    parts = urlsplit(address)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise BadInput(
            f"--address: got '{address}', must be http://HOST:8265 (or https://...) of the cluster's dashboard; "
            "ray://... and the address of the cluster itself (port 6379) take no jobs."
        )
    if parts.username or parts.password:
        raise BadInput(
            f"--address: {parts.scheme}://...@{parts.hostname}: no user name or password in an address, other users of "
            "this machine see a command line. Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH."
        )


def _seen(found: JobDetails) -> RemoteJob:
    metadata = found.metadata or {}
    return RemoteJob(
        id=str(found.submission_id),
        study=metadata.get(STUDY, ""),
        verb=metadata.get(VERB, ""),
        storage=metadata.get(STORAGE, ""),
        state=STATES[found.status],
        started=_time(found.start_time),
        ended=_time(found.end_time),
        message=found.message or "",
        exit_code=found.driver_exit_code,
    )


def _time(milliseconds: int | None) -> str | None:
    return None if not milliseconds else datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="seconds")


@contextlib.contextmanager
def _explained(address: str) -> Iterator[None]:
    """What Ray's client raises, in words that name the setting and the remedy (each was provoked with Ray 2.60)."""
    try:
        yield
    except AuthenticationError as error:
        raise BadInput(_token_trouble(address, str(error))) from None  # its text holds what the server said
    except requests.exceptions.Timeout:
        raise BadInput(
            f"--address: {address} does not answer within {ANSWER_SECONDS:g} s. Is the head node overloaded, or a "
            "firewall in between?"
        ) from None
    except (ConnectionError, requests.exceptions.ConnectionError) as error:
        raise BadInput(_nothing_there(address, error)) from None
    except (requests.exceptions.RequestException, KeyError, ValueError) as error:
        raise BadInput(_no_dashboard(address, error)) from None
    except RuntimeError as error:
        if "Version check returned 404" in str(error) or "status code 404: 404: Not Found" in str(error):
            raise BadInput(_no_dashboard(address, error)) from None
        raise BadInput(f"--address: the cluster at {address} refuses: {_last_line(error)}") from None


def _token_trouble(address: str, said: str) -> str:
    setting = "Set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to a file with the cluster's token (or RAY_AUTH_TOKEN)."
    if said.startswith("Authentication failed"):
        return (
            f"--address: the cluster at {address} refuses the token of {_token_source()}: it is another cluster's or "
            f"an old one. {setting}"
        )
    if said.startswith("Authentication required"):
        return f"--address: the cluster at {address} wants a token and none was sent. {setting}"
    return f"RAY_AUTH_MODE=token, but {_token_source()} holds no token. {setting}"


def _token_source() -> str:
    """Where Ray takes the token from, in its order."""
    named = [name for name in ("RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH") if os.environ.get(name)]
    return named[0] if named else "~/.ray/auth_token"


def _nothing_there(address: str, error: BaseException) -> str:
    reasons = " ".join(str(each) for each in (error, error.__context__, error.__cause__) if each is not None)
    if "SSL" in reasons:
        return f"--address: {address} does not speak TLS as asked; try http://, or check the server's certificate."
    if "resolve" in reasons:
        return (
            f"--address: no host '{urlsplit(address).hostname}'; check the name, or forward the port and use 127.0.0.1."
        )
    return (
        f"--address: nothing answers at {address}. Is the cluster up, its port forwarded, and ray[default] (not only "
        "ray) installed on its head?"
    )


def _no_dashboard(address: str, error: BaseException) -> str:
    return (
        f"--address: what answers at {address} is no Ray dashboard with a Jobs API ({type(error).__name__}). Give the "
        "head's dashboard, port 8265 by default; its Ray must be ray[default]."
    )


def _last_line(error: BaseException) -> str:
    """A refusal without the server's traceback."""
    lines = [line for line in str(error).strip().splitlines() if line.strip()]
    return lines[-1].strip() if lines else type(error).__name__
