"""Access: which of many requests some binding of a role to a user or group grants."""

from __future__ import annotations

import random
from collections.abc import Mapping
from typing import Final

from tests.bench.engine.workload import Facts, Row, Run, Workload

VERBS: Final = ("get", "list", "watch", "create", "update", "patch", "delete")
KINDS: Final = ("pods", "services", "secrets", "configmaps", "deployments", "jobs", "nodes", "events")


def facts(chance: random.Random, size: Mapping[str, int]) -> Facts:
    """Roles with a few grants, bindings all over the namespaces, requests of users for one verb on one kind."""
    users, bindings = size["bindings"] // 5, size["bindings"]
    roles, groups, namespaces = max(10, bindings // 50), max(5, bindings // 100), max(5, bindings // 100)
    grants = [
        (f"role-{role}", chance.choice([*VERBS, "*"]), chance.choice([*KINDS, "*"]))
        for role in range(roles)
        for _ in range(chance.randrange(1, 7))
    ]
    members = [(f"user-{user}", f"group-{chance.randrange(groups)}") for user in range(users) for _ in range(2)]
    rows = [binding(chance, users, groups, roles, namespaces) for _ in range(bindings)]
    asked = [
        (f"request-{n}", f"user-{chance.randrange(users)}", chance.choice(VERBS), chance.choice(KINDS),
         f"ns-{chance.randrange(namespaces)}")
        for n in range(size["requests"])
    ]  # fmt: skip
    return {name: list(dict.fromkeys(found)) for name, found in
            (("grants", grants), ("member", members), ("binding", rows), ("request", asked))}  # fmt: skip


def binding(chance: random.Random, users: int, groups: int, roles: int, namespaces: int) -> Row:
    """A role for a user or, one time in ten, a group; in one namespace or, one time in fifty, in all."""
    subject = f"group-{chance.randrange(groups)}" if chance.random() < 0.1 else f"user-{chance.randrange(users)}"
    scope = "*" if chance.random() < 0.02 else f"ns-{chance.randrange(namespaces)}"
    return subject, f"role-{chance.randrange(roles)}", scope


def fresh(chance: random.Random, facts: Facts) -> Row:
    """A binding put together from others."""
    subject, role, scope = (chance.choice(facts["binding"])[column] for column in range(3))
    return subject, role, scope


def sql(run: Run) -> None:
    """Joins with alternatives where a wildcard may stand."""
    run("""
        CREATE OR REPLACE TABLE allow AS
        WITH subject AS (
            SELECT DISTINCT c0 AS u, c0 AS s FROM (SELECT c1 AS c0 FROM request)
            UNION SELECT c0, c1 FROM member)
        SELECT DISTINCT r.c0 FROM request r JOIN subject ON subject.u = r.c1 JOIN binding b ON b.c0 = subject.s
        JOIN grants g ON g.c0 = b.c1
        WHERE (b.c2 = r.c4 OR b.c2 = '*') AND (g.c1 = r.c2 OR g.c1 = '*') AND (g.c2 = r.c3 OR g.c2 = '*')
    """)


RBAC = Workload(
    name="rbac",
    title="RBAC decisions",
    sizes={
        "small": {"bindings": 100, "requests": 10},
        "medium": {"bindings": 1000, "requests": 100},
        "large": {"bindings": 10000, "requests": 1000},
    },
    inputs={
        "grants": "str str str", "member": "str str", "binding": "str str str", "request": "str str str str str",
    },
    derived={"subject": "str str", "asked": "str str str", "scope": "str str", "verb": "str str", "kind": "str str",
             "held": "str str", "allow": "str"},
    rules="""
subject(Q, U) :- request(Q, U, _, _, _).
subject(Q, G) :- request(Q, U, _, _, _), member(U, G).
scope(Q, N) :- request(Q, _, _, _, N).
scope(Q, "*") :- request(Q, _, _, _, _).
verb(Q, V) :- request(Q, _, V, _, _).
verb(Q, "*") :- request(Q, _, _, _, _).
kind(Q, K) :- request(Q, _, _, K, _).
kind(Q, "*") :- request(Q, _, _, _, _).
held(Q, R) :- subject(Q, S), scope(Q, N), binding(S, R, N).
allow(Q) :- held(Q, R), grants(R, V, K), verb(Q, V), kind(Q, K).
""",
    goal="allow",
    changing="binding",
    facts=facts,
    fresh=fresh,
    sql=sql,
)  # fmt: skip
