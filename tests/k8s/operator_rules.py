"""What KubeRay refuses beyond its schema (`utils/validation.go`), and what its injected containers need: a rule each.

A custom resource that breaks one of these is accepted by the API server and then never runs.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

from packaging.version import Version

from tests.k8s.documents import Document, Finding, labels_of, name_of, of_kind, title
from tests.k8s.pods import ray_spec

DNS_1035 = re.compile(r"[a-z]([-a-z0-9]*[a-z0-9])?")
DNS_1123 = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
LONGEST = {"RayCluster": 53, "RayJob": 47}
RESERVED = ("num-cpus", "num-gpus", "memory", "resources")
KUEUE = "kueue.x-k8s.io/queue-name"
ELASTIC = "kueue.x-k8s.io/elastic-job"
MOST_GROUPS_OF_KUEUE = 17
FIRST_WITH_TOKEN = Version("2.52.0")
Rule = Callable[[Document], Iterator[str]]


def findings(documents: list[Document]) -> list[Finding]:
    """What the operator would refuse, or accept and not run."""
    found = []
    for document in of_kind(documents, "RayJob", "RayCluster"):
        rules = (*ON_CLUSTERS, *(ON_JOBS if document["kind"] == "RayJob" else ()))
        for rule in rules:
            found += [Finding("operator", rule.__name__, title(document), what) for what in rule(document)]
    return found


def names(document: Document) -> Iterator[str]:
    """RayCluster at most 53 characters, RayJob 47, DNS-1035; worker groups DNS-1123."""
    name, most = name_of(document), LONGEST[document["kind"]]
    if len(name) > most or not DNS_1035.fullmatch(name):
        yield f"the name must be a DNS-1035 label of at most {most} characters"
    for group in _groups(document):
        if not DNS_1123.fullmatch(group["groupName"]):
            yield f"worker group {group['groupName']} is no DNS-1123 label"


def containers(document: Document) -> Iterator[str]:
    """Container 0 of the head and of every group is Ray's: its command starts nothing else."""
    for where, group in _all_groups(document):
        found = group["template"]["spec"].get("containers") or []
        if not found:
            yield f"{where} has no container"
        elif "ray" not in found[0]["name"] or found[0].get("command"):
            yield f"{where}: the first container must be Ray's, without a command of its own"


def group_sizes(document: Document) -> Iterator[str]:
    """Without autoscaling both bounds are needed; always min <= replicas <= max."""
    cluster = ray_spec(document) or {}
    for group in _groups(document):
        low, high = group.get("minReplicas"), group.get("maxReplicas")
        if not cluster.get("enableInTreeAutoscaling") and (low is None or high is None):
            yield f"group {group['groupName']}: minReplicas and maxReplicas are needed where nothing scales"
        least = int(low or 0)
        if high is not None and not least <= int(group.get("replicas", least)) <= int(high):
            yield f"group {group['groupName']}: minReplicas <= replicas <= maxReplicas does not hold"


def group_resources(document: Document) -> Iterator[str]:
    """rayStartParams say no resources where the group does; labels belong to the group."""
    for where, group in _all_groups(document):
        params = group.get("rayStartParams") or {}
        if group.get("resources") and any(params.get(key) for key in RESERVED):
            yield f"{where}: resources stand in rayStartParams and in the group"
        if "labels" in params:
            yield f"{where}: rayStartParams.labels is not supported, the group has labels of its own"
        if wrong := [key for key, value in params.items() if not isinstance(value, str)]:
            yield f"{where}: rayStartParams.{wrong[0]} must be text"


def autoscaler(document: Document) -> Iterator[str]:
    """v2 wants restartPolicy Never; its version is said once; the old variable needs autoscaling."""
    cluster = ray_spec(document) or {}
    head = _ray_container(cluster.get("headGroupSpec") or {})
    variable = _env(head).get("RAY_enable_autoscaler_v2")
    options = cluster.get("autoscalerOptions") or {}
    if not cluster.get("enableInTreeAutoscaling"):
        if variable in {"1", "true"}:
            yield "RAY_enable_autoscaler_v2 without enableInTreeAutoscaling"
        return
    if variable is not None and options.get("version"):
        yield "autoscalerOptions.version and RAY_enable_autoscaler_v2 are both set"
    if options.get("version") == "v2" or variable in {"1", "true"}:
        for where, group in _all_groups(document):
            if group["template"]["spec"].get("restartPolicy", "Never") != "Never":
                yield f"{where}: restartPolicy must be Never with autoscaler v2"


def shared_logs(document: Document) -> Iterator[str]:
    """The autoscaler writes what the head reads: KubeRay shares its volume `ray-logs`, no other at /tmp/ray."""
    cluster = ray_spec(document) or {}
    if not cluster.get("enableInTreeAutoscaling"):
        return
    for mount in _ray_container(cluster["headGroupSpec"]).get("volumeMounts") or []:
        if mount["mountPath"] == "/tmp/ray" and mount["name"] != "ray-logs":
            yield f"head: /tmp/ray is volume {mount['name']}, the autoscaler's is ray-logs"


def token(document: Document) -> Iterator[str]:
    """Token authentication is on, from our Secret; it needs rayVersion, and Kubernetes' own tokens exclude it."""
    cluster = ray_spec(document)
    if cluster is None:
        return
    options = cluster.get("authOptions") or {}
    if options.get("mode") != "token":
        yield "authOptions.mode must be token: whoever reaches Ray's ports runs any program"
    if not options.get("secretName"):
        yield "authOptions.secretName must name the Secret of the token, which people have too"
    if not cluster.get("rayVersion") or Version(cluster["rayVersion"]) < FIRST_WITH_TOKEN:
        yield f"rayVersion must be said, and be {FIRST_WITH_TOKEN} or newer, for a token"
    if options.get("enableK8sTokenAuth") and (options.get("secretName") or document["kind"] == "RayJob"):
        yield "enableK8sTokenAuth is for a RayCluster alone, without secretName"


def fault_tolerance(document: Document) -> Iterator[str]:
    """GCS fault tolerance is said in one place, with one backend."""
    cluster = ray_spec(document) or {}
    options, head = cluster.get("gcsFaultToleranceOptions"), cluster.get("headGroupSpec") or {}
    env, params = _env(_ray_container(head)), head.get("rayStartParams") or {}
    if options is None:
        if "RAY_REDIS_ADDRESS" in env:
            yield "RAY_REDIS_ADDRESS without gcsFaultToleranceOptions"
        return
    for name in ("RAY_REDIS_ADDRESS", "REDIS_PASSWORD", "REDIS_USERNAME"):
        if name in env:
            yield f"{name} beside gcsFaultToleranceOptions"
    if "redis-password" in params or "redis-username" in params:
        yield "rayStartParams name redis beside gcsFaultToleranceOptions"
    if options.get("redisAddress") and (options.get("backend") == "rocksdb" or options.get("storage")):
        yield "redis and rocksdb exclude each other"


def labels(document: Document) -> Iterator[str]:
    """KubeRay finds its pods by labels of its own, and the head's Service by created-by: no template sets them."""
    for where, group in _all_groups(document):
        own = (group["template"].get("metadata") or {}).get("labels") or {}
        taken = [key for key in own if key.startswith("ray.io/") or key == "app.kubernetes.io/created-by"]
        if taken:
            yield f"{where}: the label {taken[0]} is KubeRay's"


def alpha(document: Document) -> Iterator[str]:
    """No field whose feature gate is off by default: such a field is ignored, or refused."""
    cluster = ray_spec(document) or {}
    gated: list[str] = [key for key in ("networkPolicy", "tlsOptions", "historyServerOptions") if key in cluster]
    if (cluster.get("gcsFaultToleranceOptions") or {}).get("backend") == "rocksdb":
        gated.append("gcsFaultToleranceOptions.backend: rocksdb")
    yield from (f"{field} is alpha and off by default" for field in gated)


def lifetime(document: Document) -> Iterator[str]:
    """suspend and a time to live need shutdownAfterJobFinishes; deletion rules exclude it; limits are positive."""
    spec = document["spec"]
    ends = spec.get("shutdownAfterJobFinishes")
    if spec.get("suspend") and (not ends or spec.get("clusterSelector")):
        yield "suspend needs shutdownAfterJobFinishes and a cluster of its own"
    if spec.get("ttlSecondsAfterFinished") and not ends:
        yield "ttlSecondsAfterFinished needs shutdownAfterJobFinishes"
    if (spec.get("deletionStrategy") or {}).get("deletionRules") and ends:
        yield "deletionRules exclude shutdownAfterJobFinishes"
    for key, least in (("ttlSecondsAfterFinished", 0), ("activeDeadlineSeconds", 1), ("backoffLimit", 0)):
        if key in spec and spec[key] < least:
            yield f"{key} must be {least} or more"


def submission(document: Document) -> Iterator[str]:
    """One cluster, and a submitter that the namespace admits: the operator's own has no security context."""
    spec = document["spec"]
    mode, selects = spec.get("submissionMode", "K8sJobMode"), spec.get("clusterSelector")
    if not spec.get("rayClusterSpec") and not selects:
        yield "one of rayClusterSpec and clusterSelector is needed"
    if spec.get("backoffLimit") and (selects or mode == "InteractiveMode"):
        yield "backoffLimit needs a cluster of its own and a submitter"
    if mode == "SidecarMode":
        yield "SidecarMode's container cannot be given a security context"
    if mode == "K8sJobMode" and not spec.get("submitterPodTemplate"):
        yield "submitterPodTemplate is needed in a restricted namespace"
    template = spec.get("submitterPodTemplate") or {}
    if template and (template.get("spec") or {}).get("restartPolicy") not in {"Never", "OnFailure"}:
        yield "submitterPodTemplate: restartPolicy must be Never or OnFailure, as for any Job"


def kueue(document: Document) -> Iterator[str]:
    """Kueue takes a RayJob with its own cluster that ends by itself, 17 groups at most, nothing that scales."""
    if KUEUE not in labels_of(document):
        return
    spec, cluster = document["spec"], ray_spec(document) or {}
    if document["kind"] == "RayJob" and (spec.get("clusterSelector") or not spec.get("shutdownAfterJobFinishes")):
        yield "Kueue needs rayClusterSpec and shutdownAfterJobFinishes"
    if len(_groups(document)) > MOST_GROUPS_OF_KUEUE:
        yield f"Kueue takes {MOST_GROUPS_OF_KUEUE} worker groups at most"
    elastic = (document["metadata"].get("annotations") or {}).get(ELASTIC) == "true"
    if cluster.get("enableInTreeAutoscaling") and not elastic:
        yield f"Kueue takes no cluster that scales without the annotation {ELASTIC} and its feature gate"


ON_CLUSTERS: tuple[Rule, ...] = (
    names,
    containers,
    group_sizes,
    group_resources,
    autoscaler,
    shared_logs,
    token,
    fault_tolerance,
    labels,
    alpha,
    kueue,
)
ON_JOBS: tuple[Rule, ...] = (lifetime, submission)


def _groups(document: Document) -> list[Document]:
    return list((ray_spec(document) or {}).get("workerGroupSpecs") or [])


def _all_groups(document: Document) -> Iterator[tuple[str, Document]]:
    if head := (ray_spec(document) or {}).get("headGroupSpec"):
        yield "head", head
    yield from ((f"group {group['groupName']}", group) for group in _groups(document))


def _ray_container(group: Document) -> Document:
    found = (group.get("template") or {}).get("spec", {}).get("containers") or [{}]
    return dict(found[0])


def _env(container: Document) -> dict[str, str]:
    return {one["name"]: one.get("value", "") for one in container.get("env") or []}
