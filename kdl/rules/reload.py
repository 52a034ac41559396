"""Other rules over the same base facts: a change of rules is a delta like a change of facts.

A relation that is in both programs keeps its rows; clauses that are new add what they derive, clauses that are gone
take away what they derived, and what follows propagates. What cannot be kept so (new relations; recursive ones and
aggregates whose clauses changed; what reads such) starts empty and is derived again: its clauses are new ones, too.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from kdl.fact import Delta, Row
from kdl.rules.maintain import State
from kdl.rules.network import Component, Network, reads
from kdl.rules.program import Program


@dataclass(slots=True)
class Change:
    """How one state becomes another's: what is carried over, and the clauses to be run in the new and the old one."""

    kept: set[str] = field(default_factory=set)
    new: list[int] = field(default_factory=list)
    gone: list[int] = field(default_factory=list)


def change(old: State, new: State) -> Change:
    """What to do, looking at the new state's components in the order in which they depend on each other."""
    found = Change()
    for component in new.network.components:
        numbers = [number for name in component.names for number in new.network.clauses_of.get(name, ())]
        if not _matches(old, new, component):
            found.new += numbers
            continue
        before = [number for name in component.names for number in old.network.clauses_of.get(name, ())]
        added, removed = _differing(new.network, numbers, old.network, before)
        staying = set(numbers) - set(added)
        below = {read for n in staying for step in new.network.clauses[n].body for read in reads(step)}
        simple = not component.recursive and component.names[0] in new.tables
        if below <= found.kept | set(component.names) and (simple or not (added or removed)):
            found.kept.update(component.names)
            found.new += added
            found.gone += removed
        else:
            found.new += numbers
    return found


def carry(old: State, new: State, programs: tuple[Program, Program]) -> Delta:
    """Fill the new state from the old one's facts; in what its relations differ."""
    way = change(old, new)
    old.copy_to(new, way.kept)
    new.begin()
    try:
        for number in way.gone:
            _take_away(old, new, number)
        new.start(way.new)
        new.propagate()
    except BaseException:
        new.roll_back()
        raise
    report, delta = new.commit(), Delta()
    for name in {**programs[0].relations, **programs[1].relations}:
        if name in way.kept and name in programs[0].relations and name in programs[1].relations:
            added, removed = report.added.get(name, set()), report.removed.get(name, set())
        else:
            before, after = _rows(old, programs[0], name), _rows(new, programs[1], name)
            added, removed = after - before, before - after
        if added:
            delta.added[name] = set(added)
        if removed:
            delta.removed[name] = set(removed)
    return delta


def _matches(old: State, new: State, component: Component) -> bool:
    """Whether the old state has the same relations or aggregate together, in the same form."""
    home = old.network.home.get(component.names[0])
    if home is None or home in old.network.irregular or new.network.home[component.names[0]] in new.network.irregular:
        return False
    before = old.network.components[home]
    return (before.names, before.recursive) == (component.names, component.recursive) and all(
        old.network.accumulators.get(name) == new.network.accumulators.get(name)
        and _arity(old, name) == _arity(new, name)
        for name in component.names
    )


def _differing(new: Network, after: list[int], old: Network, before: list[int]) -> tuple[list[int], list[int]]:
    """The clauses of each side that the other side lacks."""
    left, right = [_parts(old, number) for number in before], [_parts(new, number) for number in after]
    start = 0
    while start < min(len(left), len(right)) and left[start] == right[start]:
        start += 1
    end = 0
    while end < min(len(left), len(right)) - start and left[-1 - end] == right[-1 - end]:
        end += 1
    gone = list(range(start, len(left) - end))
    added = []
    for place in range(start, len(right) - end):
        twin = next((other for other in gone if left[other] == right[place]), None)
        if twin is None:
            added.append(after[place])
        else:
            gone.remove(twin)
    return added, [before[place] for place in gone]


def _take_away(old: State, new: State, number: int) -> None:
    """What a clause of the old state derives there is derived once less in the new one."""
    function = old.function(number, None)
    if function.vain:
        return
    target = old.network.clauses[number].target
    pending = new.tables[target].pending
    function.ready()((None,), -1, pending)
    if pending:
        new.queue(target)


def _parts(network: Network, number: int) -> object:
    """What makes a clause what it is; its sentences and comments do not."""
    clause = network.clauses[number]
    return clause.target, clause.values, clause.body, clause.group


def _rows(state: State, program: Program, name: str) -> set[Row]:
    return set(state.tables[name].rows) if name in program.relations else set()


def _arity(state: State, name: str) -> int | None:
    return state.tables[name].arity if name in state.tables else None
