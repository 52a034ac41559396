"""Connections to a Docker daemon: the only importer of its SDK."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, TypeAlias

from docker import APIClient
from docker.errors import APIError, DockerException, ImageNotFound, NotFound
from docker.utils import kwargs_from_env, parse_repository_tag
from requests.exceptions import RequestException

__all__ = [
    "ACT",
    "FAILURES",
    "LOOK",
    "APIError",
    "Client",
    "Connect",
    "Connection",
    "ImageNotFound",
    "NotFound",
    "Refused",
    "RequestException",
    "connect_to",
    "line",
    "parse_repository_tag",
]

Client: TypeAlias = Any
"""The SDK's `APIClient`, whose published types are of no help: half of what is used here has none."""

Connect = Callable[[float | None], Client]
"""Makes a client whose reads end after so many seconds (None: never). Raises one of `FAILURES` if nobody answers."""

LOOK, ACT = 4.0, 60.0
"""Seconds for an answer when looking, and when doing something."""


class Refused(Exception):
    """What was asked for cannot be done, and Docker was not needed to find out."""


FAILURES = (DockerException, RequestException, OSError, Refused)
"""What calls to Docker may raise."""


def connect_to(url: str | None = None) -> Connect:
    """Connections to the daemon at a URL; without one, to that of DOCKER_HOST or at the usual place."""

    def connect(timeout: float | None) -> Client:
        where: Any = {"base_url": url} if url else kwargs_from_env()
        client: Client = APIClient(version="auto", timeout=int(LOOK), **where)
        client.timeout = timeout
        return client

    return connect


class Connection:
    """The clients of one driver, made when first needed, so that a driver may exist before its daemon answers."""

    def __init__(self, connect: Connect) -> None:
        self.connect = connect
        self._lock = threading.Lock()
        self._clients: dict[float, Client] = {}

    def looking(self) -> Client:
        """A client that gives up soon."""
        return self._client(LOOK)

    def acting(self) -> Client:
        """A client with more patience."""
        return self._client(ACT)

    def endless(self) -> Client:
        """A client of the caller's own for a stream that may be silent for long."""
        return self.connect(None)

    def _client(self, timeout: float) -> Client:
        with self._lock:
            if timeout not in self._clients:
                self._clients[timeout] = self.connect(timeout)
            return self._clients[timeout]


def line(error: BaseException) -> str:
    """What went wrong, on one line, in Docker's own words where it gave any."""
    said = error.explanation if isinstance(error, APIError) else None
    return " ".join(str(said or error).split())
