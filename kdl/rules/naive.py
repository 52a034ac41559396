"""The specification of the engine: the same facts, obvious and slow.

It keeps the base facts and derives all others anew whenever something changes, stratum by stratum, each to a fixpoint,
reading the rules as they are written. It shares no machinery with the engine: the laws compare the two.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from kdl.fact import Delta, Row, Value, row
from kdl.parser import syntax as s
from kdl.parser.parse import parse_query
from kdl.rules.builtin import Fault
from kdl.rules.check import resolve_query
from kdl.rules.evaluate import MISSING, Bindings, evaluate
from kdl.rules.program import Program, Stratum
from kdl.rules.solve import Solver, names


class Table:
    """The rows of one relation, findable by any columns."""

    def __init__(self, rows: Iterable[Row] = ()) -> None:
        self.rows: set[Row] = set(rows)
        self._indexes: dict[tuple[int, ...], dict[Row, list[Row]]] = {}

    def add(self, item: Row) -> None:
        """Add a row that is not there."""
        self.rows.add(item)
        for columns, index in self._indexes.items():
            index.setdefault(tuple([item[column] for column in columns]), []).append(item)

    def find(self, known: Mapping[int, Value]) -> Iterable[Row]:
        """The rows with the given values at the given positions."""
        if not known:
            return tuple(self.rows)
        columns = tuple(sorted(known))
        if columns not in self._indexes:
            index: dict[Row, list[Row]] = {}
            for item in self.rows:
                index.setdefault(tuple([item[column] for column in columns]), []).append(item)
            self._indexes[columns] = index
        return tuple(self._indexes[columns].get(tuple([known[column] for column in columns]), ()))


class Naive:
    """Base facts, a clock, and what a program derives from them."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.now = 0
        self.base: set[tuple[str, Row]] = set()
        self._tables: dict[str, Table] = {}
        self._ranks: dict[tuple[str, Row], int] = {}
        self._solver = Solver(self.lookup)
        self.explained: Any = None
        self._derive()

    def apply(
        self,
        insert: Iterable[tuple[str, Iterable[object]]] = (),
        remove: Iterable[tuple[str, Iterable[object]]] = (),
        now: int | None = None,
    ) -> Delta:
        """Remove and then insert base facts, set the clock, and return what is different in all relations."""
        if now is not None and now < self.now:
            raise ValueError("the clock never goes back")
        added, removed = self._checked(insert), self._checked(remove)
        self.base = (self.base - removed) | added
        self.now = self.now if now is None else now
        before = {name: table.rows for name, table in self._tables.items()}
        self._derive()
        delta = Delta()
        for name, table in self._tables.items():
            if gained := table.rows - before[name]:
                delta.added[name] = gained
            if lost := before[name] - table.rows:
                delta.removed[name] = lost
        return delta

    def facts(self, relation: str) -> set[Row]:
        """The rows of a relation."""
        return set(self._tables[relation].rows)

    def query(self, query: str | tuple[s.Literal, ...]) -> list[dict[str, Value]]:
        """The bindings of a query's variables, each once. Raises `ProgramError`."""
        body = resolve_query(self.program, parse_query(query), text=query) if isinstance(query, str) else query
        found: list[dict[str, Value]] = []
        for bindings in self._solver.solve(body, {}):
            if bindings not in found:
                found.append(dict(bindings))
        return found

    def due(self) -> int | None:
        """The next time that a rule waits for."""
        return min(self._solver.waiting, default=None)

    def lookup(self, relation: str, known: Mapping[int, Value]) -> Iterable[Row]:
        """The rows of a relation with the given values at the given positions."""
        return self._tables[relation].find(known)

    def rank(self, relation: str, items: Row) -> int:
        """How many facts of its recursive stratum stand on each other below a fact, at least; else 0."""
        return self._ranks.get((relation, items), 0)

    def count(self, relation: str) -> int:
        """How many rows a relation has."""
        return len(self._tables[relation].rows)

    def search(
        self, body: tuple[s.Literal, ...], given: Sequence[s.Expression], outside: frozenset[str]
    ) -> Callable[[Row], Iterator[Bindings]]:
        """What finds the ways to make a body hold while some expressions have given values."""
        head = s.Atom("", tuple(s.Argument(one) for one in given))
        return lambda values: Solver(self.lookup, self.now).solutions_of(head, body, values, outside)

    def _checked(self, facts: Iterable[tuple[str, Iterable[object]]]) -> set[tuple[str, Row]]:
        checked = {(name, row(items)) for name, items in facts}
        for name, items in checked:
            if len(items) != self.program.relations[name].arity:
                raise ValueError(f"{name} has {self.program.relations[name].arity} columns, not {len(items)}")
        return checked

    def _derive(self) -> None:
        self._solver.now = self.now
        self._solver.waiting = set()
        self._tables = {name: Table() for name in self.program.relations}
        self._ranks = {}
        for name, items in self.base:
            self._tables[name].add(items)
        for stratum in self.program.strata:
            number = 1
            while self._round(stratum, number):
                number += 1

    def _round(self, stratum: Stratum, number: int) -> bool:
        """Apply every rule of a stratum once; whether that gave anything new."""
        new = {
            (rule.head.relation, item)
            for rule in (self.program.rules[index] for index in stratum.rules)
            for item in self._heads(rule)
            if item not in self._tables[rule.head.relation].rows
        }
        for name, item in new:
            self._tables[name].add(item)
        if stratum.recursive:
            self._ranks |= dict.fromkeys(new, number)
        return bool(new)

    def _heads(self, rule: s.Rule) -> Iterator[Row]:
        for bindings in self._solver.solve(rule.body, {}, names(rule.head)):
            if (item := head_row(rule, bindings)) is not None:
                yield item


def head_row(rule: s.Rule, bindings: Bindings) -> Row | None:
    """The row that a rule derives under the bindings; None where a column is missing or faults."""
    found: list[Any] = []
    for argument in rule.head.arguments:
        try:
            item = evaluate(argument.value, bindings)
        except Fault:
            return None
        if item is MISSING:
            return None
        found.append(item)
    return tuple(found)
