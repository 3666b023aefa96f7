"""Why MLflow did not do what it was asked, as one sentence with its remedy, read from what its client raised."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from urllib.parse import urlsplit

import requests
from urllib3.exceptions import ConnectTimeoutError, NameResolutionError, NewConnectionError, ReadTimeoutError

from grokstudy.tracking.mlflow_api import ERROR_CODE_TO_HTTP_STATUS, MlflowException

STATUS = re.compile(r"error code (\d{3})|too many (\d{3}) error responses|\b([45]\d\d) (?:Client|Server) Error")
NO_MLFLOW = "what answers there is no MLflow tracking server"
LOGIN = ("MLFLOW_TRACKING_USERNAME", "MLFLOW_TRACKING_PASSWORD")


def cause(error: BaseException, uri: str) -> str:
    """What went wrong.

    Args:
        error: raised by MLflow's client, which hides errors of the connection in the context of its own.
        uri: the address that was asked.
    """
    chain = list(_chain(error))
    status = next(filter(None, map(_status, chain)), None)
    text = " ".join(str(one) for one in chain)
    if status is not None:
        return _answered(status, text, uri) or str(error)
    return _unanswered(chain, text, uri) or str(error)


def _answered(status: int, text: str, uri: str) -> str | None:
    """For an answer with this HTTP status."""
    host = _host_header(uri)
    if status == 403 and "Invalid Host header" in text:
        return (
            f"its server refuses the host name '{host}' (403, Invalid Host header): start it with --allowed-hosts "
            f"'{host}' (with every other name it is called by: the list replaces MLflow's own)"
        )
    if status == 401:
        given = all(os.environ.get(name) for name in LOGIN) or bool(os.environ.get("MLFLOW_TRACKING_TOKEN"))
        if given:
            return f"it refuses the login (401): check {' and '.join(LOGIN)}, or MLFLOW_TRACKING_TOKEN"
        return f"it asks for a login (401): set {' and '.join(LOGIN)}, or MLFLOW_TRACKING_TOKEN, where the study runs"
    if status == 403:
        return f"it does not allow this ({status}): the account needs the right to create experiments and runs"
    if status in (404, 405) and "RESOURCE_DOES_NOT_EXIST" not in text:
        return f"{NO_MLFLOW} ({status} for its interface): check host, port and path of the address"
    if status == 429:
        return "it asks for fewer requests (429)"
    if status in (500, 502, 503, 504):
        return f"it answers with errors ({status}): its database, or what stands behind a proxy, may be away"
    return None


def _unanswered(chain: list[BaseException], text: str, uri: str) -> str | None:
    """For a connection that gave no answer, or one that is none of MLflow's."""
    parts = urlsplit(uri)
    if "_alembic_tmp_" in text and "already exists" in text:
        return "its database was left half made: delete the file to have it built again"
    if any(isinstance(one, requests.exceptions.SSLError) for one in chain):
        if "CERTIFICATE_VERIFY_FAILED" in text:
            return (
                "its certificate is not trusted (TLS): set MLFLOW_TRACKING_SERVER_CERT_PATH to the file of the "
                "authority that signed it"
            )
        if "WRONG_VERSION_NUMBER" in text or "UNEXPECTED_EOF" in text or "record layer failure" in text:
            return f"it does not speak TLS: write http://{_host_header(uri)} instead of https"
        return f"TLS failed: {_last(chain)}"
    if _reason(chain, NameResolutionError):
        return f"no host is called '{parts.hostname}' (its name was not found)"
    if _reason(chain, NewConnectionError) and "refused" in text:
        return f"nobody listens at {_host_header(uri)} (connection refused)"
    timeouts = (requests.exceptions.Timeout, ReadTimeoutError, ConnectTimeoutError)
    if _reason(chain, *timeouts):
        return "it did not answer in time"
    if any(isinstance(one, requests.exceptions.ConnectionError) for one in chain):
        return f"the connection failed: {_last(chain)}"
    if "not in a valid JSON format" in text or "Expecting value" in text:
        return f"{NO_MLFLOW} (its answer is a page, not JSON; a login page of a proxy looks like that too)"
    return None


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and all that led to it."""
    here: BaseException | None = error
    while here is not None:
        yield here
        here = here.__cause__ or here.__context__


def _status(error: BaseException) -> int | None:
    """HTTP status of an answer, if the error tells of one."""
    if (found := STATUS.search(str(error))) is not None:
        return int(next(filter(None, found.groups())))
    if isinstance(error, MlflowException) and getattr(error, "json", None):  # the server's own words
        return ERROR_CODE_TO_HTTP_STATUS.get(error.error_code)
    return None


def _reason(chain: list[BaseException], *kinds: type[Exception]) -> bool:
    """Whether an error of one of these kinds led to one of these; urllib3 keeps it as the reason of another."""
    reasons = [getattr(arg, "reason", arg) for one in chain for arg in one.args]
    return any(isinstance(one, kinds) for one in [*chain, *reasons])


def _last(chain: list[BaseException]) -> str:
    """What the connection itself said."""
    said = next((one for one in chain if isinstance(one, requests.exceptions.RequestException)), chain[-1])
    return str(next((arg.reason for arg in said.args if getattr(arg, "reason", None)), said))


def _host_header(uri: str) -> str:
    """What a request to `uri` names as its host: without the port where it is the usual one."""
    parts = urlsplit(uri)
    usual = {"http": 80, "https": 443}.get(parts.scheme)
    host = f"[{parts.hostname}]" if ":" in (parts.hostname or "") else parts.hostname or ""
    return host if parts.port in (None, usual) else f"{host}:{parts.port}"
