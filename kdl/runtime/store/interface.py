"""What every store offers. The contract, as tests, is ``tests/runtime/store/test_store_contract.py``.

A store holds objects under (group, kind, id), each at the revision of its last write; revisions count all writes of the
store from 1. A document is stored without ``metadata.resourceVersion`` (that is the revision) and comes back as the
same immutable `Document` until the next write; ``metadata.managedFields`` are kept beside it, for the API alone.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, Literal, NamedTuple, Protocol

from kdl.fact import Document


class Key(NamedTuple):
    """What names an object: its id is ``namespace/name``, or ``name`` where the kind has no namespace."""

    group: str
    kind: str
    id: str

    @property
    def namespace(self) -> str:
        """The namespace; empty where there is none."""
        return self.id.rpartition("/")[0]

    @property
    def name(self) -> str:
        """The name within the namespace."""
        return self.id.rpartition("/")[2]


@dataclass(frozen=True, slots=True)
class Object:
    """One object at one revision."""

    key: Key
    revision: int
    doc: Document
    managed: tuple[Mapping[str, Any], ...] = ()
    """Who manages which fields: the entries of ``metadata.managedFields``."""

    @property
    def uid(self) -> str:
        """The uid that the object's metadata carries; empty if none was given."""
        uid: str = self.doc.get("metadata", {}).get("uid", "")
        return uid


ChangeType = Literal["ADDED", "MODIFIED", "DELETED"]


@dataclass(frozen=True, slots=True)
class Change:
    """One write. A deleted object comes with its last document, at the revision of its deletion.

    `previous` is what was there before; it is None for ADDED.
    """

    type: ChangeType
    object: Object
    previous: Object | None

    @property
    def revision(self) -> int:
        """The revision that this write made."""
        return self.object.revision


@dataclass(frozen=True, slots=True)
class Source:
    """Where an object was written: a file, and the line of each path in it (``/spec/replicas`` → 7)."""

    file: str
    lines: Mapping[str, int] = field(default_factory=dict)


class StoreError(Exception):
    """The store cannot do it; the message is for people."""


class Gone(StoreError):
    """The changes since a revision are no longer (or not yet) known: list again, and watch from there."""

    def __init__(self, since: int, oldest: int) -> None:
        super().__init__(f"too old resource version: {since} ({oldest})")
        self.since = since
        self.oldest = oldest


class Transaction(Protocol):
    """Writes that become durable together, or not at all. It reads what all earlier transactions and itself wrote."""

    changes: list[Change]
    """What was written so far, in order."""

    def since(self, revision: int) -> list[Change]:
        """All changes after a revision in order: durable ones, those of earlier transactions, and its own.

        So a loop may act on what was committed without waiting for the disk. If a later `Store.flush` fails, what it
        was told of has not happened: it starts again from a snapshot.
        """

    def get(self, key: Key) -> Object | None:
        """The object, if there is one."""

    def before(self, key: Key) -> Object | None:
        """The object as earlier transactions left it, whatever this one wrote."""

    def objects(self, group: str, kind: str) -> list[Object]:
        """All objects of a kind."""

    def put(self, key: Key, doc: Mapping[str, Any], managed: tuple[Mapping[str, Any], ...] | None = None) -> Object:
        """Add or replace; what is equal to what is there is no write. Without `managed` its entries stay."""

    def delete(self, key: Key) -> Object | None:
        """Remove the object and its source; what was there."""

    def put_source(self, uid: str, source: Source) -> None:
        """Remember where the object of this uid was written."""

    def meta(self, key: str) -> str | None:
        """A value that `put_meta` stored."""

    def put_meta(self, key: str, value: str) -> None:
        """Store a small value that is about the store itself."""


class Store(Protocol):
    """What the API and the loop need of a store. All methods may be called from any thread."""

    @property
    def revision(self) -> int:
        """The revision of the last durable write."""

    @property
    def cluster_uid(self) -> str:
        """Made once, when the store is."""

    def get(self, key: Key) -> Object | None:
        """The object as last made durable."""

    def snapshot(self, group: str | None = None, kind: str | None = None) -> tuple[list[Object], int]:
        """The durable objects of a kind, or all, with the revision at which they were read."""

    def source(self, uid: str) -> Source | None:
        """Where the object of this uid was written."""

    def meta(self, key: str) -> str | None:
        """A durable value that `Transaction.put_meta` stored."""

    def transaction(self, wait: bool = True) -> AbstractContextManager[Transaction]:
        """One transaction at a time runs; leaving the block commits it, an exception drops it.

        With ``wait`` the block is left when the commit is durable. Without it the writes are visible to later
        transactions at once, and to everyone else (and to subscribers) once they are durable: call `flush` to make
        them so. Concurrent commits share one.
        """

    def flush(self) -> None:
        """Make everything durable that was committed without waiting; `StoreError` if that fails."""

    def changes(self, since: int) -> list[Change]:
        """The durable changes after a revision, in order; raises `Gone` if not all of them are known."""

    def subscribe(
        self,
        tell: Callable[[Sequence[Change]], None],
        since: int | None = None,
        of: tuple[str, str] | None = None,
    ) -> Callable[[], None]:
        """Tell about changes (of a group and kind) once durable, in order and without gap; returns what ends it.

        With `since`, the changes after that revision are told first (`Gone` if they are not known). `tell` is called on
        the committing thread: it hands on, and neither blocks nor writes.
        """

    def mark(self, tell: Callable[[int], None]) -> None:
        """Tell the current revision, in order with what subscribers are told: all changes up to it were told before."""

    def close(self) -> None:
        """Flush and let go of everything held."""
