"""Desired × observed → differences, kept up to date from deltas. Pure: no IO, no clock.

An effect relation with ``observes`` is desired state: its rows and the observed rows are matched by key, and compared
by the digest that the driver stored with what it made. One without is a set of commands: each row asks to be run until
it is no longer derived. Two rows of one effect relation with one key are a conflict: neither acts.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from kdl.effects.driver import Verb
from kdl.fact import Delta, Row, Value, digest


@dataclass(frozen=True, slots=True)
class Difference:
    """One key of one effect relation that needs something done."""

    verb: Verb
    relation: str
    key: Row
    desired: Row | None
    observed: Row | None


@dataclass(frozen=True, slots=True)
class Conflict:
    """Several desired rows for one key; none of them acts."""

    relation: str
    key: Row
    rows: tuple[Row, ...]


Key = tuple[str, Row]


@dataclass(frozen=True, slots=True)
class Effect:
    """One effect relation as it was declared: the positions of its key, and the relation it is observed by.

    `observed_key` and `digest` are positions in the observed relation: of the key's columns and of the desired row's
    digest. A command has no `observed`.
    """

    name: str
    key: tuple[int, ...]
    observed: str | None = None
    observed_key: tuple[int, ...] = ()
    digest: int = 0


@dataclass(slots=True)
class _State:
    """One effect relation: what is desired and what is observed, by key."""

    effect: Effect
    desired: dict[Row, set[Row]] = field(default_factory=dict)
    observed: dict[Row, set[Row]] = field(default_factory=dict)

    def difference(self, key: Row) -> Difference | Conflict | None:
        name = self.effect.name
        rows = self.desired.get(key, ())
        if len(rows) > 1:
            return Conflict(name, key, tuple(sorted(rows, key=repr)))
        want = next(iter(rows), None)
        if self.effect.observed is None:
            return None if want is None else Difference("run", name, key, want, None)
        seen = self.observed.get(key, ())
        have = next(iter(seen), None)
        if want is None:
            return None if have is None else Difference("remove", name, key, None, have)
        if have is None:
            return Difference("create", name, key, want, None)
        if len(seen) == 1 and have[self.effect.digest] == digest(want):
            return None
        return Difference("replace", name, key, want, have)


class Comparison:
    """All effect relations against what is observed; fed by deltas, asked for what is left to do."""

    def __init__(self, effects: Iterable[Effect]) -> None:
        self._effects = {effect.name: _State(effect) for effect in effects}
        self._observers: dict[str, list[_State]] = {}
        self.differences: dict[Key, Difference] = {}
        self.conflicts: dict[Key, Conflict] = {}
        for state in self._effects.values():
            if state.effect.observed is not None:
                self._observers.setdefault(state.effect.observed, []).append(state)

    @property
    def relations(self) -> Collection[str]:
        """The relations whose changes matter here: effect relations and the observed ones."""
        return {*self._effects, *self._observers}

    def update(self, delta: Delta) -> Collection[Key]:
        """Take in what changed; afterwards `differences` and `conflicts` are those of the new state.

        Returns the keys whose desired or observed rows changed.
        """
        touched: dict[Key, _State] = {}
        for rows_by_relation, present in ((delta.removed, False), (delta.added, True)):
            for name, rows in rows_by_relation.items():
                state = self._effects.get(name)
                if state is not None:
                    for key in _move(state.desired, state.effect.key, rows, present):
                        touched[name, key] = state
                for watcher in self._observers.get(name, ()):
                    for key in _move(watcher.observed, watcher.effect.observed_key, rows, present):
                        touched[watcher.effect.name, key] = watcher
        for place, state in touched.items():
            self.differences.pop(place, None)
            self.conflicts.pop(place, None)
            match state.difference(place[1]):
                case Difference() as difference:
                    self.differences[place] = difference
                case Conflict() as conflict:
                    self.conflicts[place] = conflict
        return touched.keys()

    def reset(self, facts: Mapping[str, Iterable[Row]]) -> None:
        """Start over from a whole state: at start and at resync."""
        for state in self._effects.values():
            state.desired.clear()
            state.observed.clear()
        self.differences.clear()
        self.conflicts.clear()
        self.update(Delta(added={name: set(facts.get(name, ())) for name in self.relations}))


def _move(index: dict[Row, set[Row]], key: tuple[int, ...], rows: Iterable[Row], present: bool) -> Iterator[Row]:
    for row in rows:
        place: tuple[Value, ...] = tuple([row[position] for position in key])
        if present:
            index.setdefault(place, set()).add(row)
        elif place in index:
            index[place].discard(row)
            if not index[place]:
                del index[place]
        yield place
