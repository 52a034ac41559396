"""Strata are in the order of evaluation; what has no order, or no end, is refused."""

import pytest

from kdl.rules.components import components
from tests.rules.programs import mistake, program

DECLARED = """
input rel e(a: int, b: int).
input rel name(a: str).
rel n(a: int).
rel m(a: int).
rel path(a: int, via: json).
rel word(a: str).
"""


def test_strata_come_after_what_they_need():
    found = program(DECLARED + "n(X) :- e(X, _), not m(X).\nm(X) :- e(X, Y), m(Y).")
    order = {name: index for index, stratum in enumerate(found.strata) for name in stratum.relations}
    assert order["e"] < order["m"] < order["n"]
    assert [stratum.recursive for stratum in found.strata if "m" in stratum.relations] == [True]
    assert sorted(index for stratum in found.strata for index in stratum.rules) == list(range(len(found.rules)))


def test_components_are_those_of_the_graph():
    found = components({"a": ["b"], "b": ["c"], "c": ["b", "d"], "d": []})
    assert [sorted(group) for group in found] == [["d"], ["b", "c"], ["a"]]


def test_a_deep_chain_of_relations_is_no_problem():
    edges = {str(i): [str(i + 1)] for i in range(5000)} | {"5000": []}
    assert len(list(components(edges))) == 5001


def test_a_cycle_through_a_negation_is_shown_as_a_path_of_rules():
    found = mistake(DECLARED + 'n(X) :- e(X, _), not m(X).\nm(X) :- word(f"{X}"), e(X, _).\nword(f"{X}") :- n(X).')
    assert found.code == "KDL301"
    assert [note.message for note in found.notes] == [
        "`m` needs `word` at text0.dl:9",
        "`word` needs `n` at text0.dl:10",
    ]


BOUNDED = [
    "n(X + 1) :- n(X), X < 10.",
    "n(Y) :- n(X), Y = X + 1, Y < 10.",
    "n(Y) :- n(X), Y = X - 1, 3 <= X.",
    "n(Y) :- n(X), Y = X + 1, Y < 10 and Y > 3.",
    "n(Y) :- n(X), Y in 1..X.",
    "n(Y) :- n(X), Y = X * X, Y in 1..5.",
    "n(Y) :- n(X), Y = X + 1, e(Y, _).",
    "n(X + 1) :- n(X), e(_, Max), X < Max.",
    "n(X / 2) :- n(X).",
    "n(X % 7) :- n(X).",
    "word(lower(X)) :- word(X).",
    'word(P) :- word(X), P in split(X, "/").',
    "path(Y, P + [Y]) :- path(X, P), e(X, Y), not (Y in P).",
    "path(Y, concat(P, [Y])) :- path(X, P), e(X, Y), size(P) < 4.",
    "path(X + 1, concat(P, [X])) :- path(X, P), X < 4.",
    "path(1, [X]) :- path(2, X).",
]

UNBOUNDED = [
    "n(X + 1) :- n(X).",
    "n(X + 1) :- n(X), X > 10.",
    "n(X - 1) :- n(X), X < 10.",
    "n(Y) :- n(X), Y in X..X+1.",
    "n(X + 1) :- n(X), n(Y), X < Y.",
    "n(X * 2) :- n(X), X > 0.",
    "n(X + Y) :- n(X), e(Y, _).",
    'word(f"{X}a") :- word(X).',
    'word(X + "a") :- word(X).',
    "path(Y, P + [Y]) :- path(X, P), e(X, Y).",
    "path(X, [P]) :- path(X, P), size(P) < 4.",
    "path(1, [X]) :- path(2, X).\npath(2, [X]) :- path(1, X).",
    "m(X) :- n(X).\nn(X + 1) :- m(X).",
    "n(hash_of(X)) :- n(X).\ndef hash_of(X) = size(hash(X)) + X.",
]


@pytest.mark.parametrize("rule", BOUNDED)
def test_recursion_with_a_guard_is_let_through(rule: str):
    assert program(DECLARED + rule).rules


@pytest.mark.parametrize("rule", UNBOUNDED)
def test_recursion_that_makes_values_without_a_bound_is_refused(rule: str):
    assert mistake(DECLARED + rule).code == "KDL302"
