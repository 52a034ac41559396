"""How far somebody reaches: nobody but to health and version, the admin of a namespace nowhere beyond it.

The cluster is whole: its rules act on what is tried, and what must not happen has not happened when they are at rest.
"""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from kdl.parser.manifest.kinds import BUILT_IN
from kdl.parser.source import shipped
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.http import app, serve
from kdl.runtime.api.openapi import OpenApi
from kdl.runtime.api.paths import versions_of
from kdl.runtime.clock import VirtualClock
from kdl.runtime.cluster import Cluster, fake_nodes
from kdl.runtime.identity import Identity
from kdl.runtime.programs import compile
from kdl.runtime.reviews import Reviews
from kdl.runtime.server import Endpoints
from kdl.runtime.store import MemoryStore

RBAC = "rbac.authorization.k8s.io"
HIDDEN = "hidden-from-everybody-else"
SECRET = base64.b64encode(HIDDEN.encode()).decode()
UPGRADE = {
    "Connection": "Upgrade",
    "Upgrade": "websocket",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}


def pod(name: str, **spec: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "x:1"}], **spec}
    metadata = {"name": name, "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def configmap(name: str, **metadata: Any) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name, **metadata}, "data": {"a": "b"}}


class World:
    """A cluster with namespaces `mine` and `theirs`, and a service account that is admin of `mine`."""

    def __init__(self, folder: Path) -> None:
        self.clock = VirtualClock(1_800_000_000_000)
        store = MemoryStore()
        self.cluster = Cluster(compile(shipped()), store, fake_nodes(1, self.clock), self.clock)
        self.cluster.load()
        self.objects = self.cluster.objects
        for space in ("mine", "theirs"):
            self.create("", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": space}})
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot"}}
        robot, other = self.create("mine", account), self.create("theirs", account)
        secret = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"k": HIDDEN}}
        self.create("theirs", secret)
        self.create("theirs", pod("web"))
        self.create("theirs", configmap("cm"))
        subjects = [{"kind": "ServiceAccount", "name": "robot", "namespace": "mine"}]
        reference = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "admin"}
        binding = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": {"name": "admins"}}
        self.create("mine", {**binding, "roleRef": reference, "subjects": subjects})
        self.rest()
        self.identity = Identity(folder, "the-admins-own", store, self.clock)
        self.token = self.identity.issue(robot, 3600)[0]
        self.others = self.identity.issue(other, 3600)[0]
        endpoints = Endpoints(self.cluster, "fake", lambda: None)
        reviews = Reviews(self.objects, self.identity, lambda: self.cluster.access)
        application = app(
            self.objects,
            self.identity,
            lambda user, action: self.cluster.access(user, action),
            endpoints=endpoints.all(),
            answers={**endpoints.answers(), **reviews.answers()},
        )
        self.server = serve(application)

    def create(self, namespace: str, doc: dict[str, Any]) -> Any:
        return self.objects.create(doc, namespace=namespace or None)

    def rest(self) -> None:
        self.cluster.rest(self.clock, 60_000)

    def client(self, token: str | None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.server.endpoint, headers=headers, trust_env=False, timeout=30)

    def theirs(self) -> dict[tuple[str, str], Any]:
        """What there is in the other namespace, but what is told of it."""
        items = [item for item in self.objects.store.snapshot()[0] if item.key.namespace == "theirs"]
        return {(item.key.kind, item.key.name): item.doc for item in items if item.key.kind != "Event"}


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    world = World(tmp_path_factory.mktemp("reach"))
    yield world
    world.server.stop()
    world.cluster.stop()


@pytest.fixture
def robot(world: World) -> Iterator[httpx.Client]:
    """The admin of `mine`; what is in `theirs` stays as it is, whatever it tries."""
    before = world.theirs()
    with world.client(world.token) as client:
        yield client
    world.rest()
    assert world.theirs() == before


def operations() -> list[tuple[str, str]]:
    """Every method and path of our own OpenAPI."""
    published, found = OpenApi(versions_of(BUILT_IN)), []
    for path in orjson.loads(published.document("/openapi/v3").body)["paths"]:  # type: ignore[union-attr]
        document = orjson.loads(published.document(f"/openapi/v3/{path}").body)  # type: ignore[union-attr]
        for place, methods in document["paths"].items():
            filled = place.replace("{namespace}", "theirs").replace("{name}", "s")
            found += [(method.upper(), filled) for method in methods]
    return found


def test_without_credentials_nothing_answers_but_health_and_version(world: World) -> None:
    with world.client(None) as nobody:
        open_ = ("/healthz", "/livez", "/readyz", "/version", "/livez/ping")
        assert {nobody.get(path).status_code for path in open_} == {200}
        closed = [("GET", path) for path in ("/", "/api", "/apis", "/api/v1", "/apis/apps", "/apis/apps/v1",
        "/metrics",
                                             "/openapi/v2", "/openapi/v3", "/openapi/v3/api/v1", "/nothing",
                                             "//")]  # fmt: skip
        own = [
            ("POST", f"/kdl/v1/{endpoint.name}") for endpoint in Endpoints(world.cluster, "fake", lambda: None).all()
        ]
        parts = [
            ("GET", f"/api/v1/namespaces/theirs/pods/web/{part}")
            for part in ("log", "exec", "attach", "portforward", "proxy", "proxy/a")
        ]
        wanted = [*closed, *own, *parts, *operations()]
        assert len(wanted) > 800
        for method, path in wanted:
            answer = nobody.request(method, path, json={} if method in ("POST", "PUT", "PATCH") else None)
            assert answer.status_code in (401, 403), (method, path, answer.text)
            assert HIDDEN not in answer.text
            assert SECRET not in answer.text
        for part in ("exec?command=env", "attach", "portforward?ports=80"):
            answer = nobody.get(f"/api/v1/namespaces/theirs/pods/web/{part}", headers=UPGRADE)
            assert answer.status_code == 403


def secret_as(media: str) -> dict[str, Any]:
    doc = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s", "labels": {"a": "b"}}}
    return {"json": doc, "headers": {"Content-Type": media}}


THEIRS = "/api/v1/namespaces/theirs"
REVIEW = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
TABLE = {"Accept": "application/json;as=Table;v=v1;g=meta.k8s.io"}
PARTIAL = {"Accept": "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"}

BEYOND: list[tuple[str, str, dict[str, Any]]] = [
    ("GET", f"{THEIRS}/secrets/s", {}),
    ("GET", f"{THEIRS}/secrets", {}),
    ("GET", "/api/v1/secrets", {}),
    ("GET", "/api/v1/secrets", {"headers": TABLE}),
    ("GET", "/api/v1/secrets", {"headers": PARTIAL}),
    ("GET", "/api/v1/secrets?limit=1", {}),
    ("GET", "/api/v1/namespaces//secrets", {}),
    ("GET", f"{THEIRS}/secrets?watch=1&timeoutSeconds=1", {}),
    ("GET", f"{THEIRS}/secrets/s?watch=1&timeoutSeconds=1", {}),
    ("GET", "/api/v1/secrets?watch=1&timeoutSeconds=1", {}),
    ("GET", "/api/v1/secrets?fieldSelector=metadata.namespace=mine", {}),
    ("GET", "/api/v1/secrets?fieldSelector=metadata.name=s", {}),
    ("GET", f"{THEIRS}/secrets?fieldSelector=metadata.namespace=mine", {}),
    ("GET", f"{THEIRS}/secrets?labelSelector=a", {}),
    ("GET", f"{THEIRS}/secrets/s/status", {}),
    ("PATCH", f"{THEIRS}/secrets/s?fieldManager=x", secret_as("application/apply-patch+yaml")),
    ("PATCH", f"{THEIRS}/secrets/new?fieldManager=x", secret_as("application/apply-patch+yaml")),
    ("PATCH", f"{THEIRS}/secrets/s?fieldManager=x&dryRun=All", secret_as("application/apply-patch+yaml")),
    ("PATCH", f"{THEIRS}/secrets/s", secret_as("application/merge-patch+json")),
    ("PATCH", f"{THEIRS}/secrets/s?dryRun=All", secret_as("application/strategic-merge-patch+json")),
    ("PUT", f"{THEIRS}/secrets/s", {"json": secret_as("")["json"]}),
    ("DELETE", f"{THEIRS}/secrets/s", {}),
    ("DELETE", f"{THEIRS}/secrets/s?dryRun=All", {}),
    ("DELETE", f"{THEIRS}/secrets", {}),
    ("DELETE", THEIRS, {}),
    ("PUT", f"{THEIRS}/finalize", {"json": {"metadata": {"name": "theirs"}, "spec": {"finalizers": []}}}),
    ("POST", f"{THEIRS}/pods", {"json": pod("spy")}),
    ("POST", f"{THEIRS}/pods/web/eviction", {"json": {}}),
    ("POST", f"{THEIRS}/pods/web/binding", {"json": {"target": {"name": "n"}}}),
    ("GET", f"{THEIRS}/pods/web/log", {}),
    ("POST", f"{THEIRS}/pods/web/exec?command=env", {}),
    ("GET", f"{THEIRS}/pods/web/exec?command=env", {}),
    ("GET", f"{THEIRS}/pods/web/exec?command=env", {"headers": UPGRADE}),
    ("GET", f"{THEIRS}/pods/web/attach", {"headers": UPGRADE}),
    ("GET", f"{THEIRS}/pods/web/portforward?ports=80", {"headers": UPGRADE}),
    ("POST", f"{THEIRS}/pods/web/portforward?ports=80", {}),
    ("GET", f"{THEIRS}/pods/web/proxy", {}),
    ("POST", f"{THEIRS}/pods/web:80/proxy/a/b", {}),
    ("OPTIONS", f"{THEIRS}/pods/web:80/proxy/a/b", {}),
    ("GET", f"{THEIRS}/pods/web:80/proxy/", {"headers": UPGRADE}),
    ("GET", f"{THEIRS}/services/http:web:80/proxy/", {}),
    ("POST", f"{THEIRS}/serviceaccounts/robot/token", {"json": REVIEW}),
    ("POST", f"/apis/{RBAC}/v1/namespaces/theirs/rolebindings", {"json": {"metadata": {"name": "x"}}}),
    ("POST", f"/apis/{RBAC}/v1/clusterrolebindings", {"json": {"metadata": {"name": "x"}}}),
    ("POST", f"/apis/{RBAC}/v1/clusterroles", {"json": {"metadata": {"name": "x"}}}),
    ("POST", "/api/v1/namespaces", {"json": {"metadata": {"name": "x"}}}),
    ("GET", "/api/v1/nodes", {}),
    ("GET", "/metrics", {}),
    ("POST", "/apis/authorization.k8s.io/v1/subjectaccessreviews", {"json": {"spec": {"user": "x"}}}),
    ("POST", "/apis/authentication.k8s.io/v1/tokenreviews", {"json": {"spec": {"token": "x"}}}),
    *[
        ("POST", f"/kdl/v1/{name}", {"json": {"query": "core.pod(id: P)", "goal": "core.pod(id: P)", "name": "web"}})
        for name in ("query", "why", "whynot", "whatif", "program", "packs", "pack", "logs", "container", "status",
                     "sources", "down")
    ],
    ("POST", "/kdl/v1/why", {"json": {"goal": 'core.object(kind: "Secret", id: "theirs/s", doc: D)'}}),
    ("POST", "/kdl/v1/why", {"json": {"goal": 'core.on_node("theirs/web", N)'}}),
    ("POST", "/kdl/v1/why", {"json": {"goal": 'access.may("system:serviceaccount:x:y", "get", "pods", "", _)'}}),
    *[
        ("GET", f"{THEIRS}/secrets/s", {"headers": headers})
        for headers in (
            {"Impersonate-User": "kubernetes-admin"},
            {"Impersonate-User": "kubernetes-admin", "Impersonate-Group": "system:masters"},
            {"Impersonate-User": "system:serviceaccount:theirs:robot"},
            {"Impersonate-User": "system:serviceaccount:mine:robot", "Impersonate-Group": "system:masters"},
            {"Impersonate-User": "system:serviceaccount:mine:robot", "Impersonate-Extra-scopes": "x"},
            {"X-Remote-User": "kubernetes-admin", "X-Remote-Group": "system:masters"},
        )
    ],
]  # fmt: skip


@pytest.mark.parametrize(("method", "path", "how"), BEYOND, ids=lambda part: str(part)[:90])
def test_the_admin_of_a_namespace_reaches_nothing_beyond_it(
    robot: httpx.Client, method: str, path: str, how: dict[str, Any]
) -> None:
    answer = robot.request(method, path, **how)
    assert answer.status_code == 403, answer.text
    assert HIDDEN not in answer.text
    assert SECRET not in answer.text


def test_a_connection_is_admitted_before_it_is_opened(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[tuple[str, str, str, str]] = []

    def admit(t: Any, review: Any) -> None:
        asked.append((review.operation, review.id, review.subresource, review.user.name))
        raise ApiError(403, "Forbidden", "not today")

    monkeypatch.setattr(world.objects, "_admit", admit)
    with world.client("the-admins-own") as admin:
        for part in ("exec?command=env", "attach", "portforward?ports=80"):
            answer = admin.get(f"{THEIRS}/pods/web/{part}", headers=UPGRADE)
            assert (answer.status_code, answer.json()["message"]) == (403, "not today")
    parts = ("exec", "attach", "portforward")
    assert asked == [("CONNECT", "theirs/web", part, "kubernetes-admin") for part in parts]


@pytest.mark.parametrize("headers", [{"Impersonate-Group": "system:masters"}, {"Impersonate-Uid": "1"}])
def test_groups_and_uids_are_not_impersonated_without_a_user(robot: httpx.Client, headers: dict[str, str]) -> None:
    assert robot.get("/api/v1/namespaces/mine/pods", headers=headers).status_code == 400


@pytest.mark.parametrize(
    "path",
    [
        "/api/v1/namespaces/mine/secrets/../../theirs/secrets/s",
        "/api/v1/namespaces/mine/../theirs/secrets/s",
        "/api/v1/namespaces/mine%2f..%2ftheirs/secrets/s",
        "/api/v1/namespaces/mine/secrets/..%2f..%2ftheirs%2fsecrets%2fs",
        "/api/v1/namespaces/mine/secrets/%2e%2e/%2e%2e/theirs/secrets/s",
        "/api/v1//namespaces/theirs/secrets/s",
        "//api/v1/namespaces/theirs/secrets/s",
        "/api/v1/namespaces/theirs/secrets/s/",
        "/api/v1/namespaces/theirs/secrets//s",
        "/api/v1/namespaces/theirs%2Fsecrets%2Fs",
        "/api/v1/namespaces/mine/theirs/secrets/s",
        "/api/v1/secrets/s",
        "/api/v1/namespaces/mine/secrets/theirs%2Fs",
        "/api/v1/namespaces/mine/secrets/s?namespace=theirs",
        "/api/v1/namespaces/mine/pods/web/../../../theirs/secrets/s",
        "/api/v1/namespaces/mine/pods/web/proxy/../../../../theirs/secrets/s",
        "/api/v1/namespaces/mine/pods/web/proxy/..%2f..%2f..%2f..%2ftheirs%2fsecrets%2fs",
        "/API/v1/namespaces/theirs/secrets/s",
        "/api/v1/watch/namespaces/theirs/secrets/s",
        "/api/v1;x/namespaces/theirs/secrets/s",
        "/api/v1/namespaces/theirs/secrets/s%00",
        "/kdl/v1/../../api/v1/namespaces/theirs/secrets/s",
        "/healthz/../api/v1/namespaces/theirs/secrets/s",
        "/version/../api/v1/namespaces/theirs/secrets/s",
        "/livez/..%2fapi%2fv1%2fnamespaces%2ftheirs%2fsecrets%2fs",
        "http://elsewhere/api/v1/namespaces/theirs/secrets/s",
    ],
)  # fmt: skip
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_no_spelling_of_a_path_leads_elsewhere(world: World, robot: httpx.Client, method: str, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", world.server.port, timeout=10)
    for token in (world.token, None):
        headers = {"Authorization": f"Bearer {token}"} if token else {}
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        text = answer.read().decode()
        refused = answer.status in (400, 401, 403, 404, 405)
        assert refused or (path.startswith(("/healthz", "/livez")) and text == "ok"), text
        assert SECRET not in text


RULES = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
ADMIN = {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"}
SELF = [{"kind": "ServiceAccount", "name": "robot", "namespace": "mine"}]


@pytest.mark.parametrize("media", [None, "application/apply-patch+yaml", "application/merge-patch+json"])
@pytest.mark.parametrize("dry", ["", "&dryRun=All"])
@pytest.mark.parametrize(
    ("plural", "doc"),
    [("roles", {"kind": "Role", "rules": RULES}), ("rolebindings", {"kind": "RoleBinding", "roleRef": ADMIN,
    "subjects": SELF})],
    ids=["role", "binding"],
)  # fmt: skip
def test_nobody_gives_what_they_do_not_have_by_any_verb(
    world: World, robot: httpx.Client, plural: str, doc: dict[str, Any], dry: str, media: str | None
) -> None:
    path = f"/apis/{RBAC}/v1/namespaces/mine/{plural}"
    whole = {"apiVersion": f"{RBAC}/v1", "metadata": {"name": "more"}, **doc}
    if media is None:
        answer = robot.post(f"{path}?x=1{dry}", json=whole)
    else:
        if media.startswith("application/merge"):
            small = {**whole, "rules": []} if plural == "roles" else {**whole, "roleRef": {**ADMIN, "name": "view"}}
            small["metadata"] = {"name": f"more-{plural}"}
            robot.post(path, json=small)
            path += "/more-" + plural
        else:
            path += "/more"
        answer = robot.patch(
            f"{path}?fieldManager=x{dry}", json=whole | {"metadata": {}}, headers={"Content-Type": media}
        )
        if plural == "rolebindings" and media.startswith("application/merge"):
            assert answer.status_code == 422  # another role is another binding
            return
    assert answer.status_code == 403, answer.text
    assert "attempting to grant RBAC permissions not currently held" in answer.json()["message"]
    assert world.objects.find("Role", "mine/more") is None
    assert world.objects.find("RoleBinding", "mine/more") is None


@pytest.mark.parametrize("how", ["create", "update", "merge", "json", "apply"])
def test_an_object_stays_in_its_namespace_whatever_its_body_says(world: World, robot: httpx.Client, how: str) -> None:
    path = "/api/v1/namespaces/mine/configmaps"
    robot.post(path, json=configmap("own"))
    elsewhere = configmap("own", namespace="theirs")
    if how == "create":
        answer = robot.post(path, json=elsewhere | {"metadata": {"name": "new", "namespace": "theirs"}})
    elif how == "update":
        answer = robot.put(f"{path}/own", json=elsewhere)
    else:
        media = {"merge": "merge-patch+json", "json": "json-patch+json", "apply": "apply-patch+yaml"}[how]
        step = {"op": "replace", "path": "/metadata/namespace", "value": "theirs"}
        content = json.dumps([step] if how == "json" else elsewhere)
        headers = {"Content-Type": f"application/{media}"}
        answer = robot.patch(f"{path}/own?fieldManager=x&force=true", content=content, headers=headers)
    assert answer.status_code in (400, 422), answer.text


@pytest.mark.parametrize(
    "field", ["name", "uid", "creationTimestamp", "generation", "deletionTimestamp", "ownerReferences"]
)
def test_metadata_that_is_the_systems_is_not_a_users_to_say(world: World, robot: httpx.Client, field: str) -> None:
    victim = world.objects.get("ConfigMap", "theirs/cm")
    owner = {"apiVersion": "v1", "kind": "ConfigMap", "name": "cm", "uid": victim.uid}
    lies = {"name": "../theirs/cm", "uid": victim.uid, "creationTimestamp": "2000-01-01T00:00:00Z", "generation": 7,
            "deletionTimestamp": "2000-01-01T00:00:00Z",
            "ownerReferences": [owner | {"blockOwnerDeletion": True}]}  # fmt: skip
    name = f"liar-{field.lower()}"
    doc = configmap(name)
    doc["metadata"][field] = lies[field]
    made = robot.post("/api/v1/namespaces/mine/configmaps", json=doc)
    if field == "name":
        assert made.status_code == 422
    elif field != "ownerReferences":
        assert made.json()["metadata"].get(field) != lies[field]
    world.rest()
    if field == "ownerReferences":  # an owner is in the same namespace: this one is none, and what it owns goes
        assert world.objects.find("ConfigMap", f"mine/{name}") is None


def test_controllers_take_nothing_from_another_namespace(world: World, robot: httpx.Client) -> None:
    victim = world.objects.get("Pod", "theirs/web")
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    for kind, replicas in (("ReplicaSet", 0), ("Deployment", 1)):
        spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template}
        doc = {"apiVersion": "apps/v1", "kind": kind, "metadata": {"name": f"greedy-{kind.lower()}"}, "spec": spec}
        assert robot.post(f"/apis/apps/v1/namespaces/mine/{kind.lower()}s", json=doc).status_code == 201
    service = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "greedy"}}
    ports = [{"port": 80}]
    spec = {"selector": labels, "ports": ports}
    assert robot.post("/api/v1/namespaces/mine/services", json={**service, "spec": spec}).status_code == 201
    world.rest()
    assert world.objects.get("Pod", "theirs/web").doc["metadata"] == victim.doc["metadata"]
    endpoints = world.objects.get("Endpoints", "mine/greedy")
    assert victim.doc["status"]["podIP"] not in repr(endpoints.doc)
    assert robot.delete("/apis/apps/v1/namespaces/mine/replicasets").status_code == 200
    assert robot.delete("/apis/apps/v1/namespaces/mine/deployments").status_code == 200


def test_an_owner_in_another_namespace_is_neither_counted_nor_held_up(world: World, robot: httpx.Client) -> None:
    labels = {"app": "counted"}
    template = {"metadata": {"labels": labels}, "spec": pod("x")["spec"]}
    spec = {"replicas": 2, "selector": {"matchLabels": labels}, "template": template}
    victim = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "victim"}, "spec": spec}
    made = world.create("theirs", victim)
    world.rest()
    pods = {key for key in world.theirs() if key[0] == "Pod" and key[1].startswith("victim-")}
    assert len(pods) == 2
    owner = {"apiVersion": "apps/v1", "kind": "ReplicaSet", "name": "victim", "uid": made.uid}
    lie = pod("cuckoo")
    lie["metadata"] |= {"labels": labels, "ownerReferences": [owner | {"controller": True, "blockOwnerDeletion": True}]}
    lie["metadata"]["finalizers"] = ["example.com/stay"]
    assert robot.post("/api/v1/namespaces/mine/pods", json=lie).status_code == 201
    world.rest()
    assert {key for key in world.theirs() if key[0] == "Pod" and key[1].startswith("victim-")} == pods
    world.objects.delete("ReplicaSet", "theirs/victim", propagation="Foreground")
    world.rest()
    assert world.objects.find("ReplicaSet", "theirs/victim") is None
    robot.patch(
        "/api/v1/namespaces/mine/pods/cuckoo",
        json={"metadata": {"finalizers": None}},
        headers={"Content-Type": "application/merge-patch+json"},
    )


def test_a_pod_uses_accounts_and_secrets_of_its_own_namespace_alone(world: World, robot: httpx.Client) -> None:
    path = "/api/v1/namespaces/mine/pods"
    for spec in (
        {"serviceAccountName": "theirs/robot"},
        {"serviceAccountName": "../theirs/robot"},
        {"serviceAccountName": "nobody"},
    ):
        answer = robot.post(path, json=pod("spy", **spec))
        assert answer.status_code in (403, 422), (spec, answer.text)
    marked = {"kubernetes.io/enforce-mountable-secrets": "true"}
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "strict", "annotations": marked}}
    assert robot.post("/api/v1/namespaces/mine/serviceaccounts", json=account).status_code == 201
    volumes = [{"name": "v", "secret": {"secretName": "not-the-accounts"}}]
    refused = robot.post(path, json=pod("spy", serviceAccountName="strict", volumes=volumes))
    assert refused.status_code == 403, refused.text


def test_who_may_list_one_name_lists_no_other(world: World, tmp_path: Path) -> None:
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "narrow"}}
    narrow = world.create("theirs", account)
    rules = [
        {"apiGroups": [""], "resources": ["secrets"], "resourceNames": ["public"], "verbs": ["list", "watch", "get"]}
    ]
    role = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": "narrow"}, "rules": rules}
    world.create("theirs", role)
    subjects = [{"kind": "ServiceAccount", "name": "narrow", "namespace": "theirs"}]
    reference = {"apiGroup": RBAC, "kind": "Role", "name": "narrow"}
    binding = {"apiVersion": f"{RBAC}/v1", "kind": "RoleBinding", "metadata": {"name": "narrow"}}
    world.create("theirs", {**binding, "roleRef": reference, "subjects": subjects})
    public = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "public"}, "stringData": {"k": "told"}}
    world.create("theirs", public)
    with world.client(world.identity.issue(narrow, 3600)[0]) as web:
        path = f"{THEIRS}/secrets"
        good = web.get(f"{path}?fieldSelector=metadata.name=public")
        assert [item["metadata"]["name"] for item in good.json()["items"]] == ["public"]
        assert SECRET not in good.text
        for selector in (
            "metadata.name!=public", "metadata.name=s", "metadata.name==s",
            "metadata.name=public&fieldSelector=metadata.name=s",
            "metadata.name=s&fieldSelector=metadata.name=public", "metadata.name=public,metadata.name=s", "a=b",
            "metadata.name=s,metadata.name=public", " metadata.name = public ",
            "metadata.name!=x,metadata.name=public",
            "metadata.name=public\\,s", "metadata.name%3D%3D%3Dpublic", "", "metadata.name", "type!=public",
        ):  # fmt: skip
            for rest in ("", "&watch=1&timeoutSeconds=1&resourceVersion=0", "&limit=1", "&labelSelector=!x"):
                answer = web.get(f"{path}?fieldSelector={selector}{rest}")
                assert SECRET not in answer.text, (selector, rest)
                assert answer.status_code in (200, 400, 403), answer.text
        assert web.get(f"{path}/s?fieldSelector=metadata.name=public").status_code == 403
        assert web.get(f"{path}/s?watch=1&fieldSelector=metadata.name=public&timeoutSeconds=1").status_code == 403
        assert web.delete(f"{path}?fieldSelector=metadata.name=public").status_code == 403


def test_a_token_ends_with_its_account_and_another_namespaces_is_no_better(world: World, robot: httpx.Client) -> None:
    with world.client(world.others) as other:
        assert other.get("/api/v1/namespaces/mine/secrets").status_code == 403
        assert other.get(f"{THEIRS}/secrets").status_code == 403
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "short"}}
    short = world.create("mine", account)
    token = world.identity.issue(short, 3600)[0]
    with world.client(token) as web:
        assert web.get("/version").status_code == 200
        world.objects.delete("ServiceAccount", "mine/short")
        assert web.get("/version").status_code == 401
        assert web.get("/api/v1/namespaces/mine/pods/x/exec?command=a", headers=UPGRADE).status_code == 401
