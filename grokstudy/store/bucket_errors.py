"""What a bucket's service says when it refuses or fails, in words: what passes by itself and what does not."""

from __future__ import annotations

import contextlib
import os
import re
from collections.abc import Iterator, Mapping
from typing import Literal

from obstore.exceptions import BaseError

from grokstudy.spec.errors import BadInput, GrokstudyError, StorageUnavailable

Action = Literal["read", "write", "list", "delete"]
PERMISSIONS: Mapping[Action, str] = {
    "read": "s3:GetObject (and s3:ListBucket: without it an object that is not there looks forbidden)",
    "write": "s3:PutObject",
    "list": "s3:ListBucket",
    "delete": "s3:DeleteObject",
}
REFUSALS: Mapping[str, str] = {
    "SignatureDoesNotMatch": "AWS_SECRET_ACCESS_KEY does not belong to AWS_ACCESS_KEY_ID. Give a pair issued together.",
    "InvalidAccessKeyId": "the service does not know AWS_ACCESS_KEY_ID. Give a key of the service at {endpoint}.",
    "InvalidToken": "AWS_SESSION_TOKEN does not belong to the keys. Renew the credentials.",
    "ExpiredToken": "AWS_SESSION_TOKEN has expired. Renew the credentials.",
    "RequestTimeTooSkewed": "this machine's clock differs too much from the service's. Set it (NTP).",
    "NoSuchBucket": "there is no such bucket at {endpoint}. Make it, or correct the name or AWS_ENDPOINT_URL.",
    "InvalidBucketName": "no bucket can have this name. Correct it.",
    "PermanentRedirect": "the bucket is in another region. Set AWS_REGION to it.",
    "AuthorizationHeaderMalformed": "the bucket is in another region. Set AWS_REGION to it.",
}
"""Codes of the service that no waiting heals, and what to do."""
FULL = ("QuotaExceeded", "XMinioStorageFull", "InsufficientStorage", "EntityTooLarge")
BAD_ENDPOINTS: Mapping[str, str] = {
    "BadScheme": "AWS_ENDPOINT_URL is {endpoint}: set AWS_ALLOW_HTTP=true if plain http is meant.",
    "Name or service not known": "AWS_ENDPOINT_URL names a host that does not exist ({endpoint}).",
    "InvalidContentType": "what answers at AWS_ENDPOINT_URL ({endpoint}) does not speak TLS. Write http://, and set "
    "AWS_ALLOW_HTTP=true.",
    "InvalidCertificate": "the certificate of AWS_ENDPOINT_URL ({endpoint}) is not trusted here.",
}
"""Marks of a request that never reached a service, where waiting does not help, and what to do."""
CREDENTIAL_SERVICES = ("169.254.169.254", "169.254.170.2")
"""Addresses that are asked for credentials when none are given."""
PASSING = (408, 429)
"""Statuses below 500 that pass; of those from 500 on all do but "not implemented"."""


@contextlib.contextmanager
def explained(uri: str, action: Action) -> Iterator[None]:
    """Failures of the service as one line that says what to do. An object that is not there stays FileNotFoundError.

    Raises:
        StorageUnavailable: it does not answer, cannot just now, or is full.
        BadInput: credentials, permission, the bucket's name or the endpoint are wrong.
    """
    try:
        yield
    except FileNotFoundError as error:
        if action != "write" and "<Code>NoSuchBucket<" not in str(error):
            raise
        raise _refused(uri, action, "NoSuchBucket") from error
    except BaseError as error:
        raise failure(uri, action, str(error)) from error


def failure(uri: str, action: Action, text: str) -> GrokstudyError:
    """The error for what obstore says: its first line is meant for people, marks of causes lie in the rest."""
    code, status = code_of(text), _status(text)
    if any(address in text for address in CREDENTIAL_SERVICES):
        return BadInput(
            f"storage.root: '{uri}' cannot be used: no credentials. Set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, "
            "or run where a role gives them (the pod's service account, the instance's profile)."
        )
    if code in FULL or status == 507:
        return StorageUnavailable(
            f"storage.root: '{uri}' is full ({code or status}). Free space or raise its quota; everything finished is "
            "kept, the same command goes on."
        )
    if code in REFUSALS or code == "AccessDenied" or status in (401, 403):
        return _refused(uri, action, code)
    mark = None if status else next((mark for mark in BAD_ENDPOINTS if mark in text), None)
    if mark is not None:
        return BadInput(f"storage.root: '{uri}' cannot be reached: {BAD_ENDPOINTS[mark].format(endpoint=endpoint())}")
    first_line = text.partition("\n")[0].partition(": <?xml")[0]
    if status is not None and (status < 500 or status == 501) and status not in PASSING:
        said = f"{first_line} {code}" if code else first_line
        return BadInput(
            f"storage.root: '{uri}' cannot be used: {said}. Check the bucket's name, AWS_ENDPOINT_URL and AWS_REGION."
        )
    return StorageUnavailable(
        f"storage.root: '{uri}' does not answer ({first_line}). Check that the service at {endpoint()} runs and can be "
        "reached from here (AWS_ENDPOINT_URL); everything finished is kept, the same command goes on."
    )


def code_of(text: str) -> str:
    """The service's own code, such as AccessDenied; "" where it gave none."""
    found = re.search(r"<Code>(\w+)</Code>|\(code: (\w+)\)", text)
    return "" if found is None else found[1] or found[2]


def endpoint() -> str:
    """Where requests go, for people."""
    return next((os.environ[name] for name in ENDPOINTS if os.environ.get(name)), "AWS")


ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def check_endpoint() -> None:
    """Refuses an address that obstore would end the process for.

    Raises:
        BadInput: it is no http(s) address.
    """
    for name in ENDPOINTS:
        value = os.environ.get(name)
        if value and not re.match(r"https?://[^/\s]", value):
            raise BadInput(f"{name}: got '{value}', must begin with https:// (or http://), as https://HOST:PORT.")


def _refused(uri: str, action: Action, code: str) -> BadInput:
    if code in REFUSALS:
        return BadInput(f"storage.root: '{uri}' cannot be used: {REFUSALS[code].format(endpoint=endpoint())} ({code})")
    verbs: Mapping[Action, str] = {"read": "read", "write": "written", "list": "listed", "delete": "deleted from"}
    return BadInput(
        f"storage.root: '{uri}' cannot be {verbs[action]}: access is denied. The credentials (AWS_ACCESS_KEY_ID or the "
        f"pod's role) are known but lack the permission {PERMISSIONS[action]}."
    )


def _status(text: str) -> int | None:
    found = re.search(r"status code: (\d{3})", text)
    return None if found is None else int(found[1])
