"""What observers of an engine see."""

from __future__ import annotations

import kdl
from kdl.fact import Fact
from kdl.rules.profile import Coverage, Profile
from kdl.rules.program import label

PROGRAM = """
input rel edge(a: int, b: int).
rel path(a: int, b: int).
path(A, B) :- edge(A, B).
path(A, C) :- path(A, B), edge(B, C).
rel out(a: int, n: int).
out(A, N) :- edge(A, _), N = count : { edge(A, _) }.
rel lone(a: int).
lone(A) :- edge(A, _), not path(A, A).
rel ring(a: int).
ring(A) :- path(A, A).
rel always(a: int).
always(1).
always(X) :- X in 2..3.
"""


def lines(rules) -> list[int]:
    return [int(label(rule).partition(":")[2]) for rule in rules]


def edges(*pairs: tuple[int, int]) -> list[Fact]:
    return [Fact("edge", pair) for pair in pairs]


def test_a_profile_counts_runs_rows_and_what_came_out():
    profile = Profile()
    engine = kdl.Engine(kdl.compile(PROGRAM), observer=profile)
    profile.clear()
    engine.apply(insert=edges((1, 2), (2, 3), (1, 3)))
    by_line = {lines([work.rule])[0]: work for work in profile.work.values()}
    assert by_line[4].derived == 3
    assert by_line[5].derived == 0  # 1 → 3 is there
    assert by_line[9].derived >= 2
    assert by_line[11].derived == 0
    assert all(work.seconds > 0 for work in profile.work.values())


def test_coverage_names_the_rules_that_never_derived_anything():
    program = kdl.compile(PROGRAM)
    coverage = Coverage()
    engine = kdl.Engine(program, observer=coverage)
    assert lines(coverage.missing(program)) == [4, 5, 7, 9, 11]
    engine.apply(insert=edges((1, 2), (2, 3)))
    assert lines(coverage.missing(program)) == [11]
    engine.apply(insert=edges((3, 1)))
    assert lines(coverage.missing(program)) == []


def test_an_observed_engine_derives_the_same():
    program = kdl.compile(PROGRAM)
    for observer in (Profile(), Coverage()):
        watched, plain = kdl.Engine(program, observer=observer), kdl.Engine(program)
        for insert, remove in (
            (edges((1, 2), (2, 3), (3, 1)), []),
            (edges((3, 4)), edges((1, 2))),
            ([], edges((2, 3))),
        ):
            watched.apply(insert, remove)
            plain.apply(insert, remove)
            assert all(set(watched.facts(name)) == set(plain.facts(name)) for name in program.relations)
