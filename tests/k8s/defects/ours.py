"""Defects that Kubernetes would take: names that lead nowhere, images, secrets, rights, commands, open connections."""

from __future__ import annotations

from tests.k8s.mutations import REMOVED, Defect

DEV = "overlay dev"
POD = "spec.template.spec"
HEAD = "spec.rayClusterSpec.headGroupSpec"
WORKER = "spec.rayClusterSpec.workerGroupSpecs[0]"
DEFECTS = (
    # references
    Defect(
        "a Secret misspelt",
        "references",
        "Deployment/explorer",
        f"{POD}.containers[0].envFrom[2].secretRef.name",
        "bucket",
    ),
    Defect(
        "a key misspelt",
        "references",
        "Job/mlflow-migrate",
        f"{POD}.containers[0].env[0].valueFrom.secretKeyRef.key",
        "x",
    ),
    Defect(
        "a token's Secret misspelt", "references", "RayJob/demo", "spec.rayClusterSpec.authOptions.secretName", "token"
    ),
    Defect(
        "a ConfigMap misspelt",
        "references",
        "RayJob/demo",
        f"{WORKER}.template.spec.containers[0].envFrom[0]",
        {"configMapRef": {"name": "config"}},
    ),
    Defect("an account misspelt", "references", "Deployment/mlflow", f"{POD}.serviceAccountName", "ml-flow"),
    Defect(
        "a Service that chooses nobody",
        "references",
        "Service/mlflow",
        "spec.selector",
        {"app.kubernetes.io/name": "ml"},
    ),
    Defect("a Service's port that nobody has", "references", "Service/explorer", "spec.ports[0].targetPort", 8502),
    Defect(
        "a Deployment that does not know its pods",
        "references",
        "Deployment/mlflow",
        "spec.selector.matchLabels",
        {"a": "b"},
    ),
    Defect("a budget for nobody", "references", "PodDisruptionBudget/mlflow", "spec.selector.matchLabels", {"a": "b"}),
    Defect("a monitor of nothing", "references", "PodMonitor/ray", "spec.selector", {"matchLabels": {"a": "b"}}),
    Defect("a host that is no Service", "references", "ConfigMap/mlflow-config", "data.PGHOST", "database"),
    Defect(
        "MLflow at another port",
        "references",
        "ConfigMap/grokstudy-config",
        "data.MLFLOW_TRACKING_URI",
        "http://mlflow:500",
    ),
    Defect(
        "an ingress to nowhere",
        "references",
        "Ingress/explorer",
        "spec.rules[0].http.paths[0].backend.service.port",
        {"number": 1},
    ),
    Defect("rights for nobody", "references", "RoleBinding/grokstudy-user", "roleRef.name", "user"),
    Defect("a mount without a volume", "references", "Deployment/explorer", f"{POD}.volumes[0].name", "cash"),
    # images
    Defect("the latest image", "images", "StatefulSet/postgres", f"{POD}.containers[0].image", "postgres:latest", DEV),
    Defect(
        "a worker of another version",
        "images",
        "RayJob/demo",
        f"{WORKER}.template.spec.containers[0].image",
        "grokstudy:0.0.9",
    ),
    Defect("another Ray than the image's", "images", "RayJob/demo", "spec.rayClusterSpec.rayVersion", "2.59.0"),
    Defect(
        "an image left in another registry",
        "images",
        "RayCluster/shared",
        "spec.headGroupSpec.template.spec.containers[0].image",
        "grokstudy:0.1.0",
    ),
    # containers
    Defect(
        "memory promised and not kept",
        "containers",
        "RayJob/demo",
        f"{WORKER}.template.spec.containers[0].resources.limits.memory",
        "64Gi",
    ),
    Defect(
        "no request of CPU", "containers", "Deployment/explorer", f"{POD}.containers[0].resources.requests.cpu", REMOVED
    ),
    Defect(
        "a GPU asked for in one place",
        "containers",
        "RayJob/demo",
        f"{WORKER}.template.spec.containers[0].resources.limits.nvidia~com/gpu",
        1,
    ),
    Defect(
        "a root that can be written",
        "containers",
        "Deployment/mlflow",
        f"{POD}.containers[0].securityContext.readOnlyRootFilesystem",
        False,
    ),
    Defect(
        "nowhere to write",
        "containers",
        "Deployment/explorer",
        f"{POD}.containers[0].volumeMounts[2].mountPath",
        "/temp",
    ),
    Defect("no liveness", "containers", "Deployment/explorer", f"{POD}.containers[0].livenessProbe", REMOVED),
    Defect("a disk without a limit", "containers", "Deployment/explorer", f"{POD}.volumes[0].emptyDir", {}),
    Defect(
        "a password in the manifest",
        "containers",
        "Deployment/mlflow",
        f"{POD}.containers[0].env[+]",
        {"name": "PGPASSWORD_2", "value": "hunter2"},
    ),
    Defect(
        "a password in an address",
        "containers",
        "Deployment/mlflow",
        f"{POD}.containers[0].command[+]",
        "--registry-store-uri=postgresql://mlflow:hunter2@postgres/mlflow",
    ),
    Defect(
        "a secret on the command line",
        "containers",
        "Deployment/explorer-login",
        f"{POD}.containers[0].args[+]",
        "--client-secret=hunter2",
    ),
    Defect("a password in a ConfigMap", "containers", "ConfigMap/mlflow-config", "data.PGPASSWORD", "hunter2"),
    Defect("a Secret that looks real", "containers", "Secret/mlflow-server", "data.secret_key", "aHVudGVyMg==", DEV),
    # workloads
    Defect(
        "a token for a worker", "workloads", "RayJob/demo", f"{WORKER}.template.spec.automountServiceAccountToken", True
    ),
    Defect(
        "a token for a study's code",
        "workloads",
        "RayJob/demo",
        f"{HEAD}.template.spec.containers[0].volumeMounts[+]",
        {"name": "kube-api-token", "mountPath": "/token"},
    ),
    Defect(
        "an account that hands out tokens",
        "workloads",
        "ServiceAccount/mlflow",
        "automountServiceAccountToken",
        REMOVED,
    ),
    Defect("a budget that blocks every drain", "workloads", "PodDisruptionBudget/mlflow", "spec.maxUnavailable", 0),
    Defect("no budget", "workloads", "PodDisruptionBudget/explorer", "", REMOVED),
    Defect("replicas on one node", "workloads", "Deployment/mlflow", f"{POD}.topologySpreadConstraints", REMOVED),
    Defect(
        "an update that takes a replica away",
        "workloads",
        "Deployment/mlflow",
        "spec.strategy.rollingUpdate.maxUnavailable",
        1,
    ),
    Defect(
        "a namespace for anything",
        "workloads",
        "Namespace/grokstudy",
        "metadata.labels.pod-security~kubernetes~io/enforce",
        "baseline",
    ),
    Defect("nothing denied first", "workloads", "NetworkPolicy/default-deny", "", REMOVED),
    Defect("all rights", "workloads", "Role/grokstudy-user", "rules[0].verbs", ["*"]),
    Defect("Secrets for everybody", "workloads", "Role/grokstudy-user", "rules[2].resources[+]", "secrets"),
    Defect("a Service open to the world", "workloads", "Service/mlflow", "spec.type", "LoadBalancer"),
    Defect("an ingress without TLS", "workloads", "Ingress/mlflow", "spec.tls", REMOVED),
    Defect("Ray's dashboard in the open", "workloads", "RayJob/demo", f"{HEAD}.serviceType", "NodePort"),
    Defect(
        "a pod that no policy knows",
        "workloads",
        "RayJob/demo",
        f"{WORKER}.template.metadata.labels.app~kubernetes~io/name",
        "worker",
    ),
    # commands
    Defect("an option misspelt", "commands", "Deployment/explorer", f"{POD}.containers[0].command[3]", "--alow-remote"),
    Defect(
        "a verb misspelt",
        "commands",
        "RayJob/demo",
        "spec.entrypoint",
        "python -m grokstudy.cli.app rum --from /study/study.yaml",
    ),
    Defect(
        "MLflow's jobs on", "commands", "ConfigMap/mlflow-config", "data.MLFLOW_SERVER_ENABLE_JOB_EXECUTION", "true"
    ),
    Defect(
        "MLflow by a name it refuses",
        "commands",
        "ConfigMap/mlflow-config",
        "data.MLFLOW_SERVER_ALLOWED_HOSTS",
        "localhost",
    ),
    Defect(
        "MLflow without a login",
        "commands",
        "Deployment/mlflow",
        f"{POD}.containers[0].command[2]",
        "--app-name=basic-auth",
    ),
    Defect(
        "the driver left to chance",
        "commands",
        "ConfigMap/mlflow-config",
        "data.MLFLOW_BACKEND_STORE_URI",
        "postgresql://",
    ),
    Defect(
        "artifacts on a disk", "commands", "ConfigMap/mlflow-config", "data.MLFLOW_ARTIFACTS_DESTINATION", "/artifacts"
    ),
    Defect(
        "a variable that nobody reads",
        "commands",
        "ConfigMap/grokstudy-config",
        "data.GROKSTUDY_STORE",
        "s3://grokstudy",
    ),
    Defect(
        "a variable of AWS misspelt", "commands", "ConfigMap/grokstudy-config", "data.AWS_ENDPOINT", "https://store"
    ),
    Defect("telemetry", "commands", "ConfigMap/grokstudy-config", "data.MLFLOW_DISABLE_TELEMETRY", REMOVED),
    # network
    Defect("everything open", "network", "NetworkPolicy/default-deny", "", REMOVED),
    Defect("no names", "network", "NetworkPolicy/dns", "", REMOVED),
    Defect("MLflow for everybody", "network", "NetworkPolicy/mlflow-from-ray", "spec.ingress[0].from", REMOVED),
    Defect(
        "the cloud's credentials",
        "network",
        "NetworkPolicy/object-store-outside",
        "spec.egress[0].to[0].ipBlock.except",
        REMOVED,
    ),
    Defect(
        "a study that reaches another",
        "network",
        "NetworkPolicy/demo",
        "spec.ingress[0].from[0].podSelector",
        {"matchLabels": {"app.kubernetes.io/name": "ray"}},
    ),
    Defect(
        "an operator in any namespace",
        "network",
        "NetworkPolicy/kuberay-to-ray-head",
        "spec.ingress[0].from[0].namespaceSelector",
        {},
    ),
    Defect("a login past the ingress", "network", "NetworkPolicy/login-from-ingress", "spec.ingress[0].from", REMOVED),
    Defect("all ports of a login", "network", "NetworkPolicy/login-from-ingress", "spec.ingress[0].ports", REMOVED),
    Defect(
        "a worker of no study", "network", "RayJob/demo", f"{WORKER}.template.metadata.labels.grokstudy/job", "mine"
    ),
    Defect("no way to MLflow", "network", "NetworkPolicy/ray-head-to-mlflow", "", REMOVED),
)
