"""The second opinion: what pyDatalog can express of the shipped packs, it answers as the engine does."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest

import kdl
from kdl.rules.pydatalog import Inexpressible, SecondOpinion
from kdl.runtime.questions import second_opinion
from kdl.runtime.shell.scratch import settled

EXAMPLES = Path(__file__).parents[2] / "examples"


@pytest.mark.parametrize("example", ["01-hello", "03-pending"])
def test_pydatalog_agrees_on_every_relation_of_the_packs_that_it_can_express(
    example: str, capsys: pytest.CaptureFixture[str]
) -> None:
    program = kdl.compile(list(kdl.shipped()))
    engine = settled(program, [EXAMPLES / example], 3).brain.engine
    opinion, agreed, full, reasons = SecondOpinion(engine), 0, 0, Counter[str]()
    derived = sorted(name for name, relation in program.relations.items() if not relation.input)
    for name in derived:
        try:
            rows = opinion.rows(name)
        except Inexpressible as reason:
            reasons[str(reason).partition(" (")[0]] += 1
            continue
        assert rows == engine.facts(name), name
        agreed, full = agreed + 1, full + bool(rows)
    with capsys.disabled():
        print(f"\n  {example}: pyDatalog agrees on {agreed} of {len(derived)} relations, {full} of them with facts")
        for reason, number in reasons.most_common():
            print(f"    {number} not asked: {reason}")
    assert agreed > 100
    assert full > 30


RULES = """
input rel e(a: int, b: int).
input rel s(a: str, b: int).
rel path(a: int, b: int).
path(X, Y) :- e(X, Y).
path(X, Z) :- e(X, Y), path(Y, Z).
rel apart(a: int, b: int).
apart(X, Y) :- e(X, _), e(_, Y), not path(X, Y).
rel total(a: str, n: int, m: int, k: int).
total(A, N, M, K) :- s(A, _), N = sum B : { s(A, B) }, M = max B : { s(A, B) }, K = count : { s(_, _), e(_, _) }.
rel none(a: str, n: int).
none(A, N) :- s(A, _), N = count : { s(A, B), B > 5 }.
rel text(a: str).
text(f"{A}/{B}") :- s(A, _), s(B, _), A != B.
rel odd(a: str).
odd("True") :- s(_, N), N in [1, 7].
rel few(a: int).
few(N + 1) :- s("a", N), N * 2 < 5.
"""


def test_pydatalog_says_recursion_negation_aggregates_and_texts() -> None:
    engine = kdl.Engine(kdl.compile(RULES))
    engine.apply(insert=[("e", edge) for edge in ((1, 2), (2, 3), (3, 2), (4, 4))])
    engine.apply(insert=[("s", pair) for pair in (("a", 1), ("a", 2), ("b", 2))])
    opinion = SecondOpinion(engine)
    for name in ("path", "apart", "total", "none", "text", "odd", "few"):
        assert engine.facts(name)
        assert opinion.rows(name) == engine.facts(name), name


def test_an_engine_that_is_wrong_would_be_found_out() -> None:
    engine = kdl.Engine(kdl.compile(RULES))
    engine.apply(insert=[("e", (1, 2)), ("e", (2, 3))])
    right = SecondOpinion(engine).rows("path")
    engine._state.tables["path"].rows.pop((1, 3))
    assert SecondOpinion(engine).rows("path") == right != engine.facts("path")


def test_a_query_is_answered_with_kdls_facts_for_what_pydatalog_cannot_express() -> None:
    engine = kdl.Engine(kdl.compile("input rel d(a: str, b: json).\nrel n(a: str, n: int).\nn(A, D.x) :- d(A, D).\n"))
    engine.apply(insert=[("d", ("a", {"x": 1})), ("d", ("b", {"x": 3}))])
    rows, told = second_opinion(engine, "n(A, N), N > 2")
    assert rows == [{"A": "b", "N": 3}]
    assert told == "pyDatalog's own: nothing but the query; kdl's: d, n" or told.endswith("kdl's: n")
    with pytest.raises(Inexpressible, match="documents"):
        second_opinion(engine, "d(A, D), D.x = 1")
