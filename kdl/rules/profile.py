"""What each rule of an engine did: how often it ran, how long, from how many rows, and what it derived.

An `Observer` stands around the functions of clauses (`Engine(program, observer=…)`). The rows that a rule gives to the
aggregates in its body are told apart from those of its head.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Final

from kdl.parser import syntax as s
from kdl.rules.maintain import Run
from kdl.rules.normalise import Clause
from kdl.rules.program import FAULT, Program

_SECONDS: Final = time.perf_counter


@dataclass(slots=True)
class Work:
    """What a rule did."""

    rule: s.Rule
    runs: int = 0
    seconds: float = 0.0
    read: int = 0
    """Changed rows that it was run for."""
    derived: int = 0
    """Rows that came out, each as often as it was derived or lost."""


class Given:
    """Takes what a function derives to where it belongs, and counts."""

    __slots__ = ("count", "out")

    def __init__(self, out: Any) -> None:
        self.out, self.count = out, 0

    def __call__(self, *arguments: Any) -> None:
        self.count += 1
        self.out(*arguments)

    def __setitem__(self, row: Any, number: Any) -> None:
        self.count += 1
        self.out[row] = number

    def add(self, row: Any) -> None:
        """Take one row of a set."""
        self.count += 1
        self.out.add(row)

    def update(self, rows: Any) -> None:
        """Take many rows of a set."""
        rows = list(rows)
        self.count += len(rows)
        self.out.update(rows)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.out, name)

    def __getitem__(self, row: Any) -> Any:
        return self.out[row]

    def __contains__(self, row: Any) -> bool:
        return row in self.out


@dataclass(slots=True)
class Profile:
    """An observer that adds up the work of each rule."""

    clock: Callable[[], float] = _SECONDS
    work: dict[tuple[str, str, int, int], Work] = field(default_factory=dict)
    """By the rule's relation and where the rule is."""

    def __call__(self, clause: Clause, run: Run) -> Run:
        """Measure one run of a clause."""
        key = _key(clause.source)
        work = self.work.get(key)
        if work is None:
            work = self.work[key] = Work(clause.source)
        head = clause.target == clause.source.head.relation

        def measured(seeds: Any, *others: Any) -> None:
            given = Given(others[-1])
            start = self.clock()
            run(seeds, *others[:-1], given)
            work.seconds += self.clock() - start
            work.runs += 1
            work.read += len(seeds)
            work.derived += given.count * head

        return measured

    def clear(self) -> None:
        """Begin anew: what comes next is a delta of its own."""
        self.work.clear()


@dataclass(slots=True)
class Coverage:
    """An observer that remembers which rules have derived anything."""

    rules: set[tuple[str, str, int, int]] = field(default_factory=set)

    def __call__(self, clause: Clause, run: Run) -> Run:
        """Look at what comes out, until something has."""
        key = _key(clause.source)
        if key in self.rules or clause.target != clause.source.head.relation:
            return run

        def watched(*arguments: Any) -> None:
            given = Given(arguments[-1])
            run(*arguments[:-1], given)
            if given.count:
                self.rules.add(key)

        return watched

    def missing(self, program: Program) -> Iterator[s.Rule]:
        """The rules that somebody wrote with a body and that never derived anything, in the order of the texts."""
        return (rule for rule in counted(program) if _key(rule) not in self.rules)


def counted(program: Program) -> Iterator[s.Rule]:
    """The rules that can be covered: those with a body."""
    return (rule for rule in program.rules if rule.body and rule.head.relation != FAULT)


def _key(rule: s.Rule) -> tuple[str, str, int, int]:
    return rule.head.relation, rule.span.file, rule.span.line, rule.span.column
