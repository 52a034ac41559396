"""Processes and ports inside containers, as streams: commands, what is attached to, connections."""

from __future__ import annotations

import contextlib
import ctypes
import json
import os
import socket
import struct
import threading
from collections.abc import Iterator, Sequence
from typing import Any

from kdl.effects.docker.connection import Client, Connection
from kdl.effects.docker.inventory import Listed, listed
from kdl.effects.docker.names import SANDBOX_NAME, Names

STDOUT, STDERR = 1, 2
_CHUNK = 32_768
_CLONE_NEWNET = 0x40000000


class Process:
    """A running process whose streams are one connection to the daemon. Reading ends when it does."""

    def __init__(
        self, client: Client, path: str, body: dict[str, Any], *, tty: bool, ends: bool = True, inspect: str = ""
    ) -> None:
        self._ends = ends
        self._client, self._inspect, self._tty = client, inspect, tty
        self._socket, self._rest = _hijacked(client, path, body)

    def write(self, data: bytes) -> None:
        """Send to its standard input."""
        self._socket.sendall(data)

    def close_input(self) -> None:
        """Its standard input has ended. Where it may go on for others, Docker would take this for leaving."""
        if not self._ends:
            return
        self._socket.shutdown(socket.SHUT_WR)

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """What it prints, with the stream (1 or 2) that it prints it on."""
        if self._tty:
            while data := self._some(_CHUNK):
                yield STDOUT, data
            return
        while head := self._exactly(8):
            stream, size = struct.unpack(">BxxxL", head)
            yield (STDERR if stream == STDERR else STDOUT), self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        parts, missing = [], size
        while missing and (data := self._some(missing)):
            parts.append(data)
            missing -= len(data)
        return b"" if missing else b"".join(parts)

    def _some(self, size: int) -> bytes:
        if self._rest:
            data, self._rest = self._rest[:size], self._rest[size:]
            return data
        try:
            return self._socket.recv(min(size, _CHUNK))
        except OSError:
            return b""

    def resize(self, width: int, height: int) -> None:
        """Its terminal has another size now."""
        if self._inspect:
            self._client.exec_resize(self._inspect, height=height, width=width)

    def code(self) -> int | None:
        """How it ended; None where that is not told."""
        if not self._inspect:
            return None
        code = self._client.exec_inspect(self._inspect)["ExitCode"]
        return int(code) if code is not None else None

    def close(self) -> None:
        """Let go of it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()


class Streams:
    """What can be opened in the containers of one node. Raises `LookupError` where there is no such container."""

    def __init__(self, connection: Connection, names: Names) -> None:
        self._connection, self._names = connection, names

    def execute(self, pod_uid: str, container: str, argv: Sequence[str], *, stdin: bool, tty: bool) -> Process:
        """A command in a running container."""
        client = self._connection.acting()
        found = self._running(client, pod_uid, container)
        made = client.exec_create(found.id, list(argv), stdin=stdin, tty=tty)["Id"]
        return Process(client, f"/exec/{made}/start", {"Detach": False, "Tty": tty}, tty=tty, inspect=made)

    def attach(self, pod_uid: str, container: str, *, stdin: bool) -> Process:
        """The process that a running container is."""
        client = self._connection.acting()
        found = self._running(client, pod_uid, container)
        config = client.inspect_container(found.id)["Config"]
        query = f"stream=1&stdout=1&stderr=1&stdin={int(stdin)}"
        return Process(
            client, f"/containers/{found.id}/attach?{query}", {}, tty=config["Tty"], ends=config["StdinOnce"]
        )

    def dial(self, pod_uid: str, port: int) -> socket.socket:
        """A connection to a port of a pod, made from within its network; `OSError` if nobody listens there."""
        client = self._connection.acting()
        sandbox = self._running(client, pod_uid, SANDBOX_NAME)
        pid = int(client.inspect_container(sandbox.id)["State"]["Pid"])
        made: list[socket.socket | OSError] = []

        def connect() -> None:
            try:
                with open(f"/proc/{pid}/ns/net") as namespace:
                    _enter(namespace.fileno())
                made.append(socket.create_connection(("127.0.0.1", port), timeout=10))
            except OSError as error:
                made.append(error)

        thread = threading.Thread(target=connect)  # the thread alone goes there, and ends there
        thread.start()
        thread.join()
        (result,) = made
        if isinstance(result, OSError):
            raise result
        result.settimeout(None)
        return result

    def _running(self, client: Client, pod_uid: str, container: str) -> Listed:
        runs = listed(client, self._names.filter(pod_uid=pod_uid, container=container))
        found = [item for item in runs if client.inspect_container(item.id)["State"]["Running"]]
        if not found:
            raise LookupError(f"container `{container}` is not running")
        return max(found, key=lambda item: item.attempt)


def _enter(namespace: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(namespace, _CLONE_NEWNET):
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))


def _hijacked(client: Client, path: str, body: dict[str, Any]) -> tuple[socket.socket, bytes]:
    """A connection that the daemon has given over to a process, and what it has printed already.

    The SDK's own way loses output that arrives with the answer's head.
    """
    connection = _connected(client)
    data = json.dumps(body).encode()
    head = (
        f"POST /v{client.api_version}{path} HTTP/1.1\r\nHost: docker\r\nContent-Type: application/json\r\n"
        f"Connection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: {len(data)}\r\n\r\n"
    )
    connection.sendall(head.encode() + data)
    connection.settimeout(30)
    answer = b""
    while b"\r\n\r\n" not in answer:
        more = connection.recv(4096)
        if not more:
            raise OSError("Docker closed the connection")
        answer += more
    connection.settimeout(None)
    said, _, rest = answer.partition(b"\r\n\r\n")
    status = int(said.split(None, 2)[1])
    if status not in (101, 200):
        connection.close()
        raise OSError(f"Docker refuses: {rest.decode(errors='replace').strip() or status}")
    return connection, rest


def _connected(client: Client) -> socket.socket:
    adapter = client.get_adapter(client.base_url)
    path = getattr(adapter, "socket_path", None)
    if path is None:
        host, _, port = client.base_url.partition("://")[2].partition(":")
        return socket.create_connection((host, int(port or 2375)), timeout=10)
    connection = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connection.connect(path)
    return connection
