"""Processes and ports over WebSockets: `kubectl exec`, `attach`, `cp` and `port-forward`.

A process has numbered channels, the first byte of each message (protocols ``v5.channel.k8s.io`` and ``v4``). A port is
forwarded as SPDY inside the WebSocket (current kubectl), or as two channels for each port (``v4``, other clients).
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import struct
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Protocol

import orjson
from starlette.concurrency import run_in_threadpool
from starlette.websockets import WebSocket, WebSocketDisconnect

from kdl.runtime.api import spdy
from kdl.runtime.api.call import TRUE
from kdl.runtime.api.errors import ApiError, bad_request
from kdl.runtime.store import Object

STDIN, ERROR, RESIZE, CLOSE = 0, 3, 4, 255
STREAMED: Final = ("exec", "attach", "portforward")
"""The subresources that are answered here."""

_PROCESS: Final = ("v5.channel.k8s.io", "v4.channel.k8s.io")
_TUNNEL: Final = "SPDY/3.1+portforward.k8s.io"
_CHUNK: Final = 65_536
_MOST_PORTS: Final = 127
"""Each takes two of the numbers that a byte can be."""

_OVER: Final = (WebSocketDisconnect, RuntimeError)
"""What sending raises when the client is gone."""


class Process(Protocol):
    """A running process and its streams; all calls may block."""

    def write(self, data: bytes) -> None:
        """Send to its standard input."""

    def close_input(self) -> None:
        """Its standard input has ended."""

    def chunks(self) -> Iterator[tuple[int, bytes]]:
        """What it prints, each with its stream (1 or 2), until it has ended."""

    def resize(self, width: int, height: int) -> None:
        """Its terminal has another size."""

    def code(self) -> int | None:
        """Its exit code, where it is told."""

    def close(self) -> None:
        """Let go of it."""


class Streams(Protocol):
    """What can be opened in the containers of a runtime; `LookupError` where there is no such container."""

    def execute(self, pod_uid: str, container: str, argv: Sequence[str], *, stdin: bool, tty: bool) -> Process:
        """A command in a container."""

    def attach(self, pod_uid: str, container: str, *, stdin: bool) -> Process:
        """The process that a container is."""

    def dial(self, pod_uid: str, port: int) -> socket.socket:
        """A connection to a port of a pod; `OSError` if nobody listens there."""


@dataclass(frozen=True, slots=True)
class Channels:
    """Answers WebSockets on the subresources ``exec``, ``attach`` and ``portforward`` of a pod."""

    streams: Streams

    def opener(self, pod: Object, subresource: str, query: Mapping[str, Any], argv: list[str]) -> Callable[[], Process]:
        """What opens the process that is asked for; `ApiError` where the request makes no sense."""
        container = container_of(pod, query.get("container"))
        stdin = query.get("stdin") in TRUE
        if subresource == "attach":
            return lambda: self.streams.attach(pod.uid, container, stdin=stdin)
        if not argv:
            raise bad_request("you must specify at least one command for the container")
        tty = query.get("tty") in TRUE
        return lambda: self.streams.execute(pod.uid, container, argv, stdin=stdin, tty=tty)

    async def serve(self, web: WebSocket, pod: Object, subresource: str) -> None:
        """Answer a WebSocket to its end."""
        offered = web.scope.get("subprotocols", [])
        if subresource == "portforward":
            if _TUNNEL in offered:
                await web.accept(_TUNNEL)
                await _Tunnel(web, self.streams, pod).run()
                return
            ports = [_port(text) for part in web.query_params.getlist("ports") for text in part.split(",")]
            if len(ports) > _MOST_PORTS:
                raise bad_request(f"at most {_MOST_PORTS} ports are forwarded at once")
            await web.accept(_chosen(offered, ("v4.channel.k8s.io", "v4.base64.channel.k8s.io")))
            await _forward(web, self.streams, pod, ports)
            return
        open_process = self.opener(pod, subresource, web.query_params, web.query_params.getlist("command"))
        try:
            process = await run_in_threadpool(open_process)
        except (LookupError, OSError) as error:
            raise ApiError(500, "InternalError", str(error.args[0] if error.args else error)) from None
        try:
            await web.accept(_chosen(offered, _PROCESS))
            await _converse(web, process)
        finally:
            await run_in_threadpool(process.close)


def _chosen(offered: Sequence[str], known: Sequence[str]) -> str | None:
    """The protocol to speak; without an offer, the first one."""
    if not offered:
        return None
    found = next((name for name in known if name in offered), None)
    if found is None:
        raise bad_request(f"none of the protocols {', '.join(offered)} is spoken: use {known[0]}")
    return found


def container_of(pod: Object, asked: str | None) -> str:
    """The container of a pod that is meant; `ApiError` 400 if there is none of this name."""
    names = [str(item["name"]) for item in pod.doc["spec"]["containers"]]
    others = [str(item["name"]) for item in pod.doc["spec"].get("initContainers", ())]
    chosen = (
        asked or pod.doc["metadata"].get("annotations", {}).get("kubectl.kubernetes.io/default-container") or names[0]
    )
    if chosen not in names + others:
        raise bad_request(f"container {chosen} is not valid for pod {pod.key.name}: it has {', '.join(names + others)}")
    return str(chosen)


def _port(text: str) -> int:
    if not _is_port(text):
        raise bad_request(f"`{text[:100]}` is no port")
    return int(text)


def _is_port(text: str) -> bool:
    return text.isascii() and text.isdigit() and len(text) < 6 and 0 < int(text) < 65536


# Processes.


async def _converse(web: WebSocket, process: Process) -> None:
    loop = asyncio.get_running_loop()

    def pump() -> None:
        for stream, data in process.chunks():
            asyncio.run_coroutine_threadsafe(web.send_bytes(bytes([stream]) + data), loop).result()

    async def hear() -> None:
        while True:
            message = await web.receive()
            if message["type"] == "websocket.disconnect":
                return
            await _heard(message.get("bytes") or (message.get("text") or "").encode(), process)

    hearing = asyncio.create_task(hear())
    printing = asyncio.create_task(run_in_threadpool(pump))
    try:
        await asyncio.wait({hearing, printing}, return_when=asyncio.FIRST_COMPLETED)
        if not printing.done():  # the client has left
            return
        with contextlib.suppress(*_OVER):
            await printing
            code = await run_in_threadpool(process.code)
            await web.send_bytes(bytes([ERROR]) + orjson.dumps(_ended(code)))
            await web.close()
    finally:
        hearing.cancel()
        await run_in_threadpool(process.close)
        with contextlib.suppress(Exception, asyncio.CancelledError):
            await asyncio.gather(hearing, printing, return_exceptions=True)


async def _heard(message: bytes, process: Process) -> None:
    """What a client says to a process."""
    if not message:
        return
    channel, data = message[0], message[1:]
    with contextlib.suppress(OSError):  # the process has ended; its output says how
        if channel == STDIN and data:
            await run_in_threadpool(process.write, data)
        elif channel == CLOSE and data[:1] == bytes([STDIN]):
            await run_in_threadpool(process.close_input)
        elif channel == RESIZE:
            with contextlib.suppress(ValueError, KeyError, TypeError):
                size = orjson.loads(data)
                await run_in_threadpool(process.resize, int(size["Width"]), int(size["Height"]))


def _ended(code: int | None) -> dict[str, Any]:
    """The `Status` that says how a process has ended."""
    if not code:
        return {"metadata": {}, "status": "Success"}
    return {
        "metadata": {},
        "status": "Failure",
        "message": f"command terminated with non-zero exit code: exit status {code}",
        "reason": "NonZeroExitCode",
        "details": {"causes": [{"reason": "ExitCode", "message": str(code)}]},
    }


# Ports, as channels.


async def _forward(web: WebSocket, streams: Streams, pod: Object, ports: Sequence[int]) -> None:
    """Two channels for each port: data, and what went wrong; each begins with the port's number."""
    writers: dict[int, asyncio.StreamWriter] = {}
    tasks = []
    for index, port in enumerate(ports):
        for channel in (2 * index, 2 * index + 1):
            await web.send_bytes(bytes([channel]) + struct.pack("<H", port))
        try:
            reader, writers[2 * index] = await _dialled(streams, pod, port)
        except (LookupError, OSError) as error:
            await web.send_bytes(bytes([2 * index + 1]) + _refused(port, error))
            continue
        tasks.append(asyncio.create_task(_copied(web, bytes([2 * index]), reader)))
    try:
        while True:
            message = await web.receive()
            if message["type"] == "websocket.disconnect":
                return
            data = message.get("bytes") or b""
            if data and (writer := writers.get(data[0])) is not None:
                writer.write(data[1:])
                await writer.drain()
    except OSError:
        return
    finally:
        for task in tasks:
            task.cancel()
        for writer in writers.values():
            writer.close()


async def _copied(web: WebSocket, prefix: bytes, reader: asyncio.StreamReader) -> None:
    with contextlib.suppress(OSError, *_OVER):
        while data := await reader.read(_CHUNK):
            await web.send_bytes(prefix + data)
        await web.close()


async def _dialled(streams: Streams, pod: Object, port: int) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    made = await run_in_threadpool(streams.dial, pod.uid, port)
    return await asyncio.open_connection(sock=made)


def _refused(port: int, error: BaseException) -> bytes:
    return f"failed to connect to port {port} in the pod: {error}".encode()


# Ports, as SPDY.


class _Tunnel:
    """One `kubectl port-forward`: for each connection two streams, one for data and one for what goes wrong."""

    def __init__(self, web: WebSocket, streams: Streams, pod: Object) -> None:
        self._web, self._streams, self._pod = web, streams, pod
        self._session = spdy.Session()
        self._errors: dict[str, int] = {}
        self._writers: dict[int, asyncio.StreamWriter] = {}
        self._early: dict[int, list[spdy.Data]] = {}
        self._tasks: set[asyncio.Task[None]] = set()

    async def run(self) -> None:
        """Until the client leaves."""
        try:
            while True:
                message = await self._web.receive()
                if message["type"] == "websocket.disconnect":
                    return
                for event in self._session.receive(message.get("bytes") or b""):
                    await self._follow(event)
        except spdy.BadFrame:
            await self._web.close(1002)
        except _OVER:
            return
        finally:
            for task in self._tasks:
                task.cancel()
            for writer in self._writers.values():
                writer.close()

    async def _follow(self, event: spdy.Event) -> None:
        match event:
            case spdy.Opened(stream, headers):
                await self._web.send_bytes(self._session.accept(stream))
                request = headers.get("requestid", "")
                if headers.get("streamtype") == "error":
                    self._errors[request] = stream
                elif _is_port(headers.get("port", "")):
                    self._early[stream] = []
                    self._begin(self._connected(stream, request, int(headers["port"])))
            case spdy.Data(stream):
                if stream in self._early:
                    self._early[stream].append(event)
                else:
                    await self._written(event)
            case spdy.Reset(stream):
                if (writer := self._writers.pop(stream, None)) is not None:
                    writer.close()
            case spdy.Reply(frame):
                await self._web.send_bytes(frame)

    def _begin(self, work: Any) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _written(self, event: spdy.Data) -> None:
        writer = self._writers.get(event.stream)
        if writer is None:
            return
        with contextlib.suppress(OSError):
            if event.data:
                writer.write(event.data)
                await writer.drain()
            if event.ended:
                writer.write_eof()

    async def _connected(self, stream: int, request: str, port: int) -> None:
        failure = b""
        with contextlib.suppress(*_OVER):
            try:
                reader, self._writers[stream] = await _dialled(self._streams, self._pod, port)
                early = self._early.pop(stream, [])
                for event in early:
                    await self._written(event)
                while data := await reader.read(_CHUNK):
                    await self._web.send_bytes(spdy.data(stream, data))
            except (LookupError, OSError) as error:
                self._early.pop(stream, None)
                failure = _refused(port, error)
            await self._web.send_bytes(spdy.data(stream, b"", end=True))
            if (errors := self._errors.pop(request, None)) is not None:
                await self._web.send_bytes(spdy.data(errors, failure, end=True))
            if (writer := self._writers.pop(stream, None)) is not None:
                writer.close()
