"""Proofs: what they show, and that they end."""

from __future__ import annotations

import gc
import os
import subprocess
import sys
import weakref

import orjson

import kdl
from kdl.fact import Fact, row
from kdl.rules.explain import why
from kdl.rules.naive import Naive
from kdl.rules.proof import Proof
from kdl.rules.render import proof_text, proofs_json

SCHEDULING = """
input rel object(kind: str, id: str, doc: json).
input rel taint(node: str, key: str).
rel node(n: str, cpu: int, zone: str).
node(N, C, D.zone ?? "none") :- object("Node", N, D), C = D.status.cpu.
rel pod(p: str, want: int).
pod(P, W) :- object("Pod", P, D), C in D.spec.containers, W = C.cpu.
rel rejects(p: str, n: str, filter: str, reason: str).
@why f"{P} wants {W}, {F} free on {N}"
rejects(P, N, "cpu", f"wants {W}, {F} free") :- pod(P, W), node(N, F, _), F < W.
rejects(P, N, "taint", f"untolerated taint {K}") :- pod(P, _), taint(N, K).
rel feasible(p: str, n: str).
feasible(P, N) :- pod(P, _), node(N, _, _), not rejects(P, N, _, _).
rel best(p: str, n: str).
best(P, N) :- pod(P, _), (_, N) = max (C, M) : { feasible(P, M), node(M, C, _) }.
rel nodes(n: int).
nodes(N) :- N = count : { object("Node", _, _) }.
"""

GRAPH = """
input rel edge(a: int, b: int).
rel path(a: int, b: int).
path(X, Y) :- edge(X, Y).
path(X, Y) :- path(X, Z), path(Z, Y).
"""


def pod(name: str, cpu: int) -> tuple[str, tuple[object, ...]]:
    return "object", ("Pod", name, {"spec": {"containers": [{"name": "side"}, {"name": "main", "cpu": cpu}]}})


def node(name: str, cpu: int) -> tuple[str, tuple[object, ...]]:
    return "object", ("Node", name, {"status": {"cpu": cpu}, "zone": "a"})


def cluster(nodes: int = 3) -> Naive:
    system = Naive(kdl.compile(SCHEDULING))
    system.apply(insert=[pod("web", 500), *[node(f"n{i}", 400 * i) for i in range(nodes)]])
    return system


def text(system: Naive, relation: str, *items: object) -> str:
    proof = why(system, relation, row(items), lambda fact, path: f"web.yaml:{len(path or ())}")
    assert proof is not None
    return proof_text(proof, system.program)


def height(proof: Proof) -> int:
    return 1 + max((height(p) for p in proof.premises if isinstance(p, Proof)), default=0)


def test_a_fact_that_does_not_hold_has_no_proof() -> None:
    assert why(cluster(), "best", row(("web", "n0"))) is None


def test_a_proof_names_the_rule_says_its_sentence_and_shows_the_condition_with_its_values() -> None:
    shown = text(cluster(), "rejects", "web", "n1", "cpu", "wants 500, 400 free")
    assert "<text>:9" in shown
    assert "“web wants 500, 400 free on n1”" in shown
    assert "F < W  with F = 400, W = 500" in shown


def test_a_leaf_shows_the_paths_that_were_read_with_their_places_and_no_others() -> None:
    shown = text(cluster(), "rejects", "web", "n1", "cpu", "wants 500, 400 free")
    assert "spec.containers[1].cpu = 500  web.yaml:4" in shown
    assert "status.cpu = 400  web.yaml:2" in shown
    assert "zone" not in shown.replace('"zone"', "")


def test_a_negation_says_what_was_looked_for_and_among_how_many() -> None:
    assert 'not rejects("web", "n2", _, _): none of 2' in text(cluster(), "feasible", "web", "n2")


def test_an_aggregate_shows_its_winner_first_and_says_how_many_more() -> None:
    shown = text(cluster(12), "best", "web", "n11")
    assert 'max of 10 = [4400, "n11"]' in shown
    assert "… 5 more" in shown
    assert shown.index('feasible("web", "n11")') < shown.index('feasible("web", "n10")')


def test_a_count_shows_different_contributors() -> None:
    shown = text(cluster(7), "nodes", 7)
    assert len({line.split()[1] + line.split()[2] for line in shown.splitlines() if '"Node"' in line}) == 5
    assert "… 2 more" in shown


def test_which_contributors_are_shown_is_the_same_in_every_process() -> None:
    program = """
import kdl
engine = kdl.Engine(kdl.compile("input rel e(a: str). rel n(c: int). n(N) :- N = count : { e(A) }."))
engine.apply(insert=[("e", (f"{i * 7919 % 1000}",)) for i in range(1000)])
print([one[0].fact.row[0] for one in engine.why("n", (1000,)).premises[0].contributors])
"""
    command = [sys.executable, "-c", program]
    environments = [{**os.environ, "PYTHONHASHSEED": seed} for seed in ("1", "2")]
    shown = {subprocess.check_output(command, text=True, env=environment) for environment in environments}
    assert shown == {"['0', '1', '10', '100', '101']\n"}


def test_what_was_shown_above_is_referred_to_by_its_number() -> None:
    assert "(see 1)" in text(cluster(), "best", "web", "n2")


def test_a_time_that_has_come_is_named() -> None:
    system = Naive(kdl.compile("input rel at(t: time).\nrel on(t: time).\non(T) :- at(T), due(T).\n"))
    system.apply(insert=[("at", (1000,))], now=5000)
    assert "1970-01-01T00:00:01.000Z has come" in text(system, "on", 1000)


def test_proofs_through_cycles_are_low_and_end() -> None:
    system = Naive(kdl.compile(GRAPH))
    system.apply(insert=[("edge", (i, (i + 1) % 16)) for i in range(16)])
    proof = why(system, "path", (0, 0))
    assert proof is not None
    assert height(proof) <= 6

    def on_the_way(found: Proof, above: tuple[Fact, ...]) -> None:
        assert found.fact not in above
        for premise in found.premises:
            assert isinstance(premise, Proof)
            on_the_way(premise, (*above, found.fact))

    on_the_way(proof, ())


def test_json_has_whole_facts_and_every_reason() -> None:
    system = cluster()
    proof = why(system, "best", row(("web", "n2")))
    assert proof is not None
    (found,), _ = proofs_json([proof], system.program)
    assert found["relation"] == "best"
    assert found["row"] == ["web", "n2"]
    assert found["because"][1]["aggregate"] == "max"
    assert found["because"][1]["result"] == [800, "n2"]


def test_a_fact_that_is_needed_often_is_made_into_data_once():
    rules = "input rel e(a: int).\nrel p0(a: int).\np0(X) :- e(X).\n" + "".join(
        f"rel p{n}(a: int).\np{n}(X) :- p{n - 1}(X), p{n - 1}(_).\n" for n in range(1, 60)
    )
    engine = kdl.Engine(kdl.compile(rules))
    engine.apply(insert=[("e", (1,))])
    (top,), facts = proofs_json([engine.why("p59", (1,))], engine.program)  # written out it has 2 to the 59 facts
    assert top["because"][0] == top["because"][1] == {"see": "1"}
    assert [(facts[str(n)]["relation"], facts[str(n)]["row"]) for n in (1, 59)] == [("p58", [1]), ("p0", [1])]
    assert len(facts) == 59


def test_data_is_never_so_deep_that_readers_refuse_it():
    engine = kdl.Engine(kdl.compile("input rel edge(a: int, b: int).\nrel far(a: int).\nfar(0).\n"
                                    "far(Y) :- far(X), edge(X, Y).\n"))  # fmt: skip
    engine.apply(insert=[("edge", (n, n + 1)) for n in range(3000)])
    data = orjson.loads(orjson.dumps(proofs_json([engine.why("far", (3000,))], engine.program)))
    proof, seen = data[0][0], 0
    while proof["row"] != [0]:
        below = proof["because"][0]
        proof = data[1][below["see"]] if "see" in below else below
        seen += 1
    assert seen == 3000


def test_an_engine_that_was_asked_is_forgotten_when_nobody_holds_it() -> None:
    engine = kdl.Engine(kdl.compile(GRAPH))
    engine.apply(insert=[("edge", (1, 2))])
    assert engine.why("path", (1, 2)) is not None
    assert engine.why_not("path", (2, 1)) is not None
    gone = weakref.ref(engine)
    del engine
    gc.collect()
    assert gone() is None
