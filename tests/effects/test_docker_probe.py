"""Probes against servers on the loopback interface."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from kdl.effects.probe import probe
from kdl.fact import Document, value


class Answers(BaseHTTPRequestHandler):
    """Answers `/NUMBER` with that status, and `/headers` with 200 if the request has the right ones."""

    def do_GET(self) -> None:
        """One request."""
        fine = (self.headers["Host"], self.headers["X-Probe"]) == ("web.example", "1")
        status = (200 if fine else 500) if self.path == "/headers" else int(self.path.lstrip("/") or 200)
        self.send_response(status)
        self.send_header("Location", "http://192.0.2.1/")
        self.end_headers()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    """The port of a server on the loopback interface."""
    server = ThreadingHTTPServer(("127.0.0.1", 0), Answers)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.server_address[1]
    server.shutdown()
    thread.join()
    server.server_close()


def never(container_id: str, argv: Sequence[str], timeout: float) -> tuple[int, str]:
    """No command is run."""
    raise AssertionError


def ask(config: dict[str, Any], execute: Any = never) -> tuple[bool, str]:
    """Probe once at the loopback address."""
    document = value({"ip": "127.0.0.1", "container_id": "abc", "timeoutSeconds": 2, **config})
    assert isinstance(document, Document)
    return probe(document, execute)


@pytest.mark.parametrize("status", [200, 204, 302, 399, 400, 503])
def test_http_statuses_from_200_to_399_are_success(port: int, status: int) -> None:
    """A redirection is not followed."""
    ok = status < 400
    found = ask({"httpGet": {"path": f"/{status}", "port": port}})
    assert found == (ok, "" if ok else f"HTTP status {status}")


def test_http_headers_are_sent_the_host_header_among_them(port: int) -> None:
    """And only once."""
    headers = [{"name": "Host", "value": "web.example"}, {"name": "X-Probe", "value": "1"}]
    assert ask({"httpGet": {"path": "/headers", "port": port, "httpHeaders": headers}}) == (True, "")


def test_a_closed_port_fails_both_ways() -> None:
    """Nobody listens."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))  # bound, so that nobody else gets it, and not listening
        port = taken.getsockname()[1]
        for way in ("httpGet", "tcpSocket"):
            ok, message = ask({way: {"port": port}})
            assert not ok
            assert "refused" in message


def test_an_open_port_is_enough_for_tcp(port: int) -> None:
    """Nothing is sent."""
    assert ask({"tcpSocket": {"port": port}}) == (True, "")


@contextmanager
def dripping() -> Iterator[int]:
    """A server whose answer never ends, a byte every 50 ms."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        done = threading.Event()

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                try:
                    while not done.wait(0.05):
                        connection.sendall(b"x")
                except OSError:
                    return

        thread = threading.Thread(target=serve)
        thread.start()
        yield server.getsockname()[1]
        done.set()
        thread.join()


def test_an_answer_that_trickles_in_does_not_outlast_the_timeout() -> None:
    """The time is for the whole."""
    with dripping() as port:
        began = time.monotonic()
        assert ask({"httpGet": {"port": port}, "timeoutSeconds": 0.3}) == (False, "no answer within 0.3 s")
        assert time.monotonic() - began < 1


def test_a_commands_exit_code_decides() -> None:
    """Its output is the message when it fails."""
    assert ask({"exec": {"command": ["a"]}}, lambda *_: (0, "fine")) == (True, "")
    assert ask({"exec": {"command": ["a"]}}, lambda *_: (2, "no such\n")) == (False, "exit code 2: no such")


def test_whatever_goes_wrong_is_an_answer() -> None:
    """A container that is gone, a daemon that is not there."""

    def broken(container_id: str, argv: Sequence[str], timeout: float) -> tuple[int, str]:
        raise RuntimeError("no such container")

    assert ask({"exec": {"command": ["a"]}}, broken) == (False, "no such container")
