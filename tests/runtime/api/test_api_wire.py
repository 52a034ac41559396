"""What comes over the wire that is no request, too much of one, or one that never ends: an answer that says so."""

from __future__ import annotations

import contextlib
import json
import socket
import ssl
import time
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from kdl.runtime.api import http
from kdl.runtime.api.certificates import LOOPBACK, Authority, context
from kdl.runtime.api.gate import bearer
from kdl.runtime.api.server import Limits
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import SystemClock
from kdl.runtime.store import MemoryStore

HEAD = b"Host: localhost\r\nAuthorization: Bearer t\r\n"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
CONNECTIONS = 12
PATIENCE = 0.6


@pytest.fixture(scope="module")
def server() -> Iterator[http.Server]:
    limits = Limits(patience=PATIENCE, connections=CONNECTIONS)
    server = http.serve(http.app(Objects(MemoryStore(), SystemClock()), bearer("t")), limits=limits)
    yield server
    server.stop()


@pytest.fixture
def web(server: http.Server) -> Iterator[httpx.Client]:
    headers = {"Authorization": "Bearer t"}
    with httpx.Client(base_url=server.endpoint, headers=headers, trust_env=False, timeout=30) as client:
        yield client


def connected(server: http.Server) -> socket.socket:
    return socket.create_connection(("127.0.0.1", server.port), timeout=10)


def answered(raw: socket.socket) -> tuple[int, Any]:
    """The status of what comes, and its JSON; 0 for a connection that was closed without a word."""
    data = b""
    with contextlib.suppress(ConnectionError):
        while more := raw.recv(65536):
            data += more
    if not data:
        return 0, None
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body) if body else None


def next_status(raw: socket.socket) -> int:
    """The status of the next answer on a connection that goes on."""
    data = b""
    while b"}" not in data:
        data += raw.recv(65536)
    return int(data.split()[1])


def version(raw: socket.socket) -> int:
    raw.sendall(b"GET /version HTTP/1.1\r\n" + HEAD + b"\r\n")
    return next_status(raw)


WRONG = [
    b"nonsense\r\n\r\n",
    b"GET\r\n\r\n",
    b"GET / HTTP/9.9\r\n\r\n",
    b"get / HTTP/1.1\r\n\r\n",
    b"GET / HTTP/1.1\r\nno colon here\r\n\r\n",
    b"GET / HTTP/1.1\r\nName\x00: x\r\n\r\n",
    b"GET / HTTP/1.1\r\nName: \x00\r\n\r\n",
    b"GET /a b HTTP/1.1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: x\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 99999999999999999999999\r\n\r\n",
    b"POST / HTTP/1.1\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc",
    b"POST " + CONFIGMAPS.encode() + b" HTTP/1.1\r\n" + HEAD + b"Transfer-Encoding: chunked\r\n\r\nzz\r\n",
    b"OPTIONS * HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n",
    b"CONNECT localhost:1 HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET \xff\xfe HTTP/1.1\r\n\r\n",
    b"GET /" + b"\xc3\xa9" + b" HTTP/1.1\r\n" + HEAD + b"\r\n",
    b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100,
]


@pytest.mark.parametrize("words", WRONG, ids=lambda words: repr(words[:45]))
def test_what_is_no_request_is_answered_with_a_status_that_says_so(server: http.Server, words: bytes) -> None:
    with connected(server) as raw:
        raw.sendall(words)
        status, doc = answered(raw)
    assert 400 <= status < 500
    assert (doc["kind"], doc["code"]) == ("Status", status)


@pytest.mark.parametrize("method", ["OPTIONS", "TRACE", "HEAD", "PROPFIND", "POST"])
def test_methods_that_are_not_served_are_refused_with_a_status(web: httpx.Client, method: str) -> None:
    for path in ("/version", f"{CONFIGMAPS}/x", "/nothing"):
        answer = web.request(method, path)
        assert answer.status_code in ((404, 405) if method in ("HEAD", "POST") else (405,))
        if method != "HEAD":
            assert (answer.json()["kind"], answer.json()["code"]) == ("Status", answer.status_code)


def test_a_head_without_end_is_too_large_and_a_long_query_is_not(server: http.Server, web: httpx.Client) -> None:
    with connected(server) as raw:
        selector = b",".join(b"a%d%%3Db" % number for number in range(5_000))
        path = CONFIGMAPS.encode() + b"?labelSelector=" + selector
        raw.sendall(b"GET " + path + b" HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n")
        assert answered(raw)[0] == 200
    for begin in (b"GET /?", b"GET / HTTP/1.1\r\nName: ", b"GET / HTTP/1.1\r\n"):
        with connected(server) as raw:
            piece = b"a: b\r\n" * 10_000 if begin.endswith(b"\n") else b"a" * 60_000
            with contextlib.suppress(ConnectionError):
                raw.sendall(begin + piece)
                for _ in range(40):
                    raw.sendall(piece)
            status, doc = answered(raw)
            assert (status, doc and doc["reason"]) in ((431, "RequestHeaderFieldsTooLarge"), (0, None))
    assert web.get("/version").status_code == 200


def drip(raw: socket.socket, words: bytes) -> float:
    """Send slowly until the server has enough of it; how many seconds it took that."""
    begun = time.monotonic()
    raw.settimeout(0.05)
    for at in range(len(words)):
        with contextlib.suppress(ConnectionError):
            raw.sendall(words[at : at + 1])
        with contextlib.suppress(TimeoutError):
            raw.recv(1, socket.MSG_PEEK)
            break
    raw.settimeout(10)
    return time.monotonic() - begun


@pytest.mark.parametrize("part", ["head", "second head", "body", "chunk"])
def test_a_request_that_comes_too_slowly_is_told_so_and_its_connection_ends(server: http.Server, part: str) -> None:
    post = b"POST " + CONFIGMAPS.encode() + b" HTTP/1.1\r\n" + HEAD
    with connected(server) as raw:
        if part == "second head":
            assert version(raw) == 200
        if part == "body":
            raw.sendall(post + b"Content-Length: 100000\r\n\r\n")
        if part == "chunk":
            raw.sendall(post + b"Transfer-Encoding: chunked\r\n\r\n")
        words = b"1\r\na\r\n" * 200 if part == "chunk" else b"GET /version HTTP/1.1\r\n" + b"Name: x\r\n" * 200
        took = drip(raw, words)
        status, doc = answered(raw)
    assert (status, doc["reason"]) == (408, "RequestTimeout")
    assert PATIENCE * 0.8 < took < PATIENCE + 3


def test_a_request_that_comes_in_time_in_pieces_is_served(server: http.Server) -> None:
    with connected(server) as raw:
        for piece in (b"GET /ver", b"sion HTTP/1.1\r\nHo", b"st: localhost\r\nAuthorization: Bearer t\r\n", b"\r\n"):
            raw.sendall(piece)
            time.sleep(0.05)
        assert next_status(raw) == 200
        time.sleep(2 * PATIENCE)  # nothing was begun: a kept connection may be silent
        assert version(raw) == 200


def test_idle_connections_make_room_for_new_ones_and_a_watch_stays(server: http.Server, web: httpx.Client) -> None:
    with contextlib.ExitStack() as stack:
        watch = stack.enter_context(web.stream("GET", CONFIGMAPS, params={"watch": "1", "resourceVersion": "1"}))
        lines = watch.iter_lines()
        idle = [stack.enter_context(connected(server)) for _ in range(3 * CONNECTIONS)]
        with connected(server) as raw:
            raw.sendall(b"GET /version HTTP/1.1\r\n" + HEAD + b"Connection: close\r\n\r\n")
            assert answered(raw)[0] == 200
        assert idle[0].recv(1) == b""
        made = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "seen"}}
        assert web.post(CONFIGMAPS, json=made).status_code == 201
        assert json.loads(next(lines))["object"]["metadata"]["name"] == "seen"


def test_a_connection_that_waits_for_a_request_before_tls_is_done_harms_nobody(tmp_path: Any) -> None:
    authority = Authority(tmp_path)
    objects = Objects(MemoryStore(), SystemClock())
    server = http.serve(http.app(objects, bearer("t")), tls=context(authority, LOOPBACK))
    try:
        with contextlib.ExitStack() as stack:
            for words in (
                b"",
                b"\x16\x03\x01",
                b"GET / HTTP/1.1\r\n\r\n",
                b"\x16\x03\x01\x00\x05hello",
                b"\x00" * 5000,
            ):
                for _ in range(20):
                    raw = stack.enter_context(connected(server))
                    raw.sendall(words)
            tls = ssl.create_default_context(cafile=str(authority.file))
            with httpx.Client(base_url=server.endpoint, verify=tls, trust_env=False) as web:
                assert web.get("/healthz").text == "ok"
            old = ssl.create_default_context(cafile=str(authority.file))
            with pytest.deprecated_call():
                old.maximum_version = ssl.TLSVersion.TLSv1_1
            with pytest.deprecated_call():
                old.minimum_version = ssl.TLSVersion.TLSv1
            raw = stack.enter_context(connected(server))
            with pytest.raises((ssl.SSLError, ConnectionError)):
                old.wrap_socket(raw, server_hostname="localhost")
    finally:
        server.stop()


UPGRADE = (
    b"Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize(
    "headers",
    [
        UPGRADE.replace(b"Version: 13", b"Version: 12"),
        UPGRADE.replace(b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n", b""),
        UPGRADE.replace(b"dGhlIHNhbXBsZSBub25jZQ==", b"x"),
        UPGRADE.replace(b"Upgrade: websocket\r\n", b"Upgrade: h2c\r\n"),
        UPGRADE.replace(b"Connection: Upgrade\r\n", b""),
        UPGRADE + b"Sec-WebSocket-Protocol: \xff\xfe\r\n",
        UPGRADE,
    ],
)
@pytest.mark.parametrize("method", [b"GET", b"POST"])
def test_a_bad_upgrade_is_refused(server: http.Server, method: bytes, headers: bytes) -> None:
    for path in (b"/api/v1/namespaces/default/pods/nobody/exec?command=x", b"/version"):
        with connected(server) as raw:
            raw.sendall(method + b" " + path + b" HTTP/1.1\r\n" + HEAD + headers + b"Content-Length: 0\r\n\r\n\xff\xff")
            data = raw.recv(65536)
            assert data, "closed without a word"
            assert int(data.split()[1]) in (200, 400, 404, 405, 426), data
