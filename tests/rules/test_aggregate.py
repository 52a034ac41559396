"""The state of aggregates, and aggregates in rules that gain and lose what they range over."""

from __future__ import annotations

from decimal import Decimal

import pytest

from kdl.fact import FALSE, TRUE, sort_key
from kdl.rules.aggregate import EMPTY, Accumulation, Log, combine
from tests.rules.histories import Twins

EACH = """
input rel p(k: str, v: any).
input rel g(k: str).
rel r(k: str, v: any).
r(K, R) :- g(K), R = {} : {{ p(K, V) }}{}.
"""


def test_counts_and_sums_of_nothing_are_zero():
    for function, found in (("count", 0), ("sum V", 0)):
        twins = Twins(EACH.format(function, ""))
        twins.apply([("g", ("a",))])
        assert twins.facts("r") == [("a", found)]


def test_the_others_fail_over_nothing_unless_there_is_a_default():
    for function in ("min V", "max V", "list V"):
        twins = Twins(EACH.format(function, ""))
        twins.apply([("g", ("a",))])
        assert twins.facts("r") == []
        twins = Twins(EACH.format(function, " ?? 7"))
        twins.apply([("g", ("a",))])
        assert twins.facts("r") == [("a", 7)]


@pytest.mark.parametrize(
    ("function", "results"),
    [
        ("count", [2, 3, 2, 0]),
        ("sum V", [5, 6, 3, 0]),
        ("min V", [2, 1, 1, None]),
        ("max V", [3, 3, 2, None]),
        ("list V", [(2, 3), (1, 2, 3), (1, 2), None]),
    ],
)
def test_each_function_follows_what_comes_and_goes_down_to_an_empty_group(function, results):
    twins = Twins(EACH.format(function, ""))
    steps = [
        ([("g", ("a",)), ("p", ("a", 2)), ("p", ("a", 3)), ("p", ("b", 9))], []),
        ([("p", ("a", 1))], []),
        ([], [("p", ("a", 3))]),
        ([], [("p", ("a", 1)), ("p", ("a", 2))]),
    ]
    for (insert, remove), result in zip(steps, results, strict=True):
        twins.apply(insert, remove)
        assert twins.facts("r") == ([] if result is None else [("a", result)])


def test_a_group_whose_result_stays_makes_no_change():
    twins = Twins(EACH.format("max V", ""))
    twins.apply([("g", ("a",)), ("p", ("a", 5)), ("p", ("a", 1))])
    delta = twins.apply([("p", ("a", 2))], [("p", ("a", 1))])
    assert "r" not in delta.added
    assert "r" not in delta.removed


def test_a_list_keeps_duplicates_and_counts_each_binding_tuple():
    twins = Twins("""
input rel p(k: str, v: int).
rel r(n: int, l: any, s: int).
r(N, L, S) :- N = count : { p(_, _) }, L = list V : { p(_, V) }, S = sum V : { p(_, V) }.
""")
    twins.apply([("p", ("a", 1)), ("p", ("b", 1)), ("p", ("c", 0))])
    assert twins.facts("r") == [(3, (0, 1, 1), 2)]
    twins.apply(remove=[("p", ("a", 1))])
    assert twins.facts("r") == [(2, (0, 1), 1)]


def test_positions_of_a_list_count_apart():
    twins = Twins("""
input rel d(x: json).
rel r(n: int).
r(N) :- N = count : { d(D), V in D.l, V = 1 }.
""")
    twins.apply([("d", ({"l": [1, 1, 2]},))])
    assert twins.facts("r") == [(2,)]


def test_due_in_an_aggregate_counts_each_binding_tuple():
    """Bindings that differ only in what is not used later are still bindings of their own."""
    twins = Twins("""
input rel n(x: int).
input rel e(x: int, y: int).
rel r(x: int, s: int).
r(X, S) :- n(X), S = sum Y : { e(_, Y), not due(X * 1000) }.
""")
    twins.apply([("n", (2,)), ("e", (1, 3)), ("e", (2, 3))])
    assert twins.facts("r") == [(2, 6)]
    twins.apply(now=2000)
    assert twins.facts("r") == [(2, 0)]


def test_an_inner_test_may_use_what_only_the_outside_binds():
    twins = Twins("""
input rel n(x: int).
input rel q(y: int).
rel below(x: int, c: int).
below(X, C) :- n(X), C = count : { q(Y), Y < X }.
""")
    twins.apply([("n", (3,)), ("n", (0,)), ("q", (1,)), ("q", (2,)), ("q", (3,))])
    assert twins.facts("below") == [(0, 0), (3, 2)]
    twins.apply([("n", (9,))], [("q", (1,))])
    assert twins.facts("below") == [(0, 0), (3, 1), (9, 2)]
    twins.apply(remove=[("n", (3,))])
    assert twins.facts("below") == [(0, 0), (9, 2)]


def test_the_best_of_tuples_is_an_argmax_and_falls_back_to_the_next():
    twins = Twins("""
input rel score(k: str, n: str, s: int).
rel best(k: str, n: str).
best(K, N) :- score(K, _, _), (_, N) = max (S, M) : { score(K, M, S) }.
""")
    twins.apply([("score", ("a", "n1", 5)), ("score", ("a", "n2", 9)), ("score", ("a", "n3", 9))])
    assert twins.facts("best") == [("a", "n3")]
    twins.apply(remove=[("score", ("a", "n3", 9))])
    assert twins.facts("best") == [("a", "n2")]


def test_an_aggregate_over_what_only_recursion_binds_follows_what_it_ranges_over():
    twins = Twins("""
input rel e(x: int, y: int).
input rel w(x: int).
rel r(x: int).
r(0).
r(Y) :- r(X), e(X, Y), N = count : { w(Z), Z < Y }, N < 2.
""")
    twins.apply([("e", (0, 1)), ("e", (1, 2)), ("e", (2, 3)), ("w", (0,))])
    assert twins.facts("r") == [(0,), (1,), (2,), (3,)]
    twins.apply([("w", (1,))])
    assert twins.facts("r") == [(0,), (1,)]
    twins.apply(remove=[("w", (0,))])
    assert twins.facts("r") == [(0,), (1,), (2,), (3,)]


def test_an_aggregate_of_an_aggregate_follows():
    twins = Twins("""
input rel p(k: str, g: str, v: int).
rel r(k: str, m: int).
r(K, M) :- p(K, _, _), M = max S : { p(K, G, _), S = sum V : { p(K, G, V) } }.
""")
    twins.apply([("p", ("a", "x", 2)), ("p", ("a", "x", 3)), ("p", ("a", "y", 4))])
    assert twins.facts("r") == [("a", 5)]
    twins.apply(remove=[("p", ("a", "x", 3))])
    assert twins.facts("r") == [("a", 4)]


def test_values_of_different_type_are_different_members():
    accumulation = Accumulation("a", "list", [])
    for item in (1, TRUE, "1", FALSE, 0):
        accumulation.add((), item, 1)
    assert accumulation.result(()) == (FALSE, TRUE, 0, 1, "1")
    accumulation.add((), TRUE, -1)
    assert accumulation.result(()) == (FALSE, 0, 1, "1")


@pytest.mark.parametrize("odd", [TRUE, None, "a", (1, "a"), (1, None), (1, 2, 3), Decimal("0.5"), (1, (2,))])
def test_values_of_mixed_shapes_are_ordered_as_the_language_orders_them(odd):
    """Python's own order serves values of one shape; the first of another shape changes over."""
    accumulation = Accumulation("a", "list", [])
    values: list[object] = [(2, 1), (1, 2), (1, 1), (1, 2)]
    for item in values:
        accumulation.add((), item, 1)
    assert accumulation.result(()) == tuple(sorted(values))
    accumulation.add((), odd, 1)
    assert accumulation.result(()) == tuple(sorted([*values, odd], key=sort_key))
    accumulation.add((), (1, 2), -1)
    accumulation.add((), odd, -1)
    assert accumulation.result(()) == ((1, 1), (1, 2), (2, 1))


def test_the_log_takes_every_addition_back():
    log: Log = []
    accumulation = Accumulation("a", "min", log)
    accumulation.add(("x",), 3, 1)
    log.clear()
    accumulation.add(("x",), 1, 1)
    accumulation.add(("x",), 3, -1)
    for _, group, item, sign in reversed(list(log)):
        accumulation.add(group, item, -sign)
    assert accumulation.result(("x",)) == 3


@pytest.mark.parametrize("function", ["count", "sum", "min", "max", "list"])
def test_working_it_out_at_once_gives_what_keeping_it_gives(function):
    values = [3, 1, 1, 2]
    accumulation = Accumulation("a", function, [])
    assert combine(function, []) == accumulation.empty or combine(function, []) is EMPTY
    for item in values:
        accumulation.add((), item, 1)
    assert combine(function, values) == accumulation.result(())
