"""A workload: facts made from a fixed seed, rules that all systems read, and what is asked and changed."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

SEED: Final = 1

Row = tuple[Any, ...]
Facts = dict[str, list[Row]]
Run = Callable[[str], int]
"""Executes a statement of SQL; the number in its first column and row."""


@dataclass(frozen=True)
class Pack:
    """A shipped pack instead of plain rules: what says the same to it."""

    program: Callable[[], Any]
    goal: str
    facts: Callable[[Facts], list[tuple[str, Row]]]
    changes: Callable[[Facts, list[Row]], list[list[tuple[str, Row]]]]
    """For rows of the relation that changes, the facts that come and go with each."""


@dataclass(frozen=True)
class Workload:
    """One problem. `rules` are plain Datalog, which kdl, clingo, SWI-Prolog and pyDatalog read nearly alike.

    `inputs` and `derived` give each relation's column types. `facts` and `fresh` make the facts of a size and one more
    fact of the relation `changing`. `sql` evaluates with tables of the inputs' names and columns `c0`, `c1`, …
    """

    name: str
    title: str
    sizes: Mapping[str, Mapping[str, int]]
    inputs: Mapping[str, str]
    derived: Mapping[str, str]
    rules: str
    goal: str
    changing: str
    facts: Callable[[random.Random, Mapping[str, int]], Facts]
    fresh: Callable[[random.Random, Facts], Row]
    sql: Callable[[Run], None]
    tables: tuple[str, ...] = ()
    """What SWI-Prolog is to table; all that is derived if that is not said."""
    dialect: Mapping[str, str] = field(default_factory=dict)
    """What cannot be said alike for all, by system: added to `rules`."""
    pack: Pack | None = None
    """What kdl evaluates, where it is not `rules`."""

    def text(self, system: str) -> str:
        """The rules as a system is to read them."""
        return self.rules + self.dialect.get(system, "")

    def made(self, size: str) -> Facts:
        """The facts of a size, always the same."""
        return self.facts(random.Random(SEED), self.sizes[size])

    def changes(self, facts: Facts, count: int) -> list[tuple[bool, Row]]:
        """Random facts of the relation that changes, whether each is there: half are, half are not."""
        chance = random.Random(SEED + 1)
        rows = facts[self.changing]
        known = set(rows)
        there = chance.sample(rows, min(count // 2, len(rows)))
        new = islice(
            (row for row in iter(lambda: self.fresh(chance, facts), None) if row not in known), count - len(there)
        )
        mixed = [(True, row) for row in there] + [(False, row) for row in dict.fromkeys(new)]
        chance.shuffle(mixed)
        return mixed
