"""What there is, read without HTTP: objects found, listed and watched, now or as they were at a revision."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import NamedTuple

from kdl.parser.manifest.kinds import Kind, Kinds
from kdl.runtime.api import errors
from kdl.runtime.api.selector import everything, field_selector, label_selector
from kdl.runtime.api.served import Served
from kdl.runtime.store import Change, Gone, Key, Object, Store, Transaction


class Event(NamedTuple):
    """One line of a watch."""

    type: str
    object: Object


Listed = tuple[list[Object], int]
"""Objects, and the revision that they are of."""


class Reading:
    """The objects of a cluster, to those who read. Kinds are given as `Kind` or by name."""

    def __init__(self, store: Store, kinds: Kinds) -> None:
        self.store = store
        self.served = Served(store, kinds)
        self.computed: dict[tuple[str, str], Callable[[], Sequence[Object]]] = {}
        """Kinds whose objects are in no store, by group and name: what they are at the moment."""
        self._open: Transaction | None = None
        """The transaction in which is read, if in one."""

    @property
    def kinds(self) -> Kinds:
        """The kinds of objects that there may be now."""
        return self.served.now.kinds

    def kind(self, kind: Kind | str) -> Kind:
        """The kind of this name; `ApiError` 404 if there is none."""
        found = kind if isinstance(kind, Kind) else self.kinds.named(kind) or self.kinds.lookup(kind)
        if found is None:
            raise errors.ApiError(404, "NotFound", f"the server could not find the requested resource `{kind}`")
        return found

    @staticmethod
    def key(kind: Kind, id_: str) -> Key:
        """Where an object of this kind and id is stored."""
        return Key(kind.group, kind.name, id_)

    def find(self, kind: Kind | str, id_: str) -> Object | None:
        """The object, if there is one."""
        key = self.key(self.kind(kind), id_)
        if (source := self.computed.get(key[:2])) is not None:
            return next((item for item in source() if item.key == key), None)
        return self.store.get(key) if self._open is None else self._open.get(key)

    def before(self, kind: Kind | str, id_: str) -> Object | None:
        """The object as it was before this transaction; outside of one, as it is."""
        key = self.key(self.kind(kind), id_)
        return self.store.get(key) if self._open is None else self._open.before(key)

    def get(self, kind: Kind | str, id_: str) -> Object:
        """The object; `ApiError` 404 if there is none."""
        kind = self.kind(kind)
        found = self.find(kind, id_)
        if found is None:
            raise errors.not_found(kind, id_.rpartition("/")[2])
        return found

    def list(
        self, kind: Kind | str, namespace: str | None = None, labels: str | None = None, fields: str | None = None
    ) -> Listed:
        """The objects that the selectors select, by id, and the revision from which a watch continues."""
        return self.list_at(self.kind(kind), None, namespace, labels, fields)

    def list_at(
        self, kind: Kind, revision: int | None, namespace: str | None, labels: str | None, fields: str | None
    ) -> Listed:
        """The same as of a revision, None for now; `ApiError` 410 if what was there then is no longer known."""
        by_label, by_field = label_selector(labels), field_selector(fields)
        items: Iterable[Object]
        items, now = self.store.snapshot(kind.group, kind.name)
        if self._open is not None:
            items = self._open.objects(kind.group, kind.name)
        if (source := self.computed.get((kind.group, kind.name))) is not None:
            items = source()
        elif revision is not None and revision != now:
            items = self._as_of(kind, items, revision, now)
            now = revision
        if namespace:
            prefix = f"{namespace}/"
            items = [item for item in items if item.key.id.startswith(prefix)]
        for test in (by_label, by_field):
            if test is not everything:
                items = [item for item in items if test(item.doc)]
        return sorted(items, key=attrgetter("key.id")), now

    def _as_of(self, kind: Kind, items: Iterable[Object], revision: int, now: int) -> Sequence[Object]:
        """The objects as they were, found by taking back what has changed since."""
        try:
            changes = self.store.changes(revision)
        except Gone as gone:
            raise errors.expired(f"The provided continue parameter is too old: {gone}") from gone
        found = {item.key: item for item in items}
        for change in reversed(
            [c for c in changes if c.revision <= now and c.object.key[:2] == (kind.group, kind.name)]
        ):
            if change.previous is None:
                found.pop(change.object.key, None)
            else:
                found[change.object.key] = change.previous
        return list(found.values())

    def watch(
        self,
        tell: Callable[[Sequence[Event]], None],
        kind: Kind | str,
        namespace: str | None = None,
        labels: str | None = None,
        fields: str | None = None,
        since: int | None = None,
    ) -> Callable[[], None]:
        """Tell about changes of the selected objects, once durable; returns what ends it.

        Without `since` it begins with what there is, as ADDED. An object that comes to be selected is ADDED, one that
        no longer is, DELETED. `tell` is called on the writer's thread and must not block. `ApiError` 410 if the
        changes after `since` are no longer known.
        """
        kind = self.kind(kind)
        by_label, by_field = label_selector(labels), field_selector(fields)

        def selected(item: Object | None) -> bool:
            return (
                item is not None
                and (not namespace or item.key.namespace == namespace)
                and by_label(item.doc)
                and by_field(item.doc)
            )

        def heard(changes: Sequence[Change]) -> None:
            seen = [event for change in changes if (event := _event(change, selected)) is not None]
            if seen:
                tell(seen)

        if not since:
            items, since = self.store.snapshot(kind.group, kind.name)
            chosen = sorted(filter(selected, items), key=lambda item: item.revision)
            if chosen:
                tell([Event("ADDED", item) for item in chosen])
        try:
            return self.store.subscribe(heard, since, (kind.group, kind.name))
        except Gone as gone:
            raise errors.expired(str(gone)) from gone


def _event(change: Change, selected: Callable[[Object | None], bool]) -> Event | None:
    before, now = selected(change.previous), change.type != "DELETED" and selected(change.object)
    if now:
        return Event("MODIFIED" if before else "ADDED", change.object)
    if not before:
        return None
    assert change.previous is not None
    return Event("DELETED", Object(change.object.key, change.revision, change.previous.doc))
