"""What a rule's body means: the bindings of its variables that make every literal hold.

Literals are taken in source order, each as soon as the variables it needs are bound. Facts come from a function
``lookup(relation, {position: value})``, so the same few pages serve the specification (`naive`), proofs and why-not,
whatever holds the facts.
"""

from __future__ import annotations

from collections.abc import Callable, Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, Generic, TypeAlias, TypeVar

from kdl.fact import Row, Value, sort_key, value
from kdl.parser import syntax as s
from kdl.rules.builtin import Fault, condition, instant
from kdl.rules.evaluate import MISSING, Bindings, Result, evaluate, source

T = TypeVar("T")
Lookup: TypeAlias = Callable[[str, Mapping[int, Value]], Iterable[Row]]


def names(node: s.Node) -> frozenset[str]:
    """The names of all variables in a node."""
    return frozenset(variable.name for variable in s.variables(node))


def known(e: s.Expression, bindings: Bindings) -> Result:
    """The value of an expression; `MISSING` also where it faults, or has a wildcard or a variable that is not bound."""
    if isinstance(e, s.Variable):
        return bindings.get(e.name, MISSING)
    try:
        return evaluate(e, bindings)
    except (Fault, KeyError):
        return MISSING


class _Once(Generic[T]):
    """Remembers what a function of a node gave, by the node itself: trees are compared slowly."""

    def __init__(self, function: Callable[..., T]) -> None:
        self._function = function
        self._known: dict[tuple[object, ...], tuple[object, T]] = {}

    def __call__(self, node: object, *others: Hashable) -> T:
        key = (id(node), *others)
        if key not in self._known:
            self._known[key] = node, self._function(node, *others)  # holds the node, so that its id stays its own
        return self._known[key][1]


def match(pattern: s.Expression, found: Value, bindings: Bindings) -> Bindings | None:
    """The bindings extended so that the pattern equals a value; None if it cannot."""
    match pattern:
        case s.Wildcard():
            return bindings
        case s.Variable(name) if name not in bindings:
            return {**bindings, name: found}
        case s.Tuple(items):
            if not isinstance(found, tuple) or len(found) != len(items):
                return None
            return match_all(items, found, bindings)
        case _:
            expected = evaluate(pattern, bindings)
            return bindings if expected is not MISSING and expected == found else None


def match_all(patterns: Sequence[s.Expression], found: Row, bindings: Bindings) -> Bindings | None:
    """`match` over a row: the patterns that bind first, then those that compute."""
    later = []
    for pattern, item in zip(patterns, found, strict=True):
        if binds(pattern):
            extended = match(pattern, item, bindings)
            if extended is None:
                return None
            bindings = extended
        else:
            later.append((pattern, item))
    for pattern, item in later:
        if match(pattern, item, bindings) is None:
            return None
    return bindings


def binds(pattern: s.Expression) -> bool:
    """Whether a pattern can bind variables; any other expression is computed and compared."""
    return isinstance(pattern, (s.Variable, s.Wildcard, s.Tuple))


def bindable(pattern: s.Expression) -> frozenset[str]:
    """The variables that matching a pattern binds."""
    match pattern:
        case s.Variable(name):
            return frozenset((name,))
        case s.Tuple(items):
            return frozenset().union(*map(bindable, items))
        case _:
            return frozenset()


def _computed(pattern: s.Expression) -> frozenset[str]:
    """The variables that must be bound before a pattern is matched."""
    match pattern:
        case s.Variable() | s.Wildcard():
            return frozenset()
        case s.Tuple(items):
            return frozenset().union(*map(_computed, items)) - bindable(pattern)
        case _:
            return names(pattern)


@dataclass
class Solver:
    """Solves bodies over the facts of `lookup` at the clock `now`; `waiting` gathers the times not yet reached."""

    lookup: Lookup
    now: int = 0
    waiting: set[int] = field(default_factory=set)

    def __post_init__(self) -> None:
        self._order = _Once(lambda body, bound, outside: tuple(in_order(body, bound, outside)))
        self._names = _Once(names)
        self._fixed = _Once(_fixed_positions)
        self._groups = _Once(_groups)
        self._around = _Once(_around)

    def solve(
        self, body: tuple[s.Literal, ...], bindings: Bindings, outside: frozenset[str] = frozenset()
    ) -> Iterator[Bindings]:
        """Every binding tuple of a body: one for each way to make it hold.

        `outside` names the variables that the surroundings (the head, an outer body) use too.
        """
        return self._run(self._order(body, frozenset(bindings), outside), 0, bindings)

    def solutions_of(
        self, head: s.Atom, body: tuple[s.Literal, ...], row: Row, outside: frozenset[str] = frozenset()
    ) -> Iterator[Bindings]:
        """The bindings under which a rule derives the given row; `outside` names what else its surroundings use."""
        patterns = [argument.value for argument in head.arguments]
        start: Bindings | None = {}
        for pattern, item in zip(patterns, row, strict=True):
            if binds(pattern) and not _computed(pattern) and start is not None:
                start = match(pattern, item, start)
        if start is None:
            return
        for bindings in self.solve(body, start, names(head) | outside):
            try:
                if match_all(patterns, row, bindings) is not None:
                    yield bindings
            except Fault:
                continue

    def literal(self, literal: s.Literal, bindings: Bindings, outside: frozenset[str]) -> Iterator[Bindings]:
        """The bindings extended in each way that makes one literal hold; a fault is a failure."""
        try:
            match literal:
                case s.Atom():
                    yield from self._atom(literal, bindings)
                case s.Negation(atom):
                    if next(iter(self._atom(atom, bindings)), None) is None:
                        yield bindings
                case s.Test(condition):
                    if self._holds(evaluate(condition, bindings)):
                        yield bindings
                case s.Unification(pattern, expression):
                    if not self._names(expression) <= bindings.keys():
                        pattern, expression = expression, pattern
                    yield from self._unify(pattern, evaluate(expression, bindings), bindings)
                case s.Membership():
                    yield from self._members(literal, bindings)
                case s.Due(time, negated):
                    if self._due(evaluate(time, bindings), negated):
                        yield bindings
                case s.Aggregate():
                    yield from self._aggregate(literal, bindings, outside)
        except Fault:
            return

    # literals

    def _atom(self, atom: s.Atom, bindings: Bindings) -> Iterator[Bindings]:
        patterns = [argument.value for argument in atom.arguments]
        known: dict[int, Value] = {}
        for position, used in self._fixed(atom):
            if used <= bindings.keys():
                expected = evaluate(patterns[position], bindings)
                if expected is MISSING:
                    return
                known[position] = expected
        for row in self.lookup(atom.relation, known):
            try:
                extended = match_all(patterns, row, bindings)
            except Fault:
                continue
            if extended is not None:
                yield extended

    def rows(self, atom: s.Atom, bindings: Bindings) -> Iterator[Row]:
        """The rows that match an atom."""
        patterns = [argument.value for argument in atom.arguments]
        return (row for row in self.lookup(atom.relation, {}) if match_all(patterns, row, bindings) is not None)

    def _holds(self, found: Result) -> bool:
        return found is not MISSING and found is not None and bool(condition(found))

    def _unify(self, pattern: s.Expression, found: Result, bindings: Bindings) -> Iterator[Bindings]:
        if found is MISSING:
            return
        extended = match(pattern, found, bindings)
        if extended is not None:
            yield extended

    def _members(self, literal: s.Membership, bindings: Bindings) -> Iterator[Bindings]:
        where = source(literal.source, bindings)
        if where is MISSING:
            return
        for key, item in _positions(where, literal.key is not None):
            try:
                extended = match(literal.key, key, bindings) if literal.key is not None else bindings
                extended = match(literal.item, item, extended) if extended is not None else None
            except Fault:
                continue
            if extended is not None:
                yield extended

    def _due(self, time: Result, negated: bool) -> bool:
        if time is MISSING or time is None:
            return False
        moment: Any = instant(time)
        if moment > self.now:
            self.waiting.add(moment)
        return bool(moment <= self.now) != negated

    def _aggregate(self, literal: s.Aggregate, bindings: Bindings, outside: frozenset[str]) -> Iterator[Bindings]:
        free = sorted(self._groups(literal, outside) - bindings.keys())
        groups: dict[Row, list[Bindings]] = {} if free else {(): []}
        for inner in self.contributors(literal, bindings, outside):
            groups.setdefault(tuple([inner[name] for name in free]), []).append(inner)
        for key, members in groups.items():
            group = {**bindings, **dict(zip(free, key, strict=True))}
            found = combine(literal, [evaluated for inner in members for evaluated in _values(literal, inner)])
            if found is MISSING and literal.default is not None:
                found = evaluate(literal.default, group)
            yield from self._unify(literal.pattern, found, group)

    def contributors(self, literal: s.Aggregate, bindings: Bindings, outside: frozenset[str]) -> Iterator[Bindings]:
        """The binding tuples that an aggregate ranges over."""
        return self.solve(literal.body, bindings, self._around(literal, outside))

    # order

    def _run(self, steps: tuple[Step, ...], at: int, bindings: Bindings) -> Iterator[Bindings]:
        if at == len(steps):
            yield bindings
            return
        literal, outside = steps[at]
        for extended in self.literal(literal, bindings, outside):
            yield from self._run(steps, at + 1, extended)


Step: TypeAlias = tuple[s.Literal, frozenset[str]]
"""A literal and the names of the variables that occur outside it."""


def in_order(body: tuple[s.Literal, ...], bound: frozenset[str], outside: frozenset[str]) -> Iterator[Step]:
    """The literals in the order in which they are taken."""
    waiting = [(literal, outside.union(*[names(other) for other in body if other is not literal])) for literal in body]
    while waiting:
        ready = next((step for step in waiting if needs(*step) <= bound), None)
        if ready is None:
            ready = next((step for step in waiting if isinstance(step[0], s.Aggregate)), None)
        if ready is None:
            raise ValueError(f"no literal can be evaluated at {waiting[0][0].span}")
        waiting.remove(ready)
        yield ready
        bound |= gives(*ready)


def surrounded(body: tuple[s.Literal, ...], outside: frozenset[str]) -> list[Step]:
    """The literals in source order, each with the names of the variables that occur outside it."""
    return [(literal, outside.union(*[names(other) for other in body if other is not literal])) for literal in body]


def needs(literal: s.Literal, outside: frozenset[str]) -> frozenset[str]:
    """The variables that must be bound before a literal is evaluated."""
    match literal:
        case s.Atom(_, arguments):
            own = frozenset().union(*[bindable(argument.value) for argument in arguments])
            return frozenset().union(*[_computed(argument.value) for argument in arguments]) - own
        case s.Negation(atom):
            return (names(atom) & outside) | needs(atom, outside)
        case s.Test(condition):
            return names(condition)
        case s.Unification(pattern, expression):
            return names(expression) | _computed(pattern)
        case s.Membership(key, item, where):
            patterns = [item] if key is None else [key, item]
            return names(where) | frozenset().union(*map(_computed, patterns)) - bindable(patterns[0])
        case s.Due(time):
            return names(time)
        case s.Aggregate(pattern, default=default):
            return _groups(literal, outside) | _computed(pattern) | (names(default) if default else frozenset())


def gives(literal: s.Literal, outside: frozenset[str]) -> frozenset[str]:
    """The variables that are bound after a literal."""
    match literal:
        case s.Negation():
            return frozenset()
        case s.Aggregate(pattern):
            return _groups(literal, outside) | names(pattern)
        case _:
            return names(literal)


def _groups(literal: s.Aggregate, outside: frozenset[str]) -> frozenset[str]:
    inside = frozenset().union(*map(names, literal.body))
    around = outside | names(literal.pattern)
    if literal.default is not None:
        around |= names(literal.default)
    return inside & around


def _around(literal: s.Aggregate, outside: frozenset[str]) -> frozenset[str]:
    """The names that occur around the body of an aggregate."""
    parts = (literal.pattern, literal.value, literal.default)
    return outside.union(*[names(part) for part in parts if part is not None])


def _fixed_positions(atom: s.Atom) -> tuple[tuple[int, frozenset[str]], ...]:
    """The arguments that are one value once their variables are bound, with those variables."""
    return tuple(
        (position, names(argument.value))
        for position, argument in enumerate(atom.arguments)
        if not any(isinstance(node, s.Wildcard) for node in s.walk(argument.value))
    )


def _positions(where: Value | range, keyed: bool) -> Iterator[tuple[Value, Value]]:
    """Keys and items of a source, in order; without a key, a document's items are its keys."""
    if isinstance(where, dict):
        for key, item in sorted(where.items()):
            yield key, (item if keyed else key)
    else:
        yield from enumerate(where)  # type: ignore[arg-type]


def _values(literal: s.Aggregate, bindings: Bindings) -> Iterator[Value]:
    """The value that one binding tuple adds to an aggregate; none if it is missing or faults."""
    if literal.value is None:
        yield 1
        return
    try:
        found = evaluate(literal.value, bindings)
    except Fault:
        return
    if found is not MISSING and (literal.function != "sum" or isinstance(found, (int, Decimal))):
        yield found


def combine(literal: s.Aggregate, found: list[Value]) -> Result:
    """What an aggregate makes of the values of its binding tuples; `MISSING` where it has nothing to range over."""
    match literal.function:
        case "count":
            return len(found)
        case "sum":
            return value(sum((item for item in found if isinstance(item, (int, Decimal))), start=0))
        case "list":
            return tuple(sorted(found, key=sort_key)) if found else MISSING
        case function:
            ordered = sorted(found, key=sort_key)
            return ordered[0 if function == "min" else -1] if ordered else MISSING
