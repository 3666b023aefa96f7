"""Defects that Kubernetes, an operator or the namespace's admission would refuse."""

from __future__ import annotations

from tests.k8s.mutations import REMOVED, Defect

POD = "spec.template.spec"
HEAD = "spec.rayClusterSpec.headGroupSpec"
WORKER = "spec.rayClusterSpec.workerGroupSpecs[0]"
DEFECTS = (
    # Kubernetes' own schemas
    Defect(
        "a field that Kubernetes does not have", "builtin", "Deployment/mlflow", f"{POD}.containers[0].readyProbe", {}
    ),
    Defect("a port that is text", "builtin", "Service/explorer", "spec.ports[0].port", "8501"),
    Defect(
        "an unknown field in a Ray pod", "builtin", "RayJob/demo", f"{WORKER}.template.spec.containers[0].imag", "x"
    ),
    Defect("an API that is gone", "coverage", "PodDisruptionBudget/mlflow", "apiVersion", "policy/v1beta1"),
    # custom resources
    Defect("a typo in a custom resource", "custom", "RayJob/demo", f"{HEAD}.rayStartParam", {}),
    Defect("a negative size", "custom", "Cluster/postgres", "spec.instances", 0),
    Defect("a strategy that Kueue does not know", "custom", "ClusterQueue/grokstudy", "spec.queueingStrategy", "Fair"),
    Defect("a CEL rule broken", "custom", "RayJob/demo", "spec.managedBy", "somebody"),
    Defect("a field of KubeRay 1.7 alone", "custom", "RayJob/demo", "spec.rayClusterSpec.tlsOptions", {}),
    Defect(
        "an API version that Kueue does not serve", "coverage", "LocalQueue/studies", "apiVersion", "kueue.x-k8s.io/v1"
    ),
    # Pod Security
    Defect(
        "a server that may be root", "restricted", "Deployment/explorer", f"{POD}.securityContext.runAsNonRoot", REMOVED
    ),
    Defect("user 0", "restricted", "Deployment/explorer", f"{POD}.securityContext.runAsUser", 0),
    Defect("no seccomp profile", "restricted", "Deployment/mlflow", f"{POD}.securityContext.seccompProfile", REMOVED),
    Defect(
        "capabilities kept by a head",
        "restricted",
        "RayJob/demo",
        f"{HEAD}.template.spec.containers[0].securityContext.capabilities",
        REMOVED,
    ),
    Defect(
        "a submitter that may escalate",
        "restricted",
        "RayJob/demo",
        "spec.submitterPodTemplate.spec.containers[0].securityContext.allowPrivilegeEscalation",
        True,
    ),
    Defect(
        "an autoscaler without a context",
        "restricted",
        "RayJob/demo",
        "spec.rayClusterSpec.autoscalerOptions.securityContext",
        REMOVED,
    ),
    Defect(
        "a privileged init container",
        "restricted",
        "Deployment/mlflow",
        f"{POD}.initContainers[0].securityContext.privileged",
        True,
    ),
    Defect(
        "a path of the node",
        "restricted",
        "RayJob/demo",
        f"{WORKER}.template.spec.volumes[+]",
        {"name": "node", "hostPath": {"path": "/"}},
    ),
    Defect("the node's network", "restricted", "Deployment/mlflow", f"{POD}.hostNetwork", True),
    Defect("a port of the node", "restricted", "Deployment/explorer", f"{POD}.containers[0].ports[0].hostPort", 8501),
    Defect("the operator's own submitter", "restricted", "RayJob/demo", "spec.submitterPodTemplate", REMOVED),
    Defect(
        "AppArmor off",
        "restricted",
        "Job/mlflow-migrate",
        f"{POD}.securityContext.appArmorProfile",
        {"type": "Unconfined"},
    ),
    Defect(
        "seccomp off",
        "restricted",
        "Job/mlflow-migrate",
        f"{POD}.containers[0].securityContext.seccompProfile",
        {"type": "Unconfined"},
    ),
    Defect(
        "a role of SELinux",
        "restricted",
        "Job/mlflow-migrate",
        f"{POD}.securityContext.seLinuxOptions",
        {"role": "sysadm_r"},
    ),
    Defect(
        "a sysctl",
        "restricted",
        "Job/mlflow-migrate",
        f"{POD}.securityContext.sysctls",
        [{"name": "kernel.msgmax", "value": "1"}],
    ),
    Defect(
        "a host process",
        "restricted",
        "Job/mlflow-migrate",
        f"{POD}.securityContext.windowsOptions",
        {"hostProcess": True},
    ),
    Defect(
        "all of /proc", "restricted", "Job/mlflow-migrate", f"{POD}.containers[0].securityContext.procMount", "Unmasked"
    ),
    Defect(
        "a disk of the network",
        "restricted",
        "Job/mlflow-migrate",
        f"{POD}.volumes[+]",
        {"name": "n", "nfs": {"server": "s", "path": "/"}},
    ),
    Defect(
        "a probe of another host",
        "restricted",
        "Deployment/mlflow",
        f"{POD}.containers[0].livenessProbe.httpGet.host",
        "169.254.169.254",
    ),
    Defect(
        "a capability taken",
        "restricted",
        "Deployment/mlflow",
        f"{POD}.containers[0].securityContext.capabilities.add",
        ["SYS_ADMIN"],
    ),
    # KubeRay's own rules
    Defect("a name too long", "operator", "RayJob/demo", "metadata.name", "demo-" + "a" * 43),
    Defect("no version of Ray", "operator", "RayJob/demo", "spec.rayClusterSpec.rayVersion", REMOVED),
    Defect("no token", "operator", "RayJob/demo", "spec.rayClusterSpec.authOptions", REMOVED),
    Defect("a head that restarts", "operator", "RayJob/demo", f"{HEAD}.template.spec.restartPolicy", "Always"),
    Defect("a record that outlives nothing", "operator", "RayJob/demo", "spec.shutdownAfterJobFinishes", REMOVED),
    Defect("a limit of no time", "operator", "RayJob/demo", "spec.activeDeadlineSeconds", 0),
    Defect("bounds the wrong way round", "operator", "RayJob/demo", f"{WORKER}.minReplicas", 1000),
    Defect("resources said twice", "operator", "RayJob/demo", f"{WORKER}.resources", {"CPU": "4"}),
    Defect("a number among start parameters", "operator", "RayJob/demo", f"{HEAD}.rayStartParams.num-cpus", 0),
    Defect(
        "an autoscaler under Kueue", "operator", "RayJob/demo", "metadata.labels.kueue~x-k8s~io/queue-name", "studies"
    ),
    Defect(
        "a label of KubeRay's", "operator", "RayJob/demo", f"{HEAD}.template.metadata.labels.ray~io/cluster", "mine"
    ),
    Defect(
        "logs that the head does not share",
        "operator",
        "RayJob/demo",
        f"{HEAD}.template.spec.containers[0].volumeMounts[2].name",
        "tmp",
    ),
    Defect("a submitter without room for it", "operator", "RayJob/demo", "spec.submissionMode", "SidecarMode"),
    Defect(
        "a backend that is alpha",
        "operator",
        "RayCluster/shared",
        "spec.gcsFaultToleranceOptions",
        {"backend": "rocksdb"},
    ),
    Defect(
        "Redis without saying so",
        "operator",
        "RayJob/demo",
        f"{HEAD}.template.spec.containers[0].env[+]",
        {"name": "RAY_REDIS_ADDRESS", "value": "redis:6379"},
    ),
    Defect(
        "a command in place of Ray's",
        "operator",
        "RayJob/demo",
        f"{WORKER}.template.spec.containers[0].command",
        ["sh"],
    ),
)
