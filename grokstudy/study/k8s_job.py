"""A study as a job on Kubernetes: where it keeps results there, how many packs its workers take, what is sent.

The job is the same command as everywhere (`grokstudy run --from study.yaml`), run on the head of a Ray cluster that is
made for it. Nothing here speaks to a cluster.
"""

from __future__ import annotations

import dataclasses
import re
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path

from grokstudy.execution.k8s.job import MOUNTED, KubeJob
from grokstudy.execution.k8s.names import job_name
from grokstudy.execution.k8s.objects import Documents, documents_of
from grokstudy.execution.k8s.quantity import in_gi
from grokstudy.execution.k8s.settings import KubeSettings
from grokstudy.execution.placement import Node, in_words, packs_on, reserved
from grokstudy.spec.errors import BadInput
from grokstudy.spec.settings import ClusterSettings
from grokstudy.spec.study import StudySpec
from grokstudy.study.document import from_yaml
from grokstudy.study.sendable import check_study
from grokstudy.study.submission import PROGRAM, STUDY_FILE, Work, study_work

STORAGE, MLFLOW = "s3://grokstudy/studies", "http://mlflow:5000"
"""Of the deployment in k8s/, as its ConfigMap says."""
NODE_BYTES, PROCESS_BYTES, LEAST_PACK = 1.0e9, 0.5e9, 0.25e9
"""What Ray takes of a worker, what a process takes before its pack, and the least that leaves room for one."""
PLAIN = re.compile(r"[A-Za-z0-9._/-]+")
"""What the two shells between the operator and the driver leave alone."""


@dataclasses.dataclass(frozen=True, slots=True)
class Deployed:
    """A study as it runs in the deployment, and what a person should know about that."""

    spec: StudySpec
    notes: tuple[str, ...]


def deployed(spec: StudySpec, settings: KubeSettings, *, storage_given: bool) -> Deployed:
    """The study with the deployment's storage and MLflow where it names none, on the job's own Ray cluster.

    Args:
        spec: as asked for.
        settings: the job's.
        storage_given: whether a person named its storage root; else a local one only says where studies lie here.

    Raises:
        BadInput: its packs fit no worker, or it asks for another cluster than the job's.
    """
    notes = []
    if not spec.storage.root.startswith("s3://"):
        if storage_given:
            raise BadInput(
                f"storage.root: got '{spec.storage.root}', which pods do not have. Give storage.root=s3://BUCKET/PREFIX,"
                f" or leave it out for the deployment's own, {STORAGE}."
            )
        notes.append(f"storage.root={STORAGE}: the deployment's own, as '{spec.storage.root}' is on this machine.")
        spec = dataclasses.replace(spec, storage=dataclasses.replace(spec.storage, root=STORAGE))
    if spec.tracking.enabled and spec.tracking.uri is None:
        spec = dataclasses.replace(spec, tracking=dataclasses.replace(spec.tracking, uri=MLFLOW))
        notes.append(f"tracking.uri={MLFLOW}: the deployment's own; tracking=none for no runs in MLflow.")
    _check_device(spec, settings)
    return Deployed(dataclasses.replace(spec, cluster=_own_cluster(spec.cluster, settings)), tuple(notes))


def job_work(spec: StudySpec, settings: KubeSettings, plugins: Sequence[Path], options: Sequence[str]) -> Work:
    """What the job does, after all that can be checked here.

    Raises:
        BadInput: the study cannot run in the deployment, or a plug-in file cannot be sent there.
    """
    check_study(spec, shared_path=False)
    work = study_work(spec, plugins, options)
    documents(work, settings, 1)
    return work


def documents(work: Work, settings: KubeSettings, attempt: int) -> Documents:
    """The objects of the job; equal for equal arguments.

    Raises:
        BadInput: its files are too large, or have names or content that a ConfigMap cannot hold.
    """
    files = _texts(work.files)
    spec = from_yaml(files[STUDY_FILE], STUDY_FILE)
    words = [f"{MOUNTED}/{word}" if word in files else word for word in work.words]
    return documents_of(
        KubeJob(
            name=job_name(work.stem, attempt),
            study=work.study,
            verb=work.verb,
            storage=work.storage,
            entrypoint=shlex.join([*PROGRAM, work.verb, *words]),
            files=files,
            threads=spec.engine.threads,
            tracked=spec.tracking.enabled,
            settings=settings,
        )
    )


def _texts(files: Mapping[str, bytes]) -> dict[str, str]:
    for name in files:
        if not PLAIN.fullmatch(name):
            raise BadInput(f"--plugin: got '{Path(name).name}', must be named with letters, digits, '.', '_' and '-'.")
    try:
        return {name: data.decode() for name, data in files.items()}
    except UnicodeDecodeError as error:
        raise BadInput(f"--plugin: a file is not UTF-8 text ({error.reason}). Save it as UTF-8.") from error


def _check_device(spec: StudySpec, settings: KubeSettings) -> None:
    wants = spec.cluster.gpus_per_pack
    if settings.gpus and not wants:
        raise BadInput(
            f"--gpus: got {settings.gpus}, but no pack would use one. Say engine=cuda cluster.gpus_per_pack=1 (or a "
            "part, 0.25), or leave --gpus out."
        )
    if spec.engine.device == "cuda" and not settings.gpus:
        raise BadInput("engine.device: got cuda, but workers have no GPU. Give --gpus 1, or leave engine=cuda out.")


def _own_cluster(cluster: ClusterSettings, settings: KubeSettings) -> ClusterSettings:
    """As many packs at a time as all workers take, though none is there when the study starts."""
    if cluster.kind == "none":
        raise BadInput("cluster: got none, which takes no worker. Leave it out: the job has a Ray cluster of its own.")
    if cluster.address is not None:
        raise BadInput(f"cluster.address: got '{cluster.address}'. Leave it out: the job has a Ray cluster of its own.")
    worker = Node(name="worker", amounts={"CPU": settings.cpus, "GPU": settings.gpus})
    fit = packs_on(worker, reserved(cluster))
    if fit < 1:
        raise BadInput(
            f"cluster: a pack reserves {in_words(reserved(cluster))}, a worker has {in_words(worker.amounts)}. Give "
            "larger --cpus or --gpus, or lower cluster.cpus_per_pack or cluster.gpus_per_pack"
            f"{', and leave out cluster.resources' if cluster.resources else ''}."
        )
    return dataclasses.replace(
        cluster,
        kind="ray",
        max_packs=cluster.max_packs or settings.workers * fit,
        pack_memory=_pack_memory(cluster, settings, fit),
    )


def _pack_memory(cluster: ClusterSettings, settings: KubeSettings, fit: int) -> float:
    """GB for a pack where so many share a worker: never more than was said, and never more than there is."""
    each = (settings.memory_bytes - NODE_BYTES) / fit - PROCESS_BYTES
    if each < LEAST_PACK:
        needed = NODE_BYTES + fit * (PROCESS_BYTES + LEAST_PACK)
        raise BadInput(
            f"--memory: got '{settings.memory}' for {fit} packs at a time on a worker; they need {in_gi(needed)} at "
            "least. Give more, or fewer --cpus."
        )
    return min(cluster.pack_memory, round(each / 1e9, 2))
