"""What the brain hears from outside, collected from any thread until the next tick takes it.

Facts arrive by source: a source replaces what it said before (observations of a node) or adds and removes (objects).
Taking gives one net delta: what was added and removed again in between is in neither half.
"""

from __future__ import annotations

import threading
from collections.abc import Hashable, Iterable

from kdl.fact import Fact


class Intake:
    """A thread-safe collector of facts to insert and remove; `wake` is set whenever there is something to take."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._pending: dict[Fact, bool] = {}
        self._said: dict[Hashable, set[Fact]] = {}
        self.wake = threading.Event()

    def change(self, insert: Iterable[Fact] = (), remove: Iterable[Fact] = ()) -> None:
        """Add and remove facts; what is removed first and then added again stays."""
        with self._lock:
            for fact in remove:
                self._pending[fact] = False
            for fact in insert:
                self._pending[fact] = True
        self.wake.set()

    def again(self, insert: Iterable[Fact], remove: Iterable[Fact]) -> None:
        """Give back what was taken and could not be used, in front of what was heard since. Wakes nobody."""
        with self._lock:
            self._pending = dict.fromkeys(remove, False) | dict.fromkeys(insert, True) | self._pending

    def say(self, source: Hashable, facts: Iterable[Fact]) -> None:
        """All that the source says now; what it said before and no longer says is removed."""
        now = set(facts)
        with self._lock:
            before = self._said.get(source, set())
            self._said[source] = now
            for fact in before - now:
                self._pending[fact] = False
            for fact in now - before:
                self._pending[fact] = True
        self.wake.set()

    def take(self) -> tuple[list[Fact], list[Fact]]:
        """What to insert and what to remove since the last call."""
        with self._lock:
            pending, self._pending = self._pending, {}
            self.wake.clear()
        return [fact for fact, present in pending.items() if present], [
            fact for fact, present in pending.items() if not present
        ]

    def __bool__(self) -> bool:
        return bool(self._pending)
