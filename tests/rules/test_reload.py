"""Other rules over the same facts: as if they had always been the rules, and nothing untouched is worked out again."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdl
from kdl.rules.engine import Engine, LimitExceeded, Limits
from kdl.rules.maintain import State
from tests.rules.histories import insides

DECLARED = """
input rel e(a: int, b: int).
input rel n(a: int).
input rel at(a: int, t: time).
open rel p(a: int, b: int).
open rel q(a: int).
rel c(a: int, n: int).
rel r(a: int, b: int).
rel s(a: int).
rel t(a: int).
rel m(a: int, l: any).
"""
RULES = (
    "p(A, B) :- e(A, B).",
    "p(A, B) :- e(B, A), n(A).",
    "q(A) :- n(A), not p(A, _).",
    "q(A) :- c(A, N), N > 1.",
    "c(A, N) :- n(A), N = count : { p(A, _) }.",
    "c(A, N) :- n(A), N = sum B : { p(A, B), s(B) }.",
    "r(A, B) :- p(A, B).",
    "r(A, C) :- r(A, B), p(B, C).",
    "r(A, A) :- n(A), not e(A, _).",
    "s(A) :- at(A, T), due(T).",
    "s(A) :- at(A, T), not due(T), n(A).",
    "t(A) :- s(A), not q(A).",
    "t(A) :- r(A, B), q(B).",
    "m(A, L) :- n(A), L = list B : { r(A, B), not t(B) }.",
)
numbers = st.integers(0, 3)
facts = st.one_of(
    st.tuples(st.just("e"), st.tuples(numbers, numbers)),
    st.tuples(st.just("n"), st.tuples(numbers)),
    st.tuples(st.just("at"), st.tuples(numbers, st.integers(0, 30))),
)
choices = st.lists(st.booleans(), min_size=len(RULES), max_size=len(RULES))


def program(chosen: list[bool]) -> kdl.Program:
    return kdl.compile(DECLARED + "\n".join(rule if taken else "" for rule, taken in zip(RULES, chosen, strict=True)))


@settings(max_examples=150, deadline=None)
@given(choices, choices, st.lists(facts, max_size=12), st.lists(facts, max_size=6), st.integers(0, 20))
def test_a_reloaded_engine_is_as_one_that_always_had_these_rules(first, then, before, after, now) -> None:  # type: ignore[no-untyped-def]
    engine = Engine(program(first))
    engine.apply(insert=before, now=now)
    was = insides(engine)
    other, delta = engine.reloaded(program(then))
    fresh = Engine(program(then))
    fresh.apply(insert=before, now=now)
    assert insides(other) == insides(fresh)
    for name in other.program.relations:
        gone, come = engine.facts(name) - other.facts(name), other.facts(name) - engine.facts(name)
        assert delta.removed.get(name, set()) == gone
        assert delta.added.get(name, set()) == come
    assert insides(engine) == was
    assert other.due() == fresh.due()
    for step in ({"insert": after}, {"remove": before[:3]}, {"now": now + 15}):
        assert other.apply(**step) == fresh.apply(**step)  # type: ignore[arg-type]
    assert insides(other) == insides(fresh)


def test_only_what_the_change_touches_is_run(monkeypatch: pytest.MonkeyPatch) -> None:
    base = kdl.compile("input rel e(a: int). rel p(a: int). p(A) :- e(A). rel q(a: int). q(A) :- p(A), A > 1.")
    more = kdl.compile(
        "input rel e(a: int). rel p(a: int). p(A) :- e(A). rel q(a: int). q(A) :- p(A), A > 1.\n"
        "rel z(a: int). z(A) :- q(A), not p(7)."
    )
    engine = Engine(base)
    engine.apply(insert=[("e", (i,)) for i in range(5)])
    ran: list[str] = []
    run = State.run
    monkeypatch.setattr(
        State, "run", lambda self, number, *rest: (ran.append(self.network.clauses[number].target),
                                                    run(self, number, *rest))[1],
    )  # fmt: skip
    other, delta = engine.reloaded(more)
    assert set(ran) == {"z"}
    assert delta.added == {"z": {(2,), (3,), (4,)}}
    back, delta = other.reloaded(base)
    assert delta.removed == {"z": {(2,), (3,), (4,)}}
    assert set(ran) == {"z"}
    assert back.facts("q") == engine.facts("q")


def test_rules_that_cross_a_limit_are_refused_and_named_and_the_engine_stays() -> None:
    engine = Engine(kdl.compile("input rel e(a: int)."))
    engine.apply(insert=[("e", (i,)) for i in range(60)])
    boom = kdl.compile("input rel e(a: int).\nrel b(x: int, y: int, z: int).\nb(X, Y, Z) :- e(X), e(Y), e(Z).")
    with pytest.raises(LimitExceeded, match="`b` at <text>:3"):
        engine.reloaded(boom, Limits(rows=1000))
    assert engine.apply(insert=[("e", (99,))]).added == {"e": {(99,)}}


def test_a_limit_crossed_later_names_the_rule_that_crossed_it() -> None:
    engine, _ = Engine(kdl.compile("input rel e(a: int).")).reloaded(
        kdl.compile("input rel e(a: int).\nrel ok(a: int). ok(A) :- e(A).\nrel b(a: int). b(A) :- e(N), A in 1..N."),
        Limits(rows=100),
    )
    engine.apply(insert=[("e", (50,))])
    with pytest.raises(LimitExceeded):
        engine.apply(insert=[("e", (500,))])
    assert engine.working is not None
    assert engine.working.head.relation == "b"
    assert engine.count("b") == 50


@pytest.mark.parametrize(
    "rule", ["b(A, B, C) :- e(1), A in 1..9999, B in 1..9999, C in 1..9.", "b(A, B, C) :- e(A), e(B), e(C)."]
)
def test_what_derives_without_end_is_stopped_in_the_middle(rule: str) -> None:
    text = f"input rel e(a: int).\nrel b(a: int, b: int, c: int).\n{rule}"
    limits = Limits(rows=10_000)
    many = [("e", (i,)) for i in range(400)]
    engine = Engine(kdl.compile("input rel e(a: int)."))
    engine.apply(insert=many)
    with pytest.raises(LimitExceeded, match="more than 10000 rows"):
        engine.reloaded(kdl.compile(text), limits)
    with pytest.raises(LimitExceeded, match="more than 10000 rows"):
        Engine(kdl.compile(text), limits=limits).apply(insert=many)


def test_a_rule_more_for_an_open_relation_is_a_delta_to_those_who_read_it(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "input rel e(a: int). open rel p(a: int). p(A) :- e(A), A < 3. rel q(a: int). q(A) :- e(A), not p(A).\n"
    base, more = kdl.compile(text), kdl.compile(text + "p(A) :- e(A), A = 4.")
    engine = Engine(base)
    engine.apply(insert=[("e", (i,)) for i in range(6)])
    seen: list[int] = []
    run = State.run
    monkeypatch.setattr(
        State, "run", lambda self, number, place, seeds, sign: (
            seen.append(len(seeds)), run(self, number, place, seeds, sign))[1],
    )  # fmt: skip
    other, delta = engine.reloaded(more)
    assert (delta.added, delta.removed) == ({"p": {(4,)}}, {"q": {(4,)}})
    assert sum(seen) <= 4
    back, delta = other.reloaded(base)
    assert (delta.added, delta.removed) == ({"q": {(4,)}}, {"p": {(4,)}})
    assert back.facts("p") == engine.facts("p")
