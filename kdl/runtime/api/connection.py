"""How a client finds the server of a data folder: the files ``token`` and ``endpoint``, for its owner only."""

from __future__ import annotations

import os
import secrets
from dataclasses import dataclass
from pathlib import Path


class NotRunning(Exception):
    """No server answers for this data folder; the message is for people."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a server listens and what it asks of its clients."""

    endpoint: str
    token: str


def token_of(folder: Path) -> str:
    """The token of a data folder, made at the first call."""
    path = folder / "token"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        _write(path, secrets.token_urlsafe(32))
        return path.read_text(encoding="ascii").strip()


def announce(folder: Path, endpoint: str) -> None:
    """Say where the server of this folder listens."""
    _write(folder / "endpoint", endpoint)


def withdraw(folder: Path) -> None:
    """Say that no server listens any more."""
    (folder / "endpoint").unlink(missing_ok=True)


def connection(folder: Path) -> Connection:
    """The connection to the server of a folder, as announced; `NotRunning` if there is none."""
    try:
        endpoint = (folder / "endpoint").read_text(encoding="ascii").strip()
        return Connection(endpoint, (folder / "token").read_text(encoding="ascii").strip())
    except FileNotFoundError:
        raise not_running(folder) from None
    except PermissionError as error:
        raise NotRunning(f"the kdl of `{folder}` belongs to another user: {error.strerror}") from None


def not_running(folder: Path | str) -> NotRunning:
    """The error that says how to start a server."""
    return NotRunning(f"no kdl is running on `{folder}`: start it with `kdl up`, or name its folder with --data")


def _write(path: Path, text: str) -> None:
    """Write a file that was never readable by others and is never half there."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="ascii") as file:
        file.write(f"{text}\n")
    os.replace(new, path)
