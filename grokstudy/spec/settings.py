"""How the engine computes: none of it is part of a trial's identity, all of it that can change bits is in
`numerics`."""

from __future__ import annotations

import dataclasses
import functools
import re
from collections.abc import Mapping
from typing import Literal

from grokstudy.spec.errors import BadInput, unknown
from grokstudy.spec.fields import setting


@functools.cache
def has_onednn() -> bool:
    """Whether hand-written gradients in float32 on the CPU take their matrix products from oneDNN: wherever torch has
    it."""
    import torch

    return torch.backends.mkldnn.is_available() and hasattr(torch.ops.mkldnn, "_linear_pointwise")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EngineSettings:
    """Chosen once per study and kept in study.yaml: a trial's bits are a function of (spec, device, threads, mode)."""

    device: Literal["cpu", "cuda"] = setting("cpu", help="where packs are stepped")
    threads: int = setting(1, help="CPU threads per pack")
    compile: bool | None = setting(
        None, help="torch.compile gradients not written by hand; null = the study's first run finds out if it pays"
    )

    def __post_init__(self) -> None:
        if self.threads < 1:
            raise BadInput(f"engine.threads: got {self.threads}, must be >= 1.")

    def numerics(self) -> str:
        """What a trial's bits depend on besides its spec, as text: the column `numerics`."""
        import torch

        mode = "compiled" if self.compile else "eager"
        if mode == "eager" and self.device == "cpu" and has_onednn():
            mode = "eager,onednn"
        return f"{self.device},threads={self.threads},{mode},torch={torch.__version__.partition('+')[0]}"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class EarlyEndSettings:
    """Whether trials end before the budget once they have generalised. Off by default: a trial that ended cannot show
    that it forgets. It changes no number of the steps that are made."""

    after: float | None = setting(None, help="end a trial at so many t_gen (>= 5); null = at its budget")

    def __post_init__(self) -> None:
        if self.after is not None and not 5 <= self.after < float("inf"):
            raise BadInput(f"early_end.after: got {self.after}, must be >= 5 (times t_gen), or null for never.")

    def is_due(self, step: int, t_gen: int | None) -> bool:
        """Whether a trial with this t_gen ends at an evaluation at `step`."""
        return self.after is not None and t_gen is not None and step >= self.after * max(t_gen, 1)

    def reason(self) -> str:
        """For the column `stop_reason`."""
        return f"early_end.after={self.after}: it was trained for that many t_gen"


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class CheckpointSettings:
    """Which weights are kept besides the schedule of design (step 0, m * 10^k, the end)."""

    steps: tuple[int, ...] = setting((), help="further steps to checkpoint")
    ring: bool = setting(True, help="keep a dense window of checkpoints between t_mem and t_gen")
    schedule: bool = setting(True, help="keep the scheduled checkpoints and checkpoint.steps; false = only the end")
    state: bool = setting(
        False, help="also keep the optimizer's state in scheduled checkpoints and the end, for forks that go on with it"
    )

    def __post_init__(self) -> None:
        if any(step < 0 for step in self.steps):
            raise BadInput(f"checkpoint.steps: got {list(self.steps)}, steps must be >= 0.")


ADDRESS = re.compile(r"auto|([\w.-]+|\[[0-9a-fA-F:.]+\]):[0-9]{1,5}", re.ASCII)
"""Where a running Ray cluster is found: HOST:PORT of its head, or `auto`."""
LEAST = 1e-4
"""Ray counts resources in ten-thousandths."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class ClusterSettings:
    """Where packs run. None of it changes a number."""

    kind: Literal["local", "ray", "none"] = setting(
        "local", help="local = embedded Ray; ray = a running Ray cluster; none = the same code in this process"
    )
    address: str | None = setting(
        None, help="HOST:PORT of a running cluster's head; null = RAY_ADDRESS, else the cluster of this machine"
    )
    cpus_per_pack: float = setting(1.0, help="CPUs that Ray reserves for a pack")
    gpus_per_pack: float = setting(0.0, help="GPUs that Ray reserves for a pack; fractions allowed")
    resources: Mapping[str, float] | None = setting(
        None, help="what else a pack reserves of a running cluster, e.g. {slot: 0.25}; null = nothing"
    )
    max_packs: int | None = setting(None, help="packs at a time; null = as many as fit")
    pack_size: int = setting(64, help="largest number of trials in a pack")
    pack_memory: float = setting(4.0, help="GB that a pack may take; larger ones are planned as several")
    snapshot_seconds: float = setting(60.0, help="wall-clock time between snapshots of a running pack")
    retries: int = setting(2, help="how often in a row a pack whose worker died is started again without getting on")

    def __post_init__(self) -> None:
        if self.cpus_per_pack <= 0:
            raise BadInput(f"cluster.cpus_per_pack: got {self.cpus_per_pack}, must be > 0.")
        if self.gpus_per_pack < 0:
            raise BadInput(f"cluster.gpus_per_pack: got {self.gpus_per_pack}, must be >= 0.")
        if self.gpus_per_pack > 1 and self.gpus_per_pack % 1:
            raise BadInput(
                f"cluster.gpus_per_pack: got {self.gpus_per_pack}, must be a part of one GPU (0.25, 0.5 ...) or a "
                "whole number of them."
            )
        for name in ("pack_size", "max_packs"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise BadInput(f"cluster.{name}: got {value}, must be >= 1.")
        if self.pack_memory <= 0:
            raise BadInput(f"cluster.pack_memory: got {self.pack_memory}, must be > 0 GB.")
        if self.snapshot_seconds <= 0:
            raise BadInput(f"cluster.snapshot_seconds: got {self.snapshot_seconds}, must be > 0.")
        if self.retries < 0:
            raise BadInput(f"cluster.retries: got {self.retries}, must be >= 0.")
        self._check_cluster()

    def _check_cluster(self) -> None:
        """What only a running cluster has."""
        for name in ("address", "resources"):
            if getattr(self, name) and self.kind != "ray":
                raise BadInput(
                    f"cluster.{name}: got '{getattr(self, name)}', which only a running cluster reads, and "
                    f"cluster={self.kind} is not one. Say cluster=ray, or leave it out."
                )
        if self.address is not None and not ADDRESS.fullmatch(self.address):
            raise BadInput(
                f"cluster.address: got '{self.address}', must be HOST:PORT of the cluster's head (Ray's port 6379), or "
                "auto. The dashboard's http:// address is where `grokstudy submit --address` sends a study."
            )
        for name, amount in (self.resources or {}).items():
            if name in ("CPU", "GPU"):
                raise BadInput(f"cluster.resources.{name}: has a setting of its own, cluster.{name.lower()}s_per_pack.")
            if amount < LEAST:
                raise BadInput(f"cluster.resources.{name}: got {amount}, must be >= {LEAST:g}; leave out what is 0.")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class StorageSettings:
    """Where study folders lie."""

    root: str = setting("./grokstudy-data", help="folder or s3:// address; GROKSTUDY_STORAGE overrides the default")


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class TrackingSettings:
    """The MLflow projection of a study."""

    enabled: bool = setting(True, help="write runs to MLflow")
    uri: str | None = setting(None, help="tracking server; null = a database file under a local storage root")
    granularity: Literal["auto", "trial", "cell", "study"] = setting(
        "auto", help="what an MLflow run is; auto = trial to 2,000 trials, else cell to 500 cells, else study"
    )
    curve_points: int = setting(50, help="log-spaced points of a curve")

    def __post_init__(self) -> None:
        if self.granularity not in ("auto", "trial", "cell", "study"):
            raise unknown("tracking.granularity", self.granularity, ("auto", "trial", "cell", "study"))
        if self.uri is not None and "@" in self.uri and not self.uri.startswith("sqlite:"):
            scheme, _, rest = self.uri.partition("://")
            raise BadInput(
                f"tracking.uri: got '{scheme}://...@{rest.rpartition('@')[2]}', which holds a user name or password "
                "that the study would keep and show. Leave it out and set MLFLOW_TRACKING_USERNAME and "
                "MLFLOW_TRACKING_PASSWORD (or MLFLOW_TRACKING_TOKEN) in the environment where the study runs; in a "
                "study.yaml, take it out there."
            )
        if not 5 <= self.curve_points <= 500:
            raise BadInput(f"tracking.curve_points: got {self.curve_points}, must be 5..500 (MLflow slows above).")
