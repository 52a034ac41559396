"""The API over HTTP with Kubernetes' paths, for clients on this machine that know the token.

Whatever waits for the disk runs in a thread, never on the event loop. Every refusal is a `Status` object.
"""

from __future__ import annotations

import hmac
import logging
from collections.abc import Awaitable, Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain
from typing import Any, Final

import orjson
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.requests import ClientDisconnect, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from kdl.fact import plain
from kdl.parser.diagnostic import Mistakes
from kdl.runtime.api import request as reading
from kdl.runtime.api.errors import ApiError, bad_request
from kdl.runtime.api.patch import find, json_patch, merge
from kdl.runtime.api.paths import Paths, Target
from kdl.runtime.api.server import Server, serve
from kdl.runtime.api.service import Objects, rendered
from kdl.runtime.api.stream import Stream, Watch
from kdl.runtime.store import Object, Source, StoreError

_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_TRUE: Final = ("1", "t", "T", "true", "True", "TRUE")
_VERSION: Final = {"major": "1", "minor": "34", "gitVersion": "v1.34.0+kdl", "platform": "linux"}

__all__ = ["Endpoint", "Server", "Subresource", "app", "serve", "sources"]

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
        good = isinstance(lines, dict) and all(type(line) is int for line in lines.values())
        if not isinstance(uid, str) or not isinstance(file, str) or not good:
            raise bad_request("a source has `uid`, `file` and `lines`")
        with objects.store.transaction() as t:
            t.put_source(uid, Source(file, lines))
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
        self._watches: set[Watch] = set()

    def stop_watches(self) -> None:
        """End all watches; called from any thread when the server stops."""
        for watch in list(self._watches):
            watch.end()

    # From a request to an answer.

    async def answer(self, request: Request) -> Response:
        try:
            reading.check_origin(request)
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
            return await run_in_threadpool(_any, lambda: hook(item, dict(request.query_params)))
        if target.subresource and target.subresource not in target.kind.subresources:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")

    async def _own(self, request: Request, name: str) -> Response:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise ApiError(404, "NotFound", f"there is no endpoint `{name}`")
        body = dict(request.query_params) if request.method == "GET" else await reading.body(request)
        if not isinstance(body, dict):
            raise bad_request("the body is a JSON object")
        return await run_in_threadpool(_any, lambda: endpoint.answer(body))

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
        since, timeout = reading.number(query, "resourceVersion"), reading.number(query, "timeoutSeconds")
        watch = Watch(self._objects, self._watches, timeout, query.get("allowWatchBookmarks") in _TRUE)
        await run_in_threadpool(watch.start, target, labels, fields, since)
        return Stream(watch)

    async def _create(self, request: Request, target: Target) -> Response:
        doc = await reading.document(request)
        if target.kind.name == "Binding":
            return await self._bind_to(f"{target.namespace}/{find(doc, '/metadata/name')}", doc)
        if "get" not in target.kind.verbs:
            raise ApiError(405, "MethodNotAllowed", f"{target.kind.plural} are not served")
        created = await run_in_threadpool(
            self._objects.create,
            doc,
            kind=target.kind,
            namespace=target.namespace or None,
            dry_run=reading.dry_run(request),
        )
        return _object(created, 201)

    async def _delete_all(self, request: Request, target: Target) -> Response:
        options = await reading.options(request)
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
        doc = await reading.document(request)
        return await run_in_threadpool(self._replace, target, doc, reading.dry_run(request))

    def _replace(self, target: Target, doc: dict[str, Any], dry_run: bool) -> Response:
        if target.subresource == "status":
            return _object(self._objects.update_status(doc, kind=target.kind, id_=target.id))
        return _object(self._objects.update(doc, kind=target.kind, id_=target.id, dry_run=dry_run))

    async def _patch(self, request: Request, target: Target) -> Response:
        change = await reading.body(request)
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
                    result = batch.update(doc, kind=target.kind, id_=target.id, dry_run=reading.dry_run(request))
            return _object(result)

        return await run_in_threadpool(patched)

    async def _delete(self, request: Request, target: Target) -> Response:
        options = await reading.options(request)
        dry_run = reading.dry_run(request)

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
        return await self._bind_to(target.id, await reading.document(request))

    async def _bind_to(self, id_: str, doc: dict[str, Any]) -> Response:
        to = doc.get("target")
        if not isinstance(to, dict) or not isinstance(to.get("name"), str) or not to["name"]:
            raise bad_request("a binding names its node in `target.name`")
        await run_in_threadpool(self._objects.bind, id_, to["name"], uid=find(doc, "/metadata/uid"))
        return _json({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success", "code": 201}, 201)

    async def _finalize(self, request: Request, target: Target) -> Response:
        fields = [("/spec/finalizers", find(await reading.document(request), "/spec/finalizers") or [])]
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


def _plain(doc: dict[str, Any]) -> dict[str, Any]:
    result: dict[str, Any] = orjson.loads(_encode(doc))
    return result


def _encode(doc: Any) -> bytes:
    return orjson.dumps(doc, default=plain)


def _json(doc: Any, status: int = 200) -> Response:
    return Response(_encode(doc), status, media_type="application/json")


def _object(item: Object, status: int = 200) -> Response:
    return _json(rendered(item), status)


def _any(ask: Callable[[], Any]) -> Response:
    """What an endpoint answers. A stream's first item is taken here, so that its refusal is an ordinary one."""
    answer = ask()
    if isinstance(answer, Iterator):
        return StreamingResponse(chain([next(answer, b"")], answer), media_type="text/plain")
    return _json(answer)
