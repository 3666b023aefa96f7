"""MLflow's tracking server with proxied artifacts, as the deployment runs it."""

from __future__ import annotations

import contextlib
import dataclasses
import json
import sys
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from tests.services.ports import free_port
from tests.services.process import Service, done, own_environment, start


@dataclasses.dataclass(slots=True, eq=False)
class MlflowServer:
    """A server that can be killed and started again at the same address."""

    folder: Path
    host: str
    port: int
    environment: Mapping[str, str] = dataclasses.field(repr=False)
    words: tuple[str, ...]
    service: Service | None = None
    """Its processes; None while it is stopped."""

    @property
    def uri(self) -> str:
        return f"http://{self.host}:{self.port}"

    @property
    def process(self) -> Service:
        """What runs."""
        assert self.service is not None, "MLflow's server is stopped"
        return self.service

    def start(self, wait: bool = True) -> None:
        """Starts it; `wait=False` returns before it answers.

        Raises:
            ServiceFailed: it did not come up.
        """
        self.service = start("mlflow", self.words, self.folder, self.environment)
        if wait:
            self.wait()

    def wait(self, seconds: float = 120) -> None:
        """Until it answers."""
        self.process.wait_until(self._answers, seconds)

    def stop(self) -> None:
        if self.service is not None:
            self.service.stop()
            self.service = None

    def kill(self) -> None:
        """SIGKILL to it and to all its workers."""
        if self.service is not None:
            self.service.kill()
            self.service = None

    def post(self, path: str, body: Mapping[str, object]) -> Any:
        """One call of its REST interface, without MLflow's client."""
        request = urllib.request.Request(
            f"{self.uri}/api/2.0/mlflow/{path}",
            data=json.dumps(body).encode(),
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)

    def runs(self, experiment: str) -> list[dict[str, str]]:
        """Status and tags of every run of an experiment that is not deleted."""
        quoted = experiment.replace("'", "\\'")
        found = self.post("experiments/search", {"max_results": 10, "filter": f"name = '{quoted}'"})
        ids = [one["experiment_id"] for one in found.get("experiments", [])]
        runs: list[dict[str, str]] = []
        page = {"experiment_ids": ids, "max_results": 1000, "run_view_type": "ACTIVE_ONLY"}
        while ids:
            answer = self.post("runs/search", page)
            for run in answer.get("runs", []):
                tags = {tag["key"]: tag["value"] for tag in run["data"].get("tags", [])}
                runs.append({**tags, "status": run["info"]["status"], "run_id": run["info"]["run_id"]})
            if not answer.get("next_page_token"):
                break
            page = {**page, "page_token": answer["next_page_token"]}
        return runs

    def _answers(self) -> bool:
        try:
            with urllib.request.urlopen(f"{self.uri}/api/3.0/mlflow/server-info", timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False


@contextlib.contextmanager
def mlflow_server(
    folder: Path,
    backend_uri: str | None = None,
    *,
    artifacts: str | None = None,
    environment: Mapping[str, str] | None = None,
    host: str = "127.0.0.1",
    workers: int = 1,
) -> Iterator[MlflowServer]:
    """A tracking server on an upgraded database; gone after the block.

    Args:
        folder: for its logs, and for what is kept where the next two are None.
        backend_uri: of the database, without a password; None = SQLite in the folder.
        artifacts: where artifacts go, e.g. s3://bucket; None = a folder. Clients send them through the server.
        environment: what the database and the store of artifacts need (PGPASSFILE, AWS_*).
        host: the address to listen at; requests must name it.
        workers: processes that answer.

    Raises:
        ServiceFailed: it did not come up.
    """
    folder.mkdir(parents=True, exist_ok=True)
    port = free_port(host)
    database = backend_uri or f"sqlite:///{folder / 'mlflow.db'}"
    settings = own_environment(
        **(environment or {}),
        MLFLOW_BACKEND_STORE_URI=database,
        MLFLOW_DISABLE_TELEMETRY="true",
        MLFLOW_SERVER_ENABLE_JOB_EXECUTION="false",
        GIT_PYTHON_REFRESH="quiet",
    )
    words = [sys.executable, "-m", "mlflow", "server", "--host", host, "--port", str(port), "--workers", str(workers)]
    words += ["--artifacts-destination", artifacts or str(folder / "artifacts")]
    words += ["--allowed-hosts", f"{host}:{port},{host}"]
    server = MlflowServer(folder, host, port, settings, tuple(words))
    if backend_uri is not None:
        done([sys.executable, "-m", "mlflow", "db", "upgrade", database], folder, settings)
    try:
        server.start()
        yield server
    finally:
        server.stop()
