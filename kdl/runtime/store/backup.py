"""A cluster's data folder as one file, and back: while it runs or not, always as of one revision.

The file is a tar of the folder: a consistent copy of the store (SQLite's ``VACUUM INTO``, which neither waits for
writers nor keeps them waiting) and the small files beside it, such as keys. What is of a running process alone is left
out.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import sqlite3
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final

from kdl.runtime.store.folder import Folder
from kdl.runtime.store.interface import StoreError
from kdl.runtime.store.sqlite import SCHEMA

STORE: Final = "store.sqlite"
PASSING: Final = frozenset({"lock", "endpoint", "up.log", "history", STORE, f"{STORE}-wal", f"{STORE}-shm"})
"""What is of one run of a process (its log, what its engine was told), and what `VACUUM INTO` copies."""


def backup(folder: Path, file: Path) -> int:
    """Write the cluster of a data folder to a new file (mode 0600); the revision that it holds.

    Raises `StoreError` where there is no cluster, and `OSError` for what the file system refuses; a file that is there
    is only ever replaced by a whole one.
    """
    store = folder / STORE
    if not store.exists():
        raise StoreError(f"there is no cluster in `{folder}`")
    with tempfile.TemporaryDirectory(dir=file.absolute().parent, prefix=".kdl-backup-") as scratch:
        copy, whole = Path(scratch) / STORE, Path(scratch) / "whole"
        with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro", uri=True)) as database:
            try:
                database.execute("VACUUM INTO ?", (str(copy),))
            except sqlite3.DatabaseError as error:
                raise StoreError(f"`{store}` cannot be copied: {error}") from error
        revision = _checked(copy)
        with open(os.open(whole, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "wb") as out:
            with tarfile.open(fileobj=out, mode="w") as archive:
                archive.add(copy, STORE)
                for path in _beside(folder):
                    archive.add(path, str(path.relative_to(folder)), recursive=False)
            out.flush()
            os.fsync(out.fileno())
        os.replace(whole, file)
    return revision


def restore(file: Path, folder: Path) -> int:
    """Make a data folder from a backup; the revision that it holds. `StoreError` if a cluster is there already."""
    if (folder / STORE).exists():
        raise StoreError(f"there is a cluster in `{folder}`: choose another folder with --data")
    held = Folder(folder)  # nobody starts a cluster there meanwhile
    try:
        with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".kdl-restore-") as scratch:
            try:
                with tarfile.open(file, "r:") as archive:
                    archive.extractall(scratch, filter="data")
            except (tarfile.TarError, EOFError) as error:
                raise StoreError(f"`{file}` is no backup of kdl: {error}") from error
            if not (Path(scratch) / STORE).is_file():
                raise StoreError(f"`{file}` is no backup of kdl: it has no {STORE}")
            revision = _checked(Path(scratch) / STORE)
            for path in sorted(Path(scratch).iterdir(), key=lambda path: path.name == STORE):
                shutil.move(path, folder / path.name)  # the store last: without it there is no cluster
        held.sync()
    finally:
        held.release()
    return revision


def _beside(folder: Path) -> Iterator[Path]:
    """What stands beside the store and outlives a process: plain files and folders, sorted."""
    for path in sorted(folder.rglob("*")):
        if path.relative_to(folder).parts[0] not in PASSING and (path.is_dir() or path.is_file()):
            yield path


def _checked(store: Path) -> int:
    """The revision of a store; `StoreError` if it is damaged, or not one that this kdl knows."""
    try:
        with contextlib.closing(sqlite3.connect(f"file:{store}?mode=ro&immutable=1", uri=True)) as database:
            (verdict,) = database.execute("PRAGMA integrity_check(1)").fetchone()
            (schema,) = database.execute("PRAGMA user_version").fetchone()
            row = database.execute("SELECT value FROM meta WHERE key = 'revision'").fetchone()
    except sqlite3.DatabaseError as error:
        raise StoreError(f"the store in the backup is damaged: {error}") from error
    if verdict != "ok":
        raise StoreError(f"the store in the backup is damaged: {verdict}")
    if schema > SCHEMA:
        raise StoreError(f"the backup has schema {schema}, made by a newer kdl: this one knows schema {SCHEMA}")
    return int(row[0]) if row is not None else 0
