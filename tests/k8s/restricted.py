"""Pod Security Standards, profile `restricted`: every control of the documentation, under the name it has there."""

from __future__ import annotations

from collections.abc import Iterator

from tests.k8s.documents import Document, Finding
from tests.k8s.pods import MadePod

CONTROLS = frozenset(
    {
        "HostProcess",
        "Host Namespaces",
        "Privileged Containers",
        "Capabilities",
        "HostPath Volumes",
        "Host Ports",
        "Host Probes / Lifecycle Hooks",
        "AppArmor",
        "SELinux",
        "/proc Mount Type",
        "Seccomp",
        "Sysctls",
        "Volume Types",
        "Privilege Escalation",
        "Running as Non-root",
        "Running as Non-root user",
    }
)
"""All of `baseline` and `restricted`, as the documentation of Kubernetes names them."""
VOLUMES = frozenset(
    {"configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"}
)
SYSCTLS = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    }
)
SELINUX = frozenset({"", "container_t", "container_init_t", "container_kvm_t", "container_engine_t"})
SECCOMP = frozenset({"RuntimeDefault", "Localhost"})


def findings(pods: list[MadePod]) -> list[Finding]:
    """What the admission of a namespace with `pod-security.kubernetes.io/enforce: restricted` would refuse."""
    return [
        Finding("restricted", control, f"{pod.title}{place}", what)
        for pod in pods
        for control, place, what in (*_pod_controls(pod.spec), *_container_controls(pod))
    ]


Broken = tuple[str, str, str]
"""A control, the container's part of the title, and what is wrong."""


def _pod_controls(spec: Document) -> Iterator[Broken]:
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if spec.get(key):
            yield "Host Namespaces", "", f"{key} is set"
    for volume in spec.get("volumes") or []:
        source = set(volume) - {"name"}
        if "hostPath" in source:
            yield "HostPath Volumes", "", f"volume {volume['name']} is a path of the node"
        if not source <= VOLUMES:
            yield "Volume Types", "", f"volume {volume['name']} is a {', '.join(sorted(source - VOLUMES))}"
    context = spec.get("securityContext") or {}
    for sysctl in context.get("sysctls") or []:
        if sysctl["name"] not in SYSCTLS:
            yield "Sysctls", "", f"{sysctl['name']} is not one of the safe ones"
    yield from (broken for broken in _context_controls(context, ""))


def _container_controls(pod: MadePod) -> Iterator[Broken]:
    outer = pod.spec.get("securityContext") or {}
    for container in pod.every_container:
        place = f" [{container['name']}]"
        context = container.get("securityContext") or {}
        yield from _context_controls(context, place)
        yield from _capabilities(context, place)
        if context.get("privileged"):
            yield "Privileged Containers", place, "privileged is true"
        if context.get("procMount", "Default") != "Default":
            yield "/proc Mount Type", place, f"procMount is {context['procMount']}"
        if context.get("allowPrivilegeEscalation") is not False:
            yield "Privilege Escalation", place, "allowPrivilegeEscalation must be false"
        if context.get("runAsNonRoot", outer.get("runAsNonRoot")) is not True:
            yield "Running as Non-root", place, "runAsNonRoot must be true"
        if (context.get("seccompProfile") or outer.get("seccompProfile") or {}).get("type") not in SECCOMP:
            yield "Seccomp", place, "seccompProfile.type must be RuntimeDefault or Localhost"
        yield from _ports_and_hooks(container, place)


def _context_controls(context: Document, place: str) -> Iterator[Broken]:
    """What holds of a pod's security context and of a container's alike."""
    if (context.get("windowsOptions") or {}).get("hostProcess"):
        yield "HostProcess", place, "hostProcess is true"
    if context.get("runAsUser") == 0:
        yield "Running as Non-root user", place, "runAsUser is 0"
    if (context.get("appArmorProfile") or {}).get("type") == "Unconfined":
        yield "AppArmor", place, "appArmorProfile is Unconfined"
    options = context.get("seLinuxOptions") or {}
    if options.get("type", "") not in SELINUX or options.get("user") or options.get("role"):
        yield "SELinux", place, "seLinuxOptions name a type, user or role of their own"
    if (context.get("seccompProfile") or {}).get("type") == "Unconfined":
        yield "Seccomp", place, "seccompProfile is Unconfined"


def _capabilities(context: Document, place: str) -> Iterator[Broken]:
    capabilities = context.get("capabilities") or {}
    if "ALL" not in (capabilities.get("drop") or []):
        yield "Capabilities", place, "all must be dropped"
    if extra := sorted(set(capabilities.get("add") or []) - {"NET_BIND_SERVICE"}):
        yield "Capabilities", place, f"{', '.join(extra)} may not be added"


def _ports_and_hooks(container: Document, place: str) -> Iterator[Broken]:
    if any(port.get("hostPort") for port in container.get("ports") or []):
        yield "Host Ports", place, "a port of the node is taken"
    hooks = [container.get(probe) or {} for probe in ("livenessProbe", "readinessProbe", "startupProbe")]
    hooks += list((container.get("lifecycle") or {}).values())
    for hook in hooks:
        for action in ("httpGet", "tcpSocket"):
            if (hook.get(action) or {}).get("host"):
                yield "Host Probes / Lifecycle Hooks", place, f"{action}.host is set"
