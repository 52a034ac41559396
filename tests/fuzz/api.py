"""What each request must be answered with: in time, as a `Status` where it is refused, and never with a failure."""

from __future__ import annotations

import threading
import time
from collections import Counter
from typing import Any, Final, NamedTuple

import orjson

from tests.fuzz.requests import Maker, Request, Surface
from tests.fuzz.up import Client, Up

PATIENCE: Final = 10.0
"""Seconds for one answer, on a machine that does other things, too."""

MARKS: Final = ("Traceback", "a request failed", "bug in kdl", "suspended", "a subscriber of the store failed")
"""What the server must not have said."""


SUFFIX: Final = ".request"


class Trouble(NamedTuple):
    """An answer that must not be, or none."""

    request: Request
    what: str

    @property
    def place(self) -> str:
        """What makes it the same trouble as another."""
        return f"{self.request.method} {self.what[:80]}"


def _as_kubernetes(doc: Any) -> bool:
    """Whether an answer in the 500s is one that Kubernetes' API server gives for the same request."""
    said = doc if isinstance(doc, dict) else {}
    return said.get("reason") == "Timeout" or "more than one PodDisruptionBudget" in said.get("message", "")


def asked(client: Client, request: Request) -> tuple[str | None, int, Any]:
    """What is wrong with the answer to a request, its status (0: none), and its document."""
    begun = time.monotonic()
    try:
        client.connection.request(request.method, request.path, request.body, {**client.headers, **request.headers})
        answer = client.connection.getresponse()
        data = answer.read()
    except TimeoutError:
        client.close()
        return f"no answer in {client.connection.timeout} s", 0, None
    except (OSError, ValueError) as error:
        client.close()
        return f"the connection broke: {error!r}", 0, None
    except Exception as error:
        client.close()
        return f"no HTTP: {error!r}", 0, None
    took = time.monotonic() - begun
    is_json = answer.headers.get("Content-Type", "").startswith("application/json") and request.method != "HEAD"
    try:
        doc = orjson.loads(data) if is_json and data and b"}\n{" not in data else None
    except ValueError as error:
        return f"the body of {answer.status} is no JSON: {error}", answer.status, None
    if answer.status >= 500 and not _as_kubernetes(doc):
        return f"{answer.status}: {data[:300].decode('utf-8', 'replace')}", answer.status, doc
    if (
        answer.status >= 400
        and request.method != "HEAD"
        and not (isinstance(doc, dict) and doc.get("kind") == "Status")
    ):
        return f"{answer.status} is no Status: {data[:300].decode('utf-8', 'replace')}", answer.status, doc
    if took > PATIENCE * (6 if request.path.startswith("/kdl/v1/pack") else 1):  # which compiles all that there is
        return f"it took {took:.1f} s", answer.status, doc
    return None, answer.status, doc


def written(request: Request) -> bytes:
    """A request as a file keeps it."""
    body = None if request.body is None else request.body.decode("latin-1")
    return orjson.dumps({**request._asdict(), "body": body}, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE)


def read(data: bytes) -> Request:
    """The request that a file keeps."""
    fields = orjson.loads(data)
    body = fields["body"]
    return Request(**{**fields, "body": None if body is None else body.encode("latin-1")})


class Fuzzer(threading.Thread):
    """One client, which asks until the time is over or so many requests are sent."""

    def __init__(self, up: Up, surface: Surface, seed: int, until: float, most: int = 10**9) -> None:
        super().__init__(daemon=True)
        self._up, self._until, self._most = up, until, most
        self._maker = Maker(surface, seed)
        self.trouble: list[Trouble] = []
        self.statuses: Counter[tuple[str, int]] = Counter()
        """How many were answered how, by method."""

        self.slowest, self.tried = 0.0, 0

    def run(self) -> None:
        """Ask."""
        client = self._up.client(timeout=8 * PATIENCE)
        while self.tried < self._most and time.monotonic() < self._until and self._up.running:
            request = self._maker.request()
            self.tried += 1
            begun = time.monotonic()
            wrong, status, answer = asked(client, request)
            self.statuses[request.method, status] += 1
            self.slowest = max(self.slowest, time.monotonic() - begun)
            if wrong is not None:
                self.trouble.append(Trouble(request, wrong))
            self._maker.learn(request, answer)


def spoken(up: Up) -> list[str]:
    """What the server has said that it must not, with a few lines around."""
    lines = up.said().splitlines()
    return ["\n".join(lines[at : at + 60]) for at, line in enumerate(lines) if any(mark in line for mark in MARKS)]


def fuzz(up: Up, seconds: float, seed: int, clients: int, most: int = 10**9) -> list[Fuzzer]:
    """Clients that have asked until the time was over; how their server does is told by `spoken`."""
    client = up.client()
    surface, until = Surface(lambda path: client("GET", path)[1]), time.monotonic() + seconds
    fuzzers = [Fuzzer(up, surface, seed + number, until, most) for number in range(clients)]
    for fuzzer in fuzzers:
        fuzzer.start()
    for fuzzer in fuzzers:
        fuzzer.join()
    return fuzzers
