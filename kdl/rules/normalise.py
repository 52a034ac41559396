"""A program's rules in the form that the engine maintains.

- An aggregate becomes an *accumulator*: the derivations of its body are exactly its binding tuples, so signed
  derivations keep each group's state. Where the body needs variables that only its surroundings bind, a *context*
  relation of those surroundings comes first.
- ``due(T)`` reads a *waiting* relation of what has come that far, so that when the clock reaches T only the rows that
  wait for T are looked at.
- A negation with a variable that occurs in it alone becomes one of a projection.

What this makes beside the program's own relations has a ``#`` in its name.

Where there is nothing to maintain (queries, and the derivations of one fact) or maintaining is impossible (an aggregate
over what only recursion binds), literals become steps that are worked out on the spot: `Inline`, `Reached` without a
waiting relation.
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
class Inline(s.Node):
    """An aggregate that is worked out on the spot for each binding of its group."""

    function: str
    value: s.Expression | None
    body: tuple[Step, ...]
    group: tuple[str, ...]
    pattern: s.Expression
    default: s.Expression | None


@dataclass(frozen=True, slots=True)
class Reached(s.Node):
    """The clock has (`negated`: has not) reached the time that a row of `waiting` (empty: no relation) holds."""

    time: str
    negated: bool
    waiting: str


Step: TypeAlias = s.Atom | s.Negation | s.Test | s.Unification | s.Membership | Lookup | Inline | Reached
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
    recursive = {
        name: stratum.relations for stratum in program.strata if stratum.recursive for name in stratum.relations
    }
    for index, rule in enumerate(program.rules):
        maker = _Maker(made, rule, f"{label(rule)}#{index}", recursive.get(rule.head.relation, frozenset()))
        body = maker.steps(rule.body, names(rule.head))
        values = tuple(argument.value for argument in rule.head.arguments)
        made.clauses.append(Clause(rule.head.relation, values, body, rule))
    return made


@dataclass(slots=True)
class _Maker:
    made: Clauses
    rule: s.Rule
    name: str
    together: frozenset[str]
    """The relations that the rule's head is recursive with, what is made of them included."""
    count: int = 0

    def fresh(self, what: str) -> str:
        self.count += 1
        return f"{self.name}.{what}{self.count}"

    def steps(self, body: tuple[s.Literal, ...], outside: frozenset[str], counted: bool = False) -> tuple[Step, ...]:
        """The body of literals as steps; `outside` are the variables that its surroundings use.

        Where the binding tuples are `counted`, a waiting relation stands beside what it was made of, not for it.
        """
        done: list[Step] = []
        for index, literal in enumerate(body):
            later = outside.union(*[names(other) for other in body[index + 1 :]])
            match literal:
                case s.Due():
                    done = self._due(literal, done, later, counted)
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

    def _due(self, literal: s.Due, done: list[Step], later: frozenset[str], counted: bool) -> list[Step]:
        time = f"T${self.count}"
        kept = sorted(frozenset().union(*[bound(step) for step in done]) & later)
        instant = s.Call("$instant", (literal.time,), span=literal.span)
        body = (*done, s.Unification(s.Variable(time), instant, span=literal.span))
        atom = self.relation("wait", [*kept, time], body)
        if any(isinstance(node, s.Atom) and node.relation in self.together for step in done for node in s.walk(step)):
            self.together |= {atom.relation}
        return [*(body if counted else ()), atom, Reached(time, literal.negated, atom.relation)]

    def _aggregate(self, literal: s.Aggregate, done: tuple[Step, ...], around: frozenset[str]) -> Lookup | Inline:
        group, wider = _group(literal, around)
        own = frozenset().union(*map(_binds, literal.body))
        inner = literal.body
        if not set(group) <= own:
            apart = tuple(_apart(done, self.together))
            if not set(group) <= frozenset().union(*map(bound, apart)):
                return inline_aggregate(literal, around)
            inner = (self.relation("context", group, apart), *inner)
        body = self.steps(inner, wider, counted=True)
        name = self.fresh("aggregate")
        values = (literal.value,) if literal.value is not None else ()
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


def _group(literal: s.Aggregate, around: frozenset[str]) -> tuple[tuple[str, ...], frozenset[str]]:
    """The variables of an aggregate's group, and those that its body shares with what is around it."""
    outer = [part for part in (literal.pattern, literal.default) if part is not None]
    around = around.union(*map(names, outer))
    inside = frozenset().union(*map(names, literal.body))
    if literal.value is not None:
        inside |= names(literal.value)
    group = tuple(sorted(inside & around))
    return group, frozenset(group) | (names(literal.value) if literal.value is not None else frozenset())


def _apart(steps: Iterable[Step], relations: frozenset[str]) -> Iterator[Step]:
    """The steps that read none of some relations, nor what such steps bind."""
    known: frozenset[str] = frozenset()
    for step in steps:
        alone = not isinstance(step, Inline) and not any(
            isinstance(node, s.Atom) and node.relation in relations for node in s.walk(step)
        )
        needed = frozenset(step.group) if isinstance(step, Lookup) else frozenset[str]()
        if alone and (isinstance(step, s.Atom) or needed | (names(step) - bound(step)) <= known):
            known |= bound(step)
            yield step


def inline(body: tuple[s.Literal, ...], outside: frozenset[str]) -> tuple[Step, ...]:
    """The body as steps that need nothing maintained beside the program's relations."""
    done: list[Step] = []
    for index, literal in enumerate(body):
        later = outside.union(*[names(other) for other in body[index + 1 :]])
        match literal:
            case s.Due():
                time = f"T${literal.span.line}.{literal.span.column}.{index}"
                instant = s.Call("$instant", (literal.time,), span=literal.span)
                done += [
                    s.Unification(s.Variable(time), instant, span=literal.span),
                    Reached(time, literal.negated, ""),
                ]
            case s.Aggregate():
                done.append(inline_aggregate(literal, later.union(*[names(step) for step in done])))
            case s.Negation(atom) if names(atom) - (outer := later.union(*map(bound, done))):
                group = tuple(sorted(names(atom) & outer))
                done.append(Inline("count", None, (atom,), group, s.Constant(0), None, span=literal.span))
            case _:
                done.append(literal)
    return tuple(done)


def inline_aggregate(literal: s.Aggregate, around: frozenset[str]) -> Inline:
    """The aggregate as a step of its own."""
    group, wider = _group(literal, around)
    body = inline(literal.body, wider)
    return Inline(literal.function, literal.value, body, group, literal.pattern, literal.default, span=literal.span)


def names(node: s.Node | Step) -> frozenset[str]:
    """The variables that occur in a node; of what is worked out on the spot, those that it needs or gives."""
    own: frozenset[str] = frozenset()
    if isinstance(node, Inline):
        parts = [part for part in (node.pattern, node.default) if part is not None]
        return frozenset(node.group).union(*map(names, parts))
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
        case Lookup() | Inline():
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
