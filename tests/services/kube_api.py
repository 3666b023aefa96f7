"""A Kubernetes API on loopback: kmock's memory of objects, and what it lacks that the verbs rely on.

Taught here: tokens, refusals, label selectors, ids and times of new objects, dry runs, owners whose children go with
them, logs of pods, and the little of the KubeRay operator that answers `suspend`. Nothing is validated or scheduled.
"""

from __future__ import annotations

import asyncio
import contextlib
import dataclasses
import itertools
import json
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp.web
import kmock
import yaml

NAMESPACE, TOKEN = "grokstudy", "a-token-that-nobody-may-see"
RAY_JOBS, PODS, EVENTS = "ray.io/v1/rayjobs", "v1/pods", "v1/events"
CONFIG_MAPS, NETWORK_POLICIES = "v1/configmaps", "networking.k8s.io/v1/networkpolicies"
RESOURCES = (RAY_JOBS, PODS, EVENTS, CONFIG_MAPS, NETWORK_POLICIES)
BREAKS = b"(the connection breaks)"
"""At the end of a log: here it does."""
Json = dict[str, Any]


class _Broken(aiohttp.web.StreamResponse):
    """An answer that is cut off after these bytes."""

    def __init__(self, text: bytes) -> None:
        super().__init__()
        self._text = text
        self.enable_chunked_encoding()

    async def write_eof(self, data: bytes = b"") -> None:
        await self.write(self._text)
        assert self._req is not None
        assert self._req.transport is not None
        self._req.transport.close()


@dataclasses.dataclass
class Refusal:
    """An answer in place of the usual one."""

    method: str
    what: str
    """Plural name of the resource."""
    status: int
    body: Json | str
    times: int = 1_000_000


class Api(kmock.KubernetesEmulator):
    """kmock's emulator with the parts above."""

    def __init__(self) -> None:
        super().__init__()
        self.refusals: list[Refusal] = []
        self.logs: dict[str, list[bytes]] = {}
        """What the next requests for a pod's log are answered; the last one again and again."""
        self.asked: list[str] = []
        """Every request: method and path with query."""
        self.operator_runs = True
        self.number = itertools.count(1)
        for each in RESOURCES:
            self.resources[each] = {"namespaced": True}

    async def _handle(self, request: kmock.Request) -> aiohttp.web.StreamResponse:
        method, what = request.method.value, _what(request)
        self.asked.append(f"{method} {request.url.path_qs}")
        if request.headers.get("Authorization") != f"Bearer {TOKEN}":
            return _answer(401, status(401, "Unauthorized"))
        for refusal in self.refusals:
            if refusal.times and (refusal.method, refusal.what) == (method, what):
                refusal.times -= 1
                return _answer(refusal.status, refusal.body)
        if request.subresource == "log":
            return await self._log(request)
        if method == "POST":
            _born(request.data, next(self.number))
            if request.params.get("dryRun") == "All":
                return _answer(201, request.data)
        answer = await super()._handle(request)
        if method == "POST" and answer.status == 200:
            answer.set_status(201)
        if method == "GET" and request.name is None:
            answer = _selected(answer, request.params.get("labelSelector", ""))
        elif what == "rayjobs" and answer.status == 200:
            self._operate(method, str(request.name))
        return answer

    async def _log(self, request: kmock.Request) -> aiohttp.web.StreamResponse:
        answers = self.logs.get(str(request.name), [])
        if not answers:
            return _answer(400, status(400, f'container "x" in pod "{request.name}" is waiting to start'))
        text = answers.pop(0) if len(answers) > 1 else answers[0]
        if text.endswith(BREAKS):
            return _Broken(text.removesuffix(BREAKS))
        if "timestamps" not in request.params:
            text = b"".join(line.partition(b" ")[2] for line in text.splitlines(keepends=True))
        return aiohttp.web.Response(body=text, content_type="text/plain")

    def _operate(self, method: str, name: str) -> None:
        """Ends what has no owner any more; takes a suspended job's pods down, as the operator would."""
        if method == "DELETE":
            for resource in (PODS, CONFIG_MAPS, NETWORK_POLICIES):
                self.drop(resource, name)
        elif method == "PATCH" and self.operator_runs:
            document = self.get(RAY_JOBS, name)
            if document["spec"].get("suspend"):
                self.put(RAY_JOBS, {**document, "status": {"jobDeploymentStatus": "Suspended", "jobStatus": ""}})
                self.drop(PODS, name)

    def clear(self) -> None:
        """An empty namespace, and no refusals."""
        for resource in RESOURCES:
            for name in self.names(resource):
                self.objects[resource, NAMESPACE, name].delete()
        self.refusals.clear()
        self.logs.clear()
        self.asked.clear()
        self.operator_runs = True

    def put(self, resource: str, document: Json) -> None:
        """Has an object, in place of one of this name."""
        _born(document, next(self.number))
        self.objects[resource, NAMESPACE, document["metadata"]["name"]] = document

    def get(self, resource: str, name: str) -> Json:
        """An object as it is now."""
        found = self.objects[resource, NAMESPACE, name]
        return json.loads(json.dumps(found.raw))

    def names(self, resource: str) -> list[str]:
        """Of all objects of a kind."""
        held = ((kind, name) for (kind, _, name), each in self.objects.items() if not each.deleted)
        return sorted(
            name for kind, name in held if f"{kind.group}/{kind.version}/{kind.plural}".lstrip("/") == resource
        )

    def drop(self, resource: str, job: str) -> None:
        """Deletes what belongs to a job."""
        for name in self.names(resource):
            if name == job or name.startswith(f"{job}-"):
                self.objects[resource, NAMESPACE, name].delete()


@dataclasses.dataclass(frozen=True, slots=True)
class KubeApi:
    """A running API."""

    api: Api
    url: str
    kubeconfig: Path


@contextlib.contextmanager
def kube_api(folder: Path) -> Iterator[KubeApi]:
    """The API in a thread of this process, on a free port, with a kubeconfig that leads there."""
    loop = asyncio.new_event_loop()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    api = Api()
    stack = contextlib.AsyncExitStack()
    try:
        server = asyncio.run_coroutine_threadsafe(_started(stack, api), loop).result(10)
        yield KubeApi(api, server, kubeconfig(folder / "kubeconfig", server))
    finally:
        with contextlib.suppress(BaseException):  # kmock raises again what it answered as an error
            asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(10)
        loop.call_soon_threadsafe(loop.stop)
        thread.join(10)
        loop.close()


def kubeconfig(path: Path, server: str, token: str = TOKEN) -> Path:
    """A kubeconfig with the contexts `here` (current) and `elsewhere`, where nobody listens."""
    clusters = {"here": server, "elsewhere": "http://127.0.0.1:9"}
    document = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "here",
        "clusters": [{"name": name, "cluster": {"server": url}} for name, url in clusters.items()],
        "users": [{"name": "me", "user": {"token": token}}],
        "contexts": [{"name": name, "context": {"cluster": name, "user": "me"}} for name in clusters],
    }
    path.write_text(yaml.safe_dump(document))
    return path


def status(code: int, message: str, **details: str) -> Json:
    """A Kubernetes `Status`, as errors are told."""
    return {
        "apiVersion": "v1",
        "kind": "Status",
        "status": "Failure",
        "code": code,
        "message": message,
        "details": details,
    }


async def _started(stack: contextlib.AsyncExitStack, api: Api) -> str:
    await stack.enter_async_context(api)
    server = await stack.enter_async_context(kmock.Server(api, host="127.0.0.1"))
    return str(server.url).rstrip("/")


def _born(document: Json, number: int) -> None:
    """What the API adds to every new object."""
    metadata = document["metadata"]
    metadata.setdefault("uid", f"uid-{number}")
    metadata.setdefault("creationTimestamp", f"2026-11-22T10:{number // 60:02}:{number % 60:02}Z")


def _answer(code: int, body: Json | str) -> aiohttp.web.Response:
    if isinstance(body, str):
        return aiohttp.web.Response(status=code, text=body)
    return aiohttp.web.json_response(body, status=code)


def _selected(answer: aiohttp.web.StreamResponse, selector: str) -> aiohttp.web.StreamResponse:
    """Of a list, what carries all these labels."""
    if answer.status != 200 or not selector or not isinstance(answer, aiohttp.web.Response):
        return answer
    wanted = dict(each.split("=") for each in selector.split(","))
    document = json.loads(answer.body or b"{}")
    document["items"] = [
        item for item in document["items"] if wanted.items() <= item["metadata"].get("labels", {}).items()
    ]
    return _answer(200, document)


def _what(request: kmock.Request) -> str:
    """Plural name of the resource, and the subresource."""
    plural = str(request.resource.plural) if request.resource else ""
    return f"{plural}/{request.subresource}" if request.subresource else plural
