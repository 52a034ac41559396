"""What facts take of memory."""

from __future__ import annotations

import kdl
from tests.bench.memory import WANTED, measured


def test_a_fact_of_two_columns_takes_at_most_400_bytes_with_an_index_its_count_and_its_rank() -> None:
    for one in measured(200):
        print(f"{one.relation}: {one.each:.0f} bytes a fact, {one.allocated:.0f} by the allocator")
        assert one.facts > 900
        assert one.index > 0
        assert one.each <= WANTED
        assert one.allocated <= WANTED


def test_memory_is_told_by_relation_and_values_are_counted_once() -> None:
    engine = kdl.Engine(kdl.compile("input rel a(x: json).\nrel b(x: json).\nb(X) :- a(X).\nrel none(x: json).\n"))
    _, before = engine.memory()
    engine.apply(insert=[("a", ({"long": "x" * 10_000},))])
    found, values = engine.memory()
    assert (found["a"].facts, found["b"].facts, found["none"].facts) == (1, 1, 0)
    assert 0 < found["a"].each < 2000
    assert 10_000 < values - before < 12_000
