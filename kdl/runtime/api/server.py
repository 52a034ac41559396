"""The HTTP server: an application, an address, TLS and a thread."""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
import time
from typing import Any, Final

import uvicorn
from starlette.applications import Starlette
from starlette.types import ASGIApp, Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.protocols.websockets.wsproto_impl import WSProtocol

PATIENCE: Final = 30.0
"""Seconds in which a client must have sent the head of its first request."""


class Server:
    """A running server; `stop` ends its watches and lets open requests finish."""

    def __init__(self, application: Starlette, listener: socket.socket, tls: ssl.SSLContext | None) -> None:
        self.port: int = listener.getsockname()[1]
        self.host: str = listener.getsockname()[0]
        self._scheme = "https" if tls is not None else "http"
        self._application = application
        config = uvicorn.Config(
            application,
            http=_Http,
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
        self._thread = threading.Thread(target=self._server.run, args=([listener],), name="api", daemon=True)
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


def serve(application: Starlette, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None) -> Server:
    """Serve in a thread of its own from now on; `OSError` if the address cannot be had. Port 0 is any free port."""
    listener = socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)  # inherited; else each answer waits 40 ms for an ACK
    server = Server(application, listener, tls)
    server.wait()
    return server


class _Http(HttpToolsProtocol):
    """HTTP that tells the application of the client's certificate, and waits only so long for a first request."""

    _waiting: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _introduced(self.app, transport)
        self._waiting = self.loop.call_later(PATIENCE, transport.close)

    def on_headers_complete(self) -> None:
        self._stop_waiting()
        super().on_headers_complete()

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_waiting()
        super().connection_lost(exc)

    def _stop_waiting(self) -> None:
        if self._waiting is not None:
            self._waiting.cancel()
            self._waiting = None


class _WebSocket(WSProtocol):
    """WebSockets that tell the application of the client's certificate."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self.app = _introduced(self.app, transport)


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
