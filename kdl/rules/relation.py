"""The rows of one relation: how many derivations each has, and indexes built when a rule first looks that way."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from kdl.fact import Row

Columns = tuple[int, ...]
Index = dict[Any, set[Row]]
"""Key → rows; the key is the value itself where the index has one column, else the tuple of values."""


class Table:
    """A relation's rows with their numbers of derivations, and the changes that wait to be applied.

    While a change is worked on, `added` and `removed` hold it, and rules see the rows as they were before; a rule in
    which the relation occurs twice sees them as they will be through `will_hold` and `matching_after`.
    """

    __slots__ = ("_indexes", "_later", "added", "arity", "name", "pending", "removed", "rows")

    def __init__(self, name: str, arity: int) -> None:
        self.name, self.arity = name, arity
        self.rows: dict[Row, int] = {}
        self.pending: dict[Row, int] = {}
        self.added: set[Row] = set()
        self.removed: set[Row] = set()
        self._indexes: dict[Columns, Index] = {}
        self._later: dict[Columns, Index] = {}

    def index(self, columns: Columns) -> Index:
        """The index over some columns; the same object for the life of the table."""
        found = self._indexes.get(columns)
        if found is None:
            found = self._indexes[columns] = {}
            _fill(found, columns, self.rows)
        return found

    def lookup(self, known: Mapping[int, Any]) -> Iterable[Row]:
        """The rows with the given values at the given positions."""
        if not known:
            return tuple(self.rows)
        columns = tuple(sorted(known))
        if len(columns) == self.arity:
            row = tuple([known[column] for column in columns])
            return (row,) if row in self.rows else ()
        key = known[columns[0]] if len(columns) == 1 else tuple([known[column] for column in columns])
        return tuple(self.index(columns).get(key, ()))

    # --- changes ---

    def settle(self) -> None:
        """Work out what `pending` adds and removes: the rows that get their first or lose their last derivation."""
        rows = self.rows
        for row, change in self.pending.items():
            before = rows.get(row, 0)
            if before == 0:
                if change > 0:
                    self.added.add(row)
            elif before + change <= 0:
                self.removed.add(row)

    def commit(self) -> dict[Row, int]:
        """Apply `pending`; the changes, for `undo`."""
        changes, self.pending = self.pending, {}
        self._apply(changes, self.added, self.removed)
        self.added, self.removed, self._later = set(), set(), {}
        return changes

    def undo(self, changes: Mapping[Row, int]) -> None:
        """Take back what `commit` applied."""
        self.pending = {row: -change for row, change in changes.items()}
        self.settle()
        self.commit()

    def _apply(self, changes: Mapping[Row, int], added: set[Row], removed: set[Row]) -> None:
        rows = self.rows
        for row, change in changes.items():
            count = rows.get(row, 0) + change
            if count > 0:
                rows[row] = count
            elif row in rows:
                del rows[row]
        for columns, index in self._indexes.items():
            _fill(index, columns, added)
            _drain(index, columns, removed)

    def clear(self) -> dict[Row, int]:
        """Remove everything at once; the rows with their counts."""
        before = dict(self.rows)
        self.rows.clear()
        for index in self._indexes.values():
            index.clear()
        return before

    # --- the state after the change that is being worked on ---

    def will_hold(self, row: Row) -> bool:
        """Whether a row will be there."""
        return row in self.added or (row in self.rows and row not in self.removed)

    def matching_after(self, columns: Columns, key: Any) -> list[Row]:
        """The rows that will be there under a key of some columns (all rows for no columns)."""
        if not columns:
            return [row for row in self.rows if row not in self.removed] + list(self.added)
        later = self._later.get(columns)
        if later is None:
            later = self._later[columns] = {}
            _fill(later, columns, self.added)
        removed = self.removed
        return [row for row in self.index(columns).get(key, ()) if row not in removed] + list(later.get(key, ()))


def _fill(index: Index, columns: Columns, rows: Iterable[Row]) -> None:
    if len(columns) == 1:
        (column,) = columns
        for row in rows:
            key = row[column]
            bucket = index.get(key)
            if bucket is None:
                index[key] = {row}
            else:
                bucket.add(row)
    else:
        for row in rows:
            index.setdefault(tuple([row[column] for column in columns]), set()).add(row)


def _drain(index: Index, columns: Columns, rows: Iterable[Row]) -> None:
    single = len(columns) == 1
    for row in rows:
        key = row[columns[0]] if single else tuple([row[column] for column in columns])
        bucket = index[key]
        bucket.discard(row)
        if not bucket:
            del index[key]
