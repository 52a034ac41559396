"""The API over HTTP with Kubernetes' paths: who asks, may they, and the verb that does it.

Whatever waits for the disk runs in a thread, never on the event loop. Every refusal is a `Status` object.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from itertools import chain
from typing import Any, Final, NamedTuple

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, HTTPConnection, Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from kdl.parser.diagnostic import Mistakes
from kdl.runtime.api import gnostic, subresources, verbs
from kdl.runtime.api import request as reading
from kdl.runtime.api.call import TRUE, Call
from kdl.runtime.api.channels import STREAMED, Channels
from kdl.runtime.api.discovery import AGGREGATED
from kdl.runtime.api.errors import ApiError, bad_request, denied
from kdl.runtime.api.gate import UNAUTHENTICATED, Action, Authenticate, Authorize, Credentials, User, anything
from kdl.runtime.api.impersonation import impersonated, impersonates
from kdl.runtime.api.location import located, named
from kdl.runtime.api.metrics import CONTENT_TYPE, Metrics
from kdl.runtime.api.paths import SUBRESOURCES, Target
from kdl.runtime.api.proxy import PROXY, Proxy, refuse_upgrade
from kdl.runtime.api.representation import json
from kdl.runtime.api.server import Server, listen, serve
from kdl.runtime.api.service import Objects
from kdl.runtime.api.stream import Watch
from kdl.runtime.store import Object, Source, StoreError

_METHODS: Final = ["GET", "POST", "PUT", "PATCH", "DELETE"]
_PROXIED: Final = "/api/v1/namespaces/{namespace}/{plural}/{name}/proxy{rest:path}"
"""Where backends answer, to whom OPTIONS is as good as any other method."""

_VERSION: Final = {
    "major": "1",
    "minor": "37",
    "gitVersion": "v1.37.0+kdl",
    "gitCommit": "",
    "gitTreeState": "clean",
    "buildDate": "1970-01-01T00:00:00Z",
    "goVersion": "",
    "compiler": "",
    "platform": "linux/amd64",
}
_OWN: Final = "/kdl/v1/"
"""Where kdl's own endpoints are. What they do is a verb on `facts` of the group `kdl.dev`: `query`, `whatif`."""

_HEALTH: Final = ("/healthz", "/livez", "/readyz")

__all__ = ["Asked", "Endpoint", "Judge", "Reply", "Require", "Server", "app", "listen", "serve", "sources"]

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One of kdl's own endpoints, ``/kdl/v1/NAME``: a function of the request's JSON body (or query), in a thread.

    It returns what JSON can hold, or an iterator of bytes, which is streamed. It may raise `ApiError` and `Mistakes`.
    An iterator that waits for something yields ``b""`` about every second, so that it can be ended between two items.
    """

    name: str
    answer: Callable[[dict[str, Any]], Any]


@dataclass(frozen=True, slots=True)
class Judge:
    """An endpoint of kdl's own that decides by itself, from what is asked, what the asker must be allowed."""

    name: str
    answer: Callable[[dict[str, Any], Require], Any]


Require = Callable[[Action], None]
"""Refuses, with `ApiError` 403, what the asker may not do."""


class Asked(NamedTuple):
    """A request that is answered, not stored: by whom, about which object (if any), with which body and query."""

    user: User
    item: Object | None
    namespace: str
    body: dict[str, Any]
    query: dict[str, str]


Reply = Callable[[Asked], Any]
"""What is answered under Kubernetes' paths beside objects, such as a pod's log or a review; like an endpoint."""


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
    authenticate: Authenticate,
    authorize: Authorize = anything,
    *,
    endpoints: Iterable[Endpoint | Judge] = (),
    answers: Mapping[tuple[str, str], Reply] | None = None,
    channels: Channels | None = None,
    proxy: Proxy | None = None,
    hosts: Iterable[str] = (),
) -> Starlette:
    """The ASGI application.

    `answers` are by kind and subresource, as in ``("Pod", "log")``, with an empty subresource for kinds that are only
    created, as reviews are. Without `channels` nothing can be opened in containers, without a `proxy` nothing can be
    asked of them. `hosts` are the names under which it is reached, beside those of the loopback interface.
    """
    watches: set[Watch] = set()
    named = {endpoint.name: endpoint for endpoint in endpoints}
    api = _Api(objects, authenticate, authorize, named, answers or {}, channels, proxy, frozenset(hosts), watches)
    everything = "/{path:path}"
    routes = [
        Route(_PROXIED, api.answer, methods=[*_METHODS, "OPTIONS"]),
        Route(everything, api.answer, methods=_METHODS),
        WebSocketRoute(everything, api.converse),
    ]
    application = Starlette(routes=routes, exception_handlers={HTTPException: _unrouted})
    application.state.watches = watches
    application.state.stop_watches = api.stop_watches
    return application


class _Api:
    def __init__(
        self,
        objects: Objects,
        authenticate: Authenticate,
        authorize: Authorize,
        endpoints: Mapping[str, Endpoint | Judge],
        answers: Mapping[tuple[str, str], Reply],
        channels: Channels | None,
        proxy: Proxy | None,
        hosts: frozenset[str],
        watches: set[Watch],
    ) -> None:
        self._objects = objects
        self._authenticate = authenticate
        self._authorize = authorize
        self._endpoints = endpoints
        self._answers = answers
        self._channels = channels
        self._proxy = proxy
        self._hosts = hosts
        self._watches = watches
        self._metrics = Metrics(lambda: len(watches), lambda: objects.store.revision)

    def stop_watches(self) -> None:
        """End all watches; called from any thread when the server stops."""
        for watch in list(self._watches):
            watch.end()

    # From a request to an answer.

    async def answer(self, request: Request) -> Response:
        begun = time.perf_counter()
        path = request.scope["path"]
        target = self._objects.served.now.paths.resolve(path)
        action = action_of(request, request.method, path, target)
        response = await self._answered(request, path, target, action)
        resource = "/".join(filter(None, (action.resource, action.subresource)))
        self._metrics.count(action.verb, resource, response.status_code, time.perf_counter() - begun)
        return response

    async def _answered(self, request: Request, path: str, target: Target | None, action: Action) -> Response:
        try:
            reading.check_origin(request, self._hosts)
            if path.startswith(_HEALTH):
                return _health(request, path)
            user = await self._allowed(request, action)
            if target is None:
                return await self._beside(request, path, user)
            return await self._on_objects(request, target, user)
        except ApiError as error:
            return json(error.document(), error.status, _retry(error))
        except Mistakes as mistakes:
            diagnostics = [diagnostic.json() for diagnostic in mistakes.diagnostics]
            details = {"diagnostics": diagnostics, "text": mistakes.render()}
            return json(ApiError(400, "BadRequest", mistakes.render(), details).document(), 400)
        except StoreError as error:
            log.error("%s", error)
            return json(ApiError(500, "InternalError", str(error)).document(), 500)
        except RecursionError:
            return json(bad_request("the request's values nest too deep").document(), 400)
        except ClientDisconnect:
            return Response(status_code=499)
        except Exception:
            log.exception("a request failed: %s %s", request.method, path)
            return json(ApiError(500, "InternalError", "an internal error occurred").document(), 500)

    async def _allowed(self, request: HTTPConnection, action: Action) -> User:
        """Who asks, and as whom; `ApiError` 401 for wrong credentials, 403 for what the user may not do."""
        user = self._authenticate(_credentials(request))
        if impersonates(request.headers):
            user = await run_in_threadpool(impersonated, request.headers, user, self._authorize)
        if self._authorize is not anything and (not self._judges(action) or UNAUTHENTICATED in user.groups):
            await run_in_threadpool(self._require, user, action)
        return user

    def _judges(self, action: Action) -> bool:
        return action.group == "kdl.dev" and isinstance(self._endpoints.get(action.verb), Judge)

    def _require(self, user: User, action: Action) -> None:
        verdict = self._authorize(user, action)
        if not verdict.allowed:
            raise denied(user, action, verdict.reason)

    async def _on_objects(self, request: Request, target: Target, user: User) -> Response:
        """A verb on a collection, an object or a subresource."""
        where = "collection" if not target.name else target.subresource or "object"
        if where == "collection" and request.method != "GET" and target.kind.namespaced and not target.namespace:
            raise ApiError(405, "MethodNotAllowed", f"write {target.kind.plural} in a namespace")
        if target.subresource and target.subresource not in target.kind.subresources:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        if not target.subresource and action_of(request, request.method, "", target).verb not in target.kind.verbs:
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        answer = self._answers.get((target.kind.name, target.subresource))
        if answer is not None and request.method in ("GET", "POST"):
            return await self._ask(answer, request, target, user)
        if target.subresource == PROXY:
            return await self._passed_on(request, target, user)
        if target.subresource in STREAMED:
            self._objects.get(target.kind, target.id)
            if self._channels is None:
                raise _unreal(target.subresource)
            raise bad_request("Upgrade request required: open a WebSocket")
        handler = verbs.HANDLERS.get((request.method, where)) or subresources.HANDLERS.get((request.method, where))
        if target.kind.name == "Binding" and handler is verbs.create:
            handler = subresources.bind_named
        if handler is None:
            served = not target.subresource or target.subresource in SUBRESOURCES
            if not served:
                raise ApiError(404, "NotFound", "the server could not find the requested resource")
            raise ApiError(405, "MethodNotAllowed", "the server does not allow this method on the requested resource")
        warnings: list[str] = []
        objects = self._objects.by(user, reading.manager(request), reading.leniency(request, warnings))
        call = Call(request, target, user, objects, warnings, lambda action: self._allowed(request, action))
        return await handler(call)

    async def _passed_on(self, request: Request, target: Target, user: User) -> Response:
        """What the program answers that a pod or a service leads to."""
        refuse_upgrade(request)
        asked = named(target.kind.name, target.name)
        objects = self._objects.by(user)
        id_ = f"{target.namespace}/{asked.name}"
        item = await run_in_threadpool(objects.connected, target.kind, id_, target.subresource)
        if self._proxy is None:
            raise _unreal(target.subresource)
        return await self._proxy.pass_on(request, located(objects, item, asked))

    # WebSockets.

    async def converse(self, web: WebSocket) -> None:
        """A WebSocket, which is about a process or a port in a pod; what is refused is refused before it begins."""
        path = web.scope["path"]
        target = self._objects.served.now.paths.resolve(path)
        try:
            reading.check_origin(web, self._hosts)
            if target is not None and target.subresource == PROXY:
                await self._allowed(web, action_of(web, "GET", path, target))
                refuse_upgrade(web)
            if target is None or target.kind.name != "Pod" or target.subresource not in STREAMED:
                raise ApiError(404, "NotFound", "the server could not find the requested resource")
            group = target.api_version.rpartition("/")[0]
            action = Action("create", group, "pods", target.subresource, target.namespace, target.name)
            objects = self._objects.by(await self._allowed(web, action))
            pod = await run_in_threadpool(objects.connected, target.kind, target.id, target.subresource)
            if self._channels is None:
                raise _unreal(target.subresource)
            await self._channels.serve(web, pod, target.subresource)
        except ApiError as error:
            await web.send_denial_response(json(error.document(), error.status, {"Connection": "close"}))
        except (WebSocketDisconnect, ClientDisconnect):
            return

    async def _ask(self, answer: Reply, request: Request, target: Target, user: User) -> Response:
        item = self._objects.get(target.kind, target.id) if target.name else None
        body = await reading.body(request) if request.method == "POST" else {}
        if not isinstance(body, dict):
            raise bad_request("the body is a JSON object")
        asked = Asked(user, item, target.namespace, body, dict(request.query_params))
        return await run_in_threadpool(_any, lambda: answer(asked), 201 if request.method == "POST" else 200)

    # Beside objects.

    async def _beside(self, request: Request, path: str, user: User) -> Response:
        if path.startswith(_OWN):
            return await self._own(request, path.removeprefix(_OWN), user)
        if request.method == "GET":
            if path in ("/version", "/version/"):
                return json(_VERSION)
            if path == "/metrics":
                return Response(self._metrics.text(), media_type=CONTENT_TYPE)
            if path in ("", "/"):
                return json(
                    {"paths": ["/api", "/apis", *_HEALTH, "/metrics", "/openapi/v2", "/openapi/v3", "/version"]}
                )
            if path.startswith("/openapi/"):
                return await run_in_threadpool(self._openapi, request, path)
            if (document := self._discovery(request, path)) is not None:
                return document
        raise ApiError(404, "NotFound", "the server could not find the requested resource")

    def _discovery(self, request: Request, path: str) -> Response | None:
        discovery = self._objects.served.now.discovery
        for accepted in request.headers.get("accept", "").split(","):
            media, *words = (word.strip() for word in accepted.split(";"))
            given = dict(word.partition("=")[::2] for word in words)
            if media == "application/json" and given.get("g") == AGGREGATED and given.get("v") in ("v2", "v2beta1"):
                document = discovery.aggregated(path, given["v"])
                if document is not None:
                    named = f"application/json;g={AGGREGATED};v={given['v']};as=APIGroupDiscoveryList"
                    return json(document, headers={"Content-Type": named})
        plain = discovery.document(path)
        return json(plain) if plain is not None else None

    def _openapi(self, request: Request, path: str) -> Response:
        accept = request.headers.get("accept", "*/*")
        served = self._objects.served.now.openapi
        found = served.document(path, protobuf=gnostic.ACCEPTED in accept and "application/json" not in accept)
        if found is None:
            raise ApiError(404, "NotFound", "the server could not find the requested resource")
        if found.media != gnostic.MEDIA and "json" not in accept and "*/" not in accept:
            raise ApiError(406, "NotAcceptable", "only the following media types are accepted: application/json")
        tag = f'"{found.digest}"'
        if request.headers.get("if-none-match") == tag:
            return Response(status_code=304)
        return Response(found.body, media_type=found.media, headers={"Etag": tag})

    async def _own(self, request: Request, name: str, user: User) -> Response:
        endpoint = self._endpoints.get(name)
        if endpoint is None:
            raise ApiError(404, "NotFound", f"there is no endpoint `{name}`")
        body = dict(request.query_params) if request.method == "GET" else await reading.body(request)
        if not isinstance(body, dict):
            raise bad_request("the body is a JSON object")
        if isinstance(endpoint, Judge):
            return await run_in_threadpool(_any, lambda: endpoint.answer(body, partial(self._require, user)))
        return await run_in_threadpool(_any, lambda: endpoint.answer(body))


def action_of(request: HTTPConnection, method: str, path: str, target: Target | None) -> Action:
    """What a request asks for."""
    if path.startswith(_OWN):
        return Action(path.removeprefix(_OWN).partition("/")[0], "kdl.dev", "facts")
    if target is None:
        return Action(method.lower(), path=path)
    one = bool(target.name)
    name = target.name
    if method in ("GET", "HEAD"):
        watches = request.query_params.get("watch") in TRUE and target.subresource != PROXY
        verb = "watch" if watches else "get" if one else "list"
        if not one:
            name = reading.named_field(request.query_params.get("fieldSelector", ""))
    else:
        verbs_of = {
            "POST": "create",
            "PUT": "update",
            "PATCH": "patch",
            "DELETE": "delete" if one else "deletecollection",
        }
        verb = verbs_of.get(method) or method.lower()
    group = target.api_version.rpartition("/")[0]
    namespace = target.namespace
    if target.kind.name == "Namespace" and target.kind.group == "":
        namespace = target.name
    return Action(verb, group, target.kind.plural, target.subresource, namespace, name)


def _unrouted(request: Request, error: Exception) -> Response:
    """The answer to methods that nothing here has, and to ``*``, which is no path."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        text = "the server does not allow this method on the requested resource"
        return json(ApiError(405, "MethodNotAllowed", text).document(), 405, {"Allow": ", ".join(_METHODS)})
    return json(ApiError(404, "NotFound", "the server could not find the requested resource").document(), 404)


def _credentials(request: HTTPConnection) -> Credentials:
    return Credentials(request.headers.get("authorization", ""), request.scope.get("client_certificate"))


def _unreal(subresource: str) -> ApiError:
    return ApiError(400, "BadRequest", f"there is no {subresource} on the fake runtime: its containers run nothing")


def _health(request: Request, path: str) -> Response:
    if path in _HEALTH and "verbose" in request.query_params:
        return PlainTextResponse(f"[+]ping ok\n[+]store ok\n{path[1:]} check passed\n")
    if path in _HEALTH or path.removeprefix("/")[: path.find("/", 1) - 1] in ("healthz", "livez", "readyz"):
        return PlainTextResponse("ok")
    raise ApiError(404, "NotFound", "the server could not find the requested resource")


def _retry(error: ApiError) -> dict[str, str] | None:
    seconds = error.details.get("retryAfterSeconds")
    return {"Retry-After": str(seconds)} if seconds else None


def _any(ask: Callable[[], Any], status: int = 200) -> Response:
    """What an endpoint answers. A stream's first item is taken here, so that its refusal is an ordinary one."""
    answer = ask()
    if isinstance(answer, Iterator):
        return StreamingResponse(chain([next(answer, b"")], answer), media_type="text/plain")
    return json(answer, status)
