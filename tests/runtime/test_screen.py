"""Explanations on a running cluster, for those who may not see everything."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from kdl.parser.source import shipped
from kdl.runtime.api import http
from kdl.runtime.api.gate import ADMIN, Credentials, User, known_as
from kdl.runtime.clock import VirtualClock
from kdl.runtime.cluster import Cluster, fake_nodes
from kdl.runtime.programs import compile
from kdl.runtime.server import Endpoints
from kdl.runtime.store import MemoryStore

RBAC = "rbac.authorization.k8s.io"


@pytest.fixture(scope="module")
def url() -> Iterator[str]:
    """A cluster at rest with a pod in `dev`; who asks is named by the bearer token, and jane may view `dev`."""
    clock = VirtualClock(1_800_000_000_000)
    cluster = Cluster(compile(shipped()), MemoryStore(), fake_nodes(1, clock), clock)
    cluster.load()
    objects = cluster.objects
    objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "dev"}})
    spec = {"containers": [{"name": "c", "image": "busybox:1.36"}]}
    objects.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "web", "namespace": "dev"}, "spec": spec})
    big = {"containers": [{"name": "c", "image": "a:1", "resources": {"requests": {"cpu": "1000"}}}]}
    objects.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "big", "namespace": "dev"}, "spec": big})
    reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "view"}
    subjects = [{"apiGroup": RBAC, "kind": "User", "name": "jane"}]
    metadata = {"name": "viewers", "namespace": "dev"}
    doc = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": metadata, "roleRef": reference}
    objects.create(doc | {"subjects": subjects})
    cluster.rest(clock, 60_000)

    def who(credentials: Credentials) -> User:
        name = credentials.authorization.removeprefix("Bearer ")
        return ADMIN if name == "admin" else known_as(name)

    endpoints = Endpoints(cluster, "fake", lambda: None)
    server = http.serve(http.app(objects, who, cluster.access, endpoints=endpoints.all()))
    yield server.endpoint
    server.stop()
    cluster.stop()


def why(url: str, user: str, goal: str, verb: str = "why", **options: object) -> httpx.Response:
    headers = {"Authorization": f"Bearer {user}"}
    return httpx.post(f"{url}/kdl/v1/{verb}", json={"goal": goal, **options}, headers=headers)


def test_who_may_get_an_object_is_told_why_without_what_they_may_not_get(url):
    for goal in ('core.on_node("dev/web", N)', 'core.namespace_labels("dev", L)'):
        whole, told = why(url, "admin", goal), why(url, "jane", goal)
        assert told.status_code == 200, told.text
        assert told.json() == whole.json()


def test_what_follows_from_others_objects_is_left_out_and_says_which_right_it_takes(url):
    goal = 'node.here("dev/web", N, U)'
    whole, screened = why(url, "admin", goal), why(url, "jane", goal)
    assert whole.status_code == screened.status_code == 200, screened.text
    assert "redacted" not in whole.text
    assert "<redacted: it takes the right to" in screened.json()["text"]
    assert "node.served" in whole.text
    assert "node.served" not in screened.text


@pytest.mark.parametrize("verb", ["why", "whynot"])
def test_what_keeps_a_goal_from_holding_is_screened_too(url, verb):
    goal = 'api.bind("dev/big", N)'
    whole, screened = why(url, "admin", goal, verb), why(url, "jane", goal, verb)
    assert whole.status_code == screened.status_code == 200, screened.text
    assert "Insufficient cpu" in whole.text
    assert "it would hold after: set spec.containers[0].resources.requests.cpu" in whole.json()["text"]
    assert "Insufficient cpu" not in screened.text
    assert "it would hold after" not in screened.text
    assert "<redacted: it takes the right to get nodes " in screened.json()["text"]
    assert [reason["proof"] for reason in screened.json()["data"]["reasons"]] == [None]
    opened = why(url, "jane", goal, verb, expand=["1"])
    assert opened.status_code == 200
    assert "cpu" not in opened.text


def test_what_keeps_a_goal_from_holding_is_whole_where_it_rests_on_nothing_else(url):
    goal = 'core.on_node("dev/big", N)'
    assert why(url, "jane", goal, "whynot").json() == why(url, "admin", goal, "whynot").json()
    assert "redacted" not in why(url, "jane", goal, "whynot").text


def test_contributors_that_are_not_shown_are_screened(url):
    goal = 'sched.parts("dev/web", L)'
    assert why(url, "jane", goal).json() == why(url, "admin", goal).json()


@pytest.mark.parametrize("verb", ["why", "whynot"])
@pytest.mark.parametrize(
    "goal", ['core.on_node("kube-system/x", N)', "core.pod(id: P)", 'core.object(kind: "Secret", id: "dev/s", doc: D)']
)
def test_without_the_right_to_get_what_is_asked_about_nothing_is_told(url, goal, verb):
    assert why(url, "jane", goal, verb).status_code == 403
    assert why(url, "nobody", goal, verb).status_code == 403


@pytest.mark.parametrize("name", ["query", "whatif", "packs", "logs", "status", "down"])
def test_everything_else_takes_a_right_of_its_own(url, name):
    answer = httpx.post(f"{url}/kdl/v1/{name}", json={}, headers={"Authorization": "Bearer jane"})
    assert answer.status_code == 403
    assert f'cannot {name} resource "facts" in API group "kdl.dev"' in answer.json()["message"]


@pytest.mark.parametrize(
    "body",
    [
        {"ask": "core.pod(id: P)"}, {"ask": []}, {"ask": {"why": 1}}, {"ask": {"x": "core.pod(id: P)"}},
        {"ask": {"why": "core.pod(id: P)", "query": "core.pod(id: P)"}}, {"insert": "x"}, {"insert": [1]},
        {"remove": 1},
        {"objects": {}}, {"objects": [1]}, {"objects": [{}]}, {"objects": [{"apiVersion": "v1", "kind": "Pod"}]},
        {"objects": [{"apiVersion": "v1", "kind": "Pod", "metadata": {"name": 1}}]}, {"advance": "1"},
        {"advance": 1.5},
        {"objects": [{"apiVersion": 1, "kind": "Pod", "metadata": {"name": "x"}}]}, {"lines": "x"}, {"advance": -1},
    ],
)  # fmt: skip
def test_a_supposition_of_the_wrong_form_is_refused_and_says_what_it_is_of(url, body):
    answer = httpx.post(f"{url}/kdl/v1/whatif", json=body, headers={"Authorization": "Bearer admin"})
    assert (answer.status_code, answer.json()["reason"]) == (400, "BadRequest")
    assert any(word in answer.json()["message"] for word in ("ask", "insert", "remove", "objects", "advance", "lines"))
