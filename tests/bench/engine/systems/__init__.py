"""The systems that are measured, each in the one module that knows how to speak to it."""

from __future__ import annotations

from importlib import import_module
from typing import Protocol

from tests.bench.engine.workload import Facts, Row, Workload


class System(Protocol):
    """A system with the facts of one workload.

    The methods return seconds of processor time: what the system took, without what the benchmark does to ask it.
    """

    updates: bool
    """Whether it brings answers up to date by less than working out all of them anew."""

    def expect(self, facts: Facts, rows: list[Row]) -> None:
        """Hear of the rows of the relation that changes which are to come and go."""

    def load(self, facts: Facts) -> float:
        """Take in the facts and the rules."""

    def evaluate(self) -> float:
        """Work out all answers."""

    def change(self, insert: bool, row: Row) -> float:
        """Add or remove one fact of the relation that changes, and bring the answers up to date."""

    def count(self) -> int:
        """How many answers there are; not timed."""

    def memory(self) -> int:
        """The most bytes that the system's process has had in memory."""


SYSTEMS = {
    "kdl": "kdl.Kdl",
    "naive": "naive.Specification",
    "clingo": "clingo.Clingo",
    "duckdb": "duckdb.DuckDB",
    "swi": "swi.Tabling",
    "swi-incremental": "swi.IncrementalTabling",
    "pydatalog": "pydatalog.PyDatalog",
}
"""Name → the class in this package that speaks to the system."""


def start(system: str, workload: Workload) -> System:
    """A system that knows which workload is to come."""
    module, _, name = SYSTEMS[system].partition(".")
    found: System = getattr(import_module(f"{__name__}.{module}"), name)(workload)
    return found


def resident(pid: int | str = "self", peak: bool = True) -> int:
    """The bytes that a process has in memory, or has had at most."""
    wanted = "VmHWM:" if peak else "VmRSS:"
    with open(f"/proc/{pid}/status", encoding="ascii") as file:
        return next(int(line.split()[1]) * 1024 for line in file if line.startswith(wanted))
