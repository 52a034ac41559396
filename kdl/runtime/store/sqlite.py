"""The store on disk: SQLite with a write-ahead log, synced at every commit, so that what was acknowledged is kept.

Table ``versions`` is the change log and holds every document once; ``objects`` points at each object's current version.
Compaction drops the versions that are neither current, nor within the last `history` changes, nor what one of those
replaced. The decoded documents are in memory (`MemoryStore`); the disk is read at start and for watchers far behind.
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
import threading
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Final, cast

import orjson

from kdl.fact import Document, value
from kdl.runtime import fault
from kdl.runtime.store.folder import Folder
from kdl.runtime.store.interface import Change, Gone, Key, Object, Source, StoreError
from kdl.runtime.store.memory import RETAINED, MemoryStore, MemoryTransaction

SCHEMA: Final = 2
_TABLES: Final = """
CREATE TABLE versions (
    revision INTEGER PRIMARY KEY, kind_group TEXT NOT NULL, kind TEXT NOT NULL, id TEXT NOT NULL,
    doc BLOB, previous INTEGER, managed BLOB);
CREATE TABLE objects (
    kind_group TEXT, kind TEXT, id TEXT, revision INTEGER NOT NULL,
    PRIMARY KEY (kind_group, kind, id)) WITHOUT ROWID;
CREATE TABLE sources (uid TEXT PRIMARY KEY, file TEXT NOT NULL, lines BLOB NOT NULL) WITHOUT ROWID;
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""
_MIGRATIONS: Final = {1: "ALTER TABLE versions ADD COLUMN managed BLOB;"}
"""What makes the next schema of each older one."""

_COMPACT: Final = """
DELETE FROM versions WHERE revision <= :horizon
    AND revision NOT IN (SELECT revision FROM objects)
    AND revision NOT IN (SELECT previous FROM versions WHERE revision > :horizon AND previous IS NOT NULL)
"""
_HISTORY: Final = """
SELECT v.revision, v.kind_group, v.kind, v.id, v.doc, v.managed, v.previous, p.doc, p.managed
FROM versions v LEFT JOIN versions p ON p.revision = v.previous
WHERE v.revision > ? AND v.revision <= ? ORDER BY v.revision
"""


class SqliteStore(MemoryStore):
    """A store in a data folder, which it locks. `history` changes stay on disk for watchers that come back."""

    def __init__(
        self, folder: str | os.PathLike[str], retain: int = 5_000, history: int = 50_000, retain_bytes: int = RETAINED
    ) -> None:
        self._folder = Folder(folder)
        self._history = history
        self._compacted = 0
        try:
            self._database = self._open_database()
            self._reader = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
            self._reading = threading.Lock()
            super().__init__(retain, retain_bytes)
        except sqlite3.DatabaseError as error:
            self._folder.release()
            raise StoreError(f"`{self._file}` cannot be used as kdl's store: {error}") from error
        except BaseException:
            self._folder.release()
            raise

    @property
    def _file(self) -> str:
        return str(self._folder.path / "store.sqlite")

    def _open_database(self) -> sqlite3.Connection:
        database = sqlite3.connect(self._file, isolation_level=None, check_same_thread=False)
        os.chmod(self._file, 0o600)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
        database.execute("PRAGMA wal_autocheckpoint = 4000")
        (schema,) = database.execute("PRAGMA user_version").fetchone()
        while schema in _MIGRATIONS:
            database.executescript(f"BEGIN; {_MIGRATIONS[schema]} PRAGMA user_version = {schema + 1}; COMMIT;")
            schema += 1
        if schema == 0:
            database.executescript(f"BEGIN; {_TABLES} PRAGMA user_version = {SCHEMA}; COMMIT;")
            self._folder.sync()
        elif schema != SCHEMA:
            database.close()
            raise StoreError(f"`{self._file}` has schema {schema}, made by another kdl: this one knows schema {SCHEMA}")
        return database

    def _load(self) -> None:
        rows = self._database.execute(
            "SELECT o.kind_group, o.kind, o.id, o.revision, v.doc, v.managed "
            "FROM objects o JOIN versions v USING (revision)"
        )
        for group, kind, id_, revision, doc, managed in rows:
            item = _object(Key(group, kind, id_), revision, doc, managed)
            self._objects.setdefault((group, kind), {})[id_] = replace(item, doc=self.shared(item.doc, len(doc)))
        self._sources.update(_sources(self._database))
        self._metas.update(self._database.execute("SELECT key, value FROM meta"))
        self._compacted = int(self._metas.pop("compacted", 0))
        self._revision = int(self._metas.pop("revision", 0))

    def _persist(self, batch: Sequence[MemoryTransaction]) -> None:
        fault.point("store: before commit")
        execute, executemany = self._database.execute, self._database.executemany
        execute("BEGIN IMMEDIATE")
        try:
            for transaction in batch:
                if transaction.changes:
                    executemany("INSERT INTO versions VALUES (?, ?, ?, ?, ?, ?, ?)", _versions(transaction))
                for key, item in transaction.written.items():
                    if item is None:
                        execute("DELETE FROM objects WHERE kind_group = ? AND kind = ? AND id = ?", key)
                    else:
                        execute("INSERT OR REPLACE INTO objects VALUES (?, ?, ?, ?)", (*key, item.revision))
                for uid, source in transaction.sources.items():
                    if source is None:
                        execute("DELETE FROM sources WHERE uid = ?", (uid,))
                    else:
                        lines = orjson.dumps(dict(source.lines))
                        execute("INSERT OR REPLACE INTO sources VALUES (?, ?, ?)", (uid, source.file, lines))
                self._put_metas(transaction.metas)
            revision = max((t.changes[-1].revision for t in batch if t.changes), default=self._revision)
            self._put_metas({"revision": str(revision)})
            compacted = self._compact(revision)
            execute("COMMIT")
        except BaseException:
            self._database.rollback()
            raise
        self._compacted = compacted
        fault.point("store: after commit")

    def _put_metas(self, metas: dict[str, str]) -> None:
        self._database.executemany("INSERT OR REPLACE INTO meta VALUES (?, ?)", metas.items())

    def _compact(self, revision: int) -> int:
        """Drop old versions when a fifth too many have gathered; the revision up to which the log is gone."""
        horizon = revision - self._history
        if horizon - self._compacted <= self._history // 5:
            return self._compacted
        self._database.execute(_COMPACT, {"horizon": horizon})
        self._put_metas({"compacted": str(horizon)})
        return horizon

    def _older(self, since: int, before: int) -> list[Change]:
        if since < self._compacted:
            raise Gone(since, self._compacted)
        with self._reading:
            rows = self._reader.execute(_HISTORY, (since, before)).fetchall()
        return [_change(*row) for row in rows]

    def close(self) -> None:
        """See `Store.close`."""
        try:
            super().close()
        finally:
            self._reader.close()
            self._database.close()
            self._folder.release()


def sources(folder: str | os.PathLike[str]) -> dict[str, Source]:
    """Where the objects of a data folder were written, by uid; also while another process has it."""
    with contextlib.closing(sqlite3.connect(f"file:{os.fspath(folder)}/store.sqlite?mode=ro", uri=True)) as database:
        return dict(_sources(database))


def _sources(database: sqlite3.Connection) -> Iterator[tuple[str, Source]]:
    for uid, file, lines in database.execute("SELECT uid, file, lines FROM sources"):
        yield uid, Source(file, orjson.loads(lines))


def _versions(transaction: MemoryTransaction) -> Iterable[tuple[object, ...]]:
    for change in transaction.changes:
        previous = change.previous.revision if change.previous is not None else None
        managed = orjson.dumps(change.object.managed) if change.object.managed else None
        yield change.revision, *change.object.key, transaction.encoded.get(change.revision), previous, managed


def _object(key: Key, revision: int, doc: bytes, managed: bytes | None) -> Object:
    entries = tuple(orjson.loads(managed)) if managed is not None else ()
    return Object(key, revision, cast(Document, value(orjson.loads(doc))), entries)


def _change(
    revision: int,
    group: str,
    kind: str,
    id_: str,
    doc: bytes | None,
    managed: bytes | None,
    before: int | None,
    old: bytes | None,
    old_managed: bytes | None,
) -> Change:
    key = Key(group, kind, id_)
    previous = _object(key, before, old, old_managed) if before is not None and old is not None else None
    if doc is None:
        assert previous is not None
        return Change("DELETED", Object(key, revision, previous.doc, previous.managed), previous)
    return Change("ADDED" if previous is None else "MODIFIED", _object(key, revision, doc, managed), previous)
