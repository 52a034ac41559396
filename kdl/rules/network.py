"""Who reads what, and in which order everything is visited: what an engine works out once about its clauses."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from kdl.fact import Row
from kdl.parser import syntax as s
from kdl.rules.components import components
from kdl.rules.normalise import Clause, Clauses, Inline, Lookup, Reached, Step
from kdl.rules.relation import Columns


class Reader(NamedTuple):
    """A place in a clause's body."""

    clause: int
    place: int


@dataclass(frozen=True, slots=True)
class Dispatch:
    """The readers of a relation that ask for constants in some columns, by those constants; all rows for no columns.

    A row is shown only to the readers it can matter to: a Pod visits no rule of Services.
    """

    columns: Columns
    readers: Mapping[Row, list[Reader]]


@dataclass(frozen=True, slots=True)
class Component:
    """Relations and aggregates that are worked out together; `recursive` if they depend on each other."""

    names: tuple[str, ...]
    recursive: bool
    clauses: tuple[int, ...] = ()
    """The clauses of a recursive component."""
    inner: Mapping[str, tuple[Reader, ...]] | None = None
    """Its readers of its own relations."""


View = tuple[tuple[int, tuple[Any, ...]], ...]
"""Columns, each with a path in its document; an empty path is the whole value."""


def seen(clause: Clause, place: int) -> View:
    """What a clause reads of the rows at an atom: of a document only the paths, where nothing needs the whole."""
    atom = clause.body[place]
    assert isinstance(atom, s.Atom)
    nodes = [node for part in (*clause.body, *clause.values) for node in s.walk(part)]
    paths_of: dict[str, list[tuple[Any, ...]]] = {}
    for node in nodes:
        if isinstance(node, s.Path) and isinstance(node.base, s.Variable):
            paths_of.setdefault(node.base.name, []).append(tuple(_fixed(node)))
    if not paths_of:  # nothing reads a part of anything
        return tuple((i, ()) for i, a in enumerate(atom.arguments) if not isinstance(a.value, s.Wildcard))
    uses = Counter(node.name for node in nodes if isinstance(node, s.Variable))
    whole = frozenset(clause.group).union(*map(_keys, clause.body))
    found: list[tuple[int, tuple[Any, ...]]] = []
    for column, argument in enumerate(atom.arguments):
        match argument.value:
            case s.Wildcard():
                continue
            case s.Variable(name):
                paths = paths_of.get(name, [])
                bare = uses[name] - len(paths) > 1
                found += [(column, path) for path in ([()] if bare or name in whole else dict.fromkeys(paths))]
            case _:
                found.append((column, ()))
    return tuple(found)


def _fixed(path: s.Path) -> Iterator[Any]:
    """The steps of a path up to the first that is computed."""
    for step in path.steps:
        if not isinstance(step, s.Constant):
            return
        yield step.value


def _keys(step: Step) -> frozenset[str]:
    """The variables of which a step needs the whole value without an expression that says so."""
    match step:
        case Lookup() | Inline():
            return frozenset(step.group)
        case Reached():
            return frozenset((step.time,))
        case _:
            return frozenset()


class Network:
    """The clauses of a program and their readers."""

    def __init__(self, normal: Clauses) -> None:
        self.clauses = normal.clauses
        self.accumulators = normal.accumulators
        self.positives: dict[str, list[Dispatch]] = {}
        self.negatives: dict[str, list[tuple[Reader, Columns]]] = {}
        self.lookups: dict[str, list[Reader]] = {name: [] for name in normal.accumulators}
        self.waiters: dict[str, list[Reader]] = {}
        self.disturbs: dict[str, set[int]] = {}
        """The components to be worked out anew when a relation changes: they look at it on the spot."""
        self.components: list[Component] = []
        self.home: dict[str, int] = {}
        self.clauses_of: dict[str, list[int]] = {name: [] for name in normal.arities}
        self.readers: dict[str, set[int]] = {name: set() for name in (*normal.arities, *normal.accumulators)}
        """The clauses that read a relation or aggregate."""
        self.needs = [
            frozenset(step.relation for step in clause.body if isinstance(step, s.Atom)) for clause in self.clauses
        ]
        """The relations of which each clause needs a row."""
        self._resting: dict[str, tuple[int, ...]] = {}
        positives: dict[str, list[Reader]] = {name: [] for name in normal.arities}
        depends: dict[str, set[str]] = {name: set() for name in (*normal.arities, *normal.accumulators)}
        for number, clause in enumerate(self.clauses):
            self.clauses_of.setdefault(clause.target, []).append(number)
            for place, step in enumerate(clause.body):
                reader = Reader(number, place)
                for name in reads(step):
                    depends[clause.target].add(name)
                    self.readers[name].add(number)
                match step:
                    case s.Atom(relation):
                        positives[relation].append(reader)
                    case s.Negation(atom):
                        fixed = tuple(i for i, a in enumerate(atom.arguments) if not isinstance(a.value, s.Wildcard))
                        self.negatives.setdefault(atom.relation, []).append((reader, fixed))
                    case Lookup():
                        self.lookups[step.accumulator].append(reader)
                    case Reached(waiting=waiting) if waiting:
                        self.waiters.setdefault(waiting, []).append(reader)
        self.targets: dict[str, frozenset[str]] = {}
        """The relations that rules derive from a relation."""
        self.sources: dict[int, frozenset[str]] = {}
        """What the clauses of a component read."""
        for names in components(depends):
            recursive = len(names) > 1 or names[0] in depends[names[0]]
            self.home |= dict.fromkeys(names, len(self.components))
            self.components.append(self._component(tuple(sorted(names)), recursive, positives))
            self.sources[self.home[names[0]]] = frozenset().union(*[depends[name] for name in names])
        for name in normal.arities:
            self.targets[name] = frozenset(
                target for target, read in depends.items() if name in read and target in normal.arities
            )
        self.irregular: set[int] = set()
        """The components that look at something on the spot."""
        for clause in self.clauses:
            for step in clause.body:
                if isinstance(step, Inline):
                    self.irregular.add(self.home[clause.target])
                    for relation in reads(step):
                        self.disturbs.setdefault(relation, set()).add(self.home[clause.target])
        self.views: dict[Reader, View] = {}
        """What readers of documents see of a row: rows that are alike in this are alike to them."""
        for reader in [reader for readers in positives.values() for reader in readers]:
            view = seen(self.clauses[reader.clause], reader.place)
            if any(path for _, path in view):
                self.views[reader] = view
        for name, readers in positives.items():
            outside = [r for r in readers if self.home[self.clauses[r.clause].target] != self.home[name]]
            self.positives[name] = list(self._dispatch(outside))
        self.recursive = frozenset(name for c in self.components if c.recursive for name in c.names)
        self.starts = tuple(
            number for number, c in enumerate(self.clauses) if not any(isinstance(step, s.Atom) for step in c.body)
        )
        """The clauses that may hold before there are any facts."""

    def heard(self, name: str) -> bool:
        """Whether anything outside its own component reads a relation."""
        return any(name in readers for readers in (self.negatives, self.waiters, self.disturbs)) or bool(
            self.positives[name]
        )

    def resting(self, name: str) -> tuple[int, ...]:
        """The components that can hold nothing while a relation is empty: all their clauses need it, or such a one.

        Those of recursion, and what rests on them alone, are left out.
        """
        found = self._resting.get(name)
        if found is None:
            empty, waiting = {name: self.home[name]}, [name]
            while waiting:
                for number in self.readers[waiting.pop()]:
                    target = self.clauses[number].target
                    if target in empty or target in self.recursive:
                        continue
                    if all(not self.needs[other].isdisjoint(empty) for other in self.clauses_of[target]):
                        empty[target] = self.home[target]
                        waiting.append(target)
            del empty[name]
            found = self._resting[name] = tuple(empty.values())
        return found

    def _component(self, names: tuple[str, ...], recursive: bool, positives: dict[str, list[Reader]]) -> Component:
        if not recursive:
            return Component(names, False)
        clauses = tuple(number for name in names for number in self.clauses_of[name])
        inner = {name: tuple(r for r in positives[name] if r.clause in set(clauses)) for name in names}
        return Component(names, True, clauses, inner)

    def _dispatch(self, readers: list[Reader]) -> Iterator[Dispatch]:
        found: dict[Columns, dict[Row, list[Reader]]] = {}
        for reader in readers:
            atom: Any = self.clauses[reader.clause].body[reader.place]
            constants = {i: a.value.value for i, a in enumerate(atom.arguments) if isinstance(a.value, s.Constant)}
            found.setdefault(tuple(constants), {}).setdefault(tuple(constants.values()), []).append(reader)
        for columns, by_value in found.items():
            yield Dispatch(columns, by_value)


def reads(step: s.Node) -> Iterator[str]:
    """The relations and aggregates that a step reads."""
    if isinstance(step, Lookup):
        yield step.accumulator
    for node in s.walk(step):
        if isinstance(node, s.Atom):
            yield node.relation
