"""A program's rules in the form that the engine maintains.

- An aggregate becomes an *accumulator*: the derivations of its body are exactly its binding tuples, so signed
  derivations keep each group's state. Where the body needs variables that only its surroundings bind, a *context*
  relation of those surroundings comes first.
- ``due(T)`` reads a *waiting* relation of what has come that far, so that when the clock reaches T only the rows that
  wait for T are looked at.
- A negation with a variable that occurs twice in it alone becomes one of a projection.

What this makes beside the program's own relations has a ``#`` in its name.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from kdl.parser import syntax as s
from kdl.rules.program import Program, label


@dataclass(frozen=True, slots=True)
class Lookup(s.Node):
    """An aggregate in a body: the state of the accumulator's group, unified with the pattern."""

    accumulator: str
    group: tuple[str, ...]
    pattern: s.Expression
    default: s.Expression | None


@dataclass(frozen=True, slots=True)
class Reached(s.Node):
    """The clock has (`negated`: has not) reached the time that a waiting row holds."""

    time: str
    negated: bool
    waiting: str


Step: TypeAlias = s.Atom | s.Negation | s.Test | s.Unification | s.Membership | Lookup | Reached
"""A literal as the engine evaluates it."""


@dataclass(frozen=True, slots=True)
class Clause:
    """One rule: what a body's bindings give to a relation (`values` are a row) or to an accumulator (group, value)."""

    target: str
    values: tuple[s.Expression, ...]
    body: tuple[Step, ...]
    source: s.Rule
    group: tuple[str, ...] = ()
    """For an accumulator: the variables of its group; `values` is then its value, empty for ``count``."""


@dataclass(frozen=True, slots=True)
class Accumulator:
    """An aggregate's state: a function over the values of each group."""

    name: str
    function: str


@dataclass(slots=True)
class Clauses:
    """All clauses of a program, and what they need beside the program's relations."""

    clauses: list[Clause] = field(default_factory=list)
    accumulators: dict[str, Accumulator] = field(default_factory=dict)
    arities: dict[str, int] = field(default_factory=dict)
    """Relations made in here, with their numbers of columns."""


def normalise(program: Program) -> Clauses:
    """The clauses of a program's rules."""
    made = Clauses()
    for index, rule in enumerate(program.rules):
        maker = _Maker(made, rule, f"{label(rule)}#{index}")
        body = maker.steps(rule.body, names(rule.head))
        values = tuple(argument.value for argument in rule.head.arguments)
        made.clauses.append(Clause(rule.head.relation, values, body, rule))
    return made


@dataclass(slots=True)
class _Maker:
    made: Clauses
    rule: s.Rule
    name: str
    count: int = 0

    def fresh(self, what: str) -> str:
        self.count += 1
        return f"{self.name}.{what}{self.count}"

    def steps(self, body: tuple[s.Literal, ...], outside: frozenset[str]) -> tuple[Step, ...]:
        """The body of literals as steps; `outside` are the variables that its surroundings use."""
        done: list[Step] = []
        for index, literal in enumerate(body):
            later = outside.union(*[names(other) for other in body[index + 1 :]])
            match literal:
                case s.Due():
                    done = self._due(literal, done, later)
                case s.Aggregate():
                    around = later.union(*[names(step) for step in done])
                    done.append(self._aggregate(literal, tuple(done), around))
                case s.Negation():
                    done.append(self._negation(literal, done, later))
                case _:
                    done.append(literal)
        return tuple(done)

    def relation(self, what: str, variables: Iterable[str], body: tuple[Step, ...]) -> s.Atom:
        """A relation of these variables as the body binds them; its atom."""
        columns = tuple(s.Variable(name) for name in variables)
        name = self.fresh(what)
        self.made.arities[name] = len(columns)
        self.made.clauses.append(Clause(name, columns, body, self.rule))
        return s.Atom(name, tuple(s.Argument(column) for column in columns))

    def _due(self, literal: s.Due, done: list[Step], later: frozenset[str]) -> list[Step]:
        time = f"T${self.count}"
        kept = sorted(frozenset().union(*[bound(step) for step in done]) & later)
        instant = s.Call("$instant", (literal.time,), span=literal.span)
        body = (*done, s.Unification(s.Variable(time), instant, span=literal.span))
        atom = self.relation("wait", [*kept, time], body)
        return [atom, Reached(time, literal.negated, atom.relation)]

    def _aggregate(self, literal: s.Aggregate, done: tuple[Step, ...], around: frozenset[str]) -> Lookup:
        parts = [part for part in (literal.pattern, literal.default) if part is not None]
        around = around.union(*map(names, parts))
        inside = frozenset().union(*map(names, literal.body))
        if literal.value is not None:
            inside |= names(literal.value)
        group = tuple(sorted(inside & around))
        own = frozenset().union(*map(_binds, literal.body))
        values = (literal.value,) if literal.value is not None else ()
        wider = frozenset(group).union(*map(names, values))
        body = self.steps(literal.body, wider)
        if not set(group) <= own:
            context = self.relation("context", group, done)
            body = self.steps((context, *literal.body), wider)
        name = self.fresh("aggregate")
        self.made.accumulators[name] = Accumulator(name, literal.function)
        self.made.clauses.append(Clause(name, values, body, self.rule, group))
        return Lookup(name, group, literal.pattern, literal.default, span=literal.span)

    def _negation(self, literal: s.Negation, done: list[Step], later: frozenset[str]) -> s.Negation:
        outer = later.union(*[bound(step) for step in done])
        used = list(dict.fromkeys(v.name for v in s.variables(literal.atom)))
        local = [name for name in used if name not in outer]
        if not local:
            return literal
        atom = self.relation("projection", [name for name in used if name in outer], (literal.atom,))
        return s.Negation(atom, span=literal.span)


def names(node: s.Node | Step) -> frozenset[str]:
    """The variables that occur in a node."""
    own: frozenset[str] = frozenset()
    if isinstance(node, Lookup):
        own = frozenset(node.group)
    elif isinstance(node, Reached):
        own = frozenset((node.time,))
    return own | frozenset(variable.name for variable in s.variables(node))


def pattern_variables(pattern: s.Expression) -> Iterator[str]:
    """The variables that unifying a pattern can bind."""
    if isinstance(pattern, s.Variable):
        yield pattern.name
    elif isinstance(pattern, s.Tuple):
        for item in pattern.items:
            yield from pattern_variables(item)


def bound(step: Step) -> frozenset[str]:
    """The variables that are bound after a step."""
    match step:
        case s.Negation() | s.Test() | Reached():
            return frozenset()
        case Lookup():
            return frozenset((*step.group, *pattern_variables(step.pattern)))
        case _:
            return _binds(step)


def _binds(literal: s.Literal | Step) -> frozenset[str]:
    """The variables that a literal itself can give values to."""
    match literal:
        case s.Atom(_, arguments):
            return frozenset(a.value.name for a in arguments if isinstance(a.value, s.Variable))
        case s.Unification(pattern, _) | s.Aggregate(pattern=pattern):
            return frozenset(pattern_variables(pattern))
        case s.Membership(key, item, _):
            keys = pattern_variables(key) if key is not None else ()
            return frozenset((*keys, *pattern_variables(item)))
        case _:
            return frozenset()
