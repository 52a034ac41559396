"""Which places of which documents a rule read: from its path expressions, under given bindings.

A place is a literal of the rule's body, a column of the fact that it matched, and the path inside the value there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final, NamedTuple

from kdl.parser import syntax as s
from kdl.rules.evaluate import MISSING, Bindings, Result
from kdl.rules.solve import known, names

Steps = tuple[str | int, ...]

_PARTS: Final = frozenset(("without", "only"))
"""Functions that give a part of their first argument, everything at its old place."""


def is_internal(literal: s.Literal) -> bool:
    """Whether a literal is a test of types that the checker added."""
    return (
        isinstance(literal, s.Test)
        and isinstance(literal.condition, s.Call)
        and literal.condition.function.startswith("$typed")
    )


Wanted = tuple[int, Steps]
"""What somebody used of a fact: a path below a column; the empty path for a column, `HELD` for that it holds."""

HELD: Final[Wanted] = (-1, ())


class Place(NamedTuple):
    """A value's place: in the fact matched by literal number `literal`, at `column`, below it at `path`."""

    literal: int
    column: int
    path: Steps


class Reading:
    """What of a rule is the same for all its applications: which variables come from where, which paths are read."""

    def __init__(self, rule: s.Rule) -> None:
        self.rule = rule
        self.places: dict[str, Place] = {}
        for index, literal in enumerate(rule.body):
            if isinstance(literal, s.Atom):
                for column, argument in enumerate(literal.arguments):
                    bind(self.places, argument.value, Place(index, column, ()))
        self.following = [item for item in rule.body if isinstance(item, (s.Unification, s.Membership))]
        self.body = [
            (names(literal) if self._only_defines(index, literal) else None, tuple(_read(literal)))
            for index, literal in enumerate(rule.body)
            if not isinstance(literal, s.Aggregate) and not is_internal(literal)
        ]
        """Per literal the paths that it reads; before them its variables, if it only gives these to the head."""
        self.head = [(names(item.value), tuple(_paths(item.value))) for item in rule.head.arguments]
        self.premises = [
            (index, _used(literal))
            for index, literal in enumerate(rule.body)
            if not isinstance(literal, (s.Unification, s.Membership)) and not is_internal(literal)
        ]
        """The places of the literals that a proof has premises for, and what each uses of the fact that it matches."""

    def _only_defines(self, index: int, literal: s.Literal) -> bool:
        """Whether a literal does nothing but give variables to the head."""
        if not (isinstance(literal, s.Unification) and isinstance(literal.pattern, s.Variable)):
            return False
        others = [other for at, other in enumerate(self.rule.body) if at != index and not is_internal(other)]
        return not any(literal.pattern.name in names(other) for other in others)


def _used(literal: s.Literal) -> frozenset[Wanted]:
    arguments = literal.arguments if isinstance(literal, s.Atom) else ()
    return frozenset({HELD, *((at, ()) for at, a in enumerate(arguments) if not isinstance(a.value, s.Wildcard))})


def bind(places: dict[str, Place], pattern: s.Expression, place: Place | None) -> None:
    """Note where the variables of a pattern come from, if its value comes from a place."""
    if place is None:
        return
    if isinstance(pattern, s.Variable):
        places.setdefault(pattern.name, place)
    elif isinstance(pattern, s.Tuple):
        for index, item in enumerate(pattern.items):
            bind(places, item, place._replace(path=(*place.path, index)))


def _read(literal: s.Literal) -> Iterator[s.Path | s.Variable]:
    yield from _paths(literal)
    if isinstance(literal, s.Membership) and isinstance(literal.item, s.Variable):
        yield literal.item


def _paths(node: s.Node) -> Iterator[s.Path]:
    return (found for found in s.walk(node) if isinstance(found, s.Path))


class Provenance:
    """Where the variables of one application of a rule come from."""

    def __init__(self, reading: Reading, bindings: Bindings) -> None:
        self._reading, self._bindings = reading, bindings
        self._places = dict(reading.places)
        for _ in reading.following:
            before = len(self._places)
            for literal in reading.following:
                self._follow(literal)
            if len(self._places) == before:
                break

    def reads(self, columns: Iterable[int]) -> Iterator[Place]:
        """The places that the rule read to hold and to fill the given columns of its head."""
        heads = [self._reading.head[column] for column in columns]
        wanted = frozenset().union(*[used for used, _ in heads])
        for gives, paths in self._reading.body:
            if gives is None or wanted & gives:
                yield from self._at(paths)
        for _, paths in heads:
            yield from self._at(paths)

    def head(self, column: int, path: Steps) -> Place | None:
        """Where the value at a path below a column of the head comes from."""
        e: s.Expression = self._reading.rule.head.arguments[column].value
        while path:
            if isinstance(e, s.Record):
                member = next((item for key, item in e.members if key == s.Constant(path[0])), None)
                if member is None:
                    return None
                e, path = member, path[1:]
            elif isinstance(e, s.Call) and e.function == "merge":
                e = next((one for one in reversed(e.arguments) if self._has(one, path)), e.arguments[0])
            else:
                break
        place = self.locate(e)
        return place and place._replace(path=place.path + path)

    def _has(self, e: s.Expression, path: Steps) -> bool:
        """Whether a document has something at the first step of a path."""
        found = known(e, self._bindings)
        return isinstance(found, dict) and path[0] in found

    def locate(self, e: s.Expression) -> Place | None:
        """The place of an expression's value, if it was taken from a fact as it is."""
        match e:
            case s.Variable(name):
                return self._places.get(name)
            case s.Call(function, (base, *_)) if function in _PARTS:
                return self.locate(base)
            case s.Default(left, right):
                return self.locate(right if known(left, self._bindings) in (MISSING, None) else left)
            case s.Path(base, steps):
                place = self.locate(base)
                path = [known(step, self._bindings) for step in steps]
                if place is None or not all(isinstance(step, (str, int)) for step in path):
                    return None
                return place._replace(path=(*place.path, *path))  # type: ignore[arg-type]
        return None

    def _follow(self, literal: s.Literal) -> None:
        match literal:
            case s.Unification(pattern, expression):
                bind(self._places, pattern, self.locate(expression))
            case s.Membership(key, item, source) if (place := self.locate(source)) is not None:
                step = self._step(key, item, known(source, self._bindings))
                if step is not None:
                    bind(self._places, item, place._replace(path=(*place.path, step)))

    def _step(self, key: s.Expression | None, item: s.Expression, where: Result) -> str | int | None:
        if key is not None:
            found = known(key, self._bindings)
            return found if isinstance(found, (str, int)) else None
        chosen = known(item, self._bindings)
        if isinstance(where, tuple) and chosen is not MISSING:
            return next((index for index, other in enumerate(where) if other == chosen), None)
        return chosen if isinstance(where, dict) and isinstance(chosen, str) else None

    def _at(self, several: Iterable[s.Path | s.Variable]) -> Iterator[Place]:
        for e in several:
            place = self.locate(e)
            if place is not None and place.path and known(e, self._bindings) is not MISSING:
                yield place
