"""What workloads and the namespace promise: labels, no tokens, room for disruptions, least rights, deny first."""

from __future__ import annotations

from collections.abc import Iterator

from tests.k8s.documents import Document, Finding, labels_of, name_of, namespace_of, of_kind, title
from tests.k8s.network import matches
from tests.k8s.pods import MadePod, made_pods, ray_spec

LABELS = ("app.kubernetes.io/part-of", "app.kubernetes.io/name", "app.kubernetes.io/managed-by")
RAY_LABELS = ("app.kubernetes.io/component", "grokstudy/job")
MODES = ("enforce", "audit", "warn")
RISKY_VERBS = frozenset({"*", "escalate", "bind", "impersonate"})
RISKY_RESOURCES = frozenset({"*", "secrets", "pods/exec", "pods/attach", "pods/portforward", "serviceaccounts/token"})
NEEDED_BY_PEOPLE = frozenset({"pods/portforward"})
"""How people reach the shared cluster, and the explorer where there is no ingress."""
SHARED_SECRET = "ray-token"
"""The one Secret that people may read by its name: the shared cluster asks them for it."""


def findings(documents: list[Document]) -> list[Finding]:
    """What breaks these promises; rules about the namespace speak only of streams that hold it."""
    pods = made_pods(documents)
    checks = (
        _labels(documents, pods),
        _tokens(documents, pods),
        _disruptions(documents, pods),
        _spread(pods),
        _rollouts(documents),
        _namespace(documents),
        _rights(documents),
        _exposure(documents),
    )
    return sorted({Finding("workloads", *broken) for check in checks for broken in check})


Broken = tuple[str, str, str]
"""Rule, object, sentence."""


def _labels(documents: list[Document], pods: list[MadePod]) -> Iterator[Broken]:
    for document in documents:
        for label in LABELS:
            if not labels_of(document).get(label):
                yield "labels", title(document), f"no label {label}"
        if labels_of(document).get(LABELS[0], "grokstudy") != "grokstudy":
            yield "labels", title(document), f"{LABELS[0]} must be grokstudy"
    for pod in pods:
        wanted = (*LABELS[:2], *(RAY_LABELS if pod.role else ()))
        for label in wanted:
            if not pod.labels.get(label):
                yield "labels", pod.title, f"the pod has no label {label}"
        if pod.role and pod.labels.get("app.kubernetes.io/name") != "ray":
            yield "labels", pod.title, "a Ray pod's app.kubernetes.io/name must be ray: policies choose it by that"
        if pod.role and pod.labels.get("app.kubernetes.io/component") != pod.role:
            yield "labels", pod.title, f"app.kubernetes.io/component must be {pod.role}"


def _tokens(documents: list[Document], pods: list[MadePod]) -> Iterator[Broken]:
    """Only the autoscaler's container, which asks for pods, holds a token of the API, never a study's code."""
    for account in of_kind(documents, "ServiceAccount"):
        if account.get("automountServiceAccountToken") is not False:
            yield "token", title(account), "automountServiceAccountToken must be false"
    for pod in pods:
        if pod.spec.get("automountServiceAccountToken") is not False:
            yield "token", pod.title, "automountServiceAccountToken must be false"
        if pod.spec.get("serviceAccountName") in (None, "default"):
            yield "account", pod.title, "it needs a service account of its own"
        holders = {
            container["name"]
            for container in pod.every_container
            for mount in container.get("volumeMounts") or []
            if mount["name"] in _token_volumes(pod)
        }
        wanted = {one["name"] for one in pod.containers if pod.role == "head" and one["name"] == "autoscaler"}
        if holders != wanted:
            yield "token", pod.title, f"a token is mounted by {sorted(holders)}, needed by {sorted(wanted)}"


def _token_volumes(pod: MadePod) -> set[str]:
    volumes = pod.spec.get("volumes") or []
    sources = [(one["name"], source) for one in volumes for source in (one.get("projected") or {}).get("sources") or []]
    return {name for name, source in sources if "serviceAccountToken" in source}


def _disruptions(documents: list[Document], pods: list[MadePod]) -> Iterator[Broken]:
    budgets = of_kind(documents, "PodDisruptionBudget")
    for budget in budgets:
        for pod in (one for one in pods if _guards(budget, one)):
            least, most = budget["spec"].get("minAvailable"), budget["spec"].get("maxUnavailable")
            blocks = most == 0 or (isinstance(least, int) and least >= pod.replicas)
            # The head is guarded on purpose: whoever drains its node ends the studies that run on it.
            if blocks and pod.role != "head":
                yield "disruption", title(budget), f"it forbids every eviction of {pod.title}: nodes cannot be drained"
    for pod in pods:
        if pod.owner["kind"] == "Deployment" and pod.replicas > 1 and not any(_guards(one, pod) for one in budgets):
            yield "disruption", pod.title, "no PodDisruptionBudget: a drain may stop all of its pods at once"


def _guards(budget: Document, pod: MadePod) -> bool:
    same = namespace_of(budget) == namespace_of(pod.pod)
    return same and matches(budget["spec"].get("selector") or {}, pod.labels)


def _spread(pods: list[MadePod]) -> Iterator[Broken]:
    for pod in pods:
        several = pod.replicas > 1 and pod.owner["kind"] in {"Deployment", "StatefulSet"}
        rules = pod.spec.get("topologySpreadConstraints") or []
        if several and not rules:
            yield "spread", pod.title, "several pods without topologySpreadConstraints: one node may hold them all"
        for rule in rules:
            if not matches(rule.get("labelSelector") or {}, pod.labels):
                yield "spread", pod.title, "its topologySpreadConstraints do not count its own pods"


def _rollouts(documents: list[Document]) -> Iterator[Broken]:
    for owner in of_kind(documents, "Deployment"):
        rolling = (owner["spec"].get("strategy") or {}).get("rollingUpdate") or {}
        if owner["spec"].get("replicas", 1) > 1 and rolling.get("maxUnavailable") not in (0, "0%"):
            yield "rollout", title(owner), "maxUnavailable must be 0: an update takes no replica away"


def _namespace(documents: list[Document]) -> Iterator[Broken]:
    for namespace in of_kind(documents, "Namespace"):
        for mode in MODES:
            if labels_of(namespace).get(f"pod-security.kubernetes.io/{mode}") != "restricted":
                yield "namespace", title(namespace), f"pod-security.kubernetes.io/{mode} must be restricted"
        policies = of_kind(documents, "NetworkPolicy")
        if not any(_denies_all(policy) and namespace_of(policy) == name_of(namespace) for policy in policies):
            yield "namespace", title(namespace), "no NetworkPolicy denies everything first"


def _denies_all(policy: Document) -> bool:
    spec = policy["spec"]
    both = set(spec.get("policyTypes") or []) == {"Ingress", "Egress"}
    return both and not spec.get("podSelector") and not spec.get("ingress") and not spec.get("egress")


def _rights(documents: list[Document]) -> Iterator[Broken]:
    for role in of_kind(documents, "ClusterRole", "ClusterRoleBinding"):
        yield "rights", title(role), "rights end at the namespace"
    for role in of_kind(documents, "Role"):
        for rule in role.get("rules") or []:
            resources, verbs = set(rule.get("resources") or []), set(rule.get("verbs") or [])
            if "*" in (rule.get("apiGroups") or []) or verbs & RISKY_VERBS:
                yield "rights", title(role), f"{sorted(verbs)} on {sorted(resources)} is more than anybody needs"
            shared = rule.get("resourceNames") == [SHARED_SECRET] and verbs == {"get"}
            allowed = NEEDED_BY_PEOPLE | ({"secrets"} if shared else set())
            if risky := sorted((resources & RISKY_RESOURCES) - allowed):
                yield "rights", title(role), f"{risky[0]} gives away what others keep secret"


def _exposure(documents: list[Document]) -> Iterator[Broken]:
    """Nothing leaves the cluster but through the ingress, and never Ray."""
    ray = {name_of(one) for one in of_kind(documents, "Service") if _of_ray(one)}
    for service in of_kind(documents, "Service"):
        if service["spec"].get("type", "ClusterIP") != "ClusterIP" or service["spec"].get("externalIPs"):
            yield "exposure", title(service), "only ClusterIP: the ingress is the way in"
    for document in of_kind(documents, "RayJob", "RayCluster"):
        head = (ray_spec(document) or {}).get("headGroupSpec") or {}
        if head.get("serviceType", "ClusterIP") != "ClusterIP" or head.get("enableIngress"):
            yield "exposure", title(document), "Ray's head must not be reachable from outside"
    for ingress in of_kind(documents, "Ingress"):
        paths = [
            path for rule in ingress["spec"].get("rules") or [] for path in (rule.get("http") or {}).get("paths") or []
        ]
        names = {path["backend"].get("service", {}).get("name", "") for path in paths}
        if names & ray or any("ray" in name or "head" in name for name in names):
            yield "exposure", title(ingress), "Ray must not be reachable from outside"
        if not ingress["spec"].get("tls"):
            yield "exposure", title(ingress), "no TLS"


def _of_ray(service: Document) -> bool:
    return (service["spec"].get("selector") or {}).get("app.kubernetes.io/name") == "ray"
