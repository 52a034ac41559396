"""Termination: recursion that makes new values is refused unless a guard in the rule bounds them.

A value is new when an expression makes it out of what the recursion itself gave: a sum, a text, a list, a document.
Parts of values are not new. Guards that are seen:

- an upper bound for what grows, a lower one for what falls (``X < 10``, ``I in 1..Max``), by a constant or a value
  from outside the recursion;
- a fact from outside the recursion that has the new value among its columns;
- ``size(L) < 10`` or ``not (X in L)`` for a text or list that grows by joining;
- a bounded counter in the only recursive rule of its relations.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from kdl.fact import Value
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Note
from kdl.rules.builtin import BUILTINS
from kdl.rules.components import components
from kdl.rules.draft import Draft, Mistake
from kdl.rules.program import FAULT, label

SHRINKING: Final = frozenset({
    "$condition", "$items", "cidr", "cidr_index", "cidr_size", "drop", "get", "greatest", "index_of", "keys", "least",
    "lower", "only", "reverse", "size", "sort", "split", "substring", "take", "trim", "type_of", "unique", "upper",
    "values", "without",
})  # fmt: skip
"""Functions whose results are parts of their arguments, or bounded by them."""

_FLIPPED: Final = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "=": "="}


def bound(draft: Draft) -> None:
    """Report each rule of a recursive stratum whose new values nothing bounds."""
    for stratum in draft.strata:
        if stratum.recursive:
            rules = {index: draft.rules[index] for index in stratum.rules}
            for cycle in _cycles(rules):
                heads = [rules[index].head for index in cycle]
                with draft.statement():
                    for index in cycle:
                        if rules[index].head.relation != FAULT:
                            _Recursion(rules[index], heads, len(cycle) == 1).check()


def _cycles(rules: Mapping[int, s.Rule]) -> list[list[int]]:
    """Rules that feed each other: as relations do, but a constant in a head never meets another one in a body."""
    feeds = {
        str(index): [
            str(other)
            for other, source in rules.items()
            if any(isinstance(part, s.Atom) and _may_meet(source.head, part) for part in rule.body)
        ]
        for index, rule in rules.items()
    }
    return [[int(i) for i in group] for group in components(feeds) if len(group) > 1 or group[0] in feeds[group[0]]]


def _may_meet(head: s.Atom, atom: s.Atom) -> bool:
    """Whether a fact that a head derives may be one that an atom reads."""
    return head.relation == atom.relation and not any(
        isinstance(a.value, s.Constant) and isinstance(b.value, s.Constant) and a.value != b.value
        for a, b in zip(head.arguments, atom.arguments, strict=True)
    )


@dataclass(slots=True)
class _Recursion:
    """One rule of a cycle of rules, the heads of the whole cycle, and whether the rule is all of it."""

    rule: s.Rule
    heads: list[s.Atom]
    alone: bool
    inner: set[str] = field(default_factory=set)
    """Variables whose values come from the recursion."""
    made: dict[str, s.Expression] = field(default_factory=dict)
    """Variables with new values, and what makes them."""
    outside: set[str] = field(default_factory=set)
    """Variables that are columns of facts from outside the recursion."""

    def check(self) -> None:
        for literal in self.rule.body:
            self._follow(literal)
        grown = [(index, self._new(a.value)) for index, a in enumerate(self.rule.head.arguments)]
        new = [(index, expression) for index, expression in grown if expression is not None]
        if not new or self._counter(dict(new)):
            return
        for index, expression in new:
            if not self._bounded(self.rule.head.arguments[index].value, expression):
                raise self._unbounded(expression)

    def _follow(self, literal: s.Literal) -> None:
        match literal:
            case s.Atom(_, arguments):
                names = {a.value.name for a in arguments if isinstance(a.value, s.Variable)}
                if self._recursive(literal):
                    self.inner |= names
                else:
                    self.outside |= names
            case s.Unification(pattern, value):
                self._bind(pattern, value)
            case s.Membership(key, item, source):
                self._bind(item, source)
                if key is not None:
                    self._bind(key, source)
            case s.Aggregate(pattern=pattern, value=value) if value is not None:
                self._bind(pattern, value)
            case _:
                pass

    def _recursive(self, atom: s.Atom) -> bool:
        return any(_may_meet(head, atom) for head in self.heads)

    def _bind(self, pattern: s.Expression, value: s.Expression) -> None:
        new = self._new(value)
        for variable in s.variables(pattern):
            if variable.name in self.inner or variable.name in self.outside:
                continue
            if new is not None:
                self.made[variable.name] = new
            if self._tainted(value):
                self.inner.add(variable.name)

    def _tainted(self, expression: s.Expression) -> bool:
        return any(v.name in self.inner and v.name not in self.outside for v in s.variables(expression))

    def _new(self, expression: s.Expression) -> s.Expression | None:
        """What makes the expression's value new, if anything does."""
        match expression:
            case s.Variable(name):
                return None if name in self.outside else self.made.get(name)
            case s.Range(low, high):
                return self._new(low) or self._new(high)
            case s.Path(base, _):
                return self._new(base)
            case s.Default(left, right) | s.Conditional(then=left, otherwise=right):
                return self._new(left) or self._new(right)
            case s.Binary("=" | "!=" | "<" | "<=" | ">" | ">=" | "and" | "or" | "in") | s.Unary("not"):
                return None
            case s.Binary("%", _, right) if not self._tainted(right):
                return None
            case s.Binary("/", left, s.Constant(value=int(number))) if number > 1:
                return self._new(left)
            case s.Call(function, arguments) if function in SHRINKING or BUILTINS[function].result == "bool":
                return next((new for new in map(self._new, arguments) if new is not None), None)
            case s.Constant() | s.Wildcard():
                return None
            case _:
                return expression if self._tainted(expression) else None

    # guards

    def _bounded(self, head: s.Expression, made: s.Expression) -> bool:
        if isinstance(head, s.Variable) and head.name in self.outside:
            return True
        names = {made} | ({head} if isinstance(head, s.Variable) else set())
        names |= {s.Variable(name) for name, what in self.made.items() if what == made}
        up, down = _directions(made)
        if up is not None:
            sources = names | {v for v in s.variables(made) if v.name in self.inner and v.name not in self.outside}
            sides = set(self._bounds(sources if len(sources - names) <= 1 else names))
            return (not up or "upper" in sides) and (not down or "lower" in sides)
        return self._joined(made)

    def _joined(self, made: s.Expression) -> bool:
        """A text or list that grows by joining, with its size bounded or its items never twice."""
        parts = _joined_parts(made)
        sources = {v for v in parts if isinstance(v, s.Variable) and v.name in self.inner}
        if len(sources) != 1:
            return False
        (source,) = sources
        if "upper" in self._bounds({s.Call("size", (source,))}):
            return True
        for condition in self._conditions():
            match condition:
                case s.Unary("not", s.Binary("in", s.Variable(name), whole)) if whole == source:
                    return name in self.outside
                case s.Unary("not", s.Call("contains", (whole, s.Variable(name)))) if whole == source:
                    return name in self.outside
                case _:
                    pass
        return False

    def _bounds(self, names: Iterable[s.Expression]) -> Iterator[str]:
        """The sides on which literals bound one of the expressions."""
        wanted = set(names)
        for literal in self.rule.body:
            if isinstance(literal, s.Membership) and literal.item in wanted and isinstance(literal.source, s.Range):
                for side, end in (("lower", literal.source.low), ("upper", literal.source.high)):
                    if not self._tainted(end):
                        yield side
        for condition in self._conditions():
            if not isinstance(condition, s.Binary) or condition.operator not in _FLIPPED:
                continue
            operator = condition.operator
            for left, way, right in (
                (condition.left, operator, condition.right),
                (condition.right, _FLIPPED[operator], condition.left),
            ):
                if left in wanted and not self._tainted(right):
                    if way in ("<", "<=", "="):
                        yield "upper"
                    if way in (">", ">=", "="):
                        yield "lower"

    def _conditions(self) -> Iterator[s.Expression]:
        """What must be true, conjunctions taken apart."""
        waiting = [literal.condition for literal in self.rule.body if isinstance(literal, s.Test)]
        while waiting:
            condition = waiting.pop()
            match condition:
                case s.Binary("and", left, right):
                    waiting += [left, right]
                case s.Unary("not", s.Unary("not", inner)):
                    waiting.append(inner)
                case _:
                    yield condition

    def _counter(self, new: dict[int, s.Expression]) -> bool:
        """Whether this is the only recursive rule, and a bounded counter limits how often it can feed itself."""
        atoms = [a for a in self.rule.body if isinstance(a, s.Atom) and self._recursive(a)]
        if not self.alone or len(atoms) != 1 or atoms[0].relation != self.rule.head.relation:
            return False
        for index, expression in new.items():
            before = atoms[0].arguments[index].value
            step = _step(expression)
            if step and step[0] == before and self._bounded(self.rule.head.arguments[index].value, expression):
                return True
        return False

    def _unbounded(self, expression: s.Expression) -> Mistake:
        name = self.rule.head.relation
        short = name.rpartition(".")[2]
        message = f"`{short}` makes new values out of its own, and nothing bounds them"
        notes = [Note(f"each round of the rule at {label(self.rule)} gives new facts for the next one")]
        step = _step(expression)
        help = "join the new value with a fact from outside the recursion, or bound it by a comparison"
        if step is not None and isinstance(step[0], s.Variable):
            help = f"bound it, as in `{step[0].name} {'<' if step[1] > 0 else '>'} {'100' if step[1] > 0 else '0'}`"
        return Mistake("KDL302", message, expression.span, notes=notes, help=help)


def _number(expression: s.Expression) -> int | None:
    value: Value = expression.value if isinstance(expression, s.Constant) else None
    return value if isinstance(value, int) else None


def _step(expression: s.Expression) -> tuple[s.Expression, int] | None:
    """``X + 3`` or ``X - 3``: what is stepped, and by how much; None for anything else."""
    match expression:
        case s.Binary("+", left, right):
            if (number := _number(right)) is not None:
                return left, number
            return (right, number) if (number := _number(left)) is not None else None
        case s.Binary("-", left, right):
            return (left, -number) if (number := _number(right)) is not None else None
        case _:
            return None


def _directions(expression: s.Expression) -> tuple[bool | None, bool | None]:
    """Whether a number may grow, and whether it may fall; (None, None) for what is no number."""
    step = _step(expression)
    if step is not None:
        return step[1] > 0, step[1] < 0
    if isinstance(expression, s.Unary) or (isinstance(expression, s.Binary) and expression.operator != "+"):
        return True, True
    if isinstance(expression, s.Binary) and not any(isinstance(n, (s.Tuple, s.Format)) for n in s.walk(expression)):
        return True, True
    return None, None


def _joined_parts(expression: s.Expression) -> tuple[s.Expression, ...]:
    match expression:
        case s.Binary("+", left, right):
            return (*_joined_parts(left), *_joined_parts(right))
        case s.Call("concat", arguments):
            return arguments
        case s.Format(parts):
            return parts
        case _:
            return (expression,)
