"""A recursive component kept up to date: ranks tell what each row may rest on.

Rows of recursive relations carry no numbers of derivations: they could count each other. Each has a rank instead, and
always a derivation, its witness, from rows of its component that all have lower ranks. So losing a derivation from
rows that are not lower means nothing, and else one search, for another derivation from lower rows, tells whether the
row stays. Losses are worked on from low ranks to high ones: by the time of the search what is lower has been decided.
Then what is lost comes back where some derivation is left, with a rank of its own, and what is new comes too, again
from low ranks to high ones. Where this takes more effort than to work the component out anew, that is done.
"""

from __future__ import annotations

import heapq
from collections.abc import Collection, Iterable, Mapping
from typing import TYPE_CHECKING, Final

from kdl.fact import Row
from kdl.rules.compile import Way
from kdl.rules.network import Component

if TYPE_CHECKING:
    from kdl.rules.maintain import State

Ranks = dict[str, dict[Row, int]]
"""By relation: rows with their ranks, or with what is added to them."""

SMALL: Final = 1000
"""So many changes are always worked on one by one."""

_EFFORT: Final = 5
"""For each row that a component has or rests on, so many bindings may be made before it is worked out anew."""

_CHANGE: Final = 30
"""To change a row takes as long as so many bindings."""


class _Levels:
    """Rows that wait for their turn, by rank."""

    def __init__(self) -> None:
        self._rows: dict[int, dict[str, set[Row]]] = {}
        self._ranks: list[int] = []

    def __bool__(self) -> bool:
        return bool(self._ranks)

    def add(self, name: str, ranks: Iterable[tuple[Row, int | None]]) -> None:
        """Wait with rows, each for the turn of its rank; what has none is left out."""
        for row, rank in ranks:
            if rank is None:
                continue
            level = self._rows.get(rank)
            if level is None:
                level = self._rows[rank] = {}
                heapq.heappush(self._ranks, rank)
            rows = level.get(name)
            if rows is None:
                level[name] = {row}
            else:
                rows.add(row)

    def lowest(self) -> tuple[int, dict[str, set[Row]]]:
        """Take out the rows of the lowest rank."""
        rank = heapq.heappop(self._ranks)
        return rank, self._rows.pop(rank)


def update(state: State, home: int) -> None:
    """Bring a component up to date with what arrives and leaves."""
    component = state.network.components[home]
    arriving = {name: dict(state.arriving[name]) for name in component.names}
    leaving = {name: set(state.leaving[name]) for name in component.names}
    for name in component.names:
        state.arriving[name].clear()
        state.leaving[name].clear()
    size = state.size(component.names)
    most = max(SMALL, size // 2)
    effort = _EFFORT * max(SMALL, size + state.size(state.network.sources[home].difference(component.names)))
    lost: Ranks = {name: {} for name in component.names}
    gained: Ranks = {name: {} for name in component.names}
    if sum(map(len, (*arriving.values(), *leaving.values()))) > most:
        state.anew.add(home)
    if home not in state.anew:
        doubtful = {name: rows.intersection(arriving[name]) for name, rows in leaving.items()}
        done = _lose(state, component, leaving, lost, effort)
        state.taken += sum(map(len, lost.values()))
        if done and _gain(state, component, arriving, doubtful, lost, gained, most, effort):
            if any(lost.values()):
                _tell(state, component, _difference(lost, gained))
            return
        for name, changes in _difference(lost, gained).items():
            state.change(state.tables[name], {row: -change for row, change in changes.items()})
    state.anew.discard(home)
    _anew(state, home)


def _lose(state: State, component: Component, leaving: Mapping[str, set[Row]], lost: Ranks, effort: float) -> bool:
    """Take away what has no derivation from lower rows any more; False if that takes more than an effort."""
    assert component.inner is not None
    levels = _Levels()
    for name, rows in leaving.items():
        levels.add(name, zip(rows, map(state.tables[name].rows.get, rows), strict=True))
    while levels:
        rank, suspects = levels.lowest()
        doomed: dict[str, Collection[Row]] = {}
        for name, rows in suspects.items():
            rest: Collection[Row] = rows
            for support in state.supports(name, lowest=False):
                effort -= support.effort * len(rest)
                rest = support.ready()(rest, rank) if rest else rest
            if rest:
                doomed[name] = rest
        if effort < 0:
            return False
        reached: dict[str, set[Row]] = {name: set() for name in component.names}
        for name, rest in doomed.items():
            for reader in component.inner[name]:
                target = state.network.clauses[reader.clause].target
                effort -= state.reach(reader.clause, reader.place, Way.LOSE, rest, rank, reached[target])
        for name, rest in doomed.items():
            lost[name].update(dict.fromkeys(rest, rank))
            state.change(state.tables[name], dict.fromkeys(rest, -rank))
            effort -= _CHANGE * len(rest)
        for name, found in reached.items():
            levels.add(name, zip(found, map(state.tables[name].rows.get, found), strict=True))
    return True


def _gain(
    state: State,
    component: Component,
    arriving: Ranks,
    doubtful: Mapping[str, set[Row]],
    lost: Ranks,
    gained: Ranks,
    most: int,
    effort: float,
) -> bool:
    """Add what arrives, what is lost and still derived, and all that follows; False if it is too much.

    That is more than `most` rows or, if something was lost, more than an effort.

    If nothing was lost each addition is a change of its own, of which those outside hear as it happens.
    """
    assert component.inner is not None
    levels = _Levels()
    losses = any(lost.values())
    for name in component.names:
        if losses:
            missing = lost[name].keys() | arriving[name].keys()
            effort -= len(missing) * sum([support.effort for support in state.supports(name, lowest=True)])
            if effort < 0:
                return False
            levels.add(name, _ranked(state, name, missing).items())
        else:
            levels.add(name, [pair for pair in arriving[name].items() if pair[0] not in doubtful[name]])
            levels.add(name, _ranked(state, name, doubtful[name]).items())
    count = 0
    while levels:
        rank, found = levels.lowest()
        news: dict[str, set[Row]] = {}
        for name, rows in found.items():
            table = state.tables[name]
            rows = {row for row in rows if row not in table.rows}
            if not rows:
                continue
            news[name] = rows
            if losses:
                effort -= _CHANGE * len(rows)
                state.change(table, dict.fromkeys(rows, rank))
                gained[name].update(dict.fromkeys(rows, rank))
            else:
                table.pending = dict.fromkeys(rows, rank)
                state.visit(table)
            count += len(rows)
        if count > most or (losses and effort < 0):
            return False
        for name, rows in news.items():
            for reader in component.inner[name]:
                target = state.network.clauses[reader.clause].target
                reached: dict[Row, int] = {}
                effort -= state.reach(reader.clause, reader.place, Way.GAIN, rows, rank, reached)
                levels.add(target, reached.items())
    return True


def _ranked(state: State, name: str, rows: Collection[Row]) -> dict[Row, int]:
    """Those rows that something derives from what is there, with the lowest rank that it gives."""
    found: dict[Row, int] = {}
    for support in state.supports(name, lowest=True) if rows else ():
        support.ready()(rows, found)
    return found


def _difference(lost: Ranks, gained: Ranks) -> Ranks:
    """What was added to each row's rank."""
    found: Ranks = {}
    for name, ranks in lost.items():
        changes = {row: -rank for row, rank in ranks.items()}
        for row, rank in gained[name].items():
            changes[row] = changes.get(row, 0) + rank
        found[name] = changes
    return found


def _tell(state: State, component: Component, changes: Ranks) -> None:
    """Tell what is outside the component of a change that has been made in it."""
    for name, ranks in changes.items():
        rows = state.tables[name].rows
        changes[name] = {row: change for row, change in ranks.items() if rows.get(row) in (None, change)}
    if not any(map(state.network.heard, component.names)):
        for name, ranks in changes.items():
            added, removed = _sides(ranks)
            state.announce(name, added, removed)
        return
    for name, ranks in changes.items():
        state.change(state.tables[name], {row: -change for row, change in ranks.items()})
    for name, ranks in changes.items():
        state.tables[name].pending = ranks
        state.visit(state.tables[name])


def _sides(ranks: Mapping[Row, int]) -> tuple[set[Row], set[Row]]:
    return {row for row, change in ranks.items() if change > 0}, {row for row, change in ranks.items() if change < 0}


def _anew(state: State, home: int) -> None:
    """Work everything out from the start, and tell how it differs."""
    changes: Ranks = {}
    for name, ranks in state.bulk(home).grow(state):
        old = state.tables[name].rows
        if not old and not state.network.heard(name):
            state.load(state.tables[name], ranks)
            continue
        if old:
            changes[name] = {row: rank - old.get(row, 0) for row, rank in ranks.items() if old.get(row, 0) != rank}
            changes[name].update({row: -rank for row, rank in old.items() if row not in ranks})
        else:
            changes[name] = ranks
    for name, ranks in changes.items():
        state.tables[name].pending = ranks
        state.visit(state.tables[name])
