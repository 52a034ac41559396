"""Stored objects as `core.object` facts: changes of the store in, facts to insert and remove out."""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kdl.fact import Fact
from kdl.runtime.store.interface import Change, Key, Object

OBJECT = "core.object"


def fact_of(item: Object) -> Fact:
    """The fact that an object is; stores keep documents as facts want them, without what changes at every write."""
    return Fact(OBJECT, (item.key.group, item.key.kind, item.key.id, item.uid, item.doc))


class ObjectFacts:
    """What the engine has been told of each object, so that each change is told once, whatever way it comes.

    The brain hears of its own writes at once and of everybody's when they are durable, so a change may come twice, or
    after a later one; revisions tell.
    """

    def __init__(self, seal: Callable[[Object], Object] = lambda item: item) -> None:
        """`seal` gives the objects as facts may tell of them."""
        self._seal = seal
        self._told: dict[Key, tuple[int, Fact | None]] = {}

    def load(self, items: Iterable[Object]) -> list[Fact]:
        """The facts of a first look at the store."""
        for item in items:
            self._told[item.key] = (item.revision, fact_of(self._seal(item)))
        return [fact for _, fact in self._told.values() if fact is not None]

    def seen(self, group: str, kind: str, id_: str) -> int:
        """The revision at which an object was last told; 0 for one never heard of."""
        return self._told.get(Key(group, kind, id_), (0, None))[0]

    def take(self, changes: Iterable[Change]) -> tuple[list[Fact], list[Fact]]:
        """What the changes insert and remove."""
        before: dict[Key, Fact | None] = {}
        for change in changes:
            key = change.object.key
            revision, fact = self._told.get(key, (0, None))
            if change.revision > revision:
                before.setdefault(key, fact)
                self._told[key] = (
                    change.revision,
                    None if change.type == "DELETED" else fact_of(self._seal(change.object)),
                )
        inserted, removed = [], []
        for key, old in before.items():
            new = self._told[key][1]
            if new != old:
                inserted += [new] if new is not None else []
                removed += [old] if old is not None else []
        return inserted, removed
