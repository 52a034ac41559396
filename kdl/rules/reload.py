"""Other rules over the same base facts: what the change of rules does not touch is carried over as it is.

A relation is touched if its clauses are others than before or if they read something touched. What is touched starts
empty in the new state, which is then a state like any other: the touched clauses are run once over what was carried
over, and what follows from them propagates as a delta does.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from kdl.fact import Delta, Row
from kdl.rules.maintain import State
from kdl.rules.network import Network, reads
from kdl.rules.program import Program


def kept(old: State, new: State) -> frozenset[str]:
    """The relations and aggregates of the new state that are as in the old one."""
    found: set[str] = set()
    for component in new.network.components:
        before = old.network.home.get(component.names[0])
        if before is None or old.network.components[before].names != component.names:
            continue
        same = all(
            _arity(old, name) == _arity(new, name) and _clauses(old.network, name) == _clauses(new.network, name)
            for name in component.names
        )
        below = {
            read
            for name in component.names
            for number in new.network.clauses_of.get(name, ())
            for step in new.network.clauses[number].body
            for read in reads(step)
        }
        if same and below <= found | set(component.names):
            found.update(component.names)
    return frozenset(found)


def carry(old: State, new: State) -> frozenset[str]:
    """Fill the new state from the old one's facts; what was carried over as it was."""
    same = kept(old, new)
    old.copy_to(new, same)
    new.begin()
    touched = [number for number, clause in enumerate(new.network.clauses) if clause.target not in same]
    try:
        new.start(touched)
        new.propagate()
    except BaseException:
        new.roll_back()
        raise
    new.commit()
    return same


def difference(old: State, new: State, programs: tuple[Program, Program], same: frozenset[str]) -> Delta:
    """What the new state's relations have that the old one's had not, and the reverse."""
    delta = Delta()
    for name in {**programs[0].relations, **programs[1].relations}:
        if name in same:
            continue
        before, after = _rows(old, programs[0], name), _rows(new, programs[1], name)
        if added := after.keys() - before.keys():
            delta.added[name] = added
        if removed := before.keys() - after.keys():
            delta.removed[name] = removed
    return delta


def _rows(state: State, program: Program, name: str) -> Mapping[Row, int]:
    return state.tables[name].rows if name in program.relations else {}


def _arity(state: State, name: str) -> int | None:
    return state.tables[name].arity if name in state.tables else None


def _clauses(network: Network, name: str) -> list[object]:
    return list(_parts(network, name))


def _parts(network: Network, name: str) -> Iterator[object]:
    """What makes a relation what it is; sentences and comments do not."""
    if name in network.accumulators:
        yield network.accumulators[name]
    for number in network.clauses_of.get(name, ()):
        clause = network.clauses[number]
        yield clause.target, clause.values, clause.body, clause.group
