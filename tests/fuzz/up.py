"""A `kdl up` with fake nodes, in a process of its own, that can be killed and started again on its data folder."""

from __future__ import annotations

import contextlib
import http.client
import os
import signal
import ssl
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType
from typing import Any, Final, Self

import orjson

from tests.fuzz.mutate import ROOT

STARTING: Final = 90.0
"""Seconds until it serves."""

_KDL: Final = [sys.executable, "-c", "from kdl.runtime.shell.cli import main; main()"]
_UP: Final = [*_KDL, "up", "-q", "--runtime", "fake", "--nodes", "2"]


class Up:
    """A cluster in a data folder; inside ``with`` it runs."""

    def __init__(self, data: Path) -> None:
        self.data, self.log = data, data.with_suffix(".log")
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._end(signal.SIGTERM)

    def start(self) -> None:
        """Start, and return when it serves."""
        (self.data / "endpoint").unlink(missing_ok=True)
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [*_UP, "--data", str(self.data)], stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=ROOT
            )
        end = time.monotonic() + STARTING
        while not (self.data / "endpoint").exists():
            if self._process.poll() is not None or time.monotonic() > end:
                self._end(signal.SIGKILL)
                raise AssertionError(f"kdl did not start:\n{self.said()}")
            time.sleep(0.02)

    def kill(self) -> None:
        """End it as a power cut would."""
        self._end(signal.SIGKILL)

    def _end(self, how: signal.Signals) -> None:
        if self._process is not None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(how)
            self._process.wait(60)
            self._process = None

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def memory(self) -> int:
        """The bytes that its process has resident."""
        assert self._process is not None
        pages = int(Path(f"/proc/{self._process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")

    def said(self) -> str:
        """What it printed, all starts together."""
        return self.log.read_text("utf-8", "replace")

    def client(self, timeout: float = 30) -> Client:
        """An administrator's connection."""
        tls = ssl.create_default_context(cafile=str(self.data / "pki" / "ca.crt"))
        port = int((self.data / "endpoint").read_text().strip().rpartition(":")[2])
        return Client(port, (self.data / "token").read_text().strip(), tls, timeout)


class Client:
    """One connection, which is kept; it raises what its sockets raise."""

    def __init__(self, port: int, token: str, tls: ssl.SSLContext | None = None, timeout: float = 30) -> None:
        self.connection = (
            http.client.HTTPSConnection("127.0.0.1", port, context=tls, timeout=timeout)
            if tls is not None
            else http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
        )
        self.headers = {"Authorization": f"Bearer {token}"}

    def send(self, method: str, path: str, body: Any = None, **headers: str) -> http.client.HTTPResponse:
        """Ask; the answer's body is yet to be read. A body that is no bytes is sent as JSON."""
        data = body if body is None or isinstance(body, bytes) else orjson.dumps(body)
        media = {"Content-Type": "application/json"} if data is not None else {}
        self.connection.request(method, path, data, {**self.headers, **media, **headers})
        return self.connection.getresponse()

    def __call__(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """The status and the JSON of an answer."""
        answer = self.send(method, path, body, **headers)
        return answer.status, orjson.loads(answer.read())

    def close(self) -> None:
        """Hang up."""
        self.connection.close()
