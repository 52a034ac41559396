"""kdl's specification: the same semantics, obvious and slow; a line to be sane by."""

from __future__ import annotations

import time

import kdl
from kdl.rules.naive import Naive
from tests.bench.engine.systems import resident
from tests.bench.engine.systems.kdl import declared
from tests.bench.engine.workload import Facts, Row, Workload


class Specification:
    """The specification, on plain rules."""

    updates = False

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.program = kdl.compile(declared(workload, "naive"))

    def expect(self, facts: Facts, rows: list[Row]) -> None:
        """Nothing to prepare."""

    def load(self, facts: Facts) -> float:
        """The facts go in when all is evaluated."""
        self.facts = [(name, row) for name, rows in facts.items() for row in rows]
        return 0.0

    def evaluate(self) -> float:
        """All rounds of all strata."""
        start = time.process_time()
        self.naive = Naive(self.program)
        self.naive.apply(insert=self.facts)
        return time.process_time() - start

    def change(self, insert: bool, row: Row) -> float:
        """Everything anew."""
        facts = [(self.workload.changing, row)]
        start = time.process_time()
        self.naive.apply(insert=facts if insert else [], remove=[] if insert else facts)
        return time.process_time() - start

    def count(self) -> int:
        """The rows of the goal."""
        return len(self.naive.facts(self.workload.goal))

    def memory(self) -> int:
        """Of this process."""
        return resident()
