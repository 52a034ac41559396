"""kdl itself: the engine with counts and witnesses, from checked rules to all answers."""

from __future__ import annotations

import time
from typing import Any

from kdl import Engine, compile
from tests.bench.engine.systems import resident
from tests.bench.engine.workload import Facts, Row, Workload


def declared(workload: Workload, system: str) -> str:
    """The workload's rules with the declarations that kdl wants."""
    lines = []
    for kind, relations in (("input rel", workload.inputs), ("rel", workload.derived)):
        for name, types in relations.items():
            columns = ", ".join(f"c{index}: {type}" for index, type in enumerate(types.split()))
            lines.append(f"{kind} {name}({columns}).")
    return "\n".join(lines) + workload.text(system)


class Kdl:
    """An engine."""

    updates = True

    def __init__(self, workload: Workload) -> None:
        pack = workload.pack
        self.workload = workload
        self.program = pack.program() if pack else compile(declared(workload, "kdl"))
        self.goal = pack.goal if pack else workload.goal
        self.facts: list[tuple[str, Row]] = []
        self.changes: dict[Row, list[tuple[str, Row]]] = {}

    def expect(self, facts: Facts, rows: list[Row]) -> None:
        """Make the documents of changes to come."""
        if self.workload.pack:
            self.changes = dict(zip(rows, self.workload.pack.changes(facts, rows), strict=True))

    def load(self, facts: Facts) -> float:
        """The facts go in when all is evaluated; their documents are made before."""
        if self.workload.pack:
            self.facts = self.workload.pack.facts(facts)
        else:
            self.facts = [(name, row) for name, rows in facts.items() for row in rows]
        return 0.0

    def evaluate(self) -> float:
        """A new engine and its first delta."""
        start = time.process_time()
        self.engine = Engine(self.program)
        self.engine.apply(insert=self.facts)
        return time.process_time() - start

    def change(self, insert: bool, row: Row) -> float:
        """One delta."""
        facts: Any = self.changes.get(row) or [(self.workload.changing, row)]
        start = time.process_time()
        self.engine.apply(**{"insert" if insert else "remove": facts})
        return time.process_time() - start

    def count(self) -> int:
        """The rows of the goal."""
        return self.engine.count(self.goal)

    def memory(self) -> int:
        """Of this process."""
        return resident()
