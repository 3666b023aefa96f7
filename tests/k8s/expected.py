"""Who may talk to whom, written down: the tables that the policies of every scene are held to.

A line is `from, from -> to, to  port, port`. What is in no line is closed. 169.254.169.254, where clouds keep a node's
credentials, is in none.
"""

from __future__ import annotations

from tests.k8s.documents import Document, name_of, of_kind
from tests.k8s.matrix import Edge, endpoints, read

ALWAYS = """
everyone                         -> DNS                                         53
"""
JOB = """
head                             -> mlflow                                      5000
head, worker                     -> head, worker                                all
submitter                        -> head                                        8265
KubeRay operator                 -> head                                        8265
# The autoscaler asks the API, whose address differs from cluster to cluster: any address, on these two ports.
head                             -> Kubernetes API, private network, internet   443, 6443
"""
"""Of one study; a second study has the same lines, and none to the first."""
STORE_INSIDE = """
explorer, mlflow, head, worker   -> object-store                                8333
object-store-bucket              -> object-store                                8333
postgres-backup                  -> object-store                                8333
"""
STORE_OUTSIDE = """
explorer, mlflow, head, worker   -> internet                                    443
postgres-backup                  -> internet                                    443
"""
DATABASE = """
mlflow, mlflow-migrate           -> postgres                                    5432
postgres-backup                  -> postgres                                    5432
"""
CLOUDNATIVE_PG = """
# Instances copy from each other, and keep their state in the Kubernetes API.
postgres, CloudNativePG operator -> postgres                                    5432, 8000
postgres                         -> Kubernetes API, private network, internet   443, 6443
"""
LOGIN = """
ingress controller               -> explorer-login, mlflow-login                4180
explorer-login                   -> explorer                                    8501
mlflow-login                     -> mlflow                                      5000
explorer-login, mlflow-login     -> internet                                    443
"""
MONITORING = """
monitoring                       -> head, worker                                8080
"""
MONITORED_DATABASE = """
monitoring                       -> postgres                                    9187
"""
REDIS = """
shared head                      -> ray-redis                                   6379
"""


def of(documents: list[Document]) -> set[Edge]:
    """The lines that apply to a scene: those of the parts it has, between pods that it has."""
    policies = {name_of(policy) for policy in of_kind(documents, "NetworkPolicy")}
    database = bool(of_kind(documents, "Cluster"))
    inside = any(name_of(one) == "object-store" for one in of_kind(documents, "StatefulSet"))
    monitored = any(document["kind"] == "PodMonitor" for document in documents)
    parts = {
        ALWAYS: True,
        JOB: True,
        STORE_INSIDE: inside,
        STORE_OUTSIDE: not inside,
        DATABASE: True,
        CLOUDNATIVE_PG: database,
        LOGIN: True,
        MONITORING: monitored,
        MONITORED_DATABASE: monitored and database,
        REDIS: "ray-redis" in policies,
    }
    lines = {edge for table, applies in parts.items() if applies for edge in read(table)}
    for whose in ("other", "shared"):
        lines |= {(_of_job(one, whose), _of_job(two, whose), port) for one, two, port in lines}
    here = {one.name for one in endpoints(documents)} | OUTSIDE
    return {(one, two, port) for one, two, port in lines if one in here and two in here}


OUTSIDE = {
    "everyone",
    "DNS",
    "Kubernetes API",
    "private network",
    "internet",
    "KubeRay operator",
    "CloudNativePG operator",
    "ingress controller",
    "monitoring",
}


def _of_job(place: str, whose: str) -> str:
    return f"{whose} {place}" if place in {"head", "worker", "submitter"} else place
