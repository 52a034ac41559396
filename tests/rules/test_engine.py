"""What the engine keeps up to date, construct by construct, each step held against the specification."""

from __future__ import annotations

import random

import pytest

import kdl
from kdl import Engine
from kdl.fact import FALSE, TRUE
from kdl.rules import recursion
from kdl.rules.engine import Limits
from kdl.rules.naive import Naive
from kdl.rules.profile import Profile
from tests.rules.histories import Facts, Twins, insides

PATH = """
input rel edge(x: int, y: int).
rel path(x: int, y: int).
path(X, Y) :- edge(X, Y).
path(X, Z) :- path(X, Y), edge(Y, Z).
"""


def test_a_fact_with_two_reasons_survives_losing_one():
    twins = Twins("""
input rel a(x: int).
input rel b(x: int).
rel r(x: int).
r(X) :- a(X).
r(X) :- b(X).
""")
    twins.apply([("a", (1,)), ("b", (1,))])
    assert "r" not in twins.apply(remove=[("a", (1,))]).removed
    assert twins.apply(remove=[("b", (1,))]).removed["r"] == {(1,)}


def test_removing_an_absent_and_inserting_a_present_fact_change_nothing():
    twins = Twins(PATH)
    twins.apply([("edge", (1, 2))])
    assert not twins.apply([("edge", (1, 2))])
    assert not twins.apply(remove=[("edge", (5, 6))])


def test_what_is_removed_and_inserted_at_once_stays_without_a_change():
    twins = Twins(PATH)
    twins.apply([("edge", (1, 2))])
    assert not twins.apply([("edge", (1, 2))], [("edge", (1, 2))])
    assert twins.apply([("edge", (3, 4))], [("edge", (3, 4))]).added["edge"] == {(3, 4)}


def test_a_fact_that_is_lost_and_derived_anew_in_one_delta_is_no_change():
    twins = Twins("""
input rel a(x: int, y: int).
rel r(x: int).
rel s(x: int).
r(X) :- a(X, _).
s(X) :- r(X).
""")
    twins.apply([("a", (1, 1))])
    delta = twins.apply([("a", (1, 2))], [("a", (1, 1))])
    assert set(delta.added) == {"a"}
    assert set(delta.removed) == {"a"}


@pytest.mark.parametrize("body", ["e(X, Y), e(Y, Z)", "e(X, Y), e(Y, Z), e(Z, X)", "e(X, Y), e(X, Z), e(Y, Z)"])
def test_self_joins_count_each_derivation_once(body):
    twins = Twins(f"input rel e(x: int, y: int).\nrel r(x: int, z: int).\nr(X, Z) :- {body}.\n")
    rng = random.Random(7)
    facts: Facts = [("e", (x, y)) for x in range(4) for y in range(4)]
    for _ in range(30):
        insert, remove = rng.sample(facts, 3), rng.sample(facts, 3)
        twins.apply([f for f in insert if f not in remove], remove)


def test_negation_follows_in_both_directions():
    twins = Twins("""
input rel node(n: str).
input rel bad(n: str, why: str).
rel good(n: str).
good(N) :- node(N), not bad(N, _).
""")
    twins.apply([("node", ("a",)), ("node", ("b",)), ("bad", ("a", "x")), ("bad", ("a", "y"))])
    assert twins.facts("good") == [("b",)]
    twins.apply(remove=[("bad", ("a", "x"))])
    assert twins.facts("good") == [("b",)]
    twins.apply(remove=[("bad", ("a", "y"))])
    assert twins.facts("good") == [("a",), ("b",)]
    twins.apply([("bad", ("b", "z"))])
    assert twins.facts("good") == [("a",)]


@pytest.mark.parametrize(
    "body",
    [
        "a(X, Y), not q(X, 0), not q(Y, 0)",
        "a(X, Y), not q(X, _), not q(Y, _)",
        "a(X, Y), not q(_, _), not q(X, Y)",
        "a(X, Y), q(X, _), not q(Y, _)",
        "a(X, Y), not q(X, Y), q(Y, _), not q(Y, X)",
        "a(X, Y), not q(Z, Z), not q(X, Z2)",
    ],
)
def test_several_literals_over_one_changing_relation_agree_on_before_and_after(body):
    twins = Twins(
        f"input rel a(x: int, y: int).\ninput rel q(x: int, y: int).\nrel r(x: int, y: int).\nr(X, Y) :- {body}."
    )
    rng = random.Random(3)
    domain = [(name, (x, y)) for name in "aq" for x in range(3) for y in range(3)]
    for _ in range(40):
        remove = rng.sample(domain, 3)
        twins.apply([fact for fact in rng.sample(domain, 4) if fact not in remove], remove)


def test_a_document_is_reached_by_path_and_missing_fails_or_takes_the_default():
    twins = Twins("""
input rel o(id: str, doc: json).
rel node(id: str, n: str).
rel size(id: str, n: any).
rel app(id: str, v: any).
node(P, N) :- o(P, D), N = D.spec.nodeName.
size(P, N) :- o(P, D), N = D.spec.size ?? 1.
app(P, V) :- o(P, D), V = D.labels["a/b"].
""")
    twins.apply(
        [("o", ("p", {"spec": {"nodeName": "n1"}, "labels": {"a/b": True}})), ("o", ("q", {"spec": {"size": 3}}))]
    )
    assert twins.facts("node") == [("p", "n1")]
    assert twins.facts("size") == [("p", 1), ("q", 3)]
    assert twins.facts("app") == [("p", TRUE)]


def test_membership_ranges_over_positions_keys_and_ranges():
    twins = Twins("""
input rel d(x: json).
rel at(i: int, v: any).
rel member(k: str, v: any).
rel number(n: int).
rel key(k: str).
at(I, V) :- d(D), I: V in D.l.
member(K, V) :- d(D), K: V in D.m.
key(K) :- d(D), K in D.m.
number(N) :- d(D), N in 1..D.n.
""")
    twins.apply([("d", ({"l": ["a", "a"], "m": {"x": 1, "y": {"z": 2}}, "n": 3},))])
    assert twins.facts("at") == [(0, "a"), (1, "a")]
    assert [k for k, _ in twins.facts("member")] == ["x", "y"] == [k for (k,) in twins.facts("key")]
    assert twins.facts("number") == [(1,), (2,), (3,)]


def test_values_of_different_type_never_meet():
    twins = Twins("""
input rel a(x: any).
input rel b(x: any).
rel same(x: any).
rel one(x: any).
same(X) :- a(X), b(X).
one(X) :- a(X), X = 1.
""")
    twins.apply([("a", (item,)) for item in (1, True, "1")] + [("b", (True,)), ("b", (False,)), ("b", (0,))])
    assert twins.facts("same") == [(TRUE,)]
    assert twins.facts("one") == [(1,)]


def test_a_comparison_that_becomes_a_value_is_a_boolean_of_the_language():
    twins = Twins("""
input rel n(x: int).
rel r(x: int, b: bool).
r(X, X < 2) :- n(X).
""")
    twins.apply([("n", (1,)), ("n", (2,))])
    assert all(value is TRUE or value is FALSE for _, value in twins.engine.facts("r"))


def test_a_fault_is_a_fact_and_goes_with_what_made_it():
    twins = Twins("""
input rel n(x: int).
rel r(x: int).
r(6 / X) :- n(X).
""")
    twins.apply([("n", (0,)), ("n", (2,))])
    assert twins.facts("r") == [(3,)]
    ((rule, message),) = twins.facts("kdl.fault")
    assert rule.endswith(":4")
    assert "zero" in message
    twins.apply(remove=[("n", (0,))])
    assert twins.facts("kdl.fault") == []


def test_the_clock_wakes_what_waits_and_nothing_else():
    twins = Twins("""
input rel t(x: str, at: time).
rel late(x: str).
rel early(x: str).
late(X) :- t(X, T), due(T).
early(X) :- t(X, T), not due(T).
""")
    twins.apply([("t", ("a", 100)), ("t", ("b", 200)), ("t", ("c", 0))])
    assert twins.engine.due() == 100
    assert twins.facts("late") == [("c",)]
    assert not twins.apply(now=99)
    delta = twins.apply(now=100)
    assert delta.added == {"late": {("a",)}}
    assert delta.removed == {"early": {("a",)}}
    assert twins.engine.due() == 200
    twins.apply(remove=[("t", ("b", 200))])
    assert twins.engine.due() is None


def test_a_fact_and_the_time_it_waits_for_may_come_in_one_delta():
    twins = Twins("""
input rel t(x: str, at: time).
input rel u(at: time).
rel r(x: str).
r(X) :- t(X, T), due(T), u(U), not due(U), due(T + 10).
""")
    twins.apply([("t", ("a", 100)), ("u", (120,))])
    twins.apply([("t", ("b", 105)), ("u", (130,))], [("t", ("a", 100))], now=115)
    assert twins.facts("r") == [("b",)]
    twins.apply([("t", ("a", 100))], [("u", (130,))], now=125)
    assert twins.facts("r") == []


def test_recursion_waits_for_times_too():
    twins = Twins("""
input rel step(x: int, y: int, at: time).
rel at(x: int).
at(0).
at(Y) :- at(X), step(X, Y, T), due(T).
""")
    twins.apply([("step", (0, 1, 10)), ("step", (1, 2, 5)), ("step", (2, 0, 1))])
    assert twins.engine.due() == 10
    twins.apply(now=10)
    assert twins.facts("at") == [(0,), (1,), (2,)]
    twins.apply(remove=[("step", (0, 1, 10))])
    assert twins.facts("at") == [(0,)]


def test_recursion_loses_exactly_what_rested_on_a_cycle_alone():
    twins = Twins(PATH)
    twins.apply([("edge", e) for e in ((1, 2), (2, 3), (3, 2), (4, 3))])
    twins.apply(remove=[("edge", (1, 2))])
    assert (2, 2) in twins.engine.facts("path")
    twins.apply(remove=[("edge", (3, 2))])
    assert twins.facts("path") == [(2, 3), (4, 3)]


@pytest.mark.parametrize(
    "rules",
    [
        "path(X, Y) :- edge(X, Y).\npath(X, Z) :- path(X, Y), path(Y, Z).",
        "path(X, Y) :- edge(X, Y), not stop(X).\npath(X, Z) :- edge(X, Y), not stop(Y), path(Y, Z).",
        "path(X, Y) :- edge(X, Y).\npath(X, Z) :- odd(X, Y), edge(Y, Z).\n"
        "rel odd(x: int, y: int).\nodd(Y, X) :- path(X, Y), not stop(X).",
        "path(X, X) :- edge(X, _).\npath(X, Z) :- path(X, Y), edge(Y, Z), N = count : { stop(_) }, N < 2.",
    ],
)
@pytest.mark.parametrize("small", [0, 1000])
def test_recursion_follows_random_inserts_and_deletes(rules, small, monkeypatch):
    """By delete-and-rederive, and (with no deletion small enough) by working the component out anew."""
    monkeypatch.setattr("kdl.rules.recursion.SMALL", small)
    monkeypatch.setattr("kdl.rules.maintain.SMALL", small)
    twins = Twins(
        f"input rel edge(x: int, y: int).\ninput rel stop(x: int).\nrel path(x: int, y: int).\n{rules}\n"
        "rel reach(x: int, n: int).\nreach(X, N) :- path(X, _), N = count : { path(X, _) }.\n"
        "rel alone(x: int).\nalone(X) :- edge(X, _), not path(X, X).\n"
    )
    rng = random.Random(11)
    domain = [("edge", (x, y)) for x in range(6) for y in range(6)] + [("stop", (x,)) for x in range(3)]
    for _ in range(25):
        remove = rng.sample(domain, 4)
        twins.apply([fact for fact in rng.sample(domain, 5) if fact not in remove], remove)


def test_a_program_may_have_facts_of_its_own():
    twins = Twins("""
input rel n(x: int).
rel r(x: int).
rel s(x: int).
r(1).
s(X) :- r(X), not n(X).
""")
    assert twins.facts("s") == [(1,)]
    twins.apply([("n", (1,))])
    assert twins.facts("s") == []


def test_in_a_dense_graph_next_to_nothing_is_looked_at_when_an_edge_goes():
    edges = [("edge", (x, y)) for x in range(30) for y in range(30)]
    engine = Engine(kdl.compile(PATH))
    engine.apply(edges)
    before = engine.facts("path")
    engine._state.limits = Limits(steps=120)
    for edge in random.Random(1).sample(edges, 60):
        engine.apply(remove=[edge])
        assert engine.facts("path") == before


def test_a_loss_that_takes_more_effort_than_to_work_all_out_anew_does_not_go_on_row_by_row(monkeypatch):
    worked_out, anew = [], recursion._anew
    monkeypatch.setattr(recursion, "_anew", lambda state, home: (worked_out.append(home), anew(state, home)))
    twins = Twins("""
input rel root(x: int).
input rel edge(x: int, y: int).
rel reach(x: int).
reach(X) :- root(X).
reach(Y) :- reach(X), edge(X, Y).
""")
    leaves = [("edge", (3 if leaf < 1200 else 0, leaf)) for leaf in range(4, 3000)]
    twins.apply([("root", (0,)), *[("edge", pair) for pair in [(0, 3), (0, 1), (1, 2), (2, 3)]], *leaves])
    worked_out.clear()
    twins.apply([], leaves[:5])
    assert not worked_out
    assert not twins.apply([], [("edge", (0, 3))]).removed.get("reach")  # many lose their witness, none is lost
    assert len(worked_out) == 1
    assert twins.engine.rank("reach", (1199,)) == 5


def test_a_row_that_loses_its_witness_gets_another_rank_and_proof():
    twins = Twins(PATH)
    twins.apply([("edge", pair) for pair in [(1, 2), (2, 3), (3, 4), (4, 5), (1, 5)]])
    assert twins.engine.rank("path", (1, 5)) == 1
    twins.apply(remove=[("edge", (1, 5))])
    assert twins.engine.rank("path", (1, 5)) == 4
    proof = twins.engine.why("path", (1, 5))
    assert [premise.fact.row for premise in proof.premises] == [(1, 4), (4, 5)]


def test_a_large_component_is_worked_out_by_sets_and_kept_up_row_by_row():
    """Every way to reach the head's last column: carried over, looked up, ranged over, constants and other columns."""
    rules = """
input rel up(x: int, y: int).
input rel flat(x: int, y: int).
input rel mark(x: int).
rel same(x: int, y: int).
rel seen(x: int).
rel triple(a: int, b: int, c: int).
rel some().
same(X, Y) :- flat(X, Y).
same(X, Y) :- up(X, A), same(A, B), up(Y, B).
same(Y, X) :- same(X, Y), not mark(X).
same(X, 3) :- same(X, 2), mark(Y), same(Y, X).
seen(X) :- mark(X).
seen(Y) :- seen(X), same(X, Y).
triple(X, Y, Z) :- same(X, Y), same(Y, Z), some().
triple(X, Y, X + 1) :- triple(X, Y, X), X < 4.
same(A, C) :- triple(A, A, C), mark(C).
same(C, B) :- triple(_, B, C), seen(B).
some() :- seen(5).
some() :- some(), mark(_).
"""
    twins = Twins(rules)
    rng = random.Random(5)
    domain: Facts = [(name, (x, y)) for name in ("up", "flat") for x in range(7) for y in range(7)]
    domain += [("mark", (x,)) for x in range(7)]
    for size in (12, 3, 3, 40, 2, 30, 1, 1):
        remove = rng.sample(domain, size)
        twins.apply([fact for fact in rng.sample(domain, size) if fact not in remove], remove)
    ranked = Naive(twins.program)
    fresh = Engine(twins.program)
    ranked.apply(twins.engine.base())
    fresh.apply(twins.engine.base())
    for name in twins.program.relations:
        for item in ranked.facts(name):
            assert fresh.rank(name, item) == ranked.rank(name, item)


def test_a_rule_of_another_constant_is_not_visited():
    """A Pod does not run the rules of Services: their functions are never even made."""
    engine = Engine(
        kdl.compile("""
input rel object(kind: str, id: str).
rel pod(id: str).
rel service(id: str).
pod(P) :- object("Pod", P).
service(S) :- object("Service", S).
""")
    )
    engine.apply([("object", ("Pod", "a"))])
    made = {engine._network.clauses[number].target for number, *_ in engine._state._functions}
    assert made == {"pod"}


GUARDED = """
input rel wanted(c: int).
input rel node(n: int, size: int).
input rel always(c: int, n: int).
rel fits(c: int, n: int).
fits(C, N) :- wanted(C), node(N, _).
rel score(c: int, n: int, points: int).
score(C, N, S * C) :- fits(C, N), node(N, S).
score(C, N, 1) :- fits(C, N), not node(N, 1).
rel total(c: int, n: int, points: int).
total(C, N, T) :- fits(C, N), T = sum P : { score(C, N, P) }.
rel best(c: int, nodes: any, n: int).
best(C, L, N) :- wanted(C), L = list M : { total(C, M, _) }, N = count : { score(C, _, _) }.
rel either(c: int, n: int).
either(C, N) :- fits(C, N).
either(C, N) :- always(C, N).
rel sizes(n: int).
sizes(N) :- N = count : { either(_, _) }.
"""


def test_what_cannot_be_without_a_relation_goes_as_a_whole_with_the_last_row_of_it():
    twins, run = Twins(GUARDED), set[str]()
    nodes: Facts = [("node", (number, number % 3)) for number in range(200)]
    twins.apply([*nodes, ("wanted", (1,)), ("wanted", (2,)), ("always", (1, 7)), ("always", (9, 9))])
    before = insides(twins.engine)
    with twins.engine.supposing(remove=[("wanted", (1,)), ("wanted", (2,))]):
        assert twins.engine.facts("either") == {(1, 7), (9, 9)}
        assert twins.engine.facts("sizes") == {(2,)}
    assert insides(twins.engine) == before
    with twins.engine.supposing([("fits", (3, 3))]), twins.engine.supposing(remove=[("wanted", (n,)) for n in (1, 2)]):
        assert twins.engine.facts("total") == {(3, 3, 1)}
    assert insides(twins.engine) == before

    twins.engine._state.observer = lambda clause, function: run.add(clause.target) or function  # type: ignore[func-returns-value]
    twins.apply([("node", (200, 5))], [("wanted", (1,)), ("wanted", (2,)), nodes[1]])
    assert run & twins.program.relations.keys() == {"best", "either", "sizes"}
    assert len(run & twins.engine._network.accumulators.keys()) == 1  # that of `sizes`
    twins.apply([("wanted", (1,)), nodes[1]])


def test_a_batch_gives_what_single_steps_give():
    rng = random.Random(5)
    edges: Facts = [("edge", (rng.randrange(40), rng.randrange(40))) for _ in range(60)]
    batch, single = Engine(kdl.compile(PATH)), Engine(kdl.compile(PATH))
    batch.apply(edges)
    for edge in edges:
        single.apply([edge])
    assert batch.facts("path") == single.facts("path")


def test_joins_are_ordered_anew_when_relations_have_grown():
    engine = Engine(kdl.compile(PATH))
    engine.apply([("edge", (1, 2))])
    before = dict(engine._state._functions)
    engine.apply([("edge", (number, number + 1)) for number in range(10, 80)])
    engine.apply([("edge", (2, 3))])
    assert (1, 3) in engine.facts("path")
    readers = {key: function for key, function in before.items() if key[0] in engine._network.readers["path"]}
    assert readers
    assert not any(engine._state._functions.get(key) is function for key, function in readers.items())


DOCUMENTS = """
input rel object(kind: str, id: str, doc: json).
rel node(pod: str, node: str).
rel image(pod: str, image: str).
rel labels(pod: str, key: str, value: str).
rel count(node: str, n: int).
rel copy(pod: str, doc: json).
node(P, N) :- object("Pod", P, D), N = D.spec.nodeName.
image(P, C.image) :- object("Pod", P, D), C in D.spec.containers.
labels(P, K, V) :- object("Pod", P, D), K: V in D.metadata.labels.
count(N, C) :- node(_, N), C = count : { object("Pod", _, D), D.spec.nodeName = N }.
copy(P, D) :- object("Copy", P, D).
"""


def test_a_document_that_changes_in_one_place_is_shown_to_the_rules_that_read_there():
    profile = Profile()
    engine = Engine(kdl.compile(DOCUMENTS), observer=profile)
    pod = {"spec": {"containers": [{"image": "a"}], "nodeName": "n1"}, "metadata": {"labels": {"x": "1"}}}
    moved = {**pod, "spec": {**pod["spec"], "nodeName": "n2"}, "status": {"phase": "Running"}}
    engine.apply([("object", ("Pod", "p", pod))])
    profile.clear()
    delta = engine.apply([("object", ("Pod", "p", moved))], [("object", ("Pod", "p", pod))])
    assert delta.added["node"] == {("p", "n2")}
    ran = {work.rule.head.relation for work in profile.work.values() if work.read}
    assert ran - {"kdl.fault"} == {"node", "count"}
    profile.clear()
    late = {**moved, "status": {"phase": "Failed"}}
    assert set(engine.apply([("object", ("Pod", "p", late))], [("object", ("Pod", "p", moved))]).added) == {"object"}
    assert not profile.work


def test_documents_that_change_follow_the_specification():
    twins = Twins(DOCUMENTS)
    rng = random.Random(2)
    there: dict[str, object] = {}
    for _ in range(40):
        insert: Facts = []
        remove: Facts = []
        for name in rng.sample(["a", "b", "c"], 2):
            kind = "Copy" if name == "c" else "Pod"
            if name in there:
                remove.append(("object", (kind, name, there.pop(name))))
            if rng.random() < 0.8:
                there[name] = {
                    "spec": {"nodeName": rng.choice(["n1", "n2"]), "containers": [{"image": rng.choice("xy")}]},
                    "metadata": {"labels": {rng.choice("kl"): rng.choice("vw")}},
                    "status": rng.random(),
                }
                insert.append(("object", (kind, name, there[name])))
        twins.apply(insert, remove)
