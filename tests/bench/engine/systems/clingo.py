"""clingo: stratified rules are worked out by its grounder, whose time is what counts."""

from __future__ import annotations

import json
import time

import clingo

from tests.bench.engine.systems import resident
from tests.bench.engine.workload import Facts, Row, Workload


def text(name: str, row: Row) -> str:
    """A fact."""
    return f"{name}({','.join(json.dumps(value) for value in row)})."


class Clingo:
    """A control of its own for each evaluation: it cannot take facts back."""

    updates = False

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        self.rules = workload.text("clingo")
        self.arity = len(workload.derived[workload.goal].split())

    def expect(self, facts: Facts, rows: list[Row]) -> None:
        """Nothing to prepare."""

    def load(self, facts: Facts) -> float:
        """The facts as text, which clingo reads faster than symbols through its API."""
        self.fixed = "\n".join(
            text(name, row) for name, rows in facts.items() if name != self.workload.changing for row in rows
        )
        self.rows = dict.fromkeys(facts[self.workload.changing])
        return 0.0

    def evaluate(self) -> float:
        """Read and ground."""
        moving = "\n".join(text(self.workload.changing, row) for row in self.rows)
        start = time.process_time()
        self.control = clingo.Control(["--warn=none"])
        self.control.add("base", [], self.fixed + "\n" + moving + self.rules)
        self.control.ground([("base", [])])
        return time.process_time() - start

    def change(self, insert: bool, row: Row) -> float:
        """Everything anew."""
        self.rows.update({row: None}) if insert else self.rows.pop(row)
        return self.evaluate()

    def count(self) -> int:
        """The atoms of the goal, all of which are facts."""
        atoms = self.control.symbolic_atoms.by_signature(self.workload.goal, self.arity)
        return sum(1 for atom in atoms if atom.is_fact)

    def memory(self) -> int:
        """Of this process."""
        return resident()
