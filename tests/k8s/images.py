"""Images: one of ours for everything that runs our code, at the installed version; nobody's `latest`."""

from __future__ import annotations

import importlib.metadata
from collections.abc import Iterator

from tests.k8s.documents import Document, Finding, labels_of, of_kind, title
from tests.k8s.pods import MadePod, made_pods, ray_spec

VERSION = importlib.metadata.version("grokstudy")
RAY_VERSION = importlib.metadata.version("ray")


def is_ours(image: str) -> bool:
    """Whether an image is grokstudy's, whatever registry it lies in."""
    return image.split("@")[0].rpartition("/")[2].partition(":")[0] == "grokstudy"


def findings(documents: list[Document]) -> list[Finding]:
    """Images without a version, another version than the code, and Ray pods that would not understand each other."""
    pods = made_pods(documents)
    found = [Finding("images", "version", pod.title, what) for pod in pods for what in _versions(pod)]
    ours = {name for pod in pods if _by_kustomize(pod) for name in _our_names(pod)}
    if len(ours) > 1:
        found.append(
            Finding("images", "one registry", "all manifests", f"{', '.join(sorted(ours))} are all grokstudy's")
        )
    for document in of_kind(documents, "RayJob", "RayCluster"):
        found += [Finding("images", "one for all of Ray", title(document), what) for what in _ray(document, pods)]
    return found


def _by_kustomize(pod: MadePod) -> bool:
    return labels_of(pod.owner).get("app.kubernetes.io/managed-by") == "kustomize"


def _our_names(pod: MadePod) -> set[str]:
    """Names of our image without tags: an overlay that renames one renames all."""
    images = [str(container.get("image")) for container in pod.every_container]
    return {image.split("@")[0].rpartition(":")[0] for image in images if is_ours(image)}


def _versions(pod: MadePod) -> Iterator[str]:
    for container in pod.every_container:
        image = str(container.get("image") or "")
        tag = image.split("@")[0].rpartition("/")[2].partition(":")[2]
        if not tag or tag == "latest":
            yield f"[{container['name']}] {image or 'no image'} names no version"
        elif is_ours(image) and tag.removesuffix("-cuda") != VERSION:
            yield f"[{container['name']}] {image} is not the installed version {VERSION}"
        elif is_ours(image) and _asks_for_gpu(container) and not tag.endswith("-cuda"):
            yield f"[{container['name']}] {image} cannot use the GPU that it asks for: its tag must end in -cuda"


def _asks_for_gpu(container: Document) -> bool:
    limits = (container.get("resources") or {}).get("limits") or {}
    return any(key.endswith("/gpu") for key in limits)


def _ray(document: Document, pods: list[MadePod]) -> Iterator[str]:
    images = {container.get("image") for pod in pods if pod.owner is document for container in pod.every_container}
    if len(images) > 1:
        yield f"its pods use {', '.join(sorted(map(str, images)))}"
    if not all(is_ours(str(image)) for image in images):
        yield "its pods do not run grokstudy's image"
    cluster = ray_spec(document)
    if cluster is not None and cluster.get("rayVersion") != RAY_VERSION:
        yield f"rayVersion {cluster.get('rayVersion')} is not the installed {RAY_VERSION}"
