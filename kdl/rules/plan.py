"""In which order a clause's steps are taken, once some of its variables are bound.

What only narrows (tests, negations, bindings, lookups) comes as early as its variables allow; then what ranges over a
value at hand; then the atom of which the fewest rows are expected under the columns that are bound.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TypeAlias

from kdl.parser import syntax as s
from kdl.rules.normalise import Inline, Lookup, Reached, Step, bound, names, pattern_variables

Estimate: TypeAlias = Callable[[str, tuple[int, ...], int], float]
"""How many rows of a relation to expect where some columns are bound, a number of them to constants."""


def order(steps: Iterable[tuple[int, Step]], known: set[str], expected: Estimate) -> list[tuple[int, Step]]:
    """The steps, each with its place in the body, in the order in which they are evaluated."""
    waiting = list(steps)
    ordered: list[tuple[int, Step]] = []
    while waiting:
        rank, _, best = min((_rank(step, known, expected), place, (place, step)) for place, step in waiting)
        if rank[0] == _NEVER:
            raise ValueError(f"nothing binds {sorted(needs(best[1]) - known)} at {best[1].span}")
        waiting.remove(best)
        ordered.append(best)
        known |= bound(best[1])
    return ordered


_NARROWS, _RANGES, _JOINS, _SCANS, _NEVER = range(5)


def _rank(step: Step, known: set[str], expected: Estimate) -> tuple[int, float, int]:
    if isinstance(step, s.Unification) and isinstance(step.value, s.Variable) and step.value.name not in known:
        ready = _needs_of_pattern(step.pattern) | set(pattern_variables(step.pattern)) <= known
        return (_NARROWS if ready else _NEVER, 0, 0)
    if not needs(step) <= known:
        return (_NEVER, 0, 0)
    match step:
        case s.Atom(relation, arguments):
            constants = [i for i, a in enumerate(arguments) if isinstance(a.value, s.Constant)]
            variables = [
                i for i, a in enumerate(arguments) if isinstance(a.value, s.Variable) and a.value.name in known
            ]
            columns = tuple(sorted(constants + variables))
            if len(columns) == len(arguments):
                return (_NARROWS, 1, 0)
            return (_JOINS if columns else _SCANS, expected(relation, columns, len(constants)), -len(columns))
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
