"""Names and labels of what a study is on Kubernetes."""

from __future__ import annotations

import re

from grokstudy.spec.errors import BadInput

JOB, STUDY, VERB, STORAGE = "grokstudy/job", "grokstudy/study", "grokstudy/verb", "grokstudy/storage"
"""Keys of labels; of annotations where the text must not be cut."""
NAME, COMPONENT = "app.kubernetes.io/name", "app.kubernetes.io/component"
PART_OF, MANAGED_BY = "app.kubernetes.io/part-of", "app.kubernetes.io/managed-by"
QUEUE, QUEUE_PRIORITY = "kueue.x-k8s.io/queue-name", "kueue.x-k8s.io/priority-class"

LONGEST_JOB = 47
"""KubeRay adds six characters for the cluster's name, which may have 53."""
LONGEST_LABEL = 63
HEX = 8
ATTEMPT_DIGITS = 4
DNS_LABEL = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?")
DNS_SUBDOMAIN = re.compile(rf"(?=.{{1,253}}$){DNS_LABEL.pattern}(?:\.{DNS_LABEL.pattern})*")


def job_name(stem: str, attempt: int) -> str:
    """The RayJob's name: a DNS-1035 label of at most 47 characters, equal for equal work and attempt.

    Args:
        stem: `<study>-<8 hex>`, as `Work.stem`.
        attempt: 1, 2 ...

    Raises:
        BadInput: more attempts than a name has room for.
    """
    if not 1 <= attempt < 10**ATTEMPT_DIGITS:
        raise BadInput(
            f"attempt: got {attempt}, must be 1..{10**ATTEMPT_DIGITS - 1}. Delete old RayJobs of this study, or give "
            "it another --name."
        )
    return f"{job_stem(stem)}-{attempt}"


def job_stem(stem: str) -> str:
    """The name without its attempt. The study's part is cut; the hex digits, which tell studies apart, never are."""
    study, _, digits = stem.rpartition("-")
    room = LONGEST_JOB - HEX - ATTEMPT_DIGITS - 2
    return f"{dns_label(study)[:room].rstrip('-')}-{digits}"


def dns_label(text: str) -> str:
    """Lower-case letters, digits and single dashes, a letter first."""
    label = re.sub(r"[^a-z0-9]+", "-", text.lower()).strip("-")
    return label if label[:1].isalpha() else f"study-{label}".rstrip("-")


def label_value(text: str) -> str:
    """The text as far as a label can hold it; studies whose long names begin alike share one."""
    return re.sub(r"[^A-Za-z0-9_.-]", "-", text)[:LONGEST_LABEL].strip("-_.")


def labels(name: str, study: str, verb: str) -> dict[str, str]:
    """What every object and pod of a job carries."""
    return {
        PART_OF: "grokstudy",
        NAME: "ray",
        MANAGED_BY: "grokstudy",
        JOB: name,
        STUDY: label_value(study),
        VERB: verb,
    }
