"""The data folder and its lock: one process at a time, and only its owner, uses it."""

from __future__ import annotations

import contextlib
import fcntl
import os
from pathlib import Path

from kdl.runtime.store.interface import StoreError


class Folder:
    """A locked data folder; the lock goes with the process, however it ends."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        try:
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._lock = os.open(self.path / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise StoreError(f"the data folder `{self.path}` cannot be used: {error.strerror}") from error
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.read(self._lock, 32).decode(errors="replace").strip() or "unknown"
            os.close(self._lock)
            raise StoreError(
                f"the data folder `{self.path}` is in use by process {owner}: "
                "stop it with `kdl down`, or choose another folder with --data"
            ) from None
        os.ftruncate(self._lock, 0)
        os.pwrite(self._lock, f"{os.getpid()}\n".encode(), 0)

    def sync(self) -> None:
        """Make the names of new files durable."""
        directory = os.open(self.path, os.O_RDONLY)
        try:
            os.fsync(directory)
        finally:
            os.close(directory)

    def release(self) -> None:
        """Let the next process in."""
        with contextlib.suppress(OSError):
            os.close(self._lock)


def write_private(path: Path, data: bytes) -> None:
    """Write a file that was never readable by others and is never half there."""
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.unlink(missing_ok=True)
    descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)
    os.replace(new, path)


def owner(path: str | os.PathLike[str]) -> int | None:
    """The process that holds the folder; None if nobody does."""
    try:
        lock = os.open(Path(path) / "lock", os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        return None
    try:
        fcntl.flock(lock, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        text = os.read(lock, 32).strip()
        return int(text) if text.isdigit() else None
    finally:
        os.close(lock)
    return None
