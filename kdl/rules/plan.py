"""In which order a clause's steps are taken, once some of its variables are bound.

What only narrows (tests, negations, bindings, lookups) comes as early as its variables allow; then what ranges over a
value at hand; then the atom of which the fewest rows are expected under the columns that are bound. Where nothing binds
a column of any atom, each of them is tried first and the way with the fewest rows in all is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Final, NamedTuple, TypeAlias

from kdl.fact import literal
from kdl.parser import syntax as s
from kdl.rules.normalise import Inline, Lookup, Reached, Step, bound, names, pattern_variables

Estimate: TypeAlias = Callable[[str, tuple[int, ...]], float]
"""How many rows of a relation to expect under one key of some columns."""


class Planned(NamedTuple):
    """A step with its place in the body, how it finds what it needs, and how many bindings are expected after it."""

    place: int
    step: Step
    way: str
    rows: float


class _Open(NamedTuple):
    """A step that is still to be taken, and the variables that must be bound before it."""

    place: int
    step: Step
    needs: set[str]


_HALF: Final = 0.5
"""What a test, a membership of a whole row and an absence are expected to leave."""

_ITEMS: Final = 4.0
"""How many items a list or document is expected to have."""


def plan(steps: Iterable[tuple[int, Step]], known: set[str], expected: Estimate) -> list[Planned]:
    """The steps in the order in which they are evaluated."""
    return _plan([_Open(place, step, needs(step)) for place, step in steps], known, expected, 1.0, branching=True)


def first(steps: Iterable[Step], expected: Estimate) -> int | None:
    """The place of the atom that a body is best begun with; None if it has none."""
    return next((item.place for item in plan(enumerate(steps), set(), expected) if isinstance(item.step, s.Atom)), None)


def _plan(waiting: list[_Open], known: set[str], expected: Estimate, rows: float, branching: bool) -> list[Planned]:
    ordered: list[Planned] = []
    while waiting:
        ranked = [(_rank(item, known, expected), item.place, item) for item in waiting]
        rank, _, best = min(ranked)
        if rank[0] == _NEVER:
            raise ValueError(f"nothing binds {sorted(best.needs - known)} at {best.step.span}")
        scans = [item for (kind, *_), _, item in ranked if kind == _SCANS]
        if rank[0] == _SCANS and branching and len(scans) > 1:
            ways = [
                _from(item, [other for other in waiting if other is not item], known, expected, rows) for item in scans
            ]
            return ordered + min(ways, key=lambda way: sum(item.rows for item in way))
        waiting = [item for item in waiting if item is not best]
        way, factor = _access(best.step, known, expected)
        rows *= factor
        ordered.append(Planned(best.place, best.step, way, rows))
        known = known | bound(best.step)
    return ordered


def _from(item: _Open, others: list[_Open], known: set[str], expected: Estimate, rows: float) -> list[Planned]:
    """The plan that begins with a step."""
    way, factor = _access(item.step, known, expected)
    rows *= factor
    rest = _plan(others, known | bound(item.step), expected, rows, branching=False)
    return [Planned(item.place, item.step, way, rows), *rest]


def _access(step: Step, known: set[str], expected: Estimate) -> tuple[str, float]:
    """How a step finds what it needs, and by what it is expected to multiply the bindings."""
    match step:
        case s.Atom(relation, arguments) | s.Negation(s.Atom(relation, arguments)):
            columns = _columns(arguments, known)
            if isinstance(step, s.Negation):
                return f"none in {_atom(relation, arguments)}", _HALF
            if len(columns) == len(arguments):
                return f"member of {_atom(relation, arguments)}", _HALF
            rows = expected(relation, columns)
            if not columns:
                return f"all of {_atom(relation, arguments)}, about {rows:.3g}", rows
            keys = ", ".join(_word(arguments[i].value) for i in columns)
            return f"{_atom(relation, arguments)} by {keys}, about {rows:.3g} each", rows
        case s.Membership(_, item, _):
            fixed = any(isinstance(node, s.Constant) for node in s.walk(item)) or names(item) <= known
            return "each of a list or document", 1.0 if fixed else _ITEMS
        case s.Test():
            return "test", _HALF
        case Lookup(accumulator):
            return f"group of {accumulator}", 1.0
        case Inline():
            return "an aggregate on the spot", 1.0
        case Reached():
            return "the clock", _HALF
        case _:
            return "value", 1.0


def _atom(relation: str, arguments: tuple[s.Argument, ...]) -> str:
    return f"{relation}({', '.join(_word(argument.value) for argument in arguments)})"


def _word(e: s.Expression) -> str:
    match e:
        case s.Variable(name):
            return name
        case s.Constant(value):
            return literal(value)
        case s.Wildcard():
            return "_"
        case _:
            return "…"


_NARROWS, _RANGES, _JOINS, _SCANS, _NEVER = range(5)


def _columns(arguments: tuple[s.Argument, ...], known: set[str]) -> tuple[int, ...]:
    """The columns that are bound."""
    return tuple(
        i
        for i, a in enumerate(arguments)
        if isinstance(a.value, s.Constant) or (isinstance(a.value, s.Variable) and a.value.name in known)
    )


def _rank(item: _Open, known: set[str], expected: Estimate) -> tuple[int, float, int]:
    step = item.step
    if isinstance(step, s.Unification) and isinstance(step.value, s.Variable) and step.value.name not in known:
        ready = _needs_of_pattern(step.pattern) | set(pattern_variables(step.pattern)) <= known
        hole = any(isinstance(node, s.Wildcard) for node in s.walk(step.pattern))
        return (_NARROWS if ready and not hole else _NEVER, 0, 0)
    if not item.needs <= known:
        return (_NEVER, 0, 0)
    match step:
        case s.Atom(relation, arguments):
            columns = _columns(arguments, known)
            if len(columns) == len(arguments):
                return (_NARROWS, 1, 0)
            return (_JOINS if columns else _SCANS, expected(relation, columns), -len(columns))
        case s.Membership():
            return (_RANGES, 0, 0)
        case _:
            return (_NARROWS, 0, 0)


def needs(step: Step) -> set[str]:
    """The variables that must be bound before a step."""
    match step:
        case s.Atom():
            return set()
        case s.Negation(atom):
            return set(names(atom))
        case s.Unification(pattern, value):
            return set(names(value)) | _needs_of_pattern(pattern)
        case s.Membership(key, item, source):
            own = _needs_of_pattern(item) | (_needs_of_pattern(key) if key is not None else set())
            return set(names(source)) | own
        case Lookup() | Inline():
            rest = _needs_of_pattern(step.pattern) | (set(names(step.default)) if step.default is not None else set())
            return set(step.group) | (rest - set(pattern_variables(step.pattern)))
        case Reached():
            return {step.time}
        case _:
            return set(names(step))


def _needs_of_pattern(pattern: s.Expression) -> set[str]:
    """The variables of a pattern's parts that are computed and compared, not bound."""
    match pattern:
        case s.Variable() | s.Wildcard():
            return set()
        case s.Tuple(items):
            return set().union(*map(_needs_of_pattern, items))
        case _:
            return set(names(pattern))
