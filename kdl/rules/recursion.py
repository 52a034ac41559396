"""A recursive component kept up to date: grown by what is new, and by delete-and-rederive where something may be lost.

Rows of recursive relations carry no numbers of derivations: they could count each other. What arrives and leaves is a
set of candidates. If nothing leaves, the component grows round by round. Else everything that rests on what leaves is
deleted, then what another derivation still gives comes back; the rest of the program is told the difference. Where most
of the component would be deleted it is worked out anew.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from kdl.fact import Row
from kdl.rules.network import Component

if TYPE_CHECKING:
    from kdl.rules.maintain import State

Rows = dict[str, set[Row]]

SMALL: Final = 1000
"""So many deletions are always worked out one by one."""


def update(state: State, home: int) -> None:
    """Bring a component up to date with what arrives and leaves."""
    component = state.network.components[home]
    arriving = {name: set(state.arriving[name]) for name in component.names}
    leaving = {name: set(state.leaving[name]) for name in component.names}
    for name in component.names:
        state.arriving[name].clear()
        state.leaving[name].clear()
    if home in state.anew:
        state.anew.discard(home)
        _differ(state, component, *_anew(state, component))
    elif any(leaving.values()):
        doomed = _doomed(state, component, leaving, sum(map(len, arriving.values())))
        if doomed is None:
            _differ(state, component, *_anew(state, component))
        else:
            _differ(state, component, *_rederive(state, component, doomed, arriving))
    else:
        _grow(state, component, arriving, tell=True)


def _grow(state: State, component: Component, fresh: Rows, tell: bool) -> Rows:
    """Add rows and what follows from them within the component, round by round; all rows that were added.

    Each addition is a change of its own, so with `tell` those outside hear of it as it happens.
    """
    assert component.inner is not None
    grown: Rows = {name: set() for name in fresh}
    while True:
        news = {name: rows.difference(state.tables[name].rows) for name, rows in fresh.items() if rows}
        if not any(news.values()):
            return grown
        fresh = {name: set() for name in component.names}
        for name, rows in news.items():
            table = state.tables[name]
            if tell:
                table.pending = dict.fromkeys(rows, 1)
                state.visit(table)
            else:
                state.change(table, dict.fromkeys(rows, 1))
                grown[name] |= rows
        for name, rows in news.items():
            for reader in component.inner[name] if rows else ():
                target = state.network.clauses[reader.clause].target
                state.run_into(reader.clause, reader.place, rows, fresh[target])


def _anew(state: State, component: Component) -> tuple[Rows, Rows]:
    """Work everything out from the start; what is new, and what is gone."""
    before: dict[str, dict[Row, int]] = {}
    for name in component.names:
        table = state.tables[name]
        before[name] = table.clear()
        state.note(table.restore, before[name])
    fresh: Rows = {name: set() for name in component.names}
    for number in component.clauses:
        state.run_into(number, None, (None,), fresh[state.network.clauses[number].target])
    _grow(state, component, fresh, tell=False)
    rows = {name: state.tables[name].rows for name in component.names}
    return (
        {name: {row for row in rows[name] if row not in before[name]} for name in rows},
        {name: {row for row in before[name] if row not in rows[name]} for name in rows},
    )


def _doomed(state: State, component: Component, leaving: Rows, others: int) -> Rows | None:
    """All rows that some derivation lost leads to; None if they are too many for work row by row."""
    assert component.inner is not None
    rows = {name: state.tables[name].rows for name in component.names}
    most = max(SMALL, sum(map(len, rows.values())) // 2)
    doomed: Rows = {name: set() for name in component.names}
    frontier = leaving
    while True:
        frontier = {
            name: {row for row in found if row in rows[name] and row not in doomed[name]}
            for name, found in frontier.items()
        }
        if not any(frontier.values()):
            return doomed
        for name, found in frontier.items():
            doomed[name] |= found
        if sum(map(len, doomed.values())) + others > most:
            return None
        reached: Rows = {name: set() for name in component.names}
        for name, found in frontier.items():
            for reader in component.inner[name] if found else ():
                target = state.network.clauses[reader.clause].target
                state.run_into(reader.clause, reader.place, found, reached[target])
        frontier = reached


def _rederive(state: State, component: Component, doomed: Rows, arriving: Rows) -> tuple[Rows, Rows]:
    """Delete the doomed rows, then let come (back) what is derived without them; what is new, and what is gone."""
    for name, rows in doomed.items():
        state.change(state.tables[name], dict.fromkeys(rows, -1))
    candidates = {name: doomed[name] | arriving[name] for name in component.names}
    fresh = {name: {row for row in rows if state.derivable(name, row)} for name, rows in candidates.items()}
    grown = _grow(state, component, fresh, tell=False)
    return (
        {name: grown[name] - doomed[name] for name in component.names},
        {name: doomed[name] - grown[name] for name in component.names},
    )


def _differ(state: State, component: Component, added: Rows, removed: Rows) -> None:
    """Tell what is outside the component how it differs now."""
    changes = {
        name: dict.fromkeys(added[name], 1) | dict.fromkeys(removed[name], -1)
        for name in component.names
        if added[name] or removed[name]
    }
    if not any(map(state.network.heard, changes)):
        for name in changes:
            state.announce(name, added[name], removed[name])
        return
    for name, change in changes.items():
        state.change(state.tables[name], {row: -sign for row, sign in change.items()})
    for name, change in changes.items():
        state.tables[name].pending = change
        state.visit(state.tables[name])
