"""One decision of the shipped access pack among 10,000 bindings: request in, answer and reason out, request out."""

from __future__ import annotations

import random
from collections.abc import Iterator
from typing import Any

import kdl
from kdl.rules.program import restricted
from tests.bench.engine.single import Single, single, timed
from tests.bench.engine.workload import SEED
from tests.bench.engine.workloads.rbac import RBAC

GROUP = "rbac.authorization.k8s.io"


def roles(grants: list[tuple[Any, ...]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """A ClusterRole for each role of the workload."""
    rules: dict[str, list[dict[str, list[str]]]] = {}
    for role, verb, kind in grants:
        rules.setdefault(role, []).append({"verbs": [verb], "resources": [kind], "apiGroups": [""]})
    for role, found in rules.items():
        yield "core.object", (GROUP, "ClusterRole", role, f"uid-{role}", {"metadata": {"name": role}, "rules": found})


def bindings(rows: list[tuple[Any, ...]]) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """A RoleBinding for each binding, a ClusterRoleBinding for one in all namespaces."""
    for number, (subject, role, scope) in enumerate(rows):
        kind = "ClusterRoleBinding" if scope == "*" else "RoleBinding"
        name = f"binding-{number}" if scope == "*" else f"{scope}/binding-{number}"
        about = {"kind": "Group" if subject.startswith("group") else "User", "name": subject}
        doc = {"roleRef": {"kind": "ClusterRole", "name": role}, "subjects": [about], "metadata": {"name": name}}
        yield "core.object", (GROUP, kind, name, f"uid-{number}", doc)


def measured(asked: int = 2000) -> Iterator[Single]:
    """Decisions about random requests, most of them refused."""
    facts = RBAC.made("large")
    engine = kdl.Engine(restricted(kdl.compile(list(kdl.shipped())), ["access.allow"]))
    engine.apply(insert=[*roles(facts["grants"]), *bindings(facts["binding"])])
    chance = random.Random(SEED)
    groups: dict[str, list[str]] = {}
    for user, group in facts["member"]:
        groups.setdefault(user, []).append(group)
    times, granted = list[float](), 0
    for number in range(asked):
        _, user, verb, kind, space = chance.choice(facts["request"])
        row = (f"q{number}", user, tuple(groups.get(user, ())), verb, "", kind, "", space, "")

        def decide(request: tuple[str, Any] = ("access.request", row)) -> None:
            nonlocal granted
            told = engine.apply(insert=[request])
            reasons = [reason for _, reason in told.added.get("access.allow", ())]
            engine.apply(remove=[request])
            granted += bool(reasons)

        times.append(timed(decide))
    if not 0 < granted < asked:
        raise AssertionError(f"{granted} of {asked} requests were granted")
    yield single("an RBAC decision among 10,000 bindings: request in, reason out, request out", 200e-6, tuple(times))
