"""The store in memory: transactions, group commit, the change log and subscriptions. `sqlite` adds durability to it.

Three layers, each seen through the one above: a transaction's own writes; the *pending* writes of transactions that are
committed but not yet durable, which only transactions see; and the durable state, which everyone sees. A commit queues
its transaction; whoever gets the flush lock first makes all queued transactions durable at once and publishes them.
"""

from __future__ import annotations

import logging
import threading
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

import orjson

from kdl.fact import Document, Shared, plain, value
from kdl.runtime.store.interface import Change, ChangeType, Gone, Key, Object, Source, StoreError

log = logging.getLogger(__name__)

Tell = Callable[[Sequence[Change]], None]
Kind = tuple[str, str]

RETAINED: Final = 32 << 20
"""In memory a document takes up to fifteen times the bytes that it has as JSON."""

_UNSTORED = ("resourceVersion", "managedFields")
_LARGE = 16_384
"""A document of more bytes shares nothing: what is remembered of others for sharing must be small."""


def stored(doc: Mapping[str, Any]) -> Document:
    """The document as stores keep it; unchanged (and not copied) where it already is that."""
    document = value(doc)
    assert isinstance(document, Document)
    metadata = document.get("metadata")
    if isinstance(metadata, Document) and any(name in metadata for name in _UNSTORED):
        kept = Document({name: item for name, item in metadata.items() if name not in _UNSTORED})
        return Document({**document, "metadata": kept})
    return document


def encode(doc: Document) -> bytes:
    """The document as JSON text; `ValueError` where JSON cannot hold it."""
    try:
        return orjson.dumps(doc, default=plain)
    except TypeError as error:
        raise ValueError(f"the object cannot be stored: {error}") from error


def _safely(tell: Tell, changes: Sequence[Change]) -> None:
    """Tell one subscriber; its failure is not the writer's, whose write is durable already."""
    try:
        tell(changes)
    except Exception:
        log.exception("a subscriber of the store failed")


class MemoryTransaction:
    """The writes of one ``with store.transaction()`` block."""

    def __init__(self, store: MemoryStore) -> None:
        self.changes: list[Change] = []
        self.sources: dict[str, Source | None] = {}
        self.metas: dict[str, str] = {}
        self.written: dict[Key, Object | None] = {}
        self.encoded: dict[int, bytes] = {}
        self.sizes: list[int] = []
        """Of each change, the bytes of the document that it made or removed."""
        self.done = False
        self.error: BaseException | None = None
        self._store = store

    def since(self, revision: int) -> list[Change]:
        """See `Transaction.since`."""
        earlier = self._store._committed_since(revision)
        return earlier + [change for change in self.changes if change.revision > revision]

    def get(self, key: Key) -> Object | None:
        """See `Transaction.get`."""
        if key in self.written:
            return self.written[key]
        return self._store._latest(key)

    def before(self, key: Key) -> Object | None:
        """See `Transaction.before`."""
        return self._store._latest(key)

    def objects(self, group: str, kind: str) -> list[Object]:
        """See `Transaction.objects`."""
        found = self._store._latest_of((group, kind))
        for key, item in self.written.items():
            if key[:2] == (group, kind):
                if item is None:
                    found.pop(key.id, None)
                else:
                    found[key.id] = item
        return list(found.values())

    def put(self, key: Key, doc: Mapping[str, Any], managed: tuple[Mapping[str, Any], ...] | None = None) -> Object:
        """See `Transaction.put`."""
        document = stored(doc)
        previous = self.get(key)
        if managed is None:
            managed = previous.managed if previous is not None else ()
        if previous is not None and previous.doc == document and previous.managed == managed:
            return previous
        encoded = encode(document)  # before anything is written: what no store can keep fails here, and alone
        document = self._store.shared(document, len(encoded))
        item = Object(key, self._store._next_revision(self), document, managed)
        self.encoded[item.revision] = encoded
        self.sizes.append(len(encoded))
        self._write("ADDED" if previous is None else "MODIFIED", item, item, previous)
        return item

    def delete(self, key: Key) -> Object | None:
        """See `Transaction.delete`."""
        previous = self.get(key)
        if previous is None:
            return None
        item = Object(key, self._store._next_revision(self), previous.doc, previous.managed)
        self.sizes.append(len(encode(previous.doc)))
        self._write("DELETED", item, None, previous)
        if previous.uid:
            self.sources[previous.uid] = None
        return previous

    def _write(self, type_: ChangeType, item: Object, now: Object | None, previous: Object | None) -> None:
        self.changes.append(Change(type_, item, previous))
        self.written[item.key] = now

    def put_source(self, uid: str, source: Source) -> None:
        """See `Transaction.put_source`."""
        self._store._check_open(self)
        self.sources[uid] = source

    def meta(self, key: str) -> str | None:
        """See `Transaction.meta`."""
        return self.metas[key] if key in self.metas else self._store._latest_meta(key)

    def put_meta(self, key: str, value: str) -> None:
        """See `Transaction.put_meta`."""
        self._store._check_open(self)
        self.metas[key] = value


class MemoryStore:
    """A store whose durable state is what is in memory.

    `retain` changes are kept for watchers that come back; fewer where their documents, as JSON, have more bytes than
    `retain_bytes`.
    """

    def __init__(self, retain: int = 5_000, retain_bytes: int = RETAINED) -> None:
        self._retain, self._retain_bytes = retain, retain_bytes
        self._writer = threading.Lock()  # held by the running transaction
        self._flushing = threading.Lock()  # held by the one who makes queued transactions durable
        self._state = threading.RLock()  # held for moments: the layers and the subscribers
        self._open: MemoryTransaction | None = None
        self._running: int | None = None
        self._assigned = 0
        self._queue: deque[MemoryTransaction] = deque()
        self._unpublished: list[MemoryTransaction] = []
        self._pending: dict[Key, tuple[MemoryTransaction, Object | None]] = {}
        self._pending_metas: dict[str, tuple[MemoryTransaction, str]] = {}
        self._objects: dict[Kind, dict[str, Object]] = {}
        self._sources: dict[str, Source] = {}
        self._metas: dict[str, str] = {}
        self._revision = 0
        self._log: deque[Change] = deque()
        self._sizes: deque[int] = deque()
        self._bytes = 0
        self._subscribers: dict[Kind | None, dict[object, Tell]] = {}
        self._shared = Shared()
        self._load()
        self._assigned = self._revision
        if "cluster" not in self._metas:
            with self.transaction() as t:
                t.put_meta("cluster", str(uuid.uuid4()))

    # What a durable store adds.

    def _load(self) -> None:
        """Fill `_objects`, `_sources`, `_metas` and `_revision` from what is durable."""

    def _persist(self, batch: Sequence[MemoryTransaction]) -> None:
        """Make the transactions durable, all or none."""

    def _older(self, since: int, before: int) -> list[Change]:
        """The changes after `since` up to and including `before`, which are no longer in memory."""
        raise Gone(since, before)

    def shared(self, doc: Document, size: int) -> Document:
        """The document as it is kept in memory: with parts that other objects have, too. A large one stays as it is."""
        return self._shared.within(doc) if size <= _LARGE else doc

    # Reading what is durable.

    @property
    def revision(self) -> int:
        """See `Store.revision`."""
        return self._revision

    @property
    def cluster_uid(self) -> str:
        """See `Store.cluster_uid`."""
        return self._metas["cluster"]

    def get(self, key: Key) -> Object | None:
        """See `Store.get`."""
        return self._objects.get(key[:2], {}).get(key.id)

    def snapshot(self, group: str | None = None, kind: str | None = None) -> tuple[list[Object], int]:
        """See `Store.snapshot`."""
        with self._state:
            if group is not None and kind is not None:
                return list(self._objects.get((group, kind), {}).values()), self._revision
            return [
                item
                for (its_group, its_kind), items in self._objects.items()
                if group in (None, its_group) and kind in (None, its_kind)
                for item in items.values()
            ], self._revision

    def source(self, uid: str) -> Source | None:
        """See `Store.source`."""
        return self._sources.get(uid)

    def meta(self, key: str) -> str | None:
        """See `Store.meta`."""
        return self._metas.get(key)

    # Writing.

    @contextmanager
    def transaction(self, wait: bool = True) -> Iterator[MemoryTransaction]:
        """See `Store.transaction`."""
        if self._running == threading.get_ident():
            raise RuntimeError("this thread is in a transaction already")
        with self._writer:
            self._running = threading.get_ident()
            transaction = self._open = MemoryTransaction(self)
            before = self._assigned
            try:
                yield transaction
            except BaseException:
                self._assigned = before
                raise
            else:
                self._enqueue(transaction)
            finally:
                self._open = self._running = None
        if wait and not transaction.done:
            self._flush_with(transaction)

    def flush(self) -> None:
        """See `Store.flush`."""
        if self._running == threading.get_ident():
            raise RuntimeError("a transaction cannot wait for itself to be durable")
        with self._flushing:
            self._flush()

    def _enqueue(self, transaction: MemoryTransaction) -> None:
        if not (transaction.changes or transaction.sources or transaction.metas):
            transaction.done = True
            return
        with self._state:
            self._unpublished.append(transaction)
            for key, item in transaction.written.items():
                self._pending[key] = (transaction, item)
            for name, text in transaction.metas.items():
                self._pending_metas[name] = (transaction, text)
        self._queue.append(transaction)

    def _flush_with(self, transaction: MemoryTransaction) -> None:
        with self._flushing:  # whoever waited here longest has usually flushed this one too
            if not transaction.done:
                self._flush()
        if transaction.error is not None:
            raise StoreError(f"the write is not durable: {transaction.error}") from transaction.error

    def _flush(self) -> None:
        batch = []
        while self._queue:
            batch.append(self._queue.popleft())
        if not batch:
            return
        try:
            self._persist(batch)
        except BaseException as error:
            self._give_up(batch, error)
            raise StoreError(f"the write is not durable: {error}") from error
        with self._state:
            self._publish(batch)

    def _give_up(self, batch: list[MemoryTransaction], error: BaseException) -> None:
        """Drop the batch and all that was committed on top of it."""
        with self._writer:
            while self._queue:
                batch.append(self._queue.popleft())
            with self._state:
                self._unpublished.clear()
                self._pending.clear()
                self._pending_metas.clear()
                self._assigned = self._revision
            for transaction in batch:
                transaction.error = error
                transaction.done = True

    def _publish(self, batch: list[MemoryTransaction]) -> None:
        changes: list[Change] = []
        for transaction in batch:
            changes += transaction.changes
            for key, item in transaction.written.items():
                items = self._objects.setdefault(key[:2], {})
                if item is None:
                    items.pop(key.id, None)
                else:
                    items[key.id] = item
                if self._pending[key][0] is transaction:
                    del self._pending[key]
            for uid, source in transaction.sources.items():
                if source is None:
                    self._sources.pop(uid, None)
                else:
                    self._sources[uid] = source
            for name, text in transaction.metas.items():
                self._metas[name] = text
                if self._pending_metas[name][0] is transaction:
                    del self._pending_metas[name]
            transaction.done = True
        del self._unpublished[: len(batch)]
        if changes:
            self._revision = changes[-1].revision
            self._log.extend(changes)
            for transaction in batch:
                self._sizes.extend(transaction.sizes)
                self._bytes += sum(transaction.sizes)
            while len(self._log) > self._retain or self._bytes > self._retain_bytes:
                self._log.popleft()
                self._bytes -= self._sizes.popleft()
            self._tell(changes)

    # What transactions see.

    def _check_open(self, transaction: MemoryTransaction) -> None:
        if self._open is not transaction:
            raise RuntimeError("the transaction is over")

    def _next_revision(self, transaction: MemoryTransaction) -> int:
        self._check_open(transaction)
        self._assigned += 1
        return self._assigned

    def _committed_since(self, revision: int) -> list[Change]:
        with self._state:
            pending = [change for transaction in self._unpublished for change in transaction.changes]
            durable = self._changes(min(revision, self._revision))
        return durable + [change for change in pending if change.revision > revision]

    def _latest(self, key: Key) -> Object | None:
        pending = self._pending.get(key)  # published writes are in `_objects` before they leave `_pending`
        return self.get(key) if pending is None else pending[1]

    def _latest_of(self, kind: Kind) -> dict[str, Object]:
        with self._state:
            found = dict(self._objects.get(kind, {}))
            for key, (_, item) in self._pending.items():
                if key[:2] == kind:
                    if item is None:
                        found.pop(key.id, None)
                    else:
                        found[key.id] = item
            return found

    def _latest_meta(self, key: str) -> str | None:
        pending = self._pending_metas.get(key)
        return self._metas.get(key) if pending is None else pending[1]

    # Telling.

    def changes(self, since: int) -> list[Change]:
        """See `Store.changes`."""
        with self._state:
            return self._changes(since)

    def _changes(self, since: int) -> list[Change]:
        if since > self._revision:
            raise Gone(since, self._revision)
        first = self._revision - len(self._log)  # revisions have no gaps: the log holds all after this one
        if since < first:
            return [*self._older(since, first), *self._log]
        return list(islice(self._log, since - first, None))

    def _tell(self, changes: Sequence[Change]) -> None:
        everything = self._subscribers.get(None, {})
        for tell in list(everything.values()):
            _safely(tell, changes)
        if len(self._subscribers) == (1 if everything else 0):
            return
        by_kind: dict[Kind, list[Change]] = {}
        for change in changes:
            by_kind.setdefault(change.object.key[:2], []).append(change)
        for kind, its in by_kind.items():
            for tell in list(self._subscribers.get(kind, {}).values()):
                _safely(tell, its)

    def subscribe(self, tell: Tell, since: int | None = None, of: Kind | None = None) -> Callable[[], None]:
        """See `Store.subscribe`."""
        token = object()
        with self._state:
            if since is not None:
                missed = [change for change in self._changes(since) if of in (None, change.object.key[:2])]
                if missed:
                    tell(missed)
            self._subscribers.setdefault(of, {})[token] = tell

        def stop() -> None:
            with self._state:
                tellers = self._subscribers.get(of, {})
                tellers.pop(token, None)
                if not tellers:
                    self._subscribers.pop(of, None)

        return stop

    def mark(self, tell: Callable[[int], None]) -> None:
        """See `Store.mark`."""
        with self._state:
            tell(self._revision)

    def close(self) -> None:
        """See `Store.close`."""
        self.flush()
