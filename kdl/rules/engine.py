"""The incremental engine: a delta of base facts in, the delta of all facts out.

This is what others hold: base facts are checked here, questions are answered, a delta that fails is taken back. How
facts follow from facts is in `maintain` and `recursion`, what the functions of a rule look like in `compile`.
"""

from __future__ import annotations

import gc
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any, Final

from kdl.fact import Bool, Delta, Fact, Row, Shared, Value, literal, row
from kdl.parser import syntax as s
from kdl.parser.parse import parse_query
from kdl.rules.check import resolve_query
from kdl.rules.code import Function
from kdl.rules.compile import Way
from kdl.rules.maintain import LimitExceeded, Limits, Observer, State
from kdl.rules.network import Network
from kdl.rules.normalise import Lookup, Reached, inline, names, normalise
from kdl.rules.program import Program
from kdl.rules.relation import Table

__all__ = ["Engine", "LimitExceeded", "Limits"]

_TYPES: Final[dict[str, tuple[type, ...]]] = {
    "str": (str,), "int": (int,), "time": (int,), "bool": (Bool,), "json": (), "any": (),
}  # fmt: skip

_MANY: Final = 10_000
"""So many new objects are not looked at for garbage."""

_Search = tuple[Function, tuple[str, ...]]


class Engine:
    """Base facts, a clock, and all that a program derives from them, kept up to date."""

    def __init__(self, program: Program, *, limits: Limits | None = None, observer: Observer | None = None) -> None:
        normal = normalise(program)
        normal.arities |= {name: relation.arity for name, relation in program.relations.items()}
        self._prepare(program, Network(normal), normal.arities)
        self._state.limits = limits or Limits()
        self._state.observer = observer
        self._state.begin()
        self._state.start()
        self._state.propagate()
        self._state.commit()

    def _prepare(self, program: Program, network: Network, arities: Mapping[str, int]) -> None:
        self.program = program
        self._network = network
        self._arities = arities
        types = {name: [base for _, base in _typed(program, name)] for name in program.relations}
        self._state = State(network, arities, types, program.sources)
        self._shared = Shared()
        self._queries: dict[str | tuple[s.Literal, ...], _Search] = {}
        self._searches: dict[str, list[tuple[s.Rule, _Search]]] = {}
        self.explained: Any = None
        """What explanations keep here (`kdl.rules.explain.Prepared`)."""
        self._typed = {
            name: [
                (i, _TYPES[base], column.name) for i, (column, base) in enumerate(_typed(program, name)) if _TYPES[base]
            ]
            for name in program.relations
        }

    @property
    def limits(self) -> Limits:
        """What one delta may take."""
        return self._state.limits

    @property
    def now(self) -> int:
        """The clock, in milliseconds since the Unix epoch."""
        return self._state.clock[0]

    # --- change ---

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
        (`kdl.fact.row`), and kept as they are. Raises `ValueError` for what is no base fact or a clock that goes back,
        `LimitExceeded`.
        """
        self._enter(insert, remove, now, trusted)
        return self._state.commit()

    def whatif(
        self,
        insert: Iterable[tuple[str, Iterable[object]]] = (),
        remove: Iterable[tuple[str, Iterable[object]]] = (),
        now: int | None = None,
    ) -> Delta:
        """What `apply` would change, without a change; of derived facts, too. Raises what `apply` raises."""
        with self.supposing(insert, remove, now) as changed:
            return changed

    @contextmanager
    def supposing(
        self,
        insert: Iterable[tuple[str, Iterable[object]]] = (),
        remove: Iterable[tuple[str, Iterable[object]]] = (),
        now: int | None = None,
    ) -> Iterator[Delta]:
        """Ask questions of the engine as it would be after a delta, whose changes this gives.

        Facts of derived relations that are not recursive may be supposed, too: to hold without a rule that derives
        them, or not to hold whatever derives them. At the end everything is as it was, facts, reasons, groups and
        times; what is applied meanwhile (suppositions can be nested) is taken back too.
        """
        self._enter(insert, remove, now, trusted=False, supposed=True)
        try:
            yield self._state.report
        finally:
            self._state.roll_back()

    def _enter(
        self,
        insert: Iterable[tuple[str, Iterable[object]]],
        remove: Iterable[tuple[str, Iterable[object]]],
        now: int | None,
        trusted: bool,
        supposed: bool = False,
    ) -> None:
        """Begin a delta and let everything follow from it; with an exception it is taken back."""
        if now is not None and now < self.now:
            raise ValueError(f"the clock does not go back from {self.now} to {now}")
        gone = self._checked(remove, trusted, supposed)
        come = self._checked(insert, trusted, supposed)
        state = self._state
        for name in gone.keys() | come.keys():
            if name in state.network.recursive:
                raise ValueError(f"`{name}` is recursive: suppose what its facts rest on instead")
        state.begin()
        collecting = gc.isenabled()
        gc.disable()  # rows hold no cycles, and there may be very many new ones
        try:
            if now is not None and now > self.now:
                state.advance(now)
            for name, rows in gone.items():
                state.enter(state.tables[name], -1, rows)
            for name, rows in come.items():
                state.enter(state.tables[name], 1, rows if trusted else self._shared.rows(rows))
            state.propagate()
        except BaseException:
            state.roll_back()
            raise
        finally:
            if collecting:
                if gc.get_count()[0] > _MANY and not gc.get_freeze_count():
                    gc.freeze()  # what is new is old from now on: nobody need look at all of it at once
                    gc.unfreeze()
                gc.enable()

    def fork(self) -> Engine:
        """An engine of its own with the same facts and clock."""
        other = Engine.__new__(Engine)
        other._prepare(self.program, self._network, self._arities)
        self._state.copy_to(other._state)
        other._state.limits = self.limits
        return other

    def reloaded(self, program: Program, limits: Limits | None = None) -> tuple[Engine, Delta]:
        """An engine of other rules with the same base facts and clock, and in what its facts differ from these.

        Only what the change of rules touches is worked out again. Raises `LimitExceeded`; this engine stays as it is.
        """
        from kdl.rules.reload import carry

        normal = normalise(program)
        normal.arities |= {name: relation.arity for name, relation in program.relations.items()}
        other = Engine.__new__(Engine)
        other._prepare(program, Network(normal), normal.arities)
        other._state.limits = limits or self.limits
        return other, carry(self._state, other._state, (self.program, program))

    @property
    def working(self) -> s.Rule | None:
        """The rule that was run last: where a limit was crossed, the one that crossed it."""
        return self._state.working

    def _checked(
        self, facts: Iterable[tuple[str, Iterable[object]]], trusted: bool, supposed: bool = False
    ) -> dict[str, list[Row]]:
        """The rows by relation; `ValueError` for what cannot be a base fact, or, if `supposed`, no fact at all."""
        found: dict[str, list[Row]] = {}
        for name, items in facts:
            rows = found.get(name)
            if rows is None:
                relation = self.program.relations.get(name)
                if relation is None:
                    raise ValueError(f"there is no relation `{name}`")
                if not relation.input and not supposed:
                    raise ValueError(f"`{name}` is derived: only `input rel` relations are asserted from outside")
                rows = found[name] = []
            values: Row = items if trusted and type(items) is tuple else row(items)
            if len(values) != self._arities[name]:
                raise ValueError(f"`{name}` has {self._arities[name]} columns, not {len(values)}")
            for index, types, column in self._typed[name]:
                if type(values[index]) not in types:
                    raise ValueError(f"column `{column}` of `{name}` cannot hold {literal(values[index])[:60]}")
            rows.append(values)
        return found

    # --- facts ---

    def facts(self, relation: str) -> set[Row]:
        """The rows of a relation. Raises `KeyError` for one that the program does not declare."""
        return set(self._known(relation).rows)

    def count(self, relation: str) -> int:
        """How many rows a relation has."""
        return len(self._known(relation).rows)

    def holds(self, relation: str, items: Iterable[object]) -> bool:
        """Whether a fact is there."""
        return row(items) in self._known(relation).rows

    def rank(self, relation: str, items: Row) -> int:
        """How many facts of its recursion stand on each other below a fact; always less for those of a witness.

        0 outside of recursion. Raises `KeyError` for what does not hold.
        """
        count = self._known(relation).rows[items]
        return count if relation in self._network.recursive else 0

    def lookup(self, relation: str, known: Mapping[int, Value] | Mapping[str, Value]) -> Iterable[Row]:
        """The rows of a relation with the given values in the given columns, by position or by name."""
        columns = self.program.relations[relation].position
        return self._known(relation).lookup({columns(c) if isinstance(c, str) else c: v for c, v in known.items()})

    def base(self) -> Iterator[Fact]:
        """The base facts: all rows of the input relations."""
        for name, relation in self.program.relations.items():
            if relation.input:
                for item in self._state.tables[name].rows:
                    yield Fact(name, item)

    def due(self) -> int | None:
        """The next time, in milliseconds, that some rule waits for."""
        return self._state.due()

    def _known(self, relation: str) -> Table:
        if relation not in self.program.relations:
            raise KeyError(relation)
        return self._state.tables[relation]

    # --- questions ---

    def query(self, query: str | tuple[s.Literal, ...]) -> list[dict[str, Value]]:
        """The bindings of a query's variables, each once. Raises `ProgramError`, `LimitExceeded`."""
        found = self._queries.get(query)
        if found is None:
            body = resolve_query(self.program, parse_query(query), text=query) if isinstance(query, str) else query
            found = self._queries[query] = self._state.compiler.search(inline(body, frozenset()))
        function, variables = found
        self._state.restart_limits()
        return [dict(zip(variables, values, strict=True)) for values in dict.fromkeys(function.ready()(None))]

    def search(
        self, body: tuple[s.Literal, ...], given: Sequence[s.Expression], outside: frozenset[str]
    ) -> Callable[[Row], Iterator[dict[str, Value]]]:
        """What finds the ways to make a body of the program hold, by the values of some expressions.

        It gives the values of all variables, those that the checker made included; `outside` are the variables that
        the body's surroundings use.
        """
        function, variables = self._state.compiler.search(inline(body, outside), tuple(given), hidden=True)

        def found(values: Row) -> Iterator[dict[str, Value]]:
            self._state.restart_limits()
            for one in function.ready()(values):
                yield dict(zip(variables, one, strict=True))

        return found

    def derivations(self, relation: str, items: Iterable[object]) -> Iterator[tuple[s.Rule, dict[str, Value]]]:
        """Each way in which the rules derive a row now: the rule and its variables; wildcards make no difference."""
        wanted = row(items)
        searches = self._searches.get(relation)
        if searches is None:
            searches = self._searches[relation] = []
            for rule in self.program.rules_of[relation]:
                head = tuple(argument.value for argument in rule.head.arguments)
                body = inline(rule.body, names(rule.head))
                searches.append((rule, self._state.compiler.search(body, head)))
        for rule, (function, variables) in searches:
            self._state.restart_limits()
            for values in dict.fromkeys(function.ready()(wanted)):
                yield rule, dict(zip(variables, values, strict=True))

    def why(self, relation: str, items: Iterable[object]) -> Any:
        """A proof of a fact (`kdl.rules.explain.Proof`), None if it does not hold."""
        from kdl.rules.explain import why

        found = why(self, relation, row(items))
        return None if found is None else found.settle()

    def why_not(self, relation: str, items: Iterable[object]) -> Any:
        """What keeps a fact from holding (`kdl.rules.whynot.WhyNot`), None if it holds; ``...`` stands for anything."""
        from kdl.rules.whynot import goal, why_not

        return why_not(self, goal(relation, items))

    def memory(self) -> tuple[dict[str, Any], int]:
        """The memory of each relation (`kdl.rules.memory.Memory`), and the bytes of all values, each counted once."""
        from kdl.rules.memory import measured

        return measured(self._state.tables.values())

    def code(self, relation: str) -> Iterator[str]:
        """The text of every function that keeps a relation up to date, with its rule and its plan."""
        recursive = relation in self._network.recursive
        for number in self._network.clauses_of[relation]:
            for place, step in enumerate(self._network.clauses[number].body):
                if isinstance(step, (s.Atom, s.Negation, Lookup, Reached)):
                    for way in (Way.GAIN, Way.LOSE) if recursive else (Way.COUNT,):
                        yield self._state.function(number, place, way).text
            if not recursive:
                yield self._state.whole(number, Way.WHOLE).text
        if recursive:
            yield from self._state.recursive_code(relation)


def _typed(program: Program, name: str) -> Iterator[tuple[s.Column, str]]:
    """The columns of a relation, each with its built-in type."""
    relation = program.relations[name]
    for index, column in enumerate(relation.columns):
        given = relation.types[index] if relation.types else column.type
        yield column, program.types.get(given, given)
