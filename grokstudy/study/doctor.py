"""`grokstudy doctor`: looks at everything a study needs, one check after the other, and says what to do."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator

from grokstudy.spec import plugins
from grokstudy.spec.errors import GrokstudyError
from grokstudy.spec.study import StudySpec
from grokstudy.study.doctor_check import Check, refused, unseen
from grokstudy.study.doctor_machine import machine
from grokstudy.study.doctor_nodes import nodes
from grokstudy.study.doctor_services import authentication, cluster_address, dashboard, mlflow
from grokstudy.study.doctor_storage import storage

__all__ = ["Check", "examined"]

ELSEWHERE = "seen only from the cluster: `grokstudy submit doctor ... --follow` with the same words"


def examined(spec: StudySpec, dashboard_address: str | None = None) -> Iterator[Check]:
    """What a study with these settings would find, here and on its cluster. Nothing is left behind.

    Only cluster=ray connects to Ray; no Ray is started.

    Args:
        spec: its engine, storage, tracking and cluster are looked at.
        dashboard_address: http(s)://HOST:PORT of a cluster that jobs are to be submitted to.
    """
    yield from machine(spec.engine, spec.cluster)
    yield from storage(spec.storage.root)
    yield mlflow(spec.tracking, spec.storage.root)
    address = dashboard_address or cluster_address(spec.cluster)
    yield authentication(spec.cluster, address, os.environ)
    if dashboard_address is not None:
        yield from dashboard(dashboard_address)
    if cluster_address(spec.cluster) is None:
        yield unseen("nodes", ELSEWHERE if dashboard_address else "cluster=ray looks at every node of a cluster")
    else:
        yield from _nodes(spec)


def _nodes(spec: StudySpec) -> Iterator[Check]:
    from grokstudy.execution.nodes import looks
    from grokstudy.store.storage import Storage

    asked = time.time()
    try:
        found = looks(spec.cluster.address, Storage.open(spec.storage.root).uri, plugins.files())
    except GrokstudyError as error:
        yield refused("nodes", str(error))
        return
    yield from nodes(found, asked, time.time())
