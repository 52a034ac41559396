"""Facts kept up to date: relations and aggregates are visited in the order of what depends on what.

When one is visited its change is complete: the functions of the rules that read it turn the change into changes of what
they derive, with everything else as it is at that moment (what comes before has changed already, what comes after has
not), and then the change is applied. Facts outside recursion carry the number of their derivations. Whatever is changed
is written to a journal first, so that a delta can be taken back.
"""

from __future__ import annotations

import heapq
import time
from collections.abc import Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence, Sized
from dataclasses import dataclass
from functools import partial
from itertools import islice
from typing import Any, Final, Protocol, TypeAlias, TypeVar

from kdl.fact import Delta, Row
from kdl.parser import syntax as s
from kdl.rules import recursion
from kdl.rules.aggregate import Accumulation, Log
from kdl.rules.bulk import Bulk
from kdl.rules.code import Function, kinds, walk
from kdl.rules.compile import Compiler, Way, kinds_of
from kdl.rules.network import Network, Reader, View
from kdl.rules.normalise import Clause, Reached
from kdl.rules.plan import first
from kdl.rules.program import label
from kdl.rules.relation import Columns, Table


class LimitExceeded(Exception):
    """A delta crossed a limit; it was rolled back. The message names the limit and the rule."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one delta may take: rows of a relation, steps (rows looked at and derived), and seconds."""

    rows: int = 20_000_000
    steps: int = 2_000_000_000
    seconds: float = 600.0


T_co = TypeVar("T_co", covariant=True)


class Some(Sized, Iterable[T_co], Protocol[T_co]):
    """What can be counted and ranged over."""


Run: TypeAlias = Callable[..., None]
"""A clause's function for a change; the last argument takes what it derives."""

Observer: TypeAlias = Callable[[Clause, Run], Run]
"""Given a clause and its function, what is called in its place: for those who count and measure."""

_CHUNK: Final = 4096
"""So many seeds are worked on between two looks at the limits."""

SMALL: Final = 100
"""So many changes of a relation are always worked on one by one."""

_GROWN: Final = 1000
"""A relation has grown much when it has four times its rows and so many more."""

_SECONDS: Final = time.perf_counter


class State:
    """The rows of all relations, the groups of all aggregates and the clock."""

    def __init__(
        self,
        network: Network,
        arities: Mapping[str, int],
        types: Mapping[str, Sequence[str]],
        sources: Mapping[str, str],
    ) -> None:
        """`types` are those of the program's own relations, whose changes are reported."""
        self.network = network
        self.public = frozenset(types)
        self.limits = Limits()
        self.observer: Observer | None = None
        self.clock = [0]
        self.tables = {name: Table(name, arity) for name, arity in arities.items()}
        self._log: Log = []
        self.accumulations = {
            a.name: Accumulation(a.name, a.function, self._log) for a in network.accumulators.values()
        }
        self.waits: set[int] = set()
        """Times that only recursion waits for."""
        columns = {name: kinds(found) for name, found in types.items()}
        kinds_of(network.clauses, columns, {a.name: a.function for a in network.accumulators.values()})
        homes = {name: network.home[name] for name in network.recursive}
        self.compiler = Compiler(
            self.tables, self.accumulations, homes, self.clock, self._wait, self._visited, sources, columns
        )
        self.times: dict[str, list[int]] = {name: [] for name in network.waiters}
        self.arriving: dict[str, dict[Row, int]] = {name: {} for name in network.recursive}
        self.leaving: dict[str, set[Row]] = {name: set() for name in network.recursive}
        """What recursive relations may gain (with ranks) and lose by what happened outside their component."""
        self.anew: set[int] = set()
        """The components that must be worked out anew."""
        self.report = Delta()
        self.taken = 0
        """How many facts of recursive relations were taken away on the way, those that came back included."""
        self._functions: dict[tuple[int, int | None, Way], Function] = {}
        self._bulks: dict[int, Bulk] = {}
        self._firsts: dict[int, int | None] = {}
        self._supports: dict[tuple[str, bool], list[Function]] = {}
        self._outputs = [self._output(clause.target) for clause in network.clauses]
        self._dirty: list[int] = []
        self._queued: set[int] = set()
        self._journal: list[tuple[Callable[..., object], Any]] = []
        self._marks: list[tuple[int, int, Delta]] = []
        """Of each delta that is not yet ended: the lengths of journal and log at its start, the report around it."""
        self._deadline = 0.0
        self._steps = 0
        self._filling: Sized = ()
        """What the function that runs now fills."""
        self._clause = 0
        self._supposed: set[int] = set()
        """The components of derived relations whose facts this delta supposes: they are not worked out anew."""
        self._stale: set[int] = set()
        """The clauses that read relations which have grown much since joins were ordered."""

    def _output(self, target: str) -> tuple[Table | None, Accumulation | None]:
        return (None, self.accumulations[target]) if target in self.accumulations else (self.tables[target], None)

    def copy_to(self, other: State, names: Container[str] | None = None) -> None:
        """Give another state these facts, groups and times, those of `names` if it is of another network."""
        other.clock[0] = self.clock[0]
        for name, table in self.tables.items():
            if names is None or name in names:
                other.tables[name].restore(table.rows)
                other.tables[name].planned = len(table.rows)
        for name, accumulation in self.accumulations.items():
            if names is None or name in names:
                accumulation.copy_to(other.accumulations[name])
        for name, heap in self.times.items():
            if names is None or (name in names and name in other.times):
                other.times[name][:] = heap
        other.waits |= self.waits

    # --- one delta ---

    def begin(self) -> None:
        """Start a delta; one that is started within another is taken back with it."""
        self._marks.append((len(self._journal), len(self._log), self.report))
        self.report = Delta()
        self.restart_limits()
        if self._stale:
            self._replan()

    def _replan(self) -> None:
        """Order joins anew where they were ordered for other sizes."""
        stale, self._stale = self._stale, set()
        for clause, place, way in [key for key in self._functions if key[0] in stale]:
            del self._functions[clause, place, way]
        for clause in stale:
            self._firsts.pop(clause, None)
            for lowest in (False, True):
                self._supports.pop((self.network.clauses[clause].target, lowest), None)
            self._bulks.pop(self.network.home[self.network.clauses[clause].target], None)

    def restart_limits(self) -> None:
        """Count steps and seconds from now on."""
        self._steps = 0
        self._deadline = _SECONDS() + self.limits.seconds

    def commit(self) -> Delta:
        """End a delta: what it changed in the program's relations."""
        report, (_, _, self.report) = self.report, self._marks.pop()
        if not self._marks:
            self._supposed.clear()
            self._journal.clear()
            self._log.clear()
            for name, heap in self.times.items():
                if len(heap) > 64 + 2 * len(self.tables[name].rows):
                    moments: set[Any] = {row[-1] for row in self.tables[name].rows}
                    heap[:] = sorted(moments)
        return report

    def roll_back(self) -> None:
        """Bring everything back to where the last `begin` found it."""
        start, logged, self.report = self._marks.pop()
        for table in self.tables.values():
            table.pending.clear()
            table.forget()
        log = self._log[logged:]
        for accumulation, group, item, sign in reversed(log):
            accumulation.add(group, item, -sign)
        for accumulation, group, _, _ in log:
            accumulation.forget_empty(group)
        for accumulation in self.accumulations.values():
            accumulation.touched.clear()
        for undo, argument in reversed(self._journal[start:]):
            undo(argument)
        for name, rows in self.leaving.items():
            rows.clear()
            self.arriving[name].clear()
        self.anew.clear()
        if not self._marks:
            self._supposed.clear()
        self._dirty.clear()
        self._queued.clear()
        del self._journal[start:]
        del self._log[logged:]

    def note(self, undo: Callable[[Any], object], argument: Any) -> None:
        """Write down how to take back what is done now."""
        self._journal.append((undo, argument))

    def start(self, clauses: Iterable[int] | None = None) -> None:
        """What clauses, whose targets are empty, derive at once; by default all, before there are any facts."""
        for number in self.network.starts if clauses is None else clauses:
            self.run(number, None, (None,), 1)

    def enter(self, table: Table, change: int, rows: Iterable[Row]) -> None:
        """Remove (−1) or insert (1) facts, whatever their counts; a later call has the last word."""
        held, pending = table.rows, table.pending
        for row in rows:
            if (change > 0) != (row in held):
                pending[row] = change if change > 0 else -held[row]
            elif pending:
                pending.pop(row, None)
        if self.network.clauses_of[table.name]:
            self._supposed.add(self.network.home[table.name])
        self.queue(table.name)

    def advance(self, now: int) -> None:
        """Let the clock reach `now`: what waited for a time on the way is looked at, with all else as it was."""
        for name, heap in self.times.items():
            if not heap or heap[0] > now:
                continue
            waiting = self.tables[name].index((self.tables[name].arity - 1,))
            seeds: list[Row] = []
            while heap and heap[0] <= now:
                moment = self._next(heap)
                if not heap or heap[0] != moment:
                    seeds += waiting.get(moment, ())
            for reader in self.network.waiters[name] if seeds else ():
                step = self.network.clauses[reader.clause].body[reader.place]
                assert isinstance(step, Reached)
                self.run(reader.clause, reader.place, seeds, -1 if step.negated else 1)
        come = {moment for moment in self.waits if moment <= now}
        if come:
            self.waits -= come
            self.note(self.waits.update, come)
            for home in self.network.irregular:
                self._disturb(home)
        self.note(self._set_clock, self.clock[0])
        self.clock[0] = now

    def _wait(self, moment: int) -> None:
        if moment not in self.waits:
            self.waits.add(moment)
            self.note(self.waits.discard, moment)

    def _set_clock(self, now: int) -> None:
        self.clock[0] = now

    def _next(self, heap: list[int]) -> int:
        """Take the first time out of a heap."""
        moment = heapq.heappop(heap)
        if self._marks:
            self.note(partial(heapq.heappush, heap), moment)
        return moment

    def due(self) -> int | None:
        """The next time that something waits for."""
        times = [moment for moment in self.waits if moment > self.clock[0]]
        for name, heap in self.times.items():
            if heap:
                waiting = self.tables[name].index((self.tables[name].arity - 1,))
                while heap and (heap[0] not in waiting or heap[0] <= self.clock[0]):
                    self._next(heap)
                times += heap[:1]
        return min(times, default=None)

    # --- propagation ---

    def queue(self, name: str) -> None:
        """Visit the component of a relation or aggregate."""
        self._queue(self.network.home[name])

    def _queue(self, home: int) -> None:
        if home not in self._queued:
            self._queued.add(home)
            heapq.heappush(self._dirty, home)

    def _disturb(self, home: int) -> None:
        self.anew.add(home)
        self._queue(home)

    def propagate(self) -> None:
        """Visit what changed, and what changes by that, until nothing does."""
        while self._dirty:
            home = heapq.heappop(self._dirty)
            self._queued.discard(home)
            component = self.network.components[home]
            if component.recursive:
                recursion.update(self, home)
                continue
            table, accumulation = self._output(component.names[0])
            anew = home in self.anew
            self.anew.discard(home)
            if table is not None:
                if anew:
                    self._work_out(table)
                self.visit(table)
            elif accumulation is not None:
                if anew:
                    self._gather(accumulation)
                self._regroup(accumulation)

    def function(self, clause: int, place: int | None, way: Way = Way.COUNT) -> Function:
        """The function for a change at a place of a clause."""
        found = self._functions.get((clause, place, way))
        if found is None:
            found = self.compiler.function(self.network.clauses[clause], place, way)
            self._functions[clause, place, way] = found
        return found

    def bulk(self, home: int) -> Bulk:
        """How a recursive component is worked out anew."""
        found = self._bulks.get(home)
        if found is None:
            found = self._bulks[home] = Bulk(self.compiler, self.network.components[home])
        return found

    def supports(self, relation: str, lowest: bool) -> list[Function]:
        """The functions that search for derivations of a recursive relation's rows, clause by clause."""
        found = self._supports.get((relation, lowest))
        if found is None:
            make = self.compiler.support if lowest else self.compiler.unsupported
            found = [make(self.network.clauses[number]) for number in self.network.clauses_of[relation]]
            self._supports[relation, lowest] = found
        return found

    def run(self, number: int, place: int | None, seeds: Some[Any], sign: int) -> None:
        """Give what follows from seeds to the target of a clause."""
        table, accumulation = self._outputs[number]
        target = self.network.clauses[number].target
        if self.network.home[target] in self.anew:
            self.queue(target)
            return
        out: Any
        if accumulation is not None:
            self._call(number, place, Way.COUNT, seeds, sign, accumulation.add)
            out = accumulation.touched
        elif target in self.arriving:
            out = (self.arriving if sign > 0 else self.leaving)[target]
            self._call(number, place, Way.GAIN if sign > 0 else Way.LOSE, seeds, 0, out)
        else:
            assert table is not None
            out = table.pending
            self._call(number, place, Way.COUNT, seeds, sign, out)
        if out:
            self.queue(target)

    def begun(self, number: int) -> int | None:
        """The place of the atom that a clause is begun with when it is run over everything."""
        if number not in self._firsts:
            self._firsts[number] = first(self.network.clauses[number].body, self.compiler.expected)
        return self._firsts[number]

    def whole(self, number: int, way: Way) -> Function:
        """The function of a clause for everything."""
        return self.function(number, self.begun(number), way)

    def everything(self, number: int, way: Way, out: Any) -> None:
        """Give all that a clause derives to `out`."""
        place = self.begun(number)
        seeds: Some[Any] = (None,)
        if place is not None:
            atom = self.network.clauses[number].body[place]
            assert isinstance(atom, s.Atom)
            seeds = self.tables[atom.relation].rows
        function = self.function(number, place, way)
        try:
            self._call(number, place, way, seeds, 1, out)
        finally:
            function.done()

    def recursive_code(self, relation: str) -> Iterator[str]:
        """The texts of the functions that search for rows' derivations, and of those that work all out by sets."""
        for function in self.supports(relation, lowest=False):
            yield function.text
        yield from self.bulk(self.network.home[relation]).code(self.network, relation)

    def reach(self, number: int, place: int | None, way: Way, seeds: Some[Any], rank: int, out: Any) -> float:
        """Collect the rows that a clause of a recursive relation derives from seeds of one rank; the effort it took."""
        self._call(number, place, way, seeds, rank, out)
        return len(seeds) * self.function(number, place, way).effort

    def _call(self, number: int, place: int | None, way: Way, seeds: Some[Any], sign: int, out: Any) -> None:
        self._clause = number
        function = self.function(number, place, way)
        if function.vain:
            return
        call = function.ready()
        if self.observer is not None:
            call = self.observer(self.network.clauses[number], call)
        self._filling = out if self._outputs[number][0] is not None else ()
        if len(seeds) <= _CHUNK:
            call(seeds, sign, out)
            self._guard(number, len(seeds), out)
        else:
            for chunk in _chunks(seeds):
                call(chunk, sign, out)
                self._guard(number, len(chunk), out)

    def _guard(self, number: int, seen: int, out: Any) -> None:
        table, rows = self._outputs[number][0], 0
        if table is not None and out:
            seen += len(out)
            rows = len(table.rows) + len(out)
            if rows > self.limits.rows:  # not all of `out` need be new
                new = sum(row not in table.rows and (type(out) is set or out[row] > 0) for row in out)
                rows = len(table.rows) + new
        self.watch(number, seen, rows)

    def watch(self, number: int, seen: int, rows: int) -> None:
        """Hold the limits while a clause gives its target `rows` rows."""
        self._clause = number
        if rows > self.limits.rows:
            raise self._full()
        self._visited(seen)
        if _SECONDS() > self._deadline:
            raise LimitExceeded(f"the change took longer than {self.limits.seconds} s, last at {self._label()}")

    def _visited(self, rows: int) -> None:
        self._steps += max(0, rows)
        if len(self._filling) > self.limits.rows:  # seen in the middle of one call: it may derive without end
            raise self._full()
        if self._steps > self.limits.steps:
            raise LimitExceeded(f"the change took more than {self.limits.steps} steps, last at {self._label()}")

    @property
    def working(self) -> s.Rule | None:
        """The rule that was run last."""
        return self.network.clauses[self._clause].source if self.network.clauses else None

    def _full(self) -> LimitExceeded:
        target = self.network.clauses[self._clause].target
        return LimitExceeded(f"`{target}` at {self._label()} would have more than {self.limits.rows} rows")

    def _label(self) -> str:
        return label(self.network.clauses[self._clause].source)

    # --- one relation, one aggregate ---

    def visit(self, table: Table) -> None:
        """A relation's change is complete: tell who reads it, apply it, and tell who reads its absences."""
        table.settle()
        added, removed = table.added, table.removed
        self._consider(table)
        if added or removed:
            self._tell(table, removed, added)
        self.note(table.undo, table.commit())
        if added or removed:
            self._publish(table, added, removed)
        table.forget()

    def _consider(self, table: Table) -> None:
        """What rests on a relation of which a large part changes is worked out anew, not by the changes."""
        size = len(table.added) + len(table.removed)
        if 0 < size == len(table.removed) == len(table.rows):
            self._vacate(table.name)
        if size <= SMALL:
            return
        for target in self.network.targets[table.name]:
            home = self.network.home[target]
            names = self.network.components[home].names
            if home == self.network.home[table.name] or home in self.anew or home in self._supposed:
                continue
            if 2 * size > self.size((*self.network.sources[home], *names)):
                for name in names:
                    self.tables[name].pending.clear()
                    if name in self.arriving:
                        self.arriving[name].clear()
                        self.leaving[name].clear()
                self._disturb(home)

    def _vacate(self, name: str) -> None:
        """Nothing is left of a relation: what is large and cannot be without it goes as a whole, not row by row."""
        homes = self.network.resting(name)
        if self._supposed.isdisjoint(homes):
            for home in homes:
                table, accumulation = self._output(self.network.components[home].names[0])
                if (table is not None and len(table.rows) > SMALL) or (accumulation and accumulation.published):
                    self._disturb(home)

    def _void(self, number: int) -> bool:
        """Whether a clause derives nothing because a relation that it reads is empty."""
        return not all(self.tables[name].rows for name in self.network.needs[number])

    def size(self, names: Iterable[str]) -> int:
        """How many rows relations have together; aggregates have none."""
        return sum([len(self.tables[name].rows) for name in names if name in self.tables])

    def _work_out(self, table: Table) -> None:
        """Leave for a visit how all that the clauses of a relation derive differs from what is there."""
        fresh: dict[Row, int] = {}
        for number in self.network.clauses_of[table.name]:
            if not self._void(number):
                self.everything(number, Way.WHOLE, fresh)
        rows = table.rows
        if rows:
            changes = {row: count - rows.get(row, 0) for row, count in fresh.items() if rows.get(row, 0) != count}
            changes |= {row: -count for row, count in rows.items() if row not in fresh}
            fresh = changes
        table.pending = fresh

    def _gather(self, accumulation: Accumulation) -> None:
        """Give an aggregate all that its clauses derive, in place of what it has."""
        accumulation.clear()
        for number in self.network.clauses_of[accumulation.name]:
            if not self._void(number):
                self.everything(number, Way.WHOLE, accumulation.add)

    def change(self, table: Table, changes: dict[Row, int]) -> None:
        """Apply a change and tell nobody."""
        table.pending = changes
        table.settle()
        self.note(table.undo, table.commit())
        table.forget()

    def load(self, table: Table, rows: dict[Row, int]) -> None:
        """Fill an empty table of which nobody hears."""
        self.note(table.restore, {})
        table.restore(rows)
        self.announce(table.name, set(table.rows), set())

    def _tell(self, table: Table, removed: Collection[Row], added: Collection[Row]) -> None:
        for dispatch in self.network.positives[table.name]:
            columns, readers = dispatch.columns, dispatch.readers
            if not columns:
                self._show(readers[()], removed, added)
                continue
            chosen: dict[Row, tuple[list[Row], list[Row]]] = {}
            for rows, side in ((removed, 0), (added, 1)):
                for row in rows:
                    key = tuple([row[column] for column in columns])
                    if key in readers:
                        chosen.setdefault(key, ([], []))[side].append(row)
            for key, (gone, come) in chosen.items():
                self._show(readers[key], gone, come)

    def _show(self, readers: Iterable[Reader], removed: Some[Row], added: Some[Row]) -> None:
        """Run what reads rows that go and come; a row is not shown to who sees no difference to one that goes."""
        for reader in readers:
            view = self.network.views.get(reader) if removed and added else None
            gone, come = (removed, added) if view is None else _differing(view, removed, added)
            if gone:
                self.run(reader.clause, reader.place, gone, -1)
            if come:
                self.run(reader.clause, reader.place, come, 1)

    def _publish(self, table: Table, added: Collection[Row], removed: Collection[Row]) -> None:
        name = table.name
        heap = self.times.get(name)
        if heap is not None:
            last = table.arity - 1
            for row in added:
                moment: Any = row[last]
                if moment > self.clock[0]:
                    heapq.heappush(heap, moment)
        for reader, fixed in self.network.negatives.get(name, ()):
            if self.network.home[self.network.clauses[reader.clause].target] in self.anew:
                continue
            some, none = _toggled(table, fixed, added, removed)
            if some:
                self.run(reader.clause, reader.place, some, -1)
            if none:
                self.run(reader.clause, reader.place, none, 1)
        for home in self.network.disturbs.get(name, ()):
            self._disturb(home)
        self.announce(name, set(added), set(removed))

    def announce(self, name: str, added: set[Row], removed: set[Row]) -> None:
        """Put a change into the report, which keeps the sets."""
        table = self.tables[name]
        if len(table.rows) > 4 * table.planned + _GROWN:
            table.planned = len(table.rows)
            self._stale |= self.network.readers[name]
        if name in self.public:
            for rows, side in ((added, self.report.added), (removed, self.report.removed)):
                if rows and name in side:
                    side[name] |= rows
                elif rows:
                    side[name] = rows

    def _regroup(self, accumulation: Accumulation) -> None:
        """An aggregate's derivations are complete: tell who reads the groups whose result is another."""
        old, new = accumulation.settle()
        for reader in self.network.lookups[accumulation.name] if old else ():
            self.run(reader.clause, reader.place, old, -1)
            self.run(reader.clause, reader.place, new, 1)
        accumulation.publish(new)
        self.note(accumulation.publish, old)


def _chunks(seeds: Iterable[Any]) -> Iterator[list[Any]]:
    rest = iter(seeds)
    while chunk := list(islice(rest, _CHUNK)):
        yield chunk


def _differing(view: View, removed: Iterable[Row], added: Iterable[Row]) -> tuple[list[Row], list[Row]]:
    """The rows without pairs, one that goes and one that comes, in which a view sees the same."""

    def sight(row: Row) -> Row:
        return tuple([walk(row[column], *path) if path else row[column] for column, path in view])

    gone: dict[Row, list[Row]] = {}
    for row in removed:
        gone.setdefault(sight(row), []).append(row)
    come = []
    for row in added:
        same = gone.get(sight(row))
        if same:
            same.pop()
        else:
            come.append(row)
    return [row for rows in gone.values() for row in rows], come


def _toggled(
    table: Table, fixed: Columns, added: Collection[Row], removed: Collection[Row]
) -> tuple[Some[Row], Some[Row]]:
    """The keys under which there is now a first row, and those under which there is none any more."""
    if len(fixed) == table.arity:
        return added, removed
    balance: dict[Row, int] = {}
    for rows, change in ((added, 1), (removed, -1)):
        for row in rows:
            key = tuple([row[column] for column in fixed])
            balance[key] = balance.get(key, 0) + change
    index = table.index(fixed) if fixed else {}
    first, none = [], []
    for key, change in balance.items():
        size = len(index.get(key if len(fixed) > 1 else key[0], ())) if fixed else len(table.rows)
        if size > 0 and size - change == 0:
            first.append(key)
        elif size == 0 and change < 0:
            none.append(key)
    return first, none
