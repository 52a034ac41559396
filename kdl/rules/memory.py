"""How much memory facts take: by relation, its rows, their numbers and its indexes; values once for all."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from sys import getsizeof
from typing import Any, Final

from kdl.rules.relation import Table

_SHARED: Final = range(-5, 257)
"""Integers of which Python has one object each."""


@dataclass(frozen=True, slots=True)
class Memory:
    """The bytes of a relation: of its rows, of the numbers that they have (counts or ranks), of its indexes."""

    facts: int
    rows: int
    numbers: int
    indexes: int

    @property
    def each(self) -> float:
        """The bytes of one fact."""
        return (self.rows + self.numbers + self.indexes) / max(1, self.facts)


def measured(tables: Iterable[Table]) -> tuple[dict[str, Memory], int]:
    """The memory of each table, and that of the values in all of them, each counted once."""
    found: dict[str, Memory] = {}
    seen: set[int] = set()
    values = 0
    for table in tables:
        numbers = {id(number): number for number in table.rows.values() if number not in _SHARED}
        found[table.name] = Memory(
            len(table.rows),
            getsizeof(table.rows) + sum(map(getsizeof, table.rows)),
            sum(map(getsizeof, numbers.values())),
            sum([_index(columns, buckets) for columns, buckets in table.built()]),
        )
        values += sum([_deep(value, seen) for row in table.rows for value in row])
    return found, values


def _index(columns: tuple[int, ...], buckets: dict[Any, Any]) -> int:
    made = sum(map(getsizeof, buckets)) if len(columns) != 1 else 0
    return getsizeof(buckets) + made + sum(map(getsizeof, buckets.values()))


def _deep(value: Any, seen: set[int]) -> int:
    """The bytes of a value and what is in it, without what has been seen."""
    size, waiting = 0, [value]
    while waiting:
        one = waiting.pop()
        if id(one) in seen:
            continue
        seen.add(id(one))
        size += getsizeof(one)
        if isinstance(one, dict):
            waiting += one.keys()
            waiting += one.values()
        elif isinstance(one, tuple):
            waiting += one
    return size
