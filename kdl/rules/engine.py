"""The incremental engine: a delta of base facts in, the delta of all facts out.

Relations and aggregates are visited in the order of what depends on what. When one is visited its change is complete:
the functions of the rules that read it turn the change into changes of what they derive, with everything else as it is
at that moment (what comes before has changed already, what comes after has not), and then the change is applied. Facts
outside recursion carry the number of their derivations; a recursive component is extended by what is added, and worked
out anew when something may have been lost.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final

from kdl.fact import Bool, Delta, Fact, Row, Value, literal, row
from kdl.parser import syntax as s
from kdl.parser.parse import parse_query
from kdl.rules.aggregate import Accumulation
from kdl.rules.check import resolve_query
from kdl.rules.compile import Compiler, Run
from kdl.rules.components import components
from kdl.rules.normalise import Clause, Lookup, Reached, normalise
from kdl.rules.program import Program, label
from kdl.rules.relation import Table
from kdl.rules.solve import Solver


class LimitExceeded(Exception):
    """A delta crossed a limit; it was rolled back. The message names the limit and the rule."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one delta may take: rows of a relation, and seconds."""

    rows: int = 20_000_000
    seconds: float = 600.0


@dataclass(frozen=True, slots=True)
class _Reader:
    """A place in a clause's body: the clause, the place, and the constants that a row must have there."""

    clause: int
    place: int


@dataclass(slots=True)
class _Component:
    """Relations and aggregates that are worked out together; `recursive` if they depend on each other."""

    names: tuple[str, ...]
    recursive: bool
    clauses: tuple[int, ...] = ()
    inner: Mapping[str, tuple[_Reader, ...]] = None  # type: ignore[assignment]
    lost: bool = False
    """Something that this component derives from may have gone."""


_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "str": (str,), "int": (int,), "time": (int,), "bool": (Bool,), "json": (), "any": (),
}  # fmt: skip

_SECONDS: Final = time.perf_counter


class Engine:
    """Base facts, a clock, and all that a program derives from them, kept up to date."""

    def __init__(self, program: Program, *, limits: Limits | None = None) -> None:
        self.program = program
        self.limits = limits or Limits()
        self._clock = [0]
        normal = normalise(program)
        self._clauses = normal.clauses
        arities = {name: relation.arity for name, relation in program.relations.items()} | normal.arities
        self._tables = {name: Table(name, arity) for name, arity in arities.items()}
        self._accumulations = {a.name: Accumulation(a.name, a.function) for a in normal.accumulators.values()}
        self._compiler = Compiler(self._tables, self._accumulations, self._clock)
        self._functions: dict[tuple[int, int | None], tuple[Run, str]] = {}
        self._checks = {
            name: [
                (i, _TYPES[base], column.name) for i, (column, base) in enumerate(_typed(program, name)) if _TYPES[base]
            ]
            for name in program.relations
        }
        self._arrange()
        self._dirty: list[int] = []
        self._queued: set[int] = set()
        self._journal: list[Callable[[], None]] | None = None
        self._deadline = 0.0
        self._report = Delta()
        self._times: dict[str, list[int]] = {name: [] for name in self._waiters}
        self._begin()

    # --- arrangement ---

    def _arrange(self) -> None:
        """Who reads what, and in which order everything is visited."""
        depends: dict[str, set[str]] = {name: set() for name in (*self._tables, *self._accumulations)}
        positives: dict[str, list[_Reader]] = {name: [] for name in self._tables}
        self._negatives: dict[str, list[tuple[_Reader, tuple[int, ...]]]] = {name: [] for name in self._tables}
        self._lookups: dict[str, list[_Reader]] = {name: [] for name in self._accumulations}
        self._waiters: dict[str, list[_Reader]] = {}
        for number, clause in enumerate(self._clauses):
            for place, step in enumerate(clause.body):
                reader = _Reader(number, place)
                match step:
                    case s.Atom(relation):
                        positives[relation].append(reader)
                        depends[clause.target].add(relation)
                    case s.Negation(atom):
                        fixed = tuple(i for i, a in enumerate(atom.arguments) if not isinstance(a.value, s.Wildcard))
                        self._negatives[atom.relation].append((reader, fixed))
                        depends[clause.target].add(atom.relation)
                    case Lookup():
                        self._lookups[step.accumulator].append(reader)
                        depends[clause.target].add(step.accumulator)
                    case Reached():
                        self._waiters.setdefault(step.waiting, []).append(reader)
        self._components: list[_Component] = []
        self._home: dict[str, int] = {}
        for names in components(depends):
            recursive = len(names) > 1 or names[0] in depends[names[0]]
            self._home |= dict.fromkeys(names, len(self._components))
            self._components.append(_Component(tuple(sorted(names)), recursive))
        for number, component in enumerate(self._components):
            if component.recursive:
                members = set(component.names)
                component.clauses = tuple(i for i, c in enumerate(self._clauses) if c.target in members)
                component.inner = {
                    name: tuple(r for r in positives[name] if self._home[self._clauses[r.clause].target] == number)
                    for name in component.names
                }
        self._positives = {name: self._dispatch(name, readers) for name, readers in positives.items()}

    def _dispatch(
        self, name: str, readers: list[_Reader]
    ) -> list[tuple[tuple[int, ...], dict[Any, list[_Reader]], list[_Reader]]]:
        """The readers by the constants that they ask for, so that a row is shown only to those it can matter to."""
        found: dict[tuple[int, ...], dict[Any, list[_Reader]]] = {}
        everyone: list[_Reader] = []
        for reader in readers:
            if self._home[self._clauses[reader.clause].target] == self._home[name]:
                continue
            atom = self._clauses[reader.clause].body[reader.place]
            assert isinstance(atom, s.Atom)
            constants = [(i, a.value.value) for i, a in enumerate(atom.arguments) if isinstance(a.value, s.Constant)]
            if constants:
                columns = tuple(i for i, _ in constants)
                found.setdefault(columns, {}).setdefault(tuple(v for _, v in constants), []).append(reader)
            else:
                everyone.append(reader)
        return [*((columns, by_value, []) for columns, by_value in found.items()), ((), {}, everyone)]

    def _begin(self) -> None:
        """What holds before there are any facts."""
        self._deadline = _SECONDS() + self.limits.seconds
        for number, clause in enumerate(self._clauses):
            if not any(isinstance(step, s.Atom) for step in clause.body):
                self._run(number, None, (), 1)
        for accumulation in self._accumulations.values():
            if accumulation.touched:
                self._queue(accumulation.name)
        self._propagate()

    # --- the public interface ---

    @property
    def now(self) -> int:
        """The clock, in milliseconds since the Unix epoch."""
        return self._clock[0]

    def apply(
        self,
        insert: Iterable[tuple[str, Iterable[object]]] = (),
        remove: Iterable[tuple[str, Iterable[object]]] = (),
        now: int | None = None,
        *,
        trusted: bool = False,
    ) -> Delta:
        """Remove and then insert base facts, set the clock; what changed in all relations.

        Either all of it happens or, with an exception, nothing. With `trusted`, rows are taken to be of normal values
        (`kdl.fact.row`). Raises `ValueError` for what is no base fact or a clock that goes back, `LimitExceeded`.
        """
        if now is not None and now < self.now:
            raise ValueError(f"the clock does not go back from {self.now} to {now}")
        gone = [self._checked(fact, trusted) for fact in remove]
        come = [self._checked(fact, trusted) for fact in insert]
        self._journal, self._report = [], Delta()
        self._deadline = _SECONDS() + self.limits.seconds
        for accumulation in self._accumulations.values():
            accumulation.log = []
        before = self.now
        try:
            if now is not None and now > before:
                self._advance(now)
            self._enter(gone, come)
            self._propagate()
        except BaseException:
            self._undo(before)
            raise
        finally:
            self._journal = None
            for accumulation in self._accumulations.values():
                accumulation.log = None
        return self._report

    def facts(self, relation: str) -> set[Row]:
        """The rows of a relation. Raises `KeyError` for one that the program does not declare."""
        return set(self._known(relation).rows)

    def count(self, relation: str) -> int:
        """How many rows a relation has."""
        return len(self._known(relation).rows)

    def holds(self, relation: str, items: Iterable[object]) -> bool:
        """Whether a fact is there."""
        return row(items) in self._known(relation).rows

    def lookup(self, relation: str, known: Mapping[int, Value]) -> Iterable[Row]:
        """The rows of a relation with the given values at the given positions."""
        return self._known(relation).lookup(known)

    def query(self, query: str | tuple[s.Literal, ...]) -> list[dict[str, Value]]:
        """The bindings of a query's variables, each once. Raises `ProgramError`."""
        body = resolve_query(self.program, parse_query(query), text=query) if isinstance(query, str) else query
        found: dict[tuple[Value, ...], dict[str, Value]] = {}
        for bindings in Solver(self.lookup, self.now).solve(body, {}):
            found.setdefault(tuple(bindings[name] for name in sorted(bindings)), dict(bindings))
        return list(found.values())

    def due(self) -> int | None:
        """The next time, in milliseconds, that some rule waits for."""
        times = []
        for name, heap in self._times.items():
            waiting = self._tables[name].index((self._tables[name].arity - 1,))
            while heap and (heap[0] not in waiting or heap[0] <= self.now):
                heapq.heappop(heap)
            if heap:
                times.append(heap[0])
        return min(times, default=None)

    def why(self, relation: str, items: Iterable[object]) -> Any:
        """A proof of a fact (`kdl.rules.explain.Proof`), None if it does not hold."""
        from kdl.rules.explain import why

        return why(self, relation, row(items))

    def why_not(self, relation: str, items: Iterable[object]) -> Any:
        """What keeps a fact from holding (`kdl.rules.whynot.WhyNot`), None if it holds; ``...`` stands for anything."""
        from kdl.rules.whynot import goal, why_not

        return why_not(self, goal(relation, items))

    def base(self) -> Iterator[Fact]:
        """The base facts: all rows of the input relations."""
        for name, relation in self.program.relations.items():
            if relation.input:
                for item in self._tables[name].rows:
                    yield Fact(name, item)

    def fork(self) -> Engine:
        """An engine of its own with the same facts and clock."""
        other = Engine(self.program, limits=self.limits)
        other.apply(insert=self.base(), now=self.now, trusted=True)
        return other

    def code(self, relation: str) -> Iterator[str]:
        """The text of every function that keeps a relation up to date."""
        for number, clause in enumerate(self._clauses):
            if clause.target == relation:
                for place in range(len(clause.body)):
                    if isinstance(clause.body[place], (s.Atom, s.Negation, Lookup, Reached)):
                        yield self._function(number, place)[1]

    # --- entering and leaving ---

    def _known(self, relation: str) -> Table:
        if relation not in self.program.relations:
            raise KeyError(relation)
        return self._tables[relation]

    def _checked(self, fact: tuple[str, Iterable[object]], trusted: bool) -> tuple[str, Row]:
        name, items = fact
        relation = self.program.relations.get(name)
        if relation is None:
            raise ValueError(f"there is no relation `{name}`")
        if not relation.input:
            raise ValueError(f"`{name}` is derived: only `input rel` relations are asserted from outside")
        values: Row = items if trusted and type(items) is tuple else row(items)
        if len(values) != relation.arity:
            raise ValueError(f"`{name}` has {relation.arity} columns, not {len(values)}")
        for index, types, column in self._checks[name]:
            if type(values[index]) not in types:
                raise ValueError(f"column `{column}` of `{name}` cannot hold {literal(values[index])[:60]}")
        return name, values

    def _enter(self, gone: list[tuple[str, Row]], come: list[tuple[str, Row]]) -> None:
        wanted: dict[tuple[str, Row], int] = dict.fromkeys(gone, -1)
        wanted |= dict.fromkeys(come, 1)
        for (name, items), sign in wanted.items():
            table = self._tables[name]
            if (sign > 0) != (items in table.rows):
                table.pending[items] = sign
                self._queue(name)

    def _advance(self, now: int) -> None:
        """Let the clock reach `now`: what waited for a time on the way is looked at, with all else as it was."""
        for name, heap in self._times.items():
            waiting = self._tables[name].index((self._tables[name].arity - 1,))
            seeds: list[Row] = []
            while heap and heap[0] <= now:
                moment = heapq.heappop(heap)
                self._note(lambda heap=heap, moment=moment: heapq.heappush(heap, moment))  # type: ignore[misc]
                if not heap or heap[0] != moment:
                    seeds += waiting.get(moment, ())
            for reader in self._waiters[name] if seeds else ():
                step = self._clauses[reader.clause].body[reader.place]
                assert isinstance(step, Reached)
                self._run(reader.clause, reader.place, seeds, -1 if step.negated else 1)
        self._clock[0] = now

    def _note(self, undo: Callable[[], None]) -> None:
        if self._journal is not None:
            self._journal.append(undo)

    def _undo(self, before: int) -> None:
        """Bring everything back to where the delta found it."""
        for table in self._tables.values():
            table.pending.clear()
            table.added, table.removed = set(), set()
        for accumulation in self._accumulations.values():
            log, accumulation.log = accumulation.log or [], None
            for group, item, sign in reversed(log):
                accumulation.add(group, item, -sign)
            accumulation.touched.clear()
        for undo in reversed(self._journal or []):
            undo()
        for component in self._components:
            component.lost = False
        self._dirty.clear()
        self._queued.clear()
        self._clock[0] = before

    # --- propagation ---

    def _queue(self, name: str) -> None:
        home = self._home[name]
        if home not in self._queued:
            self._queued.add(home)
            heapq.heappush(self._dirty, home)

    def _propagate(self) -> None:
        while self._dirty:
            home = heapq.heappop(self._dirty)
            self._queued.discard(home)
            component = self._components[home]
            if component.recursive:
                self._recur(component)
            elif component.names[0] in self._tables:
                self._visit(self._tables[component.names[0]])
            else:
                self._regroup(self._accumulations[component.names[0]])

    def _function(self, clause: int, place: int | None) -> tuple[Run, str]:
        found = self._functions.get((clause, place))
        if found is None:
            found = self._functions[clause, place] = self._compiler.function(self._clauses[clause], place)
        return found

    def _run(self, number: int, place: int | None, seeds: Iterable[Any], sign: int) -> None:
        """Run one function and queue what it changed."""
        clause = self._clauses[number]
        target = clause.target
        run = self._function(number, place)[0]
        accumulation = self._accumulations.get(target)
        if accumulation is not None:
            run(seeds, sign, accumulation.add)
            if accumulation.touched:
                self._queue(target)
            return
        table = self._tables[target]
        component = self._components[self._home[target]]
        if component.recursive and sign < 0:
            if not component.lost:
                lost: dict[Row, int] = {}
                run(seeds, sign, lost)
                component.lost = bool(lost)
        else:
            run(seeds, sign, table.pending)
        if table.pending or component.lost:
            self._queue(target)
            self._guard(clause, table)

    def _guard(self, clause: Clause, table: Table) -> None:
        if len(table.rows) + len(table.pending) > self.limits.rows:
            where = f"`{table.name}` at {label(clause.source)}"
            raise LimitExceeded(f"{where} would have more than {self.limits.rows} rows")
        if _SECONDS() > self._deadline:
            raise LimitExceeded(f"the change took longer than {self.limits.seconds} s, last at {label(clause.source)}")

    def _visit(self, table: Table) -> None:
        """A relation's change is complete: tell who reads it, and apply it."""
        table.settle()
        self._tell(table, table.removed, -1)
        self._tell(table, table.added, 1)
        self._apply(table)

    def _tell(self, table: Table, rows: Iterable[Row], sign: int) -> None:
        if not rows:
            return
        for columns, by_value, everyone in self._positives[table.name]:
            if columns:
                chosen: dict[Any, list[Row]] = {}
                for item in rows:
                    key = tuple([item[column] for column in columns])
                    if key in by_value:
                        chosen.setdefault(key, []).append(item)
                for key, seeds in chosen.items():
                    for reader in by_value[key]:
                        self._run(reader.clause, reader.place, seeds, sign)
            for reader in everyone:
                self._run(reader.clause, reader.place, rows, sign)

    def _apply(self, table: Table) -> None:
        """Apply a table's change and tell those who read its absences."""
        added, removed = table.added, table.removed
        changes = table.commit()
        if changes:
            self._note(lambda: table.undo(changes))
        self._published(table, added, removed)

    def _published(self, table: Table, added: set[Row], removed: set[Row]) -> None:
        if not added and not removed:
            return
        if table.name in self._times:
            heap, last = self._times[table.name], table.arity - 1
            for item in added:
                moment = item[last]
                assert isinstance(moment, int)
                if moment > self.now:
                    heapq.heappush(heap, moment)
        for reader, fixed in self._negatives[table.name]:
            gone, come = self._toggled(table, fixed, added, removed)
            if gone:
                self._run(reader.clause, reader.place, gone, -1)
            if come:
                self._run(reader.clause, reader.place, come, 1)
        if table.name in self.program.relations:
            if added:
                self._report.added[table.name] = added
            if removed:
                self._report.removed[table.name] = removed

    @staticmethod
    def _toggled(
        table: Table, fixed: tuple[int, ...], added: set[Row], removed: set[Row]
    ) -> tuple[list[Row], list[Row]]:
        """The keys under which there is now a first row, and those under which there is none any more."""
        balance: dict[Row, int] = {}
        for item in added:
            key = tuple([item[column] for column in fixed])
            balance[key] = balance.get(key, 0) + 1
        for item in removed:
            key = tuple([item[column] for column in fixed])
            balance[key] = balance.get(key, 0) - 1
        first, none = [], []
        for key, change in balance.items():
            if not fixed:
                size = len(table.rows)
            elif len(fixed) == table.arity:
                size = 1 if key in table.rows else 0
            else:
                size = len(table.index(fixed).get(key if len(fixed) > 1 else key[0], ()))
            if size > 0 and size - change == 0:
                first.append(key)
            elif size == 0 and change < 0:
                none.append(key)
        return first, none

    def _regroup(self, accumulation: Accumulation) -> None:
        """An aggregate's derivations are complete: tell who reads the groups whose result is another."""
        touched, accumulation.touched = accumulation.touched, {}
        old: list[tuple[Row, Any]] = []
        new: list[tuple[Row, Any]] = []
        for group in touched:
            before, after = accumulation.published.get(group, accumulation.empty), accumulation.result(group)
            if before is not after and before != after:
                old.append((group, before))
                new.append((group, after))
            accumulation.forget_empty(group)
        for reader in self._lookups[accumulation.name] if old else ():
            self._run(reader.clause, reader.place, old, -1)
            self._run(reader.clause, reader.place, new, 1)
        for (group, before), (_, after) in zip(old, new, strict=True):
            accumulation.publish(group, after)
            self._note(lambda group=group, before=before: accumulation.publish(group, before))  # type: ignore[misc]

    # --- recursion ---

    def _recur(self, component: _Component) -> None:
        """Bring a recursive component up to date, then tell what is new and what is gone."""
        tables = [self._tables[name] for name in component.names]
        entered = {table.name: table.pending for table in tables}
        before: dict[str, dict[Row, int]] = {}
        for table in tables:
            table.pending = {}
        if component.lost:
            component.lost = False
            before = {table.name: table.clear() for table in tables}
            fresh = {table.name: set[Row]() for table in tables}
            for number in component.clauses:
                self._compute(number, None, (), fresh)
        else:
            fresh = {name: {item for item, count in rows.items() if count > 0} for name, rows in entered.items()}
        grown = self._grow(component, fresh)
        changes = []
        for table in tables:
            known = before.get(table.name)
            added = grown[table.name] if known is None else grown[table.name] - known.keys()
            removed = set(known) - table.rows.keys() if known is not None else set()
            changes.append((table, added, removed))
        for table, added, removed in changes:
            table.undo(dict.fromkeys(added, 1) | dict.fromkeys(removed, -1))
        for table, added, removed in changes:
            table.pending = dict.fromkeys(added, 1) | dict.fromkeys(removed, -1)
            self._visit(table)

    def _grow(self, component: _Component, fresh: dict[str, set[Row]]) -> dict[str, set[Row]]:
        """Add rows and what follows from them within the component, round by round; all rows that were added."""
        grown = {name: set[Row]() for name in fresh}
        while True:
            news = {name: rows - self._tables[name].rows.keys() for name, rows in fresh.items()}
            fresh = {name: set() for name in news}
            if not any(news.values()):
                return grown
            for name, rows in news.items():
                table = self._tables[name]
                table.pending = dict.fromkeys(rows, 1)
                table.settle()
                table.commit()
                grown[name] |= rows
            for name, rows in news.items():
                for reader in component.inner[name] if rows else ():
                    self._compute(reader.clause, reader.place, rows, fresh)

    def _compute(self, number: int, place: int | None, seeds: Iterable[Any], into: dict[str, set[Row]]) -> None:
        found: dict[Row, int] = {}
        clause = self._clauses[number]
        self._function(number, place)[0](seeds, 1, found)
        into[clause.target].update(found)
        table = self._tables[clause.target]
        if len(table.rows) + len(into[clause.target]) > self.limits.rows or _SECONDS() > self._deadline:
            self._guard(clause, table)
            raise LimitExceeded(
                f"`{table.name}` at {label(clause.source)} would have more than {self.limits.rows} rows"
            )


def _typed(program: Program, name: str) -> Iterator[tuple[s.Column, str]]:
    """The columns of a relation, each with its built-in type."""
    relation = program.relations[name]
    for index, column in enumerate(relation.columns):
        given = relation.types[index] if relation.types else column.type
        yield column, program.types.get(given, given)
