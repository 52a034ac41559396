"""Differences → an ordered, printable list of operations. Pure.

The order is total and depends on nothing but the differences: removals first (what they free may be needed), then
creations and replacements, then commands; within each, by relation and key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

from kdl.effects.diff import Difference
from kdl.effects.driver import Cause, Operation
from kdl.fact import Row, sort_key

_TURN = {"remove": 0, "create": 1, "replace": 1, "run": 2}


def order(differences: Iterable[Difference], cause: Callable[[Difference], Cause]) -> list[Operation]:
    """The operations for the differences, in the order in which they are to be started."""
    return [
        Operation(d.verb, d.relation, d.key, d.desired, d.observed, cause(d))
        for d in sorted(differences, key=lambda d: (_TURN[d.verb], d.relation, _sortable(d.key)))
    ]


def _sortable(key: Row) -> tuple[object, ...]:
    return tuple([sort_key(part) for part in key])


def render(operations: Iterable[Operation]) -> list[str]:
    """One line an operation: ``#2 node.container:n1/…/web, create, Pod default/web-1 runs here (node.dl:40)``."""
    return [f"#{number} {operation} ({operation.cause.rule})" for number, operation in enumerate(operations, 1)]
