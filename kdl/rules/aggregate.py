"""The state of an aggregate: for each group what its function needs to give the result anew after every change.

Derivations come with a sign; the binding tuples of an aggregate are the derivations of its body. Sums and counts are
numbers; the others keep the group's values in the order over all values (`kdl.fact.sort_key`), each with how often.
"""

from __future__ import annotations

from bisect import bisect_left, insort
from collections.abc import Iterable, Iterator
from decimal import Decimal
from itertools import repeat
from typing import Any, Final

from kdl.fact import Row, Value, sort_key, value


class Empty:
    """The type of `EMPTY`."""

    def __repr__(self) -> str:
        return "EMPTY"


EMPTY: Final = Empty()
"""The result of ``min``, ``max`` and ``list`` over nothing."""


Log = list[tuple["Accumulation", Row, Any, int]]
"""Additions to aggregates, in order, to be taken back."""


class Accumulation:
    """One aggregate's groups. `published` holds the results that rules see; `touched` the groups that changed since.

    Every addition is written to `log`, which all aggregates of an engine share.
    """

    def __init__(self, name: str, function: str, log: Log) -> None:
        self.name = name
        self.empty: Any = 0 if function in ("count", "sum") else EMPTY
        self.published: dict[Row, Any] = {}
        self.touched: dict[Row, None] = {}
        self._log = log
        self._numbers: dict[Row, Any] = {}
        self._members: dict[Row, _Members] = {}
        self._function = function
        self.add = self._count if function == "count" else self._sum if function == "sum" else self._gather

    def _count(self, group: Row, item: Any, sign: int) -> None:
        self._numbers[group] = self._numbers.get(group, 0) + sign
        self.touched[group] = None
        self._log.append((self, group, item, sign))

    def _sum(self, group: Row, item: Any, sign: int) -> None:
        if type(item) is int or type(item) is Decimal:
            self._numbers[group] = self._numbers.get(group, 0) + sign * item
            self.touched[group] = None
            self._log.append((self, group, item, sign))

    def _gather(self, group: Row, item: Any, sign: int) -> None:
        members = self._members.get(group)
        if members is None:
            members = self._members[group] = _Members()
        members.add(item, sign)
        self.touched[group] = None
        self._log.append((self, group, item, sign))

    def result(self, group: Row) -> Any:
        """The group's present result."""
        members = self._members.get(group)
        match self._function:
            case "count":
                return self._numbers.get(group, 0)
            case "sum":
                return value(self._numbers.get(group, 0))
            case "list":
                return members.all() if members else EMPTY
            case "min":
                return members.first() if members else EMPTY
            case _:
                return members.last() if members else EMPTY

    def copy_to(self, other: Accumulation) -> None:
        """Give another one of the same function this state."""
        other.published = dict(self.published)
        other._numbers = dict(self._numbers)
        other._members = {group: members.copy() for group, members in self._members.items()}

    def publish(self, results: Iterable[tuple[Row, Any]]) -> None:
        """Let rules see the results of groups."""
        for group, result in results:
            if result is EMPTY or (self.empty == 0 and result == 0):
                self.published.pop(group, None)
            else:
                self.published[group] = result

    def settle(self) -> tuple[list[tuple[Row, Any]], list[tuple[Row, Any]]]:
        """The groups whose result is another now: with the results that rules see, and with those they will see."""
        touched, self.touched = self.touched, {}
        old: list[tuple[Row, Any]] = []
        new: list[tuple[Row, Any]] = []
        if not self._numbers and not self._members:
            return list(self.published.items()), list(zip(self.published, repeat(self.empty)))
        for group in touched:
            before, after = self.published.get(group, self.empty), self.result(group)
            if before is not after and before != after:
                old.append((group, before))
                new.append((group, after))
            self.forget_empty(group)
        return old, new

    def clear(self) -> None:
        """Take away all that was added."""
        for group, number in self._numbers.items():
            self._log.append((self, group, number, -1) if self._function == "sum" else (self, group, 1, -number))
        for group, members in self._members.items():
            self._log += [(self, group, item, -count) for item, count in members.counted()]
        self._numbers.clear()
        self._members.clear()

    def forget_empty(self, group: Row) -> None:
        """Let go of the state of a group that has nothing left."""
        if not self._members.get(group, True):
            del self._members[group]
        if self._numbers.get(group) == 0:
            del self._numbers[group]


def combine(function: str, found: list[Any]) -> Any:
    """The result of an aggregate's function over the values of one group, worked out at once."""
    match function:
        case "count":
            return len(found)
        case "sum":
            return value(sum(item for item in found if type(item) is int or type(item) is Decimal))
        case "list":
            return tuple(sorted(found, key=sort_key)) if found else EMPTY
        case "min":
            return min(found, key=sort_key, default=EMPTY)
        case _:
            return max(found, key=sort_key, default=EMPTY)


class _Members:
    """A group's values in order, with how often each is there.

    While all of them have one shape (an integer, a text, or a tuple of these) Python's own order is that of the
    language, and they are their own keys; with the first of another shape `sort_key` gives the keys.
    """

    __slots__ = ("_counts", "_keys", "_shape", "_values")

    def __init__(self) -> None:
        self._keys: list[Any] = []
        self._counts: dict[Any, int] = {}
        self._shape: Any = None
        self._values: dict[Any, Value] | None = None
        """By key; None while the values are their own keys."""

    def __bool__(self) -> bool:
        return bool(self._keys)

    def copy(self) -> _Members:
        other = _Members()
        other._keys, other._counts, other._shape = list(self._keys), dict(self._counts), self._shape
        other._values = None if self._values is None else dict(self._values)
        return other

    def add(self, item: Value, sign: int) -> None:
        if self._values is None:
            shape = tuple(map(type, item)) if type(item) is tuple else type(item)
            if shape != self._shape and not self._takes(shape):
                self._mix()
        key: Any = item
        if self._values is not None:
            key = sort_key(item)
            self._values[key] = item
        count = self._counts.get(key)
        if count is None:
            self._counts[key] = sign
            insort(self._keys, key)
        elif count + sign:
            self._counts[key] = count + sign
        else:
            del self._counts[key]
            del self._keys[bisect_left(self._keys, key)]
            if self._values is not None:
                del self._values[key]

    def _takes(self, shape: Any) -> bool:
        """Whether this is the first shape, and one that Python orders as the language does."""
        simple = shape in _ORDERED or (type(shape) is tuple and all(part in _ORDERED for part in shape))
        if simple and not self._keys:
            self._shape = shape
            return True
        return False

    def _mix(self) -> None:
        """From here on keys are made by `sort_key`."""
        self._values = {sort_key(item): item for item in self._keys}
        self._counts = {sort_key(item): count for item, count in self._counts.items()}
        self._keys = [sort_key(item) for item in self._keys]

    def _value(self, key: Any) -> Value:
        found: Value = key if self._values is None else self._values[key]
        return found

    def first(self) -> Value:
        return self._value(self._keys[0])

    def last(self) -> Value:
        return self._value(self._keys[-1])

    def counted(self) -> Iterator[tuple[Value, int]]:
        for key, count in self._counts.items():
            yield self._value(key), count

    def all(self) -> tuple[Value, ...]:
        if self._values is None and len(self._keys) == sum(self._counts.values()):
            return tuple(self._keys)
        return tuple([self._value(key) for key in self._keys for _ in range(self._counts[key])])


_ORDERED: Final = frozenset((int, str))
