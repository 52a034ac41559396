"""What the access pack decides, beside an independent checker, and what it says of it."""

from __future__ import annotations

import random
from typing import Any, NamedTuple

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import kdl
from kdl.fact import Fact, value
from kdl.parser.manifest.kinds import identity
from kdl.parser.source import shipped
from kdl.rules.program import Program, restricted
from kdl.runtime.access import Access
from kdl.runtime.api.gate import Action, known_as
from kdl.runtime.cluster import defaults
from kdl.runtime.programs import compile
from kdl.runtime.store import Key, MemoryStore
from tests.packs.rbac import Asked, Checker
from tests.packs.test_beside import ROOT

GROUP = "rbac.authorization.k8s.io"
VERBS = ("get", "list", "watch", "create", "delete")
API_GROUPS = ("", "apps", "example.com")
RESOURCES = (
    ("pods", ""),
    ("pods", "log"),
    ("pods", "exec"),
    ("secrets", ""),
    ("deployments", ""),
    ("deployments", "scale"),
)
NAMES = ("", "a", "b", "c")


class People(NamedTuple):
    """Who asks, and where."""

    namespaces: tuple[str, ...]
    users: tuple[str, ...]
    groups: tuple[str, ...]


def people(namespaces: int, users: int, groups: int) -> People:
    """So many of each, and a service account in each namespace."""
    spaces = tuple(f"ns-{i}" for i in range(namespaces))
    robots = (f"system:serviceaccount:{space}:robot" for space in spaces)
    return People(spaces, (*(f"user-{i}" for i in range(users)), *robots), tuple(f"team-{i}" for i in range(groups)))


FEW = people(3, 20, 3)


@pytest.fixture(scope="module")
def program() -> Program:
    """What decisions follow from."""
    packs = kdl.compile([ROOT / "policies" / name for name in ("core", "access", "admission")])
    return restricted(packs, {"access.allow", "denials.nearest"})


def whole(resource: str, subresource: str) -> str:
    return f"{resource}/{subresource}" if subresource else resource


def some(choose: random.Random, items: tuple[str, ...], star: float) -> list[str]:
    return ["*"] if choose.random() < star else choose.sample(items, choose.randint(1, 2))


def rule(choose: random.Random) -> dict[str, Any]:
    """A rule of a role, with stars and names now and then."""
    resources = (*(whole(*pair) for pair in RESOURCES), "*/scale", "*/log")
    made = {
        "verbs": some(choose, VERBS, 0.2),
        "apiGroups": some(choose, API_GROUPS, 0.1),
        "resources": some(choose, resources, 0.05),
    }
    return made | ({"resourceNames": choose.sample(NAMES[1:], 2)} if choose.random() < 0.25 else {})


def role(choose: random.Random, who: People, kind: str, number: int) -> dict[str, Any]:
    """A role; some cluster roles are made of those with a label, which may be such roles again."""
    metadata: dict[str, Any] = {"name": f"role-{number}"}
    doc = {"apiVersion": f"{GROUP}/v1", "kind": kind, "metadata": metadata}
    if kind == "Role":
        metadata["namespace"] = choose.choice(who.namespaces)
    elif choose.random() < 0.4:
        metadata["labels"] = {"into": choose.choice("xy")}
    if kind == "ClusterRole" and choose.random() < 0.2:
        return doc | {"aggregationRule": {"clusterRoleSelectors": [{"matchLabels": {"into": choose.choice("xy")}}]}}
    return doc | {"rules": [rule(choose) for _ in range(choose.randint(0, 4))]}


def binding(choose: random.Random, who: People, roles: list[dict[str, Any]], number: int) -> dict[str, Any]:
    """A binding of a role, which may be of another namespace and so of none."""
    chosen = choose.choice(roles)
    cluster = chosen["kind"] == "ClusterRole" and choose.random() < 0.15
    metadata = {"name": f"binding-{number}"} | ({} if cluster else {"namespace": choose.choice(who.namespaces)})
    kind = choose.choice(("User", "Group", "ServiceAccount"))
    name = {"User": choose.choice(who.users), "Group": choose.choice(who.groups), "ServiceAccount": "robot"}[kind]
    home = {"namespace": choose.choice(who.namespaces)} if kind == "ServiceAccount" and choose.random() < 0.7 else {}
    return {
        "apiVersion": f"{GROUP}/v1",
        "kind": "ClusterRoleBinding" if cluster else "RoleBinding",
        "metadata": metadata,
        "roleRef": {"apiGroup": GROUP, "kind": chosen["kind"], "name": chosen["metadata"]["name"]},
        "subjects": [{"kind": kind, "name": name, **home}],
    }


def world(seed: int, roles: int, bindings: int, who: People = FEW) -> tuple[list[dict[str, Any]], list[Asked]]:
    """Roles and bindings, and a way to ask."""
    choose = random.Random(seed)
    made = [role(choose, who, "ClusterRole" if i % 2 else "Role", i) for i in range(roles)]
    return made + [binding(choose, who, made, i) for i in range(bindings)], requests(choose, who, 4 * bindings)


def requests(choose: random.Random, who: People, count: int) -> list[Asked]:
    """Random requests."""
    return [
        Asked(
            choose.choice(who.users),
            ("system:authenticated", choose.choice(who.groups)),
            choose.choice(VERBS),
            choose.choice(API_GROUPS),
            *choose.choice(RESOURCES),
            choose.choice(("", *who.namespaces)),
            choose.choice(NAMES),
        )
        for _ in range(count)
    ]


def facts(docs: list[dict[str, Any]]) -> list[Fact]:
    return [Fact("core.object", (*identity(doc), f"uid-{i}", value(doc))) for i, doc in enumerate(docs)]


def compare(program: Program, docs: list[dict[str, Any]], asked: list[Asked]) -> int:
    """Hold the rules' answers and reasons against the checker's; how many were grants."""
    engine, checker = kdl.Engine(program), Checker(docs)
    engine.apply(facts(docs))
    granted = 0
    for number, question in enumerate(asked):
        user, groups, verb, group, resource, sub, namespace, name = question
        row = (f"q{number}", user, value(groups), verb, group, whole(resource, sub), sub, namespace, name)
        engine.apply([Fact("access.request", row)])
        reasons = {str(found[1]) for found in engine.lookup("access.allow", {0: row[0]})}
        engine.apply(remove=[Fact("access.request", row)])
        expected = {f'RBAC: allowed by {g[0]} "{g[1]}" of {g[2]} "{g[3]}" to ' for g in checker.grants(question)}
        assert {reason[: reason.index(" to ") + 4] for reason in reasons} == expected, question
        granted += bool(reasons)
    assert engine.count("access.request") == engine.count("access.allow") == 0
    return granted


def test_500_bindings_and_2000_requests_are_decided_as_an_independent_checker_decides_them(program):
    docs, asked = world(seed=4, roles=80, bindings=500)
    granted = compare(program, docs, asked)
    assert len(asked) == 2000
    assert 200 < granted < 1800


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32), st.integers(1, 8), st.integers(1, 10))
def test_small_sets_of_roles_are_decided_alike(program, seed, roles, bindings):
    compare(program, *world(seed, roles, bindings))


def test_a_refusal_always_says_why(program):
    docs, asked = world(seed=7, roles=20, bindings=60)
    engine = kdl.Engine(program)
    engine.apply(facts(docs))
    for number, (user, groups, verb, group, resource, sub, namespace, name) in enumerate(asked):
        row = (f"q{number}", user, value(groups), verb, group, whole(resource, sub), sub, namespace, name)
        engine.apply([Fact("access.request", row), Fact("denials.denied", row)])
        said = list(engine.lookup("denials.nearest", {0: row[0]}))
        if not list(engine.lookup("access.allow", {0: row[0]})):
            assert len(said) == 1, row
        engine.apply(remove=[Fact("access.request", row), Fact("denials.denied", row)])


def test_each_controller_may_do_its_work_with_its_own_service_account_and_no_more():
    """The roles that the packs ship for controllers, each bound to the account of its name."""
    program = compile(shipped())
    store, docs = MemoryStore(), defaults(program)
    with store.transaction() as t:
        for doc in docs:
            t.put(Key(*identity(doc)), doc)
    access, prefix = Access(program, store), "system:controller:"

    def may(name: str, verb: str, group: str, resource: str, namespace: str = "default") -> bool:
        plural, _, part = resource.partition("/")
        account = known_as(f"system:serviceaccount:kube-system:{name}")
        return access(account, Action(verb, group, plural, part, namespace)).allowed

    roles = {doc["metadata"]["name"] for doc in docs if doc["kind"] == "ClusterRole"}
    bound = {doc["roleRef"]["name"]: doc["subjects"] for doc in docs if doc["kind"] == "ClusterRoleBinding"}
    controllers = {role.removeprefix(prefix) for role in roles if role.startswith(prefix)}
    assert controllers == {
        "deployment-controller", "disruption-controller", "endpoint-controller", "generic-garbage-collector",
        "namespace-controller", "replicaset-controller", "replication-controller", "resourcequota-controller",
        "service-account-controller",
    }  # fmt: skip
    for name in controllers:
        (subject,) = bound[prefix + name]
        assert (subject["kind"], subject["name"], subject["namespace"]) == ("ServiceAccount", name, "kube-system")
        assert may(name, "create", "", "events") or name == "namespace-controller"
        assert not may(name, "create", "", "secrets")
        assert not may(name, "create", "", "pods/exec")
        assert not may(name, "escalate", GROUP, "clusterroles", "")
    assert may("deployment-controller", "create", "apps", "replicasets")
    assert not may("deployment-controller", "create", "", "pods")
    assert may("replicaset-controller", "create", "", "pods")
    assert may("endpoint-controller", "update", "", "endpoints")
    assert may("disruption-controller", "update", "policy", "poddisruptionbudgets/status")
    assert may("disruption-controller", "get", "apps", "statefulsets/scale")
    assert may("generic-garbage-collector", "delete", "example.com", "widgets")
    assert may("namespace-controller", "deletecollection", "", "secrets")
    assert may("namespace-controller", "update", "", "namespaces/finalize", "")
    assert may("resourcequota-controller", "update", "", "resourcequotas/status")
    assert may("service-account-controller", "create", "", "serviceaccounts")
