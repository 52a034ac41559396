"""In which order a clause's steps are taken, once some of its variables are bound.

What only narrows (tests, negations, bindings, lookups) comes as early as its variables allow; then what ranges over a
value at hand; then the atom with the most columns bound, the smaller relation first.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kdl.parser import syntax as s
from kdl.rules.normalise import Lookup, Reached, Step, bound, names, pattern_variables


def order(steps: Iterable[tuple[int, Step]], known: set[str], size: Callable[[str], int]) -> list[tuple[int, Step]]:
    """The steps, each with its place in the body, in the order in which they are evaluated."""
    waiting = list(steps)
    ordered: list[tuple[int, Step]] = []
    while waiting:
        best = min(waiting, key=lambda item: (*_rank(item[1], known, size), item[0]))
        if _rank(best[1], known, size)[0] == _NEVER:
            raise ValueError(f"nothing binds {sorted(needs(best[1]) - known)} at {best[1].span}")
        waiting.remove(best)
        ordered.append(best)
        known |= bound(best[1])
    return ordered


_NARROWS, _RANGES, _JOINS, _SCANS, _NEVER = range(5)


def _rank(step: Step, known: set[str], size: Callable[[str], int]) -> tuple[int, int, int]:
    if isinstance(step, s.Unification) and isinstance(step.value, s.Variable) and step.value.name not in known:
        ready = _needs_of_pattern(step.pattern) | set(pattern_variables(step.pattern)) <= known
        return (_NARROWS if ready else _NEVER, 0, 0)
    if not needs(step) <= known:
        return (_NEVER, 0, 0)
    match step:
        case s.Atom(relation, arguments):
            free = sum(isinstance(a.value, s.Variable) and a.value.name not in known for a in arguments)
            fixed = len(arguments) - free - sum(isinstance(a.value, s.Wildcard) for a in arguments)
            if fixed == len(arguments):
                return (_NARROWS, 1, 0)
            return (_JOINS, -fixed, size(relation)) if fixed else (_SCANS, size(relation), 0)
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
        case Lookup():
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
