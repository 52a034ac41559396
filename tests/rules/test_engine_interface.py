"""What an engine takes and refuses, answers and takes back."""

from __future__ import annotations

import pytest

import kdl
from kdl import Engine, ProgramError
from kdl.rules import compile as compiling
from kdl.rules.engine import LimitExceeded, Limits
from tests.rules.histories import insides

TEXT = """
input rel edge(x: int, y: int).
input rel at(x: int, t: time).
input rel name(x: int, n: str).
rel path(x: int, y: int).
rel out(x: int, n: int).
rel far(x: int, best: int, all: any).
rel lone(x: int).
rel awake(x: int).
rel product(a: int, b: int, c: int, d: int).
path(X, Y) :- edge(X, Y).
path(X, Z) :- path(X, Y), edge(Y, Z).
out(X, N) :- edge(X, _), N = count : { edge(X, _) }.
far(X, M, L) :- edge(X, _), M = max Y : { path(X, Y) }, L = list Y : { path(X, Y) }.
lone(X) :- edge(X, _), not path(_, X).
awake(X) :- at(X, T), due(T).
product(A, B, C, D) :- name(1, "x"), edge(A, B), edge(C, D).
"""


@pytest.fixture(scope="module")
def program():
    return kdl.compile(TEXT)


@pytest.fixture
def engine(program):
    made = Engine(program)
    made.apply([("edge", (x, x + 1)) for x in range(8)] + [("edge", (3, 0)), ("at", (1, 50)), ("at", (2, 70))])
    return made


# --- refusals --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fact", "message"),
    [
        (("edg", (1, 2)), "there is no relation `edg`"),
        (("path", (1, 2)), "`path` is derived"),
        (("edge", (1,)), "`edge` has 2 columns, not 1"),
        (("edge", (1, "2")), 'column `y` of `edge` cannot hold "2"'),
        (("edge", (1, True)), "column `y` of `edge` cannot hold true"),
        (("name", (1, None)), "column `n` of `name` cannot hold null"),
    ],
)
def test_what_is_no_base_fact_is_refused_with_a_sentence_and_nothing_happens(engine, fact, message):
    before = insides(engine)
    for arguments in ({"insert": [("edge", (90, 91)), fact]}, {"remove": [("edge", (0, 1)), fact]}):
        with pytest.raises(ValueError, match=message):
            engine.apply(**arguments)
    assert insides(engine) == before


def test_the_clock_does_not_go_back(engine):
    engine.apply(now=10)
    with pytest.raises(ValueError, match="does not go back from 10 to 9"):
        engine.apply(now=9)
    assert engine.now == 10


def test_rows_are_normalised_unless_they_are_trusted(program):
    engine = Engine(kdl.compile("input rel d(x: json).\n"))
    engine.apply([("d", [{"a": [1, None], "b": None}])])
    assert engine.holds("d", [{"a": [1, None]}])


def test_what_facts_have_in_common_is_in_memory_once_unless_they_are_trusted():
    engine = Engine(kdl.compile("input rel d(x: str, y: json).\n"))
    for number in (1, 2):
        engine.apply(
            [("d", (" ".join(("a", "text")), {"number": number, "of": {"two": " ".join(("other", "words"))}}))]
        )
    (text, doc), (same, other) = engine.facts("d")
    assert text is same
    assert doc["of"] is other["of"]
    engine.apply([("d", (own := " ".join(("a", "text")), 3))], trusted=True)
    assert any(x is own for x, _ in engine.facts("d"))


# --- a failure takes everything back ---------------------------------------------------------------------------------


CHANGE = {
    "insert": [("edge", (x, x + 2)) for x in range(9)] + [("at", (9, 60)), ("name", (1, "x"))],
    "remove": [("edge", (4, 5)), ("edge", (3, 0)), ("at", (2, 70))],
    "now": 55,
}


@pytest.mark.parametrize(
    "limits", [Limits(rows=45), Limits(rows=60), Limits(steps=120), Limits(steps=300), Limits(seconds=0)]
)
def test_a_crossed_limit_leaves_everything_as_it_was(engine, limits):
    before = insides(engine)
    engine._state.limits = limits
    with pytest.raises(LimitExceeded, match=r"<text>:\d+"):
        engine.apply(**CHANGE)
    engine._state.limits = Limits()
    assert insides(engine) == before
    engine.apply(**CHANGE)
    after, fresh = engine.facts("far"), Engine(engine.program)
    fresh.apply(engine.base(), now=55)
    assert after == fresh.facts("far")


@pytest.mark.parametrize("small", [0, 1000])
def test_an_exception_anywhere_leaves_everything_as_it_was(engine, small, monkeypatch):
    """The change is stopped at each call of a function in turn, recursion (both ways of losing) included."""
    monkeypatch.setattr("kdl.rules.recursion.SMALL", small)
    monkeypatch.setattr("kdl.rules.maintain.SMALL", small)
    state, before = engine._state, insides(engine)
    inner, failures = type(state)._call, 0

    while True:
        calls = 0

        def call(self, *arguments, _last=failures):
            nonlocal calls
            inner(self, *arguments)
            calls += 1
            if calls > _last:
                raise KeyboardInterrupt

        monkeypatch.setattr(type(state), "_call", call)
        try:
            engine.apply(**CHANGE)
        except KeyboardInterrupt:
            failures += 1
            monkeypatch.setattr(type(state), "_call", inner)
            assert insides(engine) == before, failures
        else:
            break
    assert failures > 20
    assert engine.now == 55


def test_questions_can_be_asked_of_what_is_supposed(engine):
    before = insides(engine)
    with engine.supposing([("edge", (8, 20))], [("edge", (3, 0))], now=60) as changed:
        assert (3, 0) in changed.removed["path"]
        assert changed.added["awake"] == {(1,)}
        assert engine.why("path", (0, 20)).fact.row == (0, 20)
        assert engine.why_not("path", (3, 0)) is not None
        assert {"Z": 20} in engine.query("path(5, Z)")
        engine.apply([("edge", (20, 21))])
        assert engine.holds("path", (0, 21))
        assert engine.whatif(remove=[("edge", (8, 20))]).removed["edge"] == {(8, 20)}
    assert insides(engine) == before
    assert not engine.holds("path", (0, 20))


def test_what_cannot_be_supposed_is_refused_and_nothing_happens(engine):
    before = insides(engine)
    with pytest.raises(ValueError, match="is recursive"):
        engine.whatif([("path", (1, 2))])
    with engine.supposing([("edge", (8, 20))]), pytest.raises(ValueError, match="go back"):
        engine.whatif(now=-1)
    with pytest.raises(ZeroDivisionError), engine.supposing([("edge", (8, 20))]):
        raise ZeroDivisionError
    assert insides(engine) == before


def test_a_question_makes_nothing_wait(engine):
    due = engine.due()
    assert engine.query("edge(1, X), due(60)") == []
    assert engine.due() == due != 60


def test_times_that_were_only_supposed_do_not_pile_up(engine):
    for moment in range(100, 1100):
        engine.whatif([("at", (5, moment))])
    engine.apply([("at", (5, 90))])
    assert max(map(len, engine._state.times.values())) < 100


def test_a_delta_and_its_reverse_leave_the_insides_as_they_were(engine):
    before = insides(engine)
    engine.apply(CHANGE["insert"], CHANGE["remove"])
    engine.apply(CHANGE["remove"], CHANGE["insert"])
    after = insides(engine)
    assert after["rows"] == before["rows"]
    assert after["groups"] == before["groups"]


@pytest.mark.parametrize(
    ("limits", "message"),
    [
        (Limits(rows=100), r"`product` at <text>:\d+ would have more than 100 rows"),
        (Limits(steps=1000), r"more than 1000 steps, last at <text>:\d+"),
        (Limits(seconds=0.0), r"longer than 0.0 s, last at <text>:\d+"),
    ],
)
def test_a_limit_names_the_rule(program, limits, message):
    engine = Engine(program)
    engine._state.limits = limits
    with pytest.raises(LimitExceeded, match=message):
        engine.apply([("edge", (x, 1000 + x)) for x in range(60)] + [("name", (1, "x"))])


def test_a_huge_range_is_stopped_before_it_is_walked():
    engine = Engine(
        kdl.compile("input rel n(x: int).\nrel r(x: int).\nr(X) :- n(N), X in 1..N, X < 0.\n"),
        limits=Limits(steps=10**6),
    )
    with pytest.raises(LimitExceeded):
        engine.apply([("n", (10**12,))])
    assert engine.count("n") == 0


# --- questions -------------------------------------------------------------------------------------------------------


def test_lookup_takes_positions_and_names(engine):
    assert set(engine.lookup("edge", {0: 3})) == {(3, 4), (3, 0)} == set(engine.lookup("edge", {"x": 3}))
    with pytest.raises(KeyError):
        engine.lookup("edge", {"z": 1})


def test_facts_are_a_copy(engine):
    engine.facts("edge").clear()
    assert engine.count("edge") == 9


def test_a_reported_delta_is_a_copy(engine):
    engine.lookup("edge", {"x": 0})
    engine.apply([("edge", (50, 51))]).added["edge"].clear()
    assert engine.lookup("edge", {"x": 50}) == ((50, 51),)


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ("edge(3, X)", 2),
        ("edge(X, Y), not path(Y, X)", 5),
        ("edge(X, _), not at(Z, Z), not edge(X, 0)", 7),
        ("edge(X, _), N = count : { edge(X, _) }, N > 1", 1),
        ("at(X, T), due(T)", 0),
        ("at(X, T), not due(T), N = list Y : { path(X, Y), Y < T, not due(Y) } ?? ()", 2),
        ("X in 1..4, Y = X * X, Y != 4", 3),
        ("far(X, M, L), (_, A) = (M, X), I: Y in L, I = 0", 8),
    ],
)
def test_a_query_gives_what_the_specification_gives(engine, query, count):
    from kdl.rules.naive import Naive

    naive = Naive(engine.program)
    naive.apply(engine.base())
    found = engine.query(query)
    assert len(found) == count
    assert sorted(map(str, (sorted(item.items()) for item in found))) == sorted(
        str(sorted(item.items())) for item in naive.query(query)
    )


def test_a_query_changes_nothing_and_is_compiled_once(engine, monkeypatch):
    before = insides(engine)["rows"]
    first = engine.query("path(X, Y), edge(Y, X)")
    monkeypatch.setattr(compiling.Compiler, "search", None)
    assert engine.query("path(X, Y), edge(Y, X)") == first
    assert insides(engine)["rows"] == before


def test_a_query_sees_what_has_changed_since(engine):
    assert engine.query("edge(77, X)") == []
    engine.apply([("edge", (77, 78))])
    assert engine.query("edge(77, X)") == [{"X": 78}]


def test_a_misspelt_query_is_a_program_error(engine):
    with pytest.raises(ProgramError):
        engine.query("edg(X, Y)")


def test_a_query_has_limits_too(engine):
    engine._state.limits = Limits(steps=1000)
    with pytest.raises(LimitExceeded):
        engine.query("path(A, B), path(C, D), path(E, F)")


def test_derivations_are_all_ways_to_derive_a_row(engine):
    engine.apply([("edge", (0, 2)), ("edge", (0, 0))])
    found = [bindings for _, bindings in engine.derivations("path", (0, 2))]
    assert {"X": 0, "Y": 2} in found
    assert {"X": 0, "Y": 1, "Z": 2} in found
    assert {"X": 0, "Y": 0, "Z": 2} in found
    assert not list(engine.derivations("path", (8, 0)))
    ((rule, bindings),) = engine.derivations("out", (3, 2))
    assert rule.head.relation == "out"
    assert bindings == {"X": 3, "N": 2}


def test_every_derived_row_has_a_derivation_and_no_other_row_has(engine):
    engine.apply([("name", (1, "x"))], now=60)
    for relation in ("path", "out", "far", "lone", "awake", "product"):
        for row in engine.facts(relation):
            assert next(engine.derivations(relation, row), None) is not None
    assert next(engine.derivations("awake", (2,)), None) is None


# --- forks -----------------------------------------------------------------------------------------------------------


def test_a_fork_goes_its_own_way(engine):
    fork = engine.fork()
    assert insides(fork)["rows"] == insides(engine)["rows"]
    before = insides(engine)
    fork.apply(**CHANGE)
    assert insides(engine) == before
    engine.apply(**CHANGE)
    assert insides(engine)["rows"] == insides(fork)["rows"]
    assert insides(engine)["groups"] == insides(fork)["groups"]
    assert engine.due() == fork.due() == 60


def test_the_code_of_a_relation_shows_each_rule_above_its_loops(engine):
    texts = list(engine.code("path"))
    assert len(texts) == 9  # two that gain, lose or search for each place; one works all out
    assert any("# path(X, Z) :- path(X, Y), edge(Y, Z)." in text and "for " in text for text in texts)


def test_derived_facts_can_be_supposed_to_hold_and_not_to_hold() -> None:
    engine = Engine(kdl.compile("""
        input rel e(a: int).
        rel twice(a: int). twice(A) :- e(A). twice(A) :- e(A), A > 1.
        rel lone(a: int). lone(A) :- e(A), not twice(A).
        rel next(a: int). next(A + 1) :- twice(A).
        rel far(a: int, b: int). far(A, A) :- e(A). far(A, B) :- far(A, C), twice(B), C < B.
    """))  # fmt: skip
    engine.apply(insert=[("e", (2,))])
    with engine.supposing(remove=[("twice", (2,))]) as changed:
        assert changed.removed == {"twice": {(2,)}, "next": {(3,)}}
        assert changed.added == {"lone": {(2,)}}
    with engine.supposing(insert=[("twice", (7,)), ("twice", (2,))]) as changed:
        assert changed.added == {"twice": {(7,)}, "next": {(8,)}, "far": {(2, 7)}}
        assert engine.why("next", (8,)).premises[0].rule is None
    assert engine.facts("twice") == {(2,)}
    assert engine.apply(remove=[("e", (2,))]).removed["twice"] == {(2,)}
    with pytest.raises(ValueError, match="recursive"):
        engine.whatif(insert=[("far", (1, 2))])
    with pytest.raises(ValueError, match="cannot hold"):
        engine.whatif(insert=[("twice", ("x",))])


# --- memory and code -------------------------------------------------------------------------------------------------


def test_a_fact_of_two_columns_takes_less_than_400_bytes_with_its_rank_and_an_index():
    program = kdl.compile(
        "input rel edge(x: int, y: int).\nrel path(x: int, y: int).\n"
        "path(X, Y) :- edge(X, Y).\npath(X, Z) :- path(X, Y), edge(Y, Z).\n"
    )
    engine = Engine(program)
    engine.apply([("edge", (x, (7 * x + d) % 300)) for x in range(300) for d in (0, 1)])
    engine.query("path(1, X), path(X, 2)")
    relations, values = engine.memory()
    path = relations["path"]
    assert path.facts == engine.count("path") > 50_000
    assert path.indexes > 0
    assert 100 < path.each < 400
    assert 0 < values < path.rows


def test_the_code_of_a_relation_shows_its_rule_and_its_plan(engine):
    texts = "\n".join(engine.code("path"))
    assert "# path(X, Z) :- path(X, Y), edge(Y, Z)." in texts
    assert "path(X, Y) by Y, about" in texts
    assert "all at once from literal 1" in texts
    assert any("none in" in text for text in engine.code("lone"))
