"""The lock that iptables' own commands take. python-iptables takes none, and a table is read and written as a whole."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager


class LockHeld(Exception):
    """Somebody else kept the lock for too long."""


@contextmanager
def xtables_lock(seconds: float = 20) -> Iterator[None]:
    """Hold ``/run/xtables.lock`` (or what ``XTABLES_LOCKFILE`` names); raises `LockHeld` when it stays taken."""
    path = os.environ.get("XTABLES_LOCKFILE", "/run/xtables.lock")
    file = os.open(path, os.O_CREAT | os.O_RDONLY | os.O_CLOEXEC, 0o600)
    try:
        end, pause = time.monotonic() + seconds, 0.001
        while True:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > end:
                    raise LockHeld(f"another program has held {path} for {seconds:g} s") from None
                time.sleep(pause)
                pause = min(pause * 2, 0.05)
        yield
    finally:
        os.close(file)
