"""Whether an incoming object may be stored, as the rules of `admission.deny` say.

The rules run in an engine of their own, cut down to what a denial can follow from and fed by the store's changes. The
incoming object is put in as a fact, its denials are read, and it is taken out again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any

from kdl.fact import Fact, value
from kdl.parser.manifest.kinds import identity
from kdl.parser.syntax import Rule
from kdl.rules.engine import Engine, Limits
from kdl.rules.program import Program, restricted
from kdl.runtime.objects import OBJECT, ObjectFacts
from kdl.runtime.store.interface import Change, Key, Store

DENY = "admission.deny"


class Admission:
    """The denials of incoming objects. Any thread may ask."""

    def __init__(self, program: Program, store: Store, limits: Limits | None = None) -> None:
        self._lock = threading.Lock()
        self._engine: Engine | None = None
        self.close: Callable[[], None] = lambda: None
        """Stop hearing of changes."""
        if not program.rules_of.get(DENY):
            return
        self._engine = Engine(restricted(program, {DENY}), limits=limits)
        self._known = ObjectFacts()
        self._changes: deque[Change] = deque()
        items, revision = store.snapshot()
        self._engine.apply(insert=self._known.load(items), trusted=True)
        self.close = store.subscribe(self._changes.extend, revision)

    @property
    def working(self) -> Rule | None:
        """The rule that was run last."""
        return self._engine.working if self._engine is not None else None

    def denials(self, doc: Mapping[str, Any], now: int) -> list[str]:
        """The sentences of the rules that refuse the object; empty if it may come in. `now` is in milliseconds."""
        if self._engine is None:
            return []
        metadata = doc.get("metadata", {})
        named = {**doc, "metadata": {**metadata, "name": metadata.get("name") or metadata.get("generateName", "")}}
        key, uid = Key(*identity(named)), str(metadata.get("uid", ""))
        fact = Fact(OBJECT, (*key, uid, value(doc)))
        with self._lock:
            changes = [self._changes.popleft() for _ in range(len(self._changes))]
            insert, remove = self._known.take(changes)
            now = max(now, self._engine.now)  # who asked first need not come first
            self._engine.apply(insert, remove, now=now, trusted=True)
            before = [Fact(OBJECT, row) for row in self._engine.lookup(OBJECT, dict(enumerate(key)))]
            self._engine.apply([fact], before, trusted=True)
            try:
                rows = self._engine.lookup(DENY, {0: key.kind, 1: key.id})
                return sorted(str(row[2]) for row in rows)
            finally:
                self._engine.apply(before, [fact], trusted=True)
