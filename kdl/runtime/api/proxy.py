"""The subresource ``proxy``: a request is passed on to a program in a pod, and its answer back, both as they come."""

from __future__ import annotations

import asyncio
import logging
import os
import ssl
from collections.abc import Iterable
from typing import Final, NamedTuple
from urllib.parse import SplitResult, quote, unquote_to_bytes, urlsplit

import httpcore
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response, StreamingResponse
from starlette.types import Send

from kdl.runtime.api.errors import ApiError, bad_request
from kdl.runtime.api.location import Location

PROXY: Final = "proxy"
"""The subresource that is answered here."""

Headers = list[tuple[bytes, bytes]]

_HOP_BY_HOP: Final = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-authorization", b"proxy-connection", b"te",
    b"trailer", b"transfer-encoding", b"upgrade",
})  # fmt: skip
_NOT_FOR_BACKENDS: Final = frozenset({
    b"authorization", b"expect", b"x-forwarded-for", b"x-forwarded-host", b"x-forwarded-proto", b"x-forwarded-uri",
})  # fmt: skip
"""What shows who asks, and what is said anew."""

_NOT_FOR_CLIENTS: Final = frozenset({
    b"access-control-allow-credentials", b"access-control-allow-headers", b"access-control-allow-methods",
    b"access-control-allow-origin", b"date",
})  # fmt: skip
"""Who else may read what this API answers is not for a backend to say; the date is the server's own."""

_NOT_FOR_BACKENDS_FROM: Final = (b"impersonate-", b"x-remote-")
_SEGMENTS: Final = 7
"""``api/v1/namespaces/NAMESPACE/pods/NAME/proxy``."""

_PLAIN: Final = "/:@!$&'()*+,;=~"
"""What stands for itself in a path, beside letters, digits and ``-._``."""

_BODILESS: Final = (204, 304)
_FAILED: Final = (httpcore.NetworkError, httpcore.ProtocolError)

log = logging.getLogger(__name__)


class Patience(NamedTuple):
    """How many seconds a backend has to take a connection, and to take the request and begin its answer."""

    connect: float = 10.0
    answer: float = 60.0


class Proxy:
    """Passes requests on. Each has a connection of its own: the address may be another pod's when the next one comes.

    Certificates are not verified: pods have addresses and no names that one could vouch for.
    """

    def __init__(
        self,
        patience: Patience = Patience(),  # noqa: B008
        network: httpcore.AsyncNetworkBackend | None = None,
    ) -> None:
        anybody = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        anybody.check_hostname, anybody.verify_mode = False, ssl.CERT_NONE
        self._patience = patience
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=anybody, max_connections=None, max_keepalive_connections=0, network_backend=network
        )

    async def pass_on(self, request: Request, location: Location) -> Response:
        """What the program at a location answers; `ApiError` if it does not."""
        prefix, rest = _split(request)
        query = request.scope["query_string"]
        if rest is None and request.method in ("GET", "HEAD"):  # so that relative links lead below it
            return Response(
                status_code=301, headers={"Location": f"{prefix}/" + (f"?{query.decode()}" if query else "")}
            )
        path = f"/{rest or ''}"
        url = httpcore.URL(
            scheme=location.scheme.encode(),
            host=location.host.encode(),
            port=location.port,
            target=path.encode() + (b"?" + query if query else b""),
        )
        chunked = "transfer-encoding" in request.headers
        content = request.stream() if chunked or "content-length" in request.headers else None
        headers = _for_backend(request, f"{prefix}{path}", chunked)
        limits = {"timeout": {"connect": self._patience.connect}}
        passed = httpcore.Request(request.method, url, headers=headers, content=content, extensions=limits)
        try:
            async with asyncio.timeout(self._patience.answer):
                answer = await self._pool.handle_async_request(passed)
        except httpcore.LocalProtocolError as error:
            raise bad_request(f"the request cannot be passed on: {error}") from None
        except (TimeoutError, httpcore.ConnectTimeout) as error:
            late = self._patience.answer if isinstance(error, TimeoutError) else self._patience.connect
            why = f"{location.authority} has not answered in {late:g} s"
            raise ApiError(504, "Timeout", f"error trying to reach service: {why}") from None
        except _FAILED as error:
            why = f"{location.authority}: {_cause(error)}"
            raise ApiError(503, "ServiceUnavailable", f"error trying to reach service: {why}") from None
        return _Passed(answer, _for_client(answer, request, location, prefix), location)


def refuse_upgrade(request: HTTPConnection) -> None:
    """Refuse to become another protocol, as WebSockets do; that of HTTP/2 may be ignored, and is."""
    asked = request.headers.get("upgrade", "")
    if asked and asked.lower() != "h2c":
        raise bad_request(f"the proxy passes on requests of HTTP and no upgrades to {asked[:100]}: use port-forward")


class _Passed(StreamingResponse):
    """An answer as it comes; one that breaks off ends the client's connection, too, so that it does not seem whole."""

    def __init__(self, answer: httpcore.Response, headers: Headers, location: Location) -> None:
        super().__init__(answer.aiter_stream(), answer.status)
        self.raw_headers = headers
        self._answer, self._location = answer, location

    async def stream_response(self, send: Send) -> None:
        """Send the answer, and let go of the backend however that ends."""
        try:
            await super().stream_response(send)
        except _FAILED as error:
            log.warning("the answer of %s has broken off: %s", self._location.authority, _cause(error))
        finally:
            await self._answer.aclose()


def _split(request: HTTPConnection) -> tuple[str, str | None]:
    """The path of the proxy, and what is below it; None if not even a slash.

    Escapes that are not needed are undone, as in Kubernetes: clients in some languages write ``%2F`` for each slash.
    """
    path = quote(unquote_to_bytes(request.scope["raw_path"]), safe=_PLAIN)
    segments = path.lstrip("/").split("/", _SEGMENTS)
    return "/" + "/".join(segments[:_SEGMENTS]), segments[_SEGMENTS] if len(segments) > _SEGMENTS else None


# Headers.


def _kept(headers: Iterable[tuple[bytes, bytes]], dropped: frozenset[bytes]) -> Headers:
    """The headers that are for both ends, without those that are only for the next hop."""
    headers = [(name.lower(), value) for name, value in headers]
    listed = {word.strip().lower() for name, value in headers if name == b"connection" for word in value.split(b",")}
    return [item for item in headers if item[0] not in _HOP_BY_HOP | dropped | listed]


def _for_backend(request: Request, uri: str, chunked: bool) -> Headers:
    headers = _kept(request.headers.raw, _NOT_FOR_BACKENDS)
    headers = [item for item in headers if not item[0].startswith(_NOT_FOR_BACKENDS_FROM)]
    if chunked:
        headers = [item for item in headers if item[0] != b"content-length"] + [(b"transfer-encoding", b"chunked")]
    before = request.headers.getlist("x-forwarded-for")
    told = {
        "x-forwarded-for": ", ".join([*before, request.client.host] if request.client is not None else before),
        "x-forwarded-host": request.headers.get("host", ""),
        "x-forwarded-proto": request.url.scheme,
        "x-forwarded-uri": uri,
    }
    return headers + [(name.encode(), value.encode("latin-1")) for name, value in told.items()]


def _for_client(answer: httpcore.Response, request: Request, location: Location, prefix: str) -> Headers:
    headers = _kept(answer.headers, _NOT_FOR_CLIENTS)
    if answer.status in _BODILESS:
        headers = [item for item in headers if item[0] != b"content-length"]
    return [
        (name, _relocated(value.decode("latin-1"), request, location, prefix).encode("latin-1"))
        if name == b"location"
        else (name, value)
        for name, value in headers
    ]


def _relocated(value: str, request: Request, location: Location, prefix: str) -> str:
    """A redirect to the same backend as one to the proxy; any other as it is."""
    try:
        url = urlsplit(value)
        elsewhere = url.netloc and not _is_at(url, location, request.headers.get("host", ""))
    except ValueError:
        return value
    path = url.path or ("/" if url.netloc else "")
    if elsewhere or not path.startswith("/"):
        return value
    if path != prefix and not path.startswith(f"{prefix}/"):
        path = prefix + path
    if url.netloc:
        url = url._replace(scheme=request.url.scheme, netloc=request.headers.get("host", ""))
    return url._replace(path=path).geturl()


def _is_at(url: SplitResult, location: Location, host: str) -> bool:
    """Whether a URL is about a location, by its own name or by that under which the client reached it through us."""
    if url.netloc == host:
        return True
    port = url.port or {"http": 80, "https": 443}.get(url.scheme or location.scheme)
    return (url.hostname, port) == (location.host, location.port)


def _cause(error: BaseException) -> str:
    """What was wrong in the first place, which is what the system said."""
    while isinstance(inner := error.__cause__ or next(iter(error.args), None), BaseException):
        error = inner
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__
