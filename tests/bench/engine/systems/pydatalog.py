"""pyDatalog: rules as Python expressions, answers by tabled resolution; it cannot keep answers up to date."""

from __future__ import annotations

import re
import time

from pyDatalog import pyDatalog

from tests.bench.engine.systems import resident
from tests.bench.engine.workload import Facts, Row, Workload


def clause(text: str) -> str:
    """A plain rule in pyDatalog's words; each ``_`` becomes a variable of its own."""
    if "[" in text:  # its own way to say an aggregate
        return text
    parts = re.split(r"_(?=[,)])", text.rstrip("."))
    text = parts[0] + "".join(f"Any{number}{part}" for number, part in enumerate(parts[1:]))
    head, _, body = text.partition(" :- ")
    literals = re.findall(r"not \w+\([^)]*\)|\w+\([^)]*\)|\w+ [<>]?=? \w+(?: - \w+)?", body)
    said = [
        "~" + literal[4:] if literal.startswith("not ") else literal if "(" in literal
        else f"({re.sub(' = ', ' == ', literal)})"
        for literal in literals
    ]  # fmt: skip
    return f"{head} <= {' & '.join(said)}" if said else f"+ {head}"


class PyDatalog:
    """pyDatalog's one global database."""

    updates = False

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        variables = ", ".join(f"X{index}" for index, _ in enumerate(workload.derived[workload.goal].split()))
        self.goal = f"{workload.goal}({variables})"
        self.rules = "\n".join(clause(line) for line in workload.text("pydatalog").splitlines() if line)

    def expect(self, facts: Facts, rows: list[Row]) -> None:
        """Nothing to prepare."""

    def load(self, facts: Facts) -> float:
        """Assert fact by fact."""
        start = time.process_time()
        pyDatalog.clear()
        for name, rows in facts.items():
            for row in rows:
                pyDatalog.assert_fact(name, *row)
        pyDatalog.load(self.rules)
        return time.process_time() - start

    def evaluate(self) -> float:
        """Ask for all answers."""
        start = time.process_time()
        self.answers = pyDatalog.ask(self.goal)
        return time.process_time() - start

    def change(self, insert: bool, row: Row) -> float:
        """Everything anew, but for the facts."""
        (pyDatalog.assert_fact if insert else pyDatalog.retract_fact)(self.workload.changing, *row)
        return self.evaluate()

    def count(self) -> int:
        """How many answers were found."""
        return len(self.answers.answers) if self.answers else 0

    def memory(self) -> int:
        """Of this process."""
        return resident()
