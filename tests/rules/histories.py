"""Helpers of the engine's tests: an engine beside its specification, and what an engine is made of, to compare."""

from __future__ import annotations

from collections import Counter
from typing import Any

import kdl
from kdl import Engine
from kdl.fact import Delta
from kdl.rules.maintain import Limits
from kdl.rules.naive import Naive
from kdl.rules.relation import Table

Facts = list[tuple[str, tuple[Any, ...]]]


class Twins:
    """An engine and the specification, given the same deltas and held against each other after each."""

    def __init__(self, text: str, limits: Limits | None = None) -> None:
        self.program = kdl.compile(text)
        self.engine, self.naive = Engine(self.program, limits=limits), Naive(self.program)
        self._agree()

    def apply(self, insert: Facts = (), remove: Facts = (), now: int | None = None) -> Delta:  # type: ignore[assignment]
        delta = self.engine.apply(insert, remove, now)
        expected = self.naive.apply(insert, remove, now)
        assert {k: v for k, v in delta.added.items() if v} == {k: v for k, v in expected.added.items() if v}
        assert {k: v for k, v in delta.removed.items() if v} == {k: v for k, v in expected.removed.items() if v}
        self._agree()
        return delta

    def facts(self, relation: str) -> list[Any]:
        return sorted(self.engine.facts(relation), key=str)

    def _agree(self) -> None:
        for name in self.program.relations:
            assert self.engine.facts(name) == self.naive.facts(name), name


def _counted(buckets: dict[Any, Any]) -> dict[Any, Counter[Any]]:
    return {key: Counter(rows) for key, rows in buckets.items()}


def insides(engine: Engine) -> dict[str, Any]:
    """Everything that a delta may change: rows with their counts, groups, times. Indexes say what the rows say."""
    state = engine._state
    for table in state.tables.values():
        for columns in list(table._indexes):
            fresh = Table(table.name, table.arity)
            fresh.restore(table.rows)
            assert _counted(table.index(columns)) == _counted(fresh.index(columns))
    engine.due()
    return {
        "rows": {name: dict(table.rows) for name, table in state.tables.items()},
        "pending": {name: dict(table.pending) for name, table in state.tables.items() if table.pending},
        "groups": {
            name: (dict(a.published), dict(a._numbers), {g: m.all() for g, m in a._members.items()})
            for name, a in state.accumulations.items()
        },
        "touched": [name for name, a in state.accumulations.items() if a.touched],
        "waiting": [rows for rows in (*state.arriving.values(), *state.leaving.values()) if rows],
        "times": {  # those that some row still waits for
            name: sorted({moment for moment in heap if any(row[-1] == moment for row in state.tables[name].rows)})
            for name, heap in state.times.items()
        },
        "waits": set(state.waits),
        "now": engine.now,
    }
