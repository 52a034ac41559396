"""The API under load: creates, gets, lists and watches over TLS, against a server in a process of its own.

``python -m tests.bench.api [PODS WATCHERS]`` (default 10,000 pods, 1,000 watchers). The server is store (SQLite, synced
at every commit) and API with the shipped rules of access and admission, without a brain, as kube-apiserver is without
a scheduler; its clients share the machine with it. Latencies are as a client sees them, each on a connection that it
keeps.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import multiprocessing
import multiprocessing.connection
import resource
import ssl
import statistics
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

from kdl.parser.source import shipped
from kdl.runtime.access import Access
from kdl.runtime.admission import Admission
from kdl.runtime.api.certificates import LOOPBACK, Authority, context
from kdl.runtime.api.gate import bearer
from kdl.runtime.api.http import app, serve
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import SystemClock
from kdl.runtime.cluster import collect_seldom, defaults
from kdl.runtime.programs import compile
from kdl.runtime.store import SqliteStore

TOKEN, CLIENTS, EACH, EVENTS = "a-token", 20, 100, 20
PODS = "/api/v1/namespaces/default/pods"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


def pod(name: str) -> dict[str, Any]:
    """A pod as controllers make them."""
    container = {
        "name": "web",
        "image": "registry.example.com/web:1.2.3",
        "env": [{"name": f"VARIABLE_{n}", "value": "some value"} for n in range(8)],
        "ports": [{"containerPort": 8080}],
        "resources": {"requests": {"cpu": "100m", "memory": "64Mi"}},
    }
    metadata = {"name": name, "labels": {"app": "web", "tier": "front", "pod-template-hash": "abc"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def server(folder: str, pods: int, pipe: multiprocessing.connection.Connection) -> None:
    """A server with so many pods; it tells where it is, and at the end how much memory it had."""
    collect_seldom()
    store, clock, program = SqliteStore(folder), SystemClock(), compile(shipped())
    objects = Objects(store, clock)
    with objects.transaction() as batch:
        for doc in defaults(program):
            batch.create(doc)
        batch.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
        for number in range(pods):
            batch.create(pod(f"loaded-{number}"))
    objects = Objects(store, clock, admit=Admission(program, store, clock))
    application = app(objects, bearer(TOKEN), Access(program, store))
    api = serve(application, tls=context(Authority(Path(folder)), LOOPBACK))
    pipe.send(api.port)
    pipe.recv()
    pipe.send(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
    api.stop()
    store.close()


class Client:
    """One connection."""

    def __init__(self, port: int, folder: str) -> None:
        self.tls = ssl.create_default_context(cafile=str(Path(folder) / "pki" / "ca.crt"))
        self.connection = http.client.HTTPSConnection("127.0.0.1", port, context=self.tls, timeout=120)
        self.headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/json"}

    def __call__(self, method: str, path: str, body: Any = None) -> bytes:
        data = json.dumps(body) if body is not None else None
        self.connection.request(method, path, data, self.headers)
        answer = self.connection.getresponse()
        content = answer.read()
        assert answer.status < 300, content
        return content


class Figures(NamedTuple):
    """How long calls took, in milliseconds, and how many were done in a second."""

    p50: float
    p99: float
    rate: float


def measured(clients: list[Client], call: Callable[[Client, int, int], object], each: int) -> Figures:
    """Every client calls so many times, all at once."""
    taken: list[float] = []

    def run(number: int, client: Client) -> None:
        for turn in range(each):
            begun = time.perf_counter()
            call(client, number, turn)
            taken.append(1000 * (time.perf_counter() - begun))

    threads = [threading.Thread(target=run, args=item) for item in enumerate(clients)]
    begun = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    seconds = time.perf_counter() - begun
    cuts = statistics.quantiles(taken, n=100)
    return Figures(cuts[49], cuts[98], len(taken) / seconds)


async def fan_out(
    port: int, tls: ssl.SSLContext, watchers: int, create: Callable[[int], object]
) -> tuple[float, Figures]:
    """Watchers that all hear of each of some objects: seconds to open them, and how long each event took to each."""
    request = (
        f"GET {CONFIGMAPS}?watch=true HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: Bearer {TOKEN}\r\n\r\n".encode()
    )
    gate = asyncio.Semaphore(50)
    begun = time.perf_counter()

    async def opened() -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        async with gate:
            reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, limit=1 << 20)
            writer.write(request)
            await reader.readuntil(b"\r\n\r\n")
            return reader, writer

    streams = await asyncio.gather(*(opened() for _ in range(watchers)))
    opening = time.perf_counter() - begun
    taken: list[float] = []
    sent: dict[int, float] = {}

    async def hear(reader: asyncio.StreamReader) -> None:
        for number in range(EVENTS):
            await reader.readuntil(f'"name":"fan-{number}"'.encode())
            taken.append(1000 * (time.perf_counter() - sent[number]))

    hearing = [asyncio.create_task(hear(reader)) for reader, _ in streams]
    begun = time.perf_counter()
    for number in range(EVENTS):
        sent[number] = time.perf_counter()
        await asyncio.to_thread(create, number)
    await asyncio.gather(*hearing)
    seconds = time.perf_counter() - begun
    for _, writer in streams:
        writer.close()
    cuts = statistics.quantiles(taken, n=100)
    return opening, Figures(cuts[49], cuts[98], len(taken) / seconds)


def main() -> None:
    """Measure, and print."""
    arguments = [int(word) for word in sys.argv[1:] if word.isdigit()]
    pods, watchers = arguments if len(arguments) == 2 else (10_000, 1_000)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(max(soft, 4 * watchers), hard), hard))
    spawn = multiprocessing.get_context("spawn")
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = spawn.Pipe()
        process = spawn.Process(target=server, args=(folder, pods, theirs))
        process.start()
        try:
            measure(ours, folder, pods, watchers)
        finally:
            process.join(20)
            process.kill()


def measure(pipe: multiprocessing.connection.Connection, folder: str, pods: int, watchers: int) -> None:
    port = pipe.recv()
    clients = [Client(port, folder) for _ in range(CLIENTS)]
    first = clients[0]
    listing = []
    for _ in range(3):
        begun = time.perf_counter()
        size = len(first("GET", PODS))
        listing.append(1000 * (time.perf_counter() - begun))
    print(f"list of {pods} pods: {min(listing):.0f} ms, {size / 1e6:.1f} MB")
    begun = time.perf_counter()
    pages, token = 0, ""
    while pages == 0 or token:
        page = json.loads(first("GET", f"{PODS}?limit=500&continue={token}"))
        pages, token = pages + 1, page["metadata"].get("continue", "")
    print(f"the same in {pages} pages of 500: {1000 * (time.perf_counter() - begun):.0f} ms")
    for crowd in (clients[:1], clients[:8], clients):
        label = f"{len(crowd):2} clients"
        for name, call in (
            ("get a pod", lambda client, number, turn: client("GET", f"{PODS}/loaded-{(number * EACH + turn) % pods}")),
            (
                "create a pod",
                lambda client, number, turn, crowd=crowd: client(
                    "POST", PODS, pod(f"made-{len(crowd)}-{number}-{turn}")
                ),
            ),
        ):
            found = measured(crowd, call, EACH)
            print(f"{name}, {label}: p50 {found.p50:.1f} ms, p99 {found.p99:.1f} ms, {found.rate:.0f}/s")

    def create(number: int) -> object:
        return first(
            "POST", CONFIGMAPS, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"fan-{number}"}}
        )

    opening, found = asyncio.run(fan_out(port, first.tls, watchers, create))
    print(
        f"{watchers} watchers: open in {opening:.1f} s; events come after "
        f"p50 {found.p50:.0f} ms, p99 {found.p99:.0f} ms"
    )
    print(f"  {found.rate:.0f} events/s in all")
    pipe.send("end")
    print(f"resident at most: {pipe.recv() / 1024:.0f} MB")


if __name__ == "__main__":
    main()
