"""The API over HTTP with Kubernetes' paths, for clients on this machine that know the token; and its server.

Whatever waits for the disk runs in a thread, never on the event loop. Every refusal is a `Status` object.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import logging
import socket
import threading
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlsplit

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from kdl.fact import plain
from kdl.parser.diagnostic import Mistakes
from kdl.runtime.api import errors
from kdl.runtime.api.errors import ApiError, bad_request
from kdl.runtime.api.patch import find, json_patch, merge
from kdl.runtime.api.paths import Paths, Target
from kdl.runtime.api.service import Event, Objects, rendered
from kdl.runtime.store import Object, Source, StoreError

MAX_BODY: Final = 3 * 1024 * 1024
"""Kubernetes' own limit for a request's body, in bytes."""

BOOKMARK_SECONDS: Final = 30.0
_BACKLOG: Final = 10_000
_LOOPBACK: Final = frozenset({"localhost", "127.0.0.1", "::1"})
_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_TRUE: Final = ("1", "t", "T", "true", "True", "TRUE")
_VERSION: Final = {"major": "1", "minor": "34", "gitVersion": "v1.34.0+kdl", "platform": "linux"}

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of kdl's own endpoints, ``/kdl/v1/NAME``: a function of the request's JSON body (or query), in a thread.

    It returns what JSON can hold, or an iterator of bytes, which is streamed. It may raise `ApiError` and `Mistakes`.
    An iterator that waits for something yields ``b""`` about every second, so that it can be ended between two items.
    """

    name: str
    answer: Callable[[dict[str, Any]], Any]


Subresource = Callable[[Object, dict[str, str]], Any]
"""What ``GET .../NAME/SUBRESOURCE`` answers, such as a pod's log: like an endpoint, of the object and the query."""


def sources(objects: Objects) -> Endpoint:
    """The endpoint that remembers where an object was written: ``{"uid", "file", "lines": {path: line}}``."""

    def answer(body: dict[str, Any]) -> Any:
        uid, file, lines = body.get("uid"), body.get("file"), body.get("lines", {})
        if not isinstance(uid, str) or not isinstance(file, str) or not isinstance(lines, dict):
            raise bad_request("a source has `uid`, `file` and `lines`")
        with objects.store.transaction() as t:
            t.put_source(uid, Source(file, {str(path): int(line) for path, line in lines.items()}))
        return {}

    return Endpoint("sources", answer)


def app(
    objects: Objects,
    token: str,
    endpoints: Iterable[Endpoint] = (),
    subresources: Mapping[tuple[str, str], Subresource] | None = None,
) -> Starlette:
    """The ASGI application. `subresources` are by (kind, name), as in ``("Pod", "log")``."""
    api = _Api(objects, token, {endpoint.name: endpoint for endpoint in endpoints}, subresources or {})
    application = Starlette(routes=[Route("/{path:path}", api.answer, methods=_METHODS)])
    application.state.stop_watches = api.stop_watches
    return application


class _Api:
    def __init__(
        self,
        objects: Objects,
        token: str,
        endpoints: Mapping[str, Endpoint],
        subresources: Mapping[tuple[str, str], Subresource],
    ) -> None:
        self._objects = objects
        self._token = token.encode()
        self._endpoints = endpoints
        self._subresources = subresources
        self._paths = Paths(objects.kinds)
        self._watches: set[_Watch] = set()

    def stop_watches(self) -> None:
        """End all watches; called from any thread when the server stops."""
        for watch in list(self._watches):
            watch.end()

    # From a request to an answer.

    async def answer(self, request: Request) -> Response:
        try:
            _check_origin(request)
            path = request.scope["path"]
            if path in ("/healthz", "/livez", "/readyz"):
                return PlainTextResponse("ok")
            self._check_token(request)
            return await self._route(request, path)
        except ApiError as error:
            return _json(error.document(), error.status)
        except Mistakes as mistakes:
            diagnostics = [diagnostic.json() for diagnostic in mistakes.diagnostics]
            details = {"diagnostics": diagnostics, "text": mistakes.render()}
            return _json(ApiError(400, "BadRequest", mistakes.render(), details).document(), 400)
        except StoreError as error:
            log.error("%s", error)
            return _json(ApiError(500, "InternalError", str(error)).document(), 500)
        except RecursionError:
            return _json(bad_request("the request's values nest too deep").document(), 400)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception:
            log.exception("a request failed: %s %s", request.method, request.scope["path"])
            return _json(ApiError(500, "InternalError", "an internal error occurred").document(), 500)

    def _check_token(self, request: Request) -> None:
        scheme, _, given = request.headers.get("authorization", "").partition(" ")
        if scheme.lower() != "bearer" or not hmac.compare_digest(given.strip().encode(), self._token):
            raise ApiError(401, "Unauthorized", "Unauthorized")

    async def _route(self, request: Request, path: str) -> Response:
        if path == "/version":
            return _json(_VERSION)
        if path.startswith("/kdl/v1/"):
            return await self._own(request, path.removeprefix("/kdl/v1/"))
        target = self._paths.resolve(path)
        if target is None:
            if request.method == "GET" and (document := self._paths.discovery(path)) is not None:
                return _json(document)
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        where = "collection" if not target.name else target.subresource or "object"
        if where == "collection" and request.method != "GET" and target.kind.namespaced and not target.namespace:
            raise ApiError(405, "MethodNotAllowed", f"write {target.kind.plural} in a namespace")
        if handler := self._handlers.get((request.method, where)):
            return await handler(self, request, target)
        hook = self._subresources.get((target.kind.name, target.subresource))
        if request.method == "GET" and hook is not None:
            item = self._objects.get(target.kind, target.id)
            return _any(await run_in_threadpool(hook, item, dict(request.query_params)))
        if target.subresource and target.subresource not in target.kind.subresources:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    async def _own(self, request: Request, name: str) -> Response:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise ApiError(404, "NotFound", f"there is no endpoint `{name}`")
        body = dict(request.query_params) if request.method == "GET" else await _body(request)
        if not isinstance(body, dict):
            raise bad_request("the body is a JSON object")
        return _any(await run_in_threadpool(endpoint.answer, body))

    # Collections.

    async def _list(self, request: Request, target: Target) -> Response:
        query = request.query_params
        labels, fields = query.get("labelSelector"), query.get("fieldSelector")
        if query.get("watch") in _TRUE:
            return await self._watch(request, target, labels, fields)

        def encoded() -> Response:
            items, revision = self._objects.list(target.kind, target.namespace, labels, fields)
            head = {"kind": f"{target.kind.name}List", "apiVersion": target.kind.api_version}
            metadata = {"resourceVersion": str(revision)}
            return _json({**head, "metadata": metadata, "items": [rendered(item) for item in items]})

        return await run_in_threadpool(encoded)

    async def _watch(self, request: Request, target: Target, labels: str | None, fields: str | None) -> Response:
        query = request.query_params
        since, timeout = _number(query, "resourceVersion"), _number(query, "timeoutSeconds")
        watch = _Watch(self._objects, self._watches, timeout, query.get("allowWatchBookmarks") in _TRUE)
        await run_in_threadpool(watch.start, target, labels, fields, since)
        return _Stream(watch)

    async def _create(self, request: Request, target: Target) -> Response:
        doc = await _document(request)
        if target.kind.name == "Binding":
            return await self._bind_to(f"{target.namespace}/{find(doc, '/metadata/name')}", doc)
        if "get" not in target.kind.verbs:
            raise ApiError(405, "MethodNotAllowed", f"{target.kind.plural} are not served")
        created = await run_in_threadpool(
            self._objects.create,
            doc,
            kind=target.kind,
            namespace=target.namespace or None,
            dry_run=_dry_run(request),
        )
        return _object(created, 201)

    async def _delete_all(self, request: Request, target: Target) -> Response:
        options = await _options(request)
        query = request.query_params

        def delete() -> Response:
            labels, fields = query.get("labelSelector"), query.get("fieldSelector")
            with self._objects.transaction() as batch:
                items, revision = batch.list(target.kind, target.namespace, labels, fields)
                for item in items:
                    batch.delete(target.kind, item.key.id, **options)
            head = {"kind": f"{target.kind.name}List", "apiVersion": target.kind.api_version}
            metadata = {"resourceVersion": str(revision)}
            return _json({**head, "metadata": metadata, "items": [rendered(item) for item in items]})

        return await run_in_threadpool(delete)

    # Objects.

    async def _get(self, request: Request, target: Target) -> Response:
        return _object(self._objects.get(target.kind, target.id))

    async def _update(self, request: Request, target: Target) -> Response:
        doc = await _document(request)
        return await run_in_threadpool(self._replace, target, doc, _dry_run(request))

    def _replace(self, target: Target, doc: dict[str, Any], dry_run: bool) -> Response:
        if target.subresource == "status":
            return _object(self._objects.update_status(doc, kind=target.kind, id_=target.id))
        return _object(self._objects.update(doc, kind=target.kind, id_=target.id, dry_run=dry_run))

    async def _patch(self, request: Request, target: Target) -> Response:
        change = await _body(request)
        media = request.headers.get("content-type", "").partition(";")[0].strip()
        apply = {"application/merge-patch+json": merge, "application/json-patch+json": json_patch}.get(media)
        if apply is None:
            raise ApiError(415, "UnsupportedMediaType", f"patches of type `{media}` are not served")

        def patched() -> Response:
            with self._objects.transaction() as batch:
                current = batch.get(target.kind, target.id)
                doc = apply(_plain(rendered(current)), change)
                if not isinstance(doc, dict) or not isinstance(doc.get("metadata"), dict):
                    raise bad_request("the patch leaves no object")
                if target.subresource == "status":
                    result = batch.update_status(doc, kind=target.kind, id_=target.id)
                else:
                    result = batch.update(doc, kind=target.kind, id_=target.id, dry_run=_dry_run(request))
            return _object(result)

        return await run_in_threadpool(patched)

    async def _delete(self, request: Request, target: Target) -> Response:
        options = await _options(request)
        dry_run = _dry_run(request)

        def delete() -> Response:
            deleted = self._objects.delete(target.kind, target.id, dry_run=dry_run, **options)
            left = self._objects.find(target.kind, target.id)
            if left is not None and left.uid == deleted.uid and not dry_run:
                return _object(left)
            details = {"name": target.name, "kind": target.kind.plural, "uid": deleted.uid}
            if target.kind.group:
                details["group"] = target.kind.group
            head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
            return _json({**head, "details": details})

        return await run_in_threadpool(delete)

    # Subresources.

    async def _bind(self, request: Request, target: Target) -> Response:
        if target.kind.name != "Pod":
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        return await self._bind_to(target.id, await _document(request))

    async def _bind_to(self, id_: str, doc: dict[str, Any]) -> Response:
        to = doc.get("target")
        if not isinstance(to, dict) or not isinstance(to.get("name"), str) or not to["name"]:
            raise bad_request("a binding names its node in `target.name`")
        await run_in_threadpool(self._objects.bind, id_, to["name"], uid=find(doc, "/metadata/uid"))
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)

    async def _finalize(self, request: Request, target: Target) -> Response:
        fields = [("/spec/finalizers", find(await _document(request), "/spec/finalizers") or [])]
        return _object(await run_in_threadpool(self._objects.patch, target.kind, target.id, fields))

    _handlers: Final[Mapping[tuple[str, str], Callable[[_Api, Request, Target], Awaitable[Response]]]] = {
        ("GET", "collection"): _list,
        ("POST", "collection"): _create,
        ("DELETE", "collection"): _delete_all,
        ("GET", "object"): _get,
        ("PUT", "object"): _update,
        ("PATCH", "object"): _patch,
        ("DELETE", "object"): _delete,
        ("GET", "status"): _get,
        ("PUT", "status"): _update,
        ("PATCH", "status"): _patch,
        ("POST", "binding"): _bind,
        ("PUT", "finalize"): _finalize,
    }


class _Watch:
    """One watch: events come from writers' threads and leave as lines on the event loop."""

    def __init__(self, objects: Objects, others: set[_Watch], timeout: int | None, bookmarks: bool) -> None:
        self._objects = objects
        self._others = others
        self._until = time.monotonic() + timeout if timeout else None
        self._bookmarks = bookmarks
        self._loop = asyncio.get_running_loop()
        self._lines: list[bytes] = []
        self._news = asyncio.Event()
        self._limit = _BACKLOG
        self._starting = True
        self._over = False
        self._kind = ""
        self._api_version = ""
        self._stop: Callable[[], None] | None = None

    def start(self, target: Target, labels: str | None, fields: str | None, since: int | None) -> None:
        """Subscribe, in a thread, before the first byte is sent: a bad selector is an ordinary refusal."""
        self._kind, self._api_version = target.kind.name, target.kind.api_version
        try:
            self._stop = self._objects.watch(self._tell, target.kind, target.namespace, labels, fields, since)
        except ApiError as error:
            if error.status != 410:
                raise
            line = _line("ERROR", error.document())
            self._on_loop(lambda: self._add([line], last=True))
        self._starting = False
        self._others.add(self)

    def _tell(self, events: Sequence[Event]) -> None:
        if self._starting:  # what there is: encoded here, in the thread of `start`
            lines = _lines(events)
            self._limit += len(lines)
            self._on_loop(lambda: self._add(lines))
        else:
            self._on_loop(lambda: self._add(_lines(events)))

    def _mark(self, revision: int) -> None:
        metadata = {"resourceVersion": str(revision), "creationTimestamp": None}
        doc = {"kind": self._kind, "apiVersion": self._api_version, "metadata": metadata}
        self._on_loop(lambda: self._add([_line("BOOKMARK", doc)]))

    def _on_loop(self, call: Callable[[], None]) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody watches
            self._loop.call_soon_threadsafe(call)

    def _add(self, lines: list[bytes], last: bool = False) -> None:
        if self._over:
            return
        self._lines += lines
        if len(self._lines) > self._limit:
            slow = errors.expired("the watch is too slow: list again, and watch from there")
            self._lines, last = [_line("ERROR", slow.document())], True
        self._over = last
        self._news.set()

    def end(self) -> None:
        """Let the stream end; from any thread."""
        self._on_loop(lambda: self._add([], last=True))

    def close(self) -> None:
        """Hear no more."""
        self._others.discard(self)
        if self._stop is not None:
            self._stop()

    async def lines(self) -> AsyncIterator[bytes]:
        """The events, one JSON line each, until time is up or the watch is ended."""
        while True:
            wait = BOOKMARK_SECONDS
            if self._until is not None:
                wait = min(wait, self._until - time.monotonic())
                if wait <= 0:
                    return
            try:
                await asyncio.wait_for(self._news.wait(), wait)
            except TimeoutError:
                if self._bookmarks:
                    await run_in_threadpool(self._objects.store.mark, self._mark)
                continue
            self._news.clear()
            lines, self._lines = self._lines, []
            if lines:
                yield b"".join(lines)
            if self._over:
                return


class _Stream(StreamingResponse):
    """The response of a watch, which ends the watch however it ends itself: also before the first line."""

    def __init__(self, watch: _Watch) -> None:
        super().__init__(watch.lines(), media_type="application/json")
        self._watch = watch

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await super().__call__(scope, receive, send)
        finally:
            self._watch.close()


# Requests and responses.


def _check_origin(request: Request) -> None:
    """Refuse what a browser sends on behalf of a page from elsewhere, or for a name that was made to point here."""
    names = [urlsplit(f"//{request.headers.get('host', '')}").hostname]
    if (origin := request.headers.get("origin")) is not None:
        names.append(urlsplit(origin).hostname)
    if not all(name in _LOOPBACK for name in names):
        raise ApiError(403, "Forbidden", "this API answers to loopback names only")


async def _body(request: Request) -> Any:
    media = request.headers.get("content-type", "application/json").partition(";")[0].strip()
    if media != "application/json" and not media.endswith("+json"):
        raise ApiError(415, "UnsupportedMediaType", f"bodies of type `{media}` are not read: send application/json")
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > MAX_BODY:
            message = f"the request's body is longer than the limit of {MAX_BODY} bytes"
            raise ApiError(413, "RequestEntityTooLarge", message)
    if not data:
        return {}
    try:
        return orjson.loads(data)
    except ValueError as error:
        raise bad_request(f"the body is not JSON: {error}") from None


async def _document(request: Request) -> dict[str, Any]:
    doc = await _body(request)
    if not isinstance(doc, dict) or not doc:
        raise bad_request("the body is an object with `apiVersion`, `kind` and `metadata`")
    return doc


async def _options(request: Request) -> dict[str, Any]:
    """The arguments of `Objects.delete` that a DeleteOptions body and the query give."""
    body = await _body(request)
    if not isinstance(body, dict):
        raise bad_request("the body of a deletion is a DeleteOptions object")
    query = request.query_params
    grace = body.get("gracePeriodSeconds", query.get("gracePeriodSeconds"))
    propagation = body.get("propagationPolicy", query.get("propagationPolicy"))
    if propagation is None and (orphan := body.get("orphanDependents")) is not None:
        propagation = "Orphan" if orphan else "Background"
    conditions = body.get("preconditions") or {}
    if not isinstance(conditions, dict):
        raise bad_request("preconditions are an object with `uid` and `resourceVersion`")
    try:
        seconds = None if grace is None else int(grace)
    except (TypeError, ValueError):
        raise bad_request(f"gracePeriodSeconds is a number, not `{grace}`") from None
    return {
        "grace_seconds": seconds,
        "propagation": propagation,
        "uid": conditions.get("uid"),
        "resource_version": conditions.get("resourceVersion"),
    }


def _dry_run(request: Request) -> bool:
    asked = request.query_params.getlist("dryRun")
    if any(word != "All" for word in asked):
        raise bad_request(f"dryRun is `All`, not `{asked[0]}`")
    return bool(asked)


def _number(query: Mapping[str, str], name: str) -> int | None:
    text = query.get(name, "")
    if text and not (text.isascii() and text.isdigit()):
        raise bad_request(f"{name} is a number, not `{text}`")
    return int(text) if text else None


def _plain(doc: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = orjson.loads(_encode(doc))
    return result


def _encode(doc: Any) -> bytes:
    return orjson.dumps(doc, default=plain)


def _line(type_: str, doc: dict[str, Any]) -> bytes:
    return orjson.dumps({"type": type_, "object": doc}, default=plain, option=orjson.OPT_APPEND_NEWLINE)


def _lines(events: Sequence[Event]) -> list[bytes]:
    return [_line(event.type, rendered(event.object)) for event in events]


def _json(doc: Any, status: int = 200) -> Response:
    return Response(_encode(doc), status, media_type="application/json")


def _object(item: Object, status: int = 200) -> Response:
    return _json(rendered(item), status)


def _any(answer: Any) -> Response:
    if isinstance(answer, Iterator):
        return StreamingResponse(answer, media_type="text/plain")
    return _json(answer)


# The server.


class Server:
    """A running server; `stop` ends its watches and lets open requests finish."""

    def __init__(self, application: Starlette, listener: socket.socket) -> None:
        self.port: int = listener.getsockname()[1]
        self.host: str = listener.getsockname()[0]
        self._application = application
        config = uvicorn.Config(
            application, log_level="warning", access_log=False, lifespan="off", timeout_graceful_shutdown=3
        )
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="api", daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        return f"http://[{self.host}]:{self.port}" if ":" in self.host else f"http://{self.host}:{self.port}"

    def wait(self) -> None:
        """Return when the server answers."""
        while not self._server.started:
            if not self._thread.is_alive():
                raise RuntimeError("the API server ended before it began")
            time.sleep(0.002)

    def stop(self) -> None:
        """Answer no more, and return when all is closed."""
        self._server.should_exit = True
        self._application.state.stop_watches()
        self._thread.join()


def serve(application: Starlette, host: str = "127.0.0.1", port: int = 0) -> Server:
    """Serve in a thread of its own from now on; `OSError` if the address cannot be had. Port 0 is any free port."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited; else each answer waits 40 ms for an ACK
    server = Server(application, listener)
    server.wait()
    return server
