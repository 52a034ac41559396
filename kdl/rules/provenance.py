"""Which places of which documents a rule read: from its path expressions, under given bindings.

A place is a literal of the rule's body, a column of the fact that it matched, and the path inside the value there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, NamedTuple

from kdl.fact import Value
from kdl.parser import syntax as s
from kdl.rules.builtin import Fault
from kdl.rules.evaluate import MISSING, Bindings, Result, evaluate
from kdl.rules.solve import names

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


class Place(NamedTuple):
    """A value's place: in the fact matched by literal number `literal`, at `column`, below it at `path`."""

    literal: int
    column: int
    path: Steps


class Provenance:
    """Where the variables of one application of a rule come from."""

    def __init__(self, rule: s.Rule, bindings: Bindings) -> None:
        self._rule, self._bindings = rule, bindings
        self._places: dict[str, Place] = {}
        for index, literal in enumerate(rule.body):
            if isinstance(literal, s.Atom):
                for column, argument in enumerate(literal.arguments):
                    self._bind(argument.value, Place(index, column, ()))
        for _ in rule.body:
            for literal in rule.body:
                self._follow(literal)

    def reads(self, columns: frozenset[int]) -> Iterator[tuple[Place, Value]]:
        """The places that the rule read to hold and to fill the given columns of its head, with what was there."""
        wanted = frozenset().union(*[names(self._rule.head.arguments[column].value) for column in columns])
        for index, literal in enumerate(self._rule.body):
            if isinstance(literal, s.Aggregate) or is_internal(literal):
                continue
            if self._only_defines(index, literal) and not wanted & names(literal):
                continue
            yield from self._read(literal)
            if isinstance(literal, s.Membership) and isinstance(literal.item, s.Variable):
                yield from self._at(literal.item)
        for column in columns:
            yield from self._read(self._rule.head.arguments[column].value)

    def head(self, column: int, path: Steps) -> Place | None:
        """Where the value at a path below a column of the head comes from."""
        e: s.Expression = self._rule.head.arguments[column].value
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
        found = self._value(e)
        return isinstance(found, dict) and path[0] in found

    def locate(self, e: s.Expression) -> Place | None:
        """The place of an expression's value, if it was taken from a fact as it is."""
        match e:
            case s.Variable(name):
                return self._places.get(name)
            case s.Call(function, (base, *_)) if function in _PARTS:
                return self.locate(base)
            case s.Default(left, right):
                return self.locate(right if self._value(left) in (MISSING, None) else left)
            case s.Path(base, steps):
                place = self.locate(base)
                path = [self._value(step) for step in steps]
                if place is None or not all(isinstance(step, (str, int)) for step in path):
                    return None
                return place._replace(path=(*place.path, *path))  # type: ignore[arg-type]
        return None

    def _value(self, e: s.Expression) -> Result:
        if not names(e) <= self._bindings.keys():
            return MISSING
        try:
            return evaluate(e, self._bindings)
        except Fault:
            return MISSING

    def _bind(self, pattern: s.Expression, place: Place | None) -> None:
        if place is None:
            return
        if isinstance(pattern, s.Variable):
            self._places.setdefault(pattern.name, place)
        elif isinstance(pattern, s.Tuple):
            for index, item in enumerate(pattern.items):
                self._bind(item, place._replace(path=(*place.path, index)))

    def _follow(self, literal: s.Literal) -> None:
        match literal:
            case s.Unification(pattern, expression):
                self._bind(pattern, self.locate(expression))
            case s.Membership(key, item, source) if (place := self.locate(source)) is not None:
                step = self._step(key, item, self._value(source))
                if step is not None:
                    self._bind(item, place._replace(path=(*place.path, step)))

    def _step(self, key: s.Expression | None, item: s.Expression, where: Result) -> str | int | None:
        if key is not None:
            found = self._value(key)
            return found if isinstance(found, (str, int)) else None
        chosen = self._value(item)
        if isinstance(where, tuple) and chosen is not MISSING:
            return next((index for index, other in enumerate(where) if other == chosen), None)
        return chosen if isinstance(where, dict) and isinstance(chosen, str) else None

    def _read(self, node: s.Node) -> Iterator[tuple[Place, Value]]:
        for found in s.walk(node):
            if isinstance(found, s.Path):
                yield from self._at(found)

    def _at(self, e: s.Path | s.Variable) -> Iterator[tuple[Place, Value]]:
        place, found = self.locate(e), self._value(e)
        if place is not None and place.path and found is not MISSING:
            yield place, found

    def _only_defines(self, index: int, literal: s.Literal) -> bool:
        """Whether a literal does nothing but give variables to the head."""
        if not (isinstance(literal, s.Unification) and isinstance(literal.pattern, s.Variable)):
            return False
        others = [other for at, other in enumerate(self._rule.body) if at != index and not is_internal(other)]
        return not any(literal.pattern.name in names(other) for other in others)
