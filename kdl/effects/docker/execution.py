"""Commands inside containers, within a time; a command that takes longer is ended."""

from __future__ import annotations

import os
import signal
import struct
import time
from collections.abc import Sequence
from pathlib import Path

from kdl.effects.docker.connection import Client, RequestException

OUTPUT = 10_240
"""Bytes of output that are kept."""


def execute(client: Client, container_id: str, argv: Sequence[str], timeout: float) -> tuple[int, str]:
    """The exit code of a command in a container, and its output; raises `TimeoutError` when it takes too long."""
    made = client.exec_create(container_id, list(argv))["Id"]
    # The SDK reads from below its own buffer, where the first output may already be; so this reads the answer itself.
    url = f"{client.base_url}/v{client.api_version}/exec/{made}/start"
    end = time.monotonic() + timeout
    raw = b""
    try:
        with client.post(url, json={"Detach": False, "Tty": False}, stream=True, timeout=timeout) as answer:
            answer.raise_for_status()
            for chunk in answer.iter_content(None):
                raw = (raw + chunk)[: 2 * OUTPUT]
                if time.monotonic() > end:
                    raise TimeoutError
    except (RequestException, TimeoutError) as error:
        if time.monotonic() < end:
            raise
        _end(int(client.exec_inspect(made)["Pid"]), container_id)
        raise TimeoutError(f"no end after {timeout:g} s") from error
    code = client.exec_inspect(made)["ExitCode"]
    return int(code if code is not None else -1), _text(raw)


def _text(raw: bytes) -> str:
    """The output without the frame headers that tell its streams apart."""
    parts, at = [], 0
    while at + 8 <= len(raw):
        (size,) = struct.unpack_from(">xxxxL", raw, at)
        parts.append(raw[at + 8 : at + 8 + size])
        at += 8 + size
    return b"".join(parts)[:OUTPUT].decode(errors="replace")


def _end(pid: int, container_id: str) -> None:
    """Kill a process, but only if it is one of the container's: where the daemon counts processes apart, it is not."""
    try:
        if pid > 1 and container_id in Path(f"/proc/{pid}/cgroup").read_text():
            os.kill(pid, signal.SIGKILL)
    except OSError:
        return
