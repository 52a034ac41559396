"""A second opinion: pyDatalog evaluates what it can express of a program, relation by relation.

For each relation (or for relations that depend on each other, together) it gets the rules, with recursion on the left,
and the facts of all other relations as the engine has them. It knows no documents and none of kdl's functions; a
relation that needs them has a reason instead of an opinion. pyDatalog's database is one for the whole process.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import count, product
from typing import Any, Final

from pyDatalog import pyDatalog

from kdl.fact import Row, Value, literal
from kdl.parser import syntax as s
from kdl.rules.engine import Engine
from kdl.rules.program import FAULT, Stratum, label
from kdl.rules.provenance import is_internal
from kdl.rules.solve import in_order, names, surrounded

_COMPARISONS: Final = {"=": "==", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}
_FOLDS: Final = {"count": "sum_", "sum": "sum_", "min": "min_", "max": "max_"}


Columns = Mapping[str, Sequence[str]]
"""Relation → the built-in types of its columns."""


class Inexpressible(Exception):
    """What pyDatalog cannot say, in a few words."""


class SecondOpinion:
    """pyDatalog's answers about the facts of an engine as they are now."""

    def __init__(self, engine: Engine) -> None:
        self._engine, self._program = engine, engine.program
        self._home = {name: stratum for stratum in self._program.strata for name in stratum.relations}
        self._columns = {name: [c.type for c in found.columns] for name, found in self._program.relations.items()}
        self._said: dict[str, set[Row] | Inexpressible] = {}

    def rows(self, relation: str) -> set[Row]:
        """The rows of a derived relation. Raises `Inexpressible`."""
        if relation not in self._said:
            stratum = self._home[relation]
            self._said |= dict.fromkeys(stratum.relations, Inexpressible("nothing"))
            try:
                self._said.update(self._evaluated(stratum))
            except Inexpressible as reason:
                self._said |= dict.fromkeys(stratum.relations, reason)
        said = self._said[relation]
        if isinstance(said, Inexpressible):
            raise said
        return said

    def query(self, body: tuple[s.Literal, ...]) -> tuple[list[dict[str, Value]], set[str]]:
        """The bindings of a query's variables, and which of its relations pyDatalog has evaluated itself."""
        given: dict[str, Iterable[Row]] = {}
        own = set()
        for name in _relations(body):
            try:
                given[name] = self.rows(name)
                own.add(name)
            except Inexpressible:
                given[name] = self._engine.facts(name)
        variables = sorted(names_of(body))
        head = s.Atom("$answer", tuple(s.Argument(s.Variable(name)) for name in variables) or _YES)
        found = _run({"$answer"}, [s.Rule(head, body)], given, self._columns, self._engine.now)["$answer"]
        return [dict(zip(variables, row, strict=False)) for row in found], own

    def _evaluated(self, stratum: Stratum) -> dict[str, set[Row]]:
        if FAULT in stratum.relations:
            raise Inexpressible("it is about kdl's own functions")
        rules = [self._program.rules[index] for index in stratum.rules]
        if not rules:
            raise Inexpressible("it has no rules")
        used = {name for rule in rules for name in _relations(rule.body)}
        given = {name: self._engine.facts(name) for name in used - stratum.relations}
        return _run(set(stratum.relations), rules, given, self._columns, self._engine.now)


_YES: Final = (s.Argument(s.Constant(True)),)


def _relations(body: tuple[s.Literal, ...]) -> set[str]:
    return {node.relation for item in body for node in s.walk(item) if isinstance(node, s.Atom)}


def names_of(body: tuple[s.Literal, ...]) -> frozenset[str]:
    """The variables of a query's answer: those outside its aggregates and negations."""
    outer = frozenset[str]()
    for item in body:
        if isinstance(item, s.Aggregate):
            outer |= names(item.pattern)
        elif not isinstance(item, s.Negation):
            outer |= names(item)
    return outer


def _run(
    wanted: set[str], rules: list[s.Rule], given: Mapping[str, Iterable[Row]], columns: Columns, now: int
) -> dict[str, set[Row]]:
    """Evaluate rules over given facts."""
    writer = _Writer(wanted, columns, now)
    for rule in rules:
        try:
            writer.rule(rule)
        except Inexpressible as reason:
            raise Inexpressible(f"{reason} ({label(rule)})" if rule.span.line else str(reason)) from None
    pyDatalog.clear()
    arities = {rule.head.relation: len(rule.head.arguments) for rule in rules}
    for name, rows in given.items():
        _assert(writer.name(name), writer.arities.get(name, 0), rows)
    for name, arity in arities.items():
        _assert(writer.name(name), arity, ())
    try:
        pyDatalog.load("\n".join(writer.lines))
        found = {}
        for name, arity in arities.items():
            answer = pyDatalog.ask(f"{writer.name(name)}({', '.join(f'X{i}' for i in range(arity))})")
            found[name] = {tuple(map(_decoded, row)) for row in answer.answers} if answer else set()
    except TypeError as error:
        raise Inexpressible(f"values of different types are compared: {error}") from None
    return {name: found.get(name, set()) for name in wanted}


def _assert(name: str, arity: int, rows: Iterable[Row]) -> None:
    """Facts; a relation without any is made known by one that comes and goes."""
    nothing = ("\0",) * arity
    pyDatalog.assert_fact(name, *nothing)
    pyDatalog.retract_fact(name, *nothing)
    for row in rows:
        pyDatalog.assert_fact(name, *map(_encoded, row))


_KEPT: dict[str, Value] = {}


def _encoded(value: Value) -> Any:
    """A value as pyDatalog is to see it: what is neither an integer nor a text becomes a text that only equals itself.

    So do three texts that it would read as something else.
    """
    if type(value) is int or (isinstance(value, str) and value not in ("True", "False", "None")):
        return value
    text = "\0" + literal(value)
    _KEPT[text] = value
    return text


def _decoded(value: Any) -> Value:
    return _KEPT[value] if isinstance(value, str) and value.startswith("\0") else value


def _variable(name: str) -> str:
    """A variable's name there; the checker's own have a dollar sign."""
    return f"V_{name.replace('$', '_of_')}"


class _Writer:
    """Rules in pyDatalog's words."""

    def __init__(self, together: set[str], columns: Columns, now: int) -> None:
        self.lines: list[str] = []
        self.arities: dict[str, int] = {}
        self._together, self._columns, self._now = together, columns, now
        self._texts: set[str] = set()
        self._names: dict[str, str] = {}
        self._fresh = count()

    def name(self, relation: str) -> str:
        """A relation's name there."""
        return self._names.setdefault(relation, f"r{len(self._names)}")

    def rule(self, rule: s.Rule) -> None:
        """Write a rule."""
        self._texts = {
            argument.value.name
            for item in s.walk(rule)
            if isinstance(item, s.Atom) and item is not rule.head
            for argument, type in zip(item.arguments, self._columns[item.relation], strict=True)
            if isinstance(argument.value, s.Variable) and type == "str"
        }
        head = [self._expression(argument.value) for argument in rule.head.arguments]
        terms, extra = self._plain_terms(head)
        arounds = {id(item): around for item, around in surrounded(rule.body, names(rule.head))}
        choices: list[list[list[str]]] = []
        for item, _ in self._ordered(rule.body, names(rule.head)):
            choices.append(self._literal(item, arounds[id(item)]))
        name = self.name(rule.head.relation)
        for chosen in product(*choices):
            body = [part for parts in chosen for part in parts] + extra
            if body:
                self.lines.append(f"{name}({', '.join(terms)}) <= {' & '.join(body)}")
            else:
                self.lines.append(f"+ {name}({', '.join(terms)})")

    def _ordered(self, body: tuple[s.Literal, ...], outside: frozenset[str]) -> Iterator[tuple[s.Literal, Any]]:
        """The literals as they can be taken: recursion first, then other facts, as pyDatalog asks from the left."""
        recursive = [item for item in body if isinstance(item, s.Atom) and item.relation in self._together]
        rest = [item for item in body if item not in recursive]
        return in_order((*recursive, *rest), frozenset(), outside)

    def _plain_terms(self, terms: list[str]) -> tuple[list[str], list[str]]:
        """The terms with a variable for what must be computed, and the equations for these."""
        plain, extra = [], []
        for term in terms:
            if term.startswith("("):
                variable = self._variable()
                extra.append(f"({variable} == {term})")
                term = variable
            plain.append(term)
        return plain, extra

    def _variable(self) -> str:
        return f"Any{next(self._fresh)}"

    def _literal(self, item: s.Literal, around: frozenset[str]) -> list[list[str]]:
        """The ways in which a literal may hold; each is a list of pyDatalog's literals."""
        match item:
            case s.Atom():
                text, extra = self._atom(item)
                return [[*extra, text]]
            case s.Negation(atom):
                text, extra = self._atom(atom)
                return [[*extra, f"~({text})"]]
            case s.Test() if is_internal(item):
                raise Inexpressible("it looks at a value's type")
            case s.Test(s.Binary("and", left, right)):
                return [
                    [*a, *b] for a in self._literal(s.Test(left), around) for b in self._literal(s.Test(right), around)
                ]
            case s.Test(s.Binary("in", s.Variable() as left, s.Tuple(items))):
                return [[self._among(left, items)]]
            case s.Membership(None, s.Variable() as left, s.Tuple(items)) if len(set(items)) == len(items):
                return [[self._among(left, items)]]
            case s.Test(s.Binary(operator, left, right)) if operator in _COMPARISONS:
                return [[f"({self._expression(left)} {_COMPARISONS[operator]} {self._expression(right)})"]]
            case s.Unification(s.Variable() as variable, value):
                return [[f"({self._expression(variable)} == {self._expression(value)})"]]
            case s.Due(time, negated):
                return [[f"({self._expression(time)} {'>' if negated else '<='} {self._now})"]]
            case s.Aggregate():
                return self._aggregate(item, around)
            case s.Membership():
                raise Inexpressible("it looks into lists or documents")
        raise Inexpressible("a test that is no comparison")

    def _among(self, variable: s.Variable, items: tuple[s.Expression, ...]) -> str:
        return f"({self._expression(variable)}.in_(({', '.join(map(self._constant, items))},)))"

    def _atom(self, atom: s.Atom) -> tuple[str, list[str]]:
        terms, extra = self._plain_terms([self._expression(argument.value) for argument in atom.arguments])
        self.arities[atom.relation] = len(terms)
        return f"{self.name(atom.relation)}({', '.join(terms)})", extra

    def _expression(self, e: s.Expression) -> str:
        match e:
            case s.Variable(name):
                return _variable(name)
            case s.Wildcard():
                return self._variable()
            case s.Constant():
                return self._constant(e)
            case s.Binary("+" | "-" | "*" as operator, left, right):
                return f"({self._expression(left)} {operator} {self._expression(right)})"
            case s.Path():
                raise Inexpressible("it looks into lists or documents")
            case s.Call(function):
                raise Inexpressible(f"the function `{function}`")
            case s.Tuple() | s.Record():
                raise Inexpressible("it makes or takes apart lists or documents")
            case s.Format(parts) if all(self._is_text(part) for part in parts):
                return f"({' + '.join(map(self._expression, parts))})"
            case s.Format():
                raise Inexpressible("it makes texts of what is none")
        raise Inexpressible("an expression with cases")

    def _is_text(self, e: s.Expression) -> bool:
        return (isinstance(e, s.Constant) and isinstance(e.value, str)) or (
            isinstance(e, s.Variable) and e.name in self._texts
        )

    @staticmethod
    def _constant(e: s.Expression) -> str:
        if not isinstance(e, s.Constant):
            raise Inexpressible("it makes or takes apart lists or documents")
        return repr(_encoded(e.value))

    def _aggregate(self, item: s.Aggregate, around: frozenset[str]) -> list[list[str]]:
        """A relation of contributors and a function of the group; another way where an empty group has a default."""
        if item.function not in _FOLDS or not isinstance(item.pattern, s.Variable):
            raise Inexpressible(f"the aggregate `{item.function}` of that kind")
        inner = tuple(self._named(literal) for literal in item.body)
        every = sorted(frozenset().union(*map(names, inner)))
        group = [_variable(name) for name in every if name in around] or ["0"]
        value = self._expression(item.value) if item.value is not None else "1"
        contributors = s.Atom(f"$contributors{next(self._fresh)}", ())
        name, fold = self.name(contributors.relation), f"f{next(self._fresh)}"
        try:
            ordered = list(in_order(inner, frozenset(), around | frozenset(every)))
        except ValueError:
            raise Inexpressible("an aggregate whose contributors depend on what is around it") from None
        arounds = {id(one): outside for one, outside in surrounded(inner, around | frozenset(every))}
        result, terms = self._variable(), list(map(_variable, every))
        for chosen in product(*[self._literal(one, arounds[id(one)]) for one, _ in ordered]):
            body = [part for parts in chosen for part in parts]
            self.lines.append(
                f"{name}({', '.join([*group, *terms, result])}) <= {' & '.join([*body, f'({result} == {value})'])}"
            )
        keys = [self._variable() for _ in group]
        taken = f"{name}({', '.join([*keys, *terms, result])})"
        how = "order_by" if item.function in ("min", "max") else "for_each"
        over = result if how == "order_by" else f"({', '.join(terms)},)"
        self.lines.append(f"({fold}[{', '.join(keys)}] == {_FOLDS[item.function]}({result}, {how}={over})) <= {taken}")
        found = self._expression(item.pattern)
        ways = [[f"({fold}[{', '.join(group)}] == {found})"]]
        default = item.default or (s.Constant(0) if item.function in ("count", "sum") else None)
        if default is not None:
            nothing = ", ".join([*group, *(self._variable() for _ in [*terms, result])])
            ways.append([f"~({name}({nothing}))", f"({found} == {self._expression(default)})"])
        return ways

    def _named(self, item: s.Literal) -> s.Literal:
        """An atom whose wildcards are variables, as each way in which one matches counts."""
        if not isinstance(item, s.Atom):
            return item
        arguments = tuple(
            replace(one, value=s.Variable(self._variable())) if isinstance(one.value, s.Wildcard) else one
            for one in item.arguments
        )
        return replace(item, arguments=arguments)
