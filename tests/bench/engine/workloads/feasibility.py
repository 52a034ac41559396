"""Node feasibility: which nodes may run pods of which class, by every filter of the shipped scheduling pack.

kdl evaluates the pack itself, from Node and Pod documents. The peers get what those documents say as plain facts, and
the same filters as plain rules.
"""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Any, Final

from tests.bench.engine.workload import Facts, Pack, Row, Run, Workload

ZONES: Final = ("a", "b", "c")
CORDON: Final = ("node.kubernetes.io/unschedulable", "", "NoSchedule")
TAINTS: Final = (("gpu", "true", "NoSchedule"), ("spot", "", "NoSchedule"), ("team", "red", "NoExecute"))


def facts(chance: random.Random, size: Mapping[str, int]) -> Facts:
    """Nodes, pods spread evenly over them, and one waiting pod for each class."""
    found: Facts = {name: [] for name in INPUTS}
    for number in range(size["nodes"]):
        node(chance, found, f"node-{number}", size["nodes"])
    for number in range(size["pods"]):
        found["placed"].append((f"default/pod-{number}", f"node-{number % size['nodes']}"))
        placed(found, f"default/pod-{number}")
    for number in range(size["classes"]):
        wanted(chance, found, number, size["nodes"])
    found["known_taint"], found["cordon"] = [*TAINTS, CORDON], [CORDON]
    return found


def node(chance: random.Random, found: Facts, name: str, nodes: int) -> None:
    """A node of one of four sizes; some are tainted, a few are cordoned."""
    found["node"].append((name,))
    cores = chance.choice([2, 4, 8, 16])
    found["allocatable"] += [(name, "cpu", cores * 1000), (name, "memory", cores << 12), (name, "pods", 110)]
    found["label"] += [(name, "zone", chance.choice(ZONES)), (name, "generation", str(chance.randrange(1, 6)))]
    found["number"].append((name, "generation", int(found["label"][-1][2])))
    if chance.random() < 0.5:
        found["label"].append((name, "disk", chance.choice(["ssd", "hdd"])))
    if chance.random() < 0.02:
        found["unschedulable"].append((name,))
    if chance.random() < 0.15:
        found["taint"].append((name, *chance.choice(TAINTS)))
    if chance.random() < 0.05:
        found["allocatable"].append((name, "example.com/gpu", 4))


def placed(found: Facts, pod: str) -> None:
    """What a pod that runs takes: it follows from its name, as a fresh one is to be like the others."""
    chance = random.Random(pod)
    found["demand"] += [
        (pod, "cpu", chance.choice([250, 500, 1000])),
        (pod, "memory", chance.choice([1, 2, 4]) << 10),
        (pod, "pods", 1),
    ]
    if chance.random() < 0.3:
        found["host_port"].append((pod, "TCP", chance.choice(["0.0.0.0", "10.0.0.1"]), chance.choice([8080, 9100])))


def wanted(chance: random.Random, found: Facts, number: int, nodes: int) -> None:
    """A class: what its pods ask for, and some of all that may keep them off a node."""
    name = f"class-{number}"
    found["wanted"].append((name,))
    found["wants"] += [
        (name, "cpu", 100 + 10 * number), (name, "memory", chance.choice([1, 2, 8, 16]) << 10), (name, "pods", 1),
    ]  # fmt: skip
    if chance.random() < 0.1:
        found["wants"].append((name, "example.com/gpu", 1))
    if chance.random() < 0.3:
        key, value, effect = chance.choice(TAINTS)
        found["toleration"].append((name, key, *(chance.choice([("Exists", ""), ("Equal", value)])), effect))
    if chance.random() < 0.1:
        found["toleration"].append((name, "", "Exists", "", ""))
    if chance.random() < 0.2:
        found["node_selector"].append((name, "disk", "ssd"))
    if chance.random() < 0.2:
        found["wants_port"].append((name, "TCP", chance.choice(["0.0.0.0", "10.0.0.1"]), chance.choice([8080, 9100])))
    if chance.random() < 0.4:
        for place in range(chance.randrange(1, 3)):
            term(chance, found, name, f"{name}/term-{place}")


def term(chance: random.Random, found: Facts, name: str, term: str) -> None:
    """A term of a class's required node affinity: one or two requirements."""
    found["term"].append((name, term))
    for place, (key, operator, values) in enumerate(
        chance.sample(
            [
                ("zone", "In", chance.sample(ZONES, 2)), ("zone", "NotIn", ["c"]), ("disk", "Exists", []),
                ("disk", "DoesNotExist", []), ("generation", "Gt", ["2"]), ("generation", "Lt", ["4"]),
            ],
            chance.randrange(1, 3),
        )
    ):  # fmt: skip
        found["expression"].append((term, place, key, operator))
        found["value"] += [(term, place, value) for value in values]
        found["bound"] += [(term, place, int(value)) for value in values if operator in ("Gt", "Lt")]


def fresh(chance: random.Random, facts: Facts) -> Row:
    """A pod that is not there yet on some node."""
    pod = f"default/more-{chance.randrange(1 << 40)}"
    placed(facts, pod)  # what it takes is known beforehand, that it is placed is the change
    return pod, chance.choice(facts["node"])[0]


# --- for kdl: documents ----------------------------------------------------------------------------------------------


def program() -> Any:
    """The part of the shipped packs that feasibility follows from."""
    import kdl
    from kdl.rules.program import restricted

    return restricted(kdl.compile(list(kdl.shipped())), ["sched.feasible"])


def documents(facts: Facts) -> list[tuple[str, Row]]:
    """The Node and Pod objects that say what the facts do."""
    by = {name: grouped(rows) for name, rows in facts.items()}
    made = []
    for (name,) in facts["node"]:
        taints = [{"key": k, "value": v, "effect": e} for k, v, e in by["taint"].get(name, ())]
        spec: dict[str, Any] = {"taints": taints} if taints else {}
        if name in by["unschedulable"]:
            spec["unschedulable"] = True
        amounts = {resource: said(resource, amount) for resource, amount in by["allocatable"][name]}
        labels: dict[str, str] = dict(by["label"][name])
        made.append(document("Node", name, {"labels": labels}, spec, {"allocatable": amounts}))
    made += [bound(row, by) for row in facts["placed"]]
    for (name,) in facts["wanted"]:
        made.append(document("Pod", f"default/{name}", {}, waiting(name, by)))
    return made


def changes(facts: Facts, rows: list[Row]) -> list[list[tuple[str, Row]]]:
    """The pod that comes or goes with each row of `placed`."""
    by = {name: grouped(facts[name]) for name in ("demand", "host_port")}
    return [[bound(row, by)] for row in rows]


def grouped(rows: list[Row]) -> dict[Any, list[Row]]:
    """Rows by their first column, without it."""
    found: dict[Any, list[Row]] = {}
    for first, *rest in rows:
        found.setdefault(first, []).append(tuple(rest))
    return found


def said(resource: str, amount: int) -> str:
    """A quantity as text. Facts hold mebibytes, as clingo's integers have 32 bits."""
    return f"{amount}m" if resource == "cpu" else f"{amount}Mi" if resource == "memory" else str(amount)


def document(kind: str, name: str, metadata: dict[str, Any], spec: Any, status: Any = None) -> tuple[str, Row]:
    """An object's fact."""
    doc = {"apiVersion": "v1", "kind": kind, "metadata": {"name": name.rpartition("/")[2], **metadata}, "spec": spec}
    return "core.object", ("", kind, name, f"uid-{name}", doc | ({"status": status} if status else {}))


def container(needs: list[Row], ports: list[Row]) -> dict[str, Any]:
    """The container of a pod that asks for these resources and host ports."""
    requests = {resource: said(resource, amount) for resource, amount in needs if resource != "pods"}
    opened = [{"containerPort": 80, "hostPort": port, "hostIP": ip, "protocol": p} for p, ip, port in ports]
    return {"name": "app", "image": "app:1", "resources": {"requests": requests}, "ports": opened}


def bound(row: Row, by: Mapping[str, Mapping[Any, list[Row]]]) -> tuple[str, Row]:
    """The object of a pod on a node."""
    pod, name = row
    parts = container(by["demand"][pod], by["host_port"].get(pod, []))
    return document("Pod", pod, {"namespace": "default"}, {"nodeName": name, "containers": [parts]})


def waiting(name: str, by: Mapping[str, Mapping[Any, list[Row]]]) -> dict[str, Any]:
    """The spec of a class's pod."""
    spec: dict[str, Any] = {"containers": [container(by["wants"][name], by["wants_port"].get(name, []))]}
    if tolerations := by["toleration"].get(name):
        names = ("key", "operator", "value", "effect")
        spec["tolerations"] = [{n: v for n, v in zip(names, row, strict=True) if v} for row in tolerations]
    if selector := by["node_selector"].get(name):
        spec["nodeSelector"] = dict(selector)
    if terms := by["term"].get(name):
        values = grouped(
            [((t, e), v) for t, e, v in ((t, *rest) for t, found in by["value"].items() for rest in found)]
        )
        required = [
            {"matchExpressions": [
                {"key": key, "operator": operator, "values": [v for (v,) in values.get((t, place), [])]}
                for place, key, operator in by["expression"][t]
            ]}
            for (t,) in terms
        ]  # fmt: skip
        node_affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": required}}
        spec["affinity"] = {"nodeAffinity": node_affinity}
    return spec


# --- for the peers ---------------------------------------------------------------------------------------------------

INPUTS: Final = {
    "node": "str", "label": "str str str", "number": "str str int", "allocatable": "str str int",
    "unschedulable": "str", "taint": "str str str str", "known_taint": "str str str", "cordon": "str str str",
    "placed": "str str", "demand": "str str int",
    "host_port": "str str str int", "wanted": "str", "wants": "str str int", "wants_port": "str str str int",
    "toleration": "str str str str str", "node_selector": "str str str", "term": "str str",
    "expression": "str int str str", "value": "str int str", "bound": "str int int",
}  # fmt: skip

DERIVED: Final = {
    "tolerated": "str str str str", "listed": "str int str", "has": "str str", "unmet": "str str", "fits": "str str",
    "satisfies": "str str", "affine": "str", "used": "str str int", "free": "str str int", "provides": "str str",
    "taken": "str str str int", "rejects": "str str str", "feasible": "str str",
}  # fmt: skip

RULES: Final = """
tolerated(C, K, V, E) :- toleration(C, K, "Exists", _, E), known_taint(K, V, E).
tolerated(C, K, V, E) :- toleration(C, "", "Exists", _, E), known_taint(K, V, E).
tolerated(C, K, V, E) :- toleration(C, K, "Exists", _, ""), known_taint(K, V, E).
tolerated(C, K, V, E) :- toleration(C, "", "Exists", _, ""), known_taint(K, V, E).
tolerated(C, K, V, E) :- toleration(C, K, "Equal", V, E), known_taint(K, V, E).
tolerated(C, K, V, E) :- toleration(C, K, "Equal", V, ""), known_taint(K, V, E).

listed(T, I, N) :- value(T, I, V), expression(T, I, K, _), label(N, K, V).
has(N, K) :- label(N, K, _).
unmet(T, N) :- expression(T, I, _, "In"), node(N), not listed(T, I, N).
unmet(T, N) :- expression(T, I, _, "NotIn"), listed(T, I, N).
unmet(T, N) :- expression(T, _, K, "Exists"), node(N), not has(N, K).
unmet(T, N) :- expression(T, _, K, "DoesNotExist"), has(N, K).
unmet(T, N) :- expression(T, _, K, "Gt"), node(N), not has(N, K).
unmet(T, N) :- expression(T, _, K, "Lt"), node(N), not has(N, K).
unmet(T, N) :- expression(T, I, K, "Gt"), bound(T, I, B), number(N, K, A), A <= B.
unmet(T, N) :- expression(T, I, K, "Lt"), bound(T, I, B), number(N, K, A), A >= B.
fits(T, N) :- term(_, T), node(N), not unmet(T, N).
satisfies(C, N) :- term(C, T), fits(T, N).
affine(C) :- term(C, _).

free(N, R, F) :- allocatable(N, R, A), used(N, R, U), F = A - U.
provides(N, R) :- allocatable(N, R, _).
taken(N, P, I, Q) :- placed(O, N), host_port(O, P, I, Q).

rejects(C, N, "NodeUnschedulable") :- wanted(C), unschedulable(N), cordon(K, V, E), not tolerated(C, K, V, E).
rejects(C, N, "TaintToleration") :- wanted(C), taint(N, K, V, E), not tolerated(C, K, V, E).
rejects(C, N, "NodeAffinity") :- node_selector(C, K, V), node(N), not label(N, K, V).
rejects(C, N, "NodeAffinity") :- affine(C), node(N), not satisfies(C, N).
rejects(C, N, "NodePorts") :- wants_port(C, P, I, Q), taken(N, P, I, Q).
rejects(C, N, "NodePorts") :- wants_port(C, P, "0.0.0.0", Q), taken(N, P, _, Q).
rejects(C, N, "NodePorts") :- wants_port(C, P, _, Q), taken(N, P, "0.0.0.0", Q).
rejects(C, N, "NodeResourcesFit") :- wants(C, R, W), free(N, R, F), F < W.
rejects(C, N, "NodeResourcesFit") :- wants(C, R, _), node(N), not provides(N, R).
feasible(C, N) :- wanted(C), node(N), not rejects(C, N, _).
"""

DIALECT: Final = {
    "clingo": (  # with the join inside the braces it looks at every demand for every node
        "takes(N, R, P, A) :- placed(P, N), demand(P, R, A).\n"
        "used(N, R, U) :- allocatable(N, R, _), U = #sum { A, P : takes(N, R, P, A) }."
    ),
    "swi": "used(N, R, U) :- allocatable(N, R, _), aggregate_all(sum(A), (placed(P, N), demand(P, R, A)), U).",
    "naive": "used(N, R, U) :- allocatable(N, R, _), U = sum A : { placed(P, N), demand(P, R, A) }.",
    "pydatalog": (
        "takes(N, R, P, A) :- placed(P, N), demand(P, R, A).\n"
        "uses(N, R) :- takes(N, R, _, _).\n"
        "used(N, R, 0) :- allocatable(N, R, _), not uses(N, R).\n"
        "(total[N, R] == sum_(A, for_each=P)) <= takes(N, R, P, A)\n"
        "used(N, R, U) <= uses(N, R) & (total[N, R] == U)"
    ),
}


def sql(run: Run) -> None:
    """The filters as one statement."""
    run("""
        CREATE OR REPLACE TABLE feasible AS
        WITH tolerated AS (
            SELECT DISTINCT t.c0 AS c, k.c0 AS k, k.c1 AS v, k.c2 AS e FROM toleration t, known_taint k
            WHERE t.c4 IN (k.c2, '') AND (t.c2 = 'Exists' AND t.c1 IN (k.c0, '')
                OR t.c2 = 'Equal' AND t.c1 = k.c0 AND t.c3 = k.c1)),
        listed AS (
            SELECT DISTINCT e.c0 AS t, e.c1 AS i, l.c0 AS n
            FROM expression e JOIN value v ON v.c0 = e.c0 AND v.c1 = e.c1 JOIN label l ON l.c1 = e.c2 AND l.c2 = v.c2),
        unmet AS (
            SELECT e.c0 AS t, n.c0 AS n FROM expression e, node n WHERE e.c3 = 'In'
                AND NOT EXISTS (SELECT 1 FROM listed l WHERE l.t = e.c0 AND l.i = e.c1 AND l.n = n.c0)
            UNION SELECT e.c0, l.n FROM expression e JOIN listed l ON l.t = e.c0 AND l.i = e.c1 WHERE e.c3 = 'NotIn'
            UNION SELECT e.c0, n.c0 FROM expression e, node n WHERE e.c3 IN ('Exists', 'Gt', 'Lt')
                AND NOT EXISTS (SELECT 1 FROM label l WHERE l.c0 = n.c0 AND l.c1 = e.c2)
            UNION SELECT e.c0, l.c0 FROM expression e JOIN label l ON l.c1 = e.c2 WHERE e.c3 = 'DoesNotExist'
            UNION SELECT e.c0, a.c0 FROM expression e JOIN bound b ON b.c0 = e.c0 AND b.c1 = e.c1
                JOIN number a ON a.c1 = e.c2 WHERE e.c3 = 'Gt' AND a.c2 <= b.c2 OR e.c3 = 'Lt' AND a.c2 >= b.c2),
        satisfies AS (
            SELECT DISTINCT t.c0 AS c, n.c0 AS n FROM term t, node n
            WHERE NOT EXISTS (SELECT 1 FROM unmet u WHERE u.t = t.c1 AND u.n = n.c0)),
        used AS (SELECT p.c1 AS n, d.c1 AS r, sum(d.c2) AS u FROM placed p JOIN demand d ON d.c0 = p.c0 GROUP BY 1, 2),
        free AS (
            SELECT a.c0 AS n, a.c1 AS r, a.c2 - coalesce(u.u, 0) AS f
            FROM allocatable a LEFT JOIN used u ON u.n = a.c0 AND u.r = a.c1),
        taken AS (
            SELECT p.c1 AS n, h.c1 AS p, h.c2 AS i, h.c3 AS q FROM placed p JOIN host_port h ON h.c0 = p.c0),
        rejects AS (
            SELECT c.c0 AS c, u.c0 AS n, 'NodeUnschedulable' AS f FROM wanted c, unschedulable u WHERE NOT EXISTS (
                SELECT 1 FROM tolerated t WHERE t.c = c.c0 AND t.k = 'node.kubernetes.io/unschedulable')
            UNION SELECT c.c0, a.c0, 'TaintToleration' FROM wanted c, taint a WHERE NOT EXISTS (
                SELECT 1 FROM tolerated t WHERE t.c = c.c0 AND t.k = a.c1 AND t.v = a.c2 AND t.e = a.c3)
            UNION SELECT s.c0, n.c0, 'NodeAffinity' FROM node_selector s, node n WHERE NOT EXISTS (
                SELECT 1 FROM label l WHERE l.c0 = n.c0 AND l.c1 = s.c1 AND l.c2 = s.c2)
            UNION SELECT t.c0, n.c0, 'NodeAffinity' FROM (SELECT DISTINCT c0 FROM term) t, node n WHERE NOT EXISTS (
                SELECT 1 FROM satisfies s WHERE s.c = t.c0 AND s.n = n.c0)
            UNION SELECT w.c0, t.n, 'NodePorts' FROM wants_port w JOIN taken t ON t.p = w.c1 AND t.q = w.c3
                WHERE w.c2 = t.i OR w.c2 = '0.0.0.0' OR t.i = '0.0.0.0'
            UNION SELECT w.c0, f.n, 'NodeResourcesFit' FROM wants w JOIN free f ON f.r = w.c1 WHERE f.f < w.c2
            UNION SELECT w.c0, n.c0, 'NodeResourcesFit' FROM wants w, node n WHERE NOT EXISTS (
                SELECT 1 FROM allocatable a WHERE a.c0 = n.c0 AND a.c1 = w.c1))
        SELECT c.c0 AS c, n.c0 AS n FROM wanted c, node n
        WHERE NOT EXISTS (SELECT 1 FROM rejects r WHERE r.c = c.c0 AND r.n = n.c0)
    """)


FEASIBILITY = Workload(
    name="feasibility",
    title="node feasibility",
    sizes={
        "small": {"nodes": 50, "pods": 100, "classes": 10},
        "medium": {"nodes": 500, "pods": 1000, "classes": 30},
        "large": {"nodes": 5000, "pods": 10000, "classes": 100},
    },
    inputs=INPUTS,
    derived=DERIVED,
    rules=RULES,
    dialect=DIALECT,
    goal="feasible",
    changing="placed",
    facts=facts,
    fresh=fresh,
    sql=sql,
    tables=("tolerated", "satisfies", "used", "feasible"),
    pack=Pack(program, "sched.feasible", documents, changes),
)
