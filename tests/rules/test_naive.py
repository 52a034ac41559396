"""The specification's interface."""

from __future__ import annotations

import pytest

import kdl
from kdl.rules.naive import Naive

PROGRAM = """
input rel edge(a: int, b: int).
input rel at(t: time).
rel path(a: int, b: int).
path(X, Y) :- edge(X, Y).
path(X, Y) :- edge(X, Z), path(Z, Y).
rel on(t: time).
on(T) :- at(T), due(T).
"""


def test_a_delta_reports_all_relations_and_only_changes() -> None:
    system = Naive(kdl.compile(PROGRAM))
    first = system.apply(insert=[("edge", (1, 2)), ("edge", (2, 3))])
    assert first.added == {"edge": {(1, 2), (2, 3)}, "path": {(1, 2), (2, 3), (1, 3)}}
    assert not first.removed
    second = system.apply(insert=[("edge", (1, 3))])
    assert second.added == {"edge": {(1, 3)}}
    assert not system.apply(insert=[("edge", (1, 3))])


def test_a_query_gives_each_row_once() -> None:
    system = Naive(kdl.compile(PROGRAM))
    system.apply(insert=[("edge", (1, 2)), ("edge", (2, 3))])
    assert system.query("path(1, X), not edge(1, X)") == [{"X": 3}]
    assert system.query("path(1, _)") == [{}]


def test_the_next_time_is_told_and_the_clock_never_goes_back() -> None:
    system = Naive(kdl.compile(PROGRAM))
    system.apply(insert=[("at", (2000,)), ("at", (1000,))])
    assert system.due() == 1000
    system.apply(now=1500)
    assert system.due() == 2000
    assert system.facts("on") == {(1000,)}
    with pytest.raises(ValueError, match="never goes back"):
        system.apply(now=1000)


def test_a_row_of_the_wrong_length_is_refused_and_changes_nothing() -> None:
    system = Naive(kdl.compile(PROGRAM))
    with pytest.raises(ValueError, match="2 columns"):
        system.apply(insert=[("edge", (1, 2)), ("edge", (1,))])
    assert system.facts("edge") == set()


def test_python_values_are_normalised() -> None:
    system = Naive(kdl.compile("input rel v(x: any).\nrel w(x: any).\nw(X) :- v(X), X != 1.\n"))
    system.apply(insert=[("v", (True,)), ("v", (1,)), ("v", (["a", {"b": None}],))])
    assert len(system.facts("v")) == 3
    assert len(system.facts("w")) == 2
