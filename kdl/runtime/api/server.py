"""The HTTP server: an application, an address, TLS and a thread."""

from __future__ import annotations

import asyncio
import resource
import socket
import ssl
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from typing import Any, Final, NamedTuple

import orjson
import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

from kdl.runtime.api.status import ApiError

_IP_FREEBIND: Final = 15
"""Linux' option to bind an address that no interface has; Python has no name for it."""

MOST_HEAD: Final = 1 << 20
"""How many bytes a request's line and headers may have, as in Kubernetes."""


class Limits(NamedTuple):
    """What clients may take."""

    patience: float = 30.0
    """Seconds in which the head of a request must have come, and as many again for its body."""

    connections: int = 0
    """How many may be open before those that are idle are closed; 0: three quarters of what the system allows."""


class Server:
    """A running server; `stop` ends its watches and lets open requests finish. The first listener is its endpoint."""

    def __init__(
        self, application: Starlette, listeners: list[socket.socket], tls: ssl.SSLContext | None, limits: Limits
    ) -> None:
        self.host: str
        self.port: int
        self.host, self.port = listeners[0].getsockname()[:2]
        self._scheme = "https" if tls is not None else "http"
        self._application = application
        config = uvicorn.Config(
            application,
            http=type("Http", (_Http,), {"limits": limits}),
            ws=_WebSocket,
            log_level="warning",
            access_log=False,
            lifespan="off",
            proxy_headers=False,
            server_header=False,
            timeout_keep_alive=90,
            timeout_graceful_shutdown=3,
            ws_per_message_deflate=False,
        )
        config.load()
        config.ssl = tls
        self._server = uvicorn.Server(config)
        self._thread = threading.Thread(target=self._server.run, args=(listeners,), name="api", daemon=True)
        self._thread.start()

    @property
    def endpoint(self) -> str:
        """Where clients find it."""
        host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(self.host, self.host)
        return f"{self._scheme}://[{host}]:{self.port}" if ":" in host else f"{self._scheme}://{host}:{self.port}"

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


def listen(host: str = "127.0.0.1", port: int = 0, *, early: bool = False) -> socket.socket:
    """A listener; `OSError` if the address cannot be had. Port 0 is any free port.

    An `early` one needs no interface with its address yet: it hears what comes once there is one.
    """
    listener = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET, socket.SOCK_STREAM)
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited; else answers wait 40 ms for an ACK
        if early:
            listener.setsockopt(socket.SOL_IP, _IP_FREEBIND, 1)
        listener.bind((host, port))
        listener.listen()
    except OSError:
        listener.close()
        raise
    return listener


def serve(
    application: Starlette,
    listeners: Iterable[socket.socket] = (),
    tls: ssl.SSLContext | None = None,
    limits: Limits = Limits(),  # noqa: B008
) -> Server:
    """Serve in a thread of its own from now on: on these listeners, or on any free port of the loopback address."""
    if not limits.connections:
        limits = limits._replace(connections=resource.getrlimit(resource.RLIMIT_NOFILE)[0] * 3 // 4)
    server = Server(application, list(listeners) or [listen()], tls, limits)
    server.wait()
    return server


class _Http(HttpToolsProtocol):
    """HTTP that tells the application of the client's certificate, and that waits and takes only so much.

    `_part` is what of a request is on its way: its head, its body, or nothing.
    """

    limits: Limits
    _part = "head"
    _requests = _head = 0
    _since = 0.0
    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _introduced(self.app, transport)
        self._since = self.loop.time()
        self._wait()
        if len(self.connections) > self.limits.connections:
            idle = [one for one in self.connections if isinstance(one, _Http) and one._idle and one is not self]
            if idle:
                min(idle, key=lambda one: one._since).transport.close()

    @property
    def _idle(self) -> bool:
        return self._part != "body" and (self.cycle is None or self.cycle.response_complete)

    def data_received(self, data: bytes) -> None:
        before = self._requests, self._part
        super().data_received(data)
        if self.transport.is_closing():
            self._stop_waiting()
            return
        if self._part == "head":
            self._head += len(data)
            if self._head > MOST_HEAD:
                text = f"the request's line and headers are longer than the limit of {MOST_HEAD} bytes"
                self._refuse(ApiError(431, "RequestHeaderFieldsTooLarge", text))
        if (self._requests, self._part) != before:
            self._stop_waiting()
            if self._part:
                self._wait()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._requests += 1
        self._part, self._head = "head", 0

    def on_headers_complete(self) -> None:
        self._part = "" if self.parser.should_upgrade() else "body"
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        self._part = ""
        super().on_message_complete()

    def on_response_complete(self) -> None:
        self._since = self.loop.time()
        super().on_response_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def send_400_response(self, msg: str) -> None:
        self._refuse(ApiError(400, "BadRequest", "this is no HTTP request that can be read"))

    def _wait(self) -> None:
        self._waiting = self.loop.call_later(self.limits.patience, self._late)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None

    def _late(self) -> None:
        text = f"the request's {self._part} has not come in {self.limits.patience:g} s"
        self._refuse(ApiError(408, "RequestTimeout", text))

    def _refuse(self, error: ApiError) -> None:
        """End the connection, with a word unless another answer is on its way."""
        self._stop_waiting()
        if self.transport.is_closing():
            return
        if self.cycle is None or self.cycle.response_complete or not self.cycle.response_started:
            self.transport.write(_last_answer(error))
        self.transport.close()


class _WebSocket(WSProtocol):
    """WebSockets that tell the application of the client's certificate, and end where a client makes no sense."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _introduced(self.app, transport)

    def data_received(self, data: bytes) -> None:
        try:
            super().data_received(data)
        except ValueError as error:
            if not self.handshake_complete:
                self.transport.write(_last_answer(ApiError(400, "BadRequest", f"this upgrade cannot be read: {error}")))
            self.transport.close()


def _last_answer(error: ApiError) -> bytes:
    """A whole response, for a connection that is closed after it."""
    body = orjson.dumps(error.document())
    head = f"HTTP/1.1 {error.status} {HTTPStatus(error.status).phrase}\r\nContent-Type: application/json\r\n"
    return f"{head}Content-Length: {len(body)}\r\nConnection: close\r\n\r\n".encode() + body


def _introduced(application: Any, transport: asyncio.Transport) -> Any:
    """The application, whose scope says with what certificate (in DER) the client has proved who it is."""
    tls = transport.get_extra_info("ssl_object")
    certificate = tls.getpeercert(binary_form=True) if tls is not None else None
    if certificate is None:
        return application
    inner: ASGIApp = application

    async def told(scope: Scope, receive: Receive, send: Send) -> None:
        scope["client_certificate"] = certificate
        await inner(scope, receive, send)

    return told
