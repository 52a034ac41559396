"""What kdl's own ways cost: deletes in recursion, by the facts that they take away, and what proofs need."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from statistics import median
from typing import Any, Final
from unittest.mock import patch

from kdl.fact import Row
from kdl.rules import recursion
from kdl.rules.bulk import Bulk, Groups, _rows
from kdl.rules.maintain import State
from tests.bench.engine.systems.kdl import Kdl
from tests.bench.engine.workloads import WORKLOADS

RECURSIVE: Final = ("closure", "generation", "pointsto")


@dataclass(frozen=True, slots=True)
class Deletes:
    """Deletes of random facts at the largest size; facts are those of recursive relations, of all deletes together."""

    workload: str
    times: int
    seconds: float
    removed: int
    """Facts that were there before and not after."""
    taken: int
    """Facts that were taken away, those that came back included."""
    anew: int
    """So many deletes ended in working everything out anew."""


@dataclass(frozen=True, slots=True)
class Provenance:
    """The seconds of a cold run, and of one that keeps no ranks: facts alone, without any proof."""

    workload: str
    kept: float
    bare: float


def deletes(changes: int, seconds: float) -> Iterator[Deletes]:
    """For each recursive workload the random changes of `measure`, at most for some seconds."""
    for name in RECURSIVE:
        workload = WORKLOADS[name]
        facts = workload.made("large")
        here = Kdl(workload)
        here.load(facts)
        here.evaluate()
        state: State = here.engine._state
        worked_out: list[int] = []
        times, spent, removed, taken = 0, 0.0, 0, 0
        with patch.object(recursion, "_anew", _counted(worked_out)):
            for there, row in workload.changes(facts, 1000)[:changes]:
                for insert in (not there, there):
                    before, size = state.taken, _size(state)
                    took = here.change(insert, row)
                    if not insert:
                        times, spent = times + 1, spent + took
                        removed, taken = removed + size - _size(state), taken + state.taken - before
                if spent > seconds:
                    break
        yield Deletes(name, times, spent, removed, taken, len(worked_out))


def _counted(worked_out: list[int]) -> Any:
    anew = recursion._anew

    def counted(state: State, home: int) -> None:
        worked_out.append(home)
        anew(state, home)

    return counted


def _size(state: State) -> int:
    return state.size(state.network.recursive)


def provenance(runs: int = 5) -> Iterator[Provenance]:
    """For each recursive workload at the largest size, both in turn."""
    for name in RECURSIVE:
        workload = WORKLOADS[name]
        facts, kept, bare = workload.made("large"), list[float](), list[float]()
        here = Kdl(workload)
        here.load(facts)
        counts: set[int] = set()
        for _ in range(runs):
            for around, times in ((nullcontext, kept), (_bare, bare)):
                with around():
                    times.append(here.evaluate())
                counts.add(here.count())
                del here.engine  # that it goes is no part of the next run
        if len(counts) > 1:
            raise AssertionError(f"{name} has other answers without proofs: {counts}")
        yield Provenance(name, median(kept), median(bare))


@contextmanager
def _bare() -> Iterator[None]:
    """Recursion that is worked out meanwhile has facts alone."""
    with patch.object(Bulk, "_add", _add_alone), patch("kdl.rules.bulk._ranks", _rows_alone):
        yield


def _add_alone(bulk: Bulk, name: str, groups: Groups, rank: int) -> Groups:
    held, news = bulk._held[name], {}
    for first, found in groups.items():
        old = held.get(first)
        if old is None:
            held[first] = set(found)
        else:
            found = found.difference(old)
            if not found:
                continue
            old |= found
        news[first] = found
    bulk._follow(name, news)
    return news


def _rows_alone(arity: int, held: Groups) -> dict[Row, int]:
    if arity == 2:
        return dict.fromkeys([(first, last) for first, found in held.items() for last in found], 1)
    return dict.fromkeys(_rows(arity, held), 1)
