"""The rows of one relation: how many derivations each has, and indexes that follow when a rule next looks that way.

In a recursive relation a row's number is not that of its derivations but its rank.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator, Mapping
from itertools import islice
from typing import Any, Final

from kdl.fact import Row

Columns = tuple[int, ...]
Buckets = dict[Any, Any]
"""Key → rows: a tuple of one, a list, or a set where many have been and some have gone.

The key is the value itself where the index has one column, else a tuple.
"""

_LISTED: Final = 8
"""A row is looked for in a list of so many, in more of them by a set."""


_SAMPLE: Final = 1000
"""So many rows are looked at for an estimate, evenly over all of them."""


class Index:
    """A table's rows by the values of some columns.

    It may be behind its table: changes wait in here until someone looks, and too many of them are dropped for a new
    beginning. `buckets` is the same object for the life of the index, and right after `catch_up`.
    """

    __slots__ = ("_built", "_rows", "buckets", "columns", "late", "lateness")

    def __init__(self, rows: Mapping[Row, int], columns: Columns) -> None:
        self.columns = columns
        self.buckets: Buckets = {}
        self.late: list[tuple[Iterable[Row], Iterable[Row]]] = []
        self.lateness = 0
        self._rows = rows
        self._built = False

    def follow(self, added: Collection[Row], removed: Collection[Row]) -> None:
        """Remember a change of the table."""
        if self._built:
            self.late.append((added, removed))
            self.lateness += len(added) + len(removed)
            if self.lateness > 256 + len(self._rows):
                self.drop()

    def drop(self) -> None:
        """Forget all; the next look builds the index anew."""
        self._built = False
        self.buckets.clear()
        self.late.clear()
        self.lateness = 0

    def catch_up(self) -> Buckets:
        """The buckets, level with the table."""
        if not self._built:
            self._built = True
            _fill(self.buckets, self.columns, self._rows)
        elif self.late:
            for added, removed in self.late:
                _fill(self.buckets, self.columns, added)
                _drain(self.buckets, self.columns, removed)
            self.late.clear()
            self.lateness = 0
        return self.buckets

    @property
    def fan_out(self) -> float | None:
        """How many rows a key has on average; None where that is not known."""
        return len(self._rows) / len(self.buckets) if self._built and self.buckets else None

    @property
    def behind(self) -> bool:
        """Whether `catch_up` would do something."""
        return not self._built or bool(self.late)


class Image:
    """The values of one column by those of others: made when a relation is looked at very often, for that time.

    Without other columns `all` has the values, row by row. `sets` and `all` are the same objects for the life of the
    image.
    """

    __slots__ = ("all", "column", "columns", "sets", "table")

    def __init__(self, table: Table, columns: Columns, column: int) -> None:
        self.table, self.columns, self.column = table, columns, column
        self.sets: defaultdict[Any, set[Any]] = defaultdict(set)
        self.all: list[Any] = []

    def make(self) -> None:
        """Take in the rows as they are."""
        sets, columns, column = self.sets, self.columns, self.column
        if not columns:
            self.all[:] = [row[column] for row in self.table.rows]
            return
        first, second, single = columns[0], columns[-1], len(columns) == 1
        sets.clear()
        for row in self.table.rows:
            key = row[first] if single else (row[first], row[second]) if len(columns) == 2 else _part(row, columns)
            sets[key].add(row[column])

    def drop(self) -> None:
        """Forget all."""
        self.sets.clear()
        self.all.clear()


class Table:
    """A relation's rows with their numbers of derivations, and the changes that wait to be applied.

    While a change is worked on, `added` and `removed` hold it. Before `commit` rules see the rows as they were, and as
    they will be through `will_hold` and `matching_after`; after it they see the new ones, and the old ones through
    `held`, until `forget`.
    """

    __slots__ = ("_indexes", "_later", "_samples", "added", "arity", "name", "pending", "planned", "removed", "rows")

    def __init__(self, name: str, arity: int) -> None:
        self.name, self.arity = name, arity
        self.rows: dict[Row, int] = {}
        self.pending: dict[Row, int] = {}
        self.added: Collection[Row] = ()
        self.removed: Collection[Row] = ()
        self.planned = 0
        """How many rows there were when joins with them were last ordered."""
        self._indexes: dict[Columns, Index] = {}
        self._later: dict[Columns, Buckets] = {}
        self._samples: dict[Columns, tuple[int, float]] = {}
        """Of estimates: how many rows there were, and what was found."""

    def access(self, columns: Columns) -> Index:
        """The index over some columns; the same object for the life of the table."""
        found = self._indexes.get(columns)
        if found is None:
            found = self._indexes[columns] = Index(self.rows, columns)
        return found

    def index(self, columns: Columns) -> Buckets:
        """The buckets of an index as the table is now."""
        return self.access(columns).catch_up()

    def built(self) -> Iterator[tuple[Columns, Buckets]]:
        """The indexes that are in use."""
        for columns, index in self._indexes.items():
            if not index.behind or index.buckets:
                yield columns, index.buckets

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

    def estimate(self, columns: Columns) -> float:
        """How many rows to expect under a key of some columns: those of an index, or of a sample of the rows."""
        if not columns:
            return float(len(self.rows))
        index = self._indexes.get(columns)
        known = index.fan_out if index is not None else None
        if known is not None:
            return known
        if not self.rows:
            return 8.0 ** -len(columns)
        size, found = self._samples.get(columns, (0, 0.0))
        if not size <= len(self.rows) <= 2 * size:
            found = self._sampled(columns)
            self._samples[columns] = len(self.rows), found
        return found

    def _sampled(self, columns: Columns) -> float:
        """The estimate by Charikar et al.: keys seen once in the sample stand for others that were not seen."""
        total = len(self.rows)
        sample = Counter(_part(row, columns) for row in islice(self.rows, 0, None, total // _SAMPLE + 1))
        once = sum(count == 1 for count in sample.values())
        keys = (total / sample.total()) ** 0.5 * once + len(sample) - once
        return float(total / min(keys, total))

    # --- changes ---

    def settle(self) -> None:
        """Work out what `pending` adds and removes: the rows that get their first or lose their last derivation."""
        rows = self.rows
        if not rows:
            gains = min(self.pending.values(), default=1) > 0
            self.added = self.pending if gains else {row for row, n in self.pending.items() if n > 0}
            return
        added, removed = set[Row](), set[Row]()
        for row, change in self.pending.items():
            before = rows.get(row)
            if before is None:
                if change > 0:
                    added.add(row)
            elif before + change <= 0:
                removed.add(row)
        self.added, self.removed = added, removed

    def commit(self) -> dict[Row, int]:
        """Apply `pending`, which has been settled; the changes, for `undo`. `held` still knows the rows before."""
        changes, self.pending = self.pending, {}
        rows, added, removed = self.rows, self.added, self.removed
        if len(removed) == len(rows) and not added:
            rows.clear()
        elif len(added) == len(changes):
            rows.update(changes)
        else:
            for row, change in changes.items():
                count = rows.get(row, 0) + change
                if count > 0:
                    rows[row] = count
                elif row in rows:
                    del rows[row]
        if added or removed:
            for index in self._indexes.values():
                index.follow(added, removed)
        self._later.clear()
        return changes

    def forget(self) -> None:
        """End the work on a change."""
        self.added = self.removed = ()
        self._later.clear()

    def undo(self, changes: Mapping[Row, int]) -> None:
        """Take back what `commit` applied."""
        self.pending = {row: -change for row, change in changes.items()}
        self.settle()
        self.commit()
        self.forget()

    def restore(self, rows: Mapping[Row, int]) -> None:
        """Replace everything at once."""
        self.rows.clear()
        self.rows.update(rows)
        for index in self._indexes.values():
            index.drop()

    # --- the other side of the change that is being worked on ---

    def will_hold(self, row: Row) -> bool:
        """Before `commit`: whether a row will be there."""
        return row in self.added or (row in self.rows and row not in self.removed)

    def matching_after(self, columns: Columns, key: Any) -> Iterable[Row]:
        """Before `commit`: the rows that will be there under a key of some columns (all rows for no columns)."""
        removed = self.removed
        if not columns:
            return [row for row in self.rows if row not in removed] + list(self.added)
        now: Collection[Row] = self.index(columns).get(key, ())
        if removed:
            now = [row for row in now if row not in removed]
        if not self.added:
            return now
        later = self._later.get(columns)
        if later is None:
            later = self._later[columns] = {}
            _fill(later, columns, self.added)
        more = later.get(key)
        return [*now, *more] if more else now

    def held(self, columns: Columns, key: Any) -> bool:
        """After `commit`: whether a row was there under a key of some columns; the key of all columns is the row."""
        added, removed = self.added, self.removed
        if not columns:
            return len(self.rows) - len(added) + len(removed) > 0
        if len(columns) == self.arity:
            return key in removed or (key in self.rows and key not in added)
        if any(row not in added for row in self.index(columns).get(key, ())):
            return True
        if not removed:
            return False
        later = self._later.get(columns)
        if later is None:
            later = self._later[columns] = {}
            _fill(later, columns, removed)
        return key in later


def _fill(index: Buckets, columns: Columns, rows: Iterable[Row]) -> None:
    find = index.get
    single, first, second = len(columns) == 1, columns[0], columns[-1]
    for row in rows:
        key = row[first] if single else (row[first], row[second]) if len(columns) == 2 else _part(row, columns)
        bucket = find(key)
        if bucket is None:
            index[key] = (row,)
        elif type(bucket) is list:
            bucket.append(row)
        elif type(bucket) is set:
            bucket.add(row)
        else:
            index[key] = [*bucket, row]


def _drain(index: Buckets, columns: Columns, rows: Iterable[Row]) -> None:
    single = len(columns) == 1
    for row in rows:
        key = row[columns[0]] if single else _part(row, columns)
        bucket = index[key]
        if len(bucket) == 1:
            del index[key]
            continue
        if len(bucket) > _LISTED and type(bucket) is list:
            bucket = index[key] = set(bucket)
        bucket.remove(row)
        if len(bucket) == 1:
            index[key] = tuple(bucket)


def _part(row: Row, columns: Columns) -> Row:
    return tuple([row[column] for column in columns])
