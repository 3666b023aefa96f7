"""A job on a remote Ray cluster, as it is asked for and as it is seen; what speaks to the cluster is `jobs.py`."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Literal

State = Literal["waiting", "running", "finished", "failed", "stopped"]
ENDED: tuple[State, ...] = ("finished", "failed", "stopped")
STUDY, VERB, STORAGE = "grokstudy.study", "grokstudy.verb", "grokstudy.storage"
"""Keys of the metadata by which a job of ours is known; everybody who sees the dashboard sees their values."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class JobRequest:
    """What is sent: a command, and the folder it runs in."""

    id: str
    study: str
    """Name of the study it works on; empty if on none or all."""
    verb: str
    storage: str
    """Storage root."""
    entrypoint: str
    """Shell command."""
    package: bytes
    """Zip archive that the job finds unpacked in its working directory; empty = none."""
    environment: Mapping[str, str]
    """Everybody who sees the dashboard sees these: no secrets."""
    cpus: float = 0.0
    """Reserved for the driver."""
    resources: Mapping[str, float] = dataclasses.field(default_factory=dict)
    """Custom Ray resources reserved for the driver: they choose its node."""


@dataclasses.dataclass(frozen=True, slots=True, kw_only=True)
class RemoteJob:
    """One job of ours on a cluster, as the cluster sees it now. Times are UTC in ISO 8601."""

    id: str
    study: str
    verb: str
    storage: str
    state: State
    started: str | None
    ended: str | None
    message: str
    """The cluster's own words about the state."""
    exit_code: int | None

    @property
    def is_over(self) -> bool:
        return self.state in ENDED
