"""Network policy: which pod may open a connection to which isolated pod, on which port."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from tests.bench.engine.workload import Facts, Row, Run, Workload

LABELS: Final = {"app": 40, "tier": 5, "env": 3}
"""Keys of labels, each with its number of values."""


def facts(chance: random.Random, size: Mapping[str, int]) -> Facts:
    """Pods with three labels each in a twentieth as many namespaces; policies with one or two peers and ports."""
    spaces = [f"ns-{n}" for n in range(max(2, size["pods"] // 50))]
    found: Facts = {"pod": [(f"pod-{n}", chance.choice(spaces)) for n in range(size["pods"])]}
    found["label"] = [label(chance, pod, key) for pod, _ in found["pod"] for key in LABELS]
    found["ns_label"] = [(space, "name", space) for space in spaces]
    found["ns_label"] += [(space, "team", f"team-{chance.randrange(4)}") for space in spaces]
    found["policy"], found["peer"], found["port"] = [], [], []
    selectors: dict[tuple[tuple[str, str], ...], str] = {}

    def selector(*wanted: tuple[str, str]) -> str:
        return selectors.setdefault(tuple(sorted(wanted)), f"selector-{len(selectors)}")

    def pods(keys: int) -> str:
        return selector(*(label(chance, "", key)[1:] for key in chance.sample([*LABELS], keys)))

    for number in range(size["policies"]):
        name, space = f"policy-{number}", chance.choice(spaces)
        found["policy"].append((name, space, selector() if chance.random() < 0.2 else pods(1)))
        for _ in range(chance.randrange(1, 3)):
            where = ("name", space) if chance.random() < 0.5 else ("team", f"team-{chance.randrange(4)}")
            found["peer"].append((name, selector(where), pods(chance.randrange(1, 3))))
        found["port"] += [(name, port) for port in chance.sample([80, 443, 5432, 8080, 9090], chance.randrange(1, 3))]
    found["selector"] = [(name,) for name in selectors.values()]
    found["requirement"] = [(name, *wanted) for terms, name in selectors.items() for wanted in terms]
    return {name: list(dict.fromkeys(rows)) for name, rows in found.items()}


def label(chance: random.Random, pod: str, key: str) -> Row:
    """A label with a random value."""
    return pod, key, f"{key}-{chance.randrange(LABELS[key])}"


def fresh(chance: random.Random, facts: Facts) -> Row:
    """Another value for a label of some pod, beside the one it has."""
    pod, key, _ = chance.choice(facts["label"])
    return label(chance, pod, key)


def sql(run: Run) -> None:
    """Selectors by anti-joins, then joins."""
    run("""
        CREATE OR REPLACE TABLE reach AS
        WITH fits AS (
            SELECT s.c0 AS s, p.c0 AS p, p.c1 AS ns FROM selector s, pod p WHERE NOT EXISTS (
                SELECT 1 FROM requirement r WHERE r.c0 = s.c0 AND NOT EXISTS (
                    SELECT 1 FROM label l WHERE l.c0 = p.c0 AND l.c1 = r.c1 AND l.c2 = r.c2))),
        ns_fits AS (
            SELECT s.c0 AS s, n.ns FROM selector s, (SELECT DISTINCT c0 AS ns FROM ns_label) n WHERE NOT EXISTS (
                SELECT 1 FROM requirement r WHERE r.c0 = s.c0 AND NOT EXISTS (
                    SELECT 1 FROM ns_label l WHERE l.c0 = n.ns AND l.c1 = r.c1 AND l.c2 = r.c2))),
        selected AS (SELECT k.c0 AS k, f.p FROM policy k JOIN fits f ON f.s = k.c2 AND f.ns = k.c1),
        source AS (
            SELECT DISTINCT e.c0 AS k, f.p FROM peer e JOIN ns_fits n ON n.s = e.c1
            JOIN fits f ON f.s = e.c2 AND f.ns = n.ns)
        SELECT DISTINCT source.p AS a, selected.p AS b, port.c1 AS port
        FROM source JOIN selected USING (k) JOIN port ON port.c0 = k
    """)


NETPOL = Workload(
    name="netpol",
    title="NetworkPolicy reachability",
    sizes={
        "small": {"pods": 50, "policies": 10},
        "medium": {"pods": 250, "policies": 50},
        "large": {"pods": 1000, "policies": 200},
    },
    inputs={
        "pod": "str str", "label": "str str str", "ns_label": "str str str", "policy": "str str str",
        "peer": "str str str", "port": "str int", "selector": "str", "requirement": "str str str",
    },
    derived={"fails": "str str", "fits": "str str", "space": "str", "ns_fails": "str str", "ns_fits": "str str",
             "selected": "str str", "source": "str str", "reach": "str str int"},
    rules="""
fails(S, P) :- requirement(S, K, V), pod(P, _), not label(P, K, V).
fits(S, P) :- selector(S), pod(P, _), not fails(S, P).
space(N) :- ns_label(N, _, _).
ns_fails(S, N) :- requirement(S, K, V), space(N), not ns_label(N, K, V).
ns_fits(S, N) :- selector(S), space(N), not ns_fails(S, N).
selected(K, P) :- policy(K, N, S), pod(P, N), fits(S, P).
source(K, P) :- peer(K, M, S), ns_fits(M, N), pod(P, N), fits(S, P).
reach(A, B, Port) :- source(K, A), selected(K, B), port(K, Port).
""",
    goal="reach",
    changing="label",
    facts=facts,
    fresh=fresh,
    sql=sql,
    tables=("selected", "source", "reach"),
)  # fmt: skip
