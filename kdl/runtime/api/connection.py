"""How a client finds the server of a data folder: the files ``token``, ``endpoint`` and, for kubectl, ``kubeconfig``.

All are for their owner only.
"""

from __future__ import annotations

import secrets
from base64 import b64encode
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import orjson

from kdl.runtime.store.folder import write_private

if TYPE_CHECKING:
    from kdl.runtime.api.certificates import Pair


class NotRunning(Exception):
    """No server answers for this data folder; the message is for people."""


@dataclass(frozen=True, slots=True)
class Connection:
    """Where a server listens, what it asks of its clients, and by which authority they know it."""

    endpoint: str
    token: str
    authority: Path | None = None


def token_of(folder: Path) -> str:
    """The token of a data folder, made at the first call."""
    path = folder / "token"
    try:
        return path.read_text(encoding="ascii").strip()
    except FileNotFoundError:
        write_private(path, f"{secrets.token_urlsafe(32)}\n".encode())
        return path.read_text(encoding="ascii").strip()


def announce(folder: Path, endpoint: str) -> None:
    """Say where the server of this folder listens."""
    write_private(folder / "endpoint", f"{endpoint}\n".encode())


def write_kubeconfig(folder: Path, endpoint: str, authority: bytes, user: str, pair: Pair) -> Path:
    """Write what kubectl needs (JSON is YAML) to be this user, who shows a certificate; the file."""
    certificate, key = (b64encode(part).decode() for part in (pair.certificate, pair.key))
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "clusters": [
            {
                "name": "kdl",
                "cluster": {"server": endpoint, "certificate-authority-data": b64encode(authority).decode()},
            }
        ],
        "users": [{"name": user, "user": {"client-certificate-data": certificate, "client-key-data": key}}],
        "contexts": [{"name": "kdl", "context": {"cluster": "kdl", "user": user}}],
        "current-context": "kdl",
    }
    file = folder / "kubeconfig"
    write_private(file, orjson.dumps(config, option=orjson.OPT_INDENT_2 | orjson.OPT_APPEND_NEWLINE))
    return file


def withdraw(folder: Path) -> None:
    """Say that no server listens any more."""
    (folder / "endpoint").unlink(missing_ok=True)


def connection(folder: Path) -> Connection:
    """The connection to the server of a folder, as announced; `NotRunning` if there is none."""
    try:
        endpoint = (folder / "endpoint").read_text(encoding="ascii").strip()
        token = (folder / "token").read_text(encoding="ascii").strip()
        return Connection(endpoint, token, folder / "pki" / "ca.crt" if endpoint.startswith("https:") else None)
    except FileNotFoundError:
        raise not_running(folder) from None
    except PermissionError as error:
        raise NotRunning(f"the kdl of `{folder}` belongs to another user: {error.strerror}") from None


def not_running(folder: Path | str) -> NotRunning:
    """The error that says how to start a server."""
    return NotRunning(f"no kdl is running on `{folder}`: start it with `kdl up`, or name its folder with --data")
