"""The API over a real loopback connection, and the client that the command line uses."""

from __future__ import annotations

import json
import socket
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from kdl.fact import Document
from kdl.parser.diagnostic import Diagnostic, ProgramError
from kdl.runtime.api import http, request, stream
from kdl.runtime.api.client import Client
from kdl.runtime.api.connection import Connection, NotRunning, announce, connection, token_of, withdraw
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.gate import Action, User, Verdict, bearer
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import SystemClock
from kdl.runtime.store import Key, MemoryStore, Object, SqliteStore

TOKEN = "a-token-of-the-test"


def configmap(name: str = "cm", **data: str) -> dict[str, Any]:
    return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": data}


def pod(name: str = "web") -> dict[str, Any]:
    containers = [{"name": "c", "image": "busybox:1.36"}]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": {"containers": containers}}


def deployment(**spec: Any) -> dict[str, Any]:
    labels = {"app": "web"}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "c", "image": "busybox:1.36"}]}}
    spec = {"selector": {"matchLabels": labels}, "template": template, **spec}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web"}, "spec": spec}


def echo(body: dict[str, Any]) -> Any:
    if body.get("mistake"):
        raise ProgramError([Diagnostic("KDL101", "unknown relation `x`")])
    return {"you said": body}


def count(body: dict[str, Any]) -> Iterator[bytes]:
    if int(body["to"]) > 99:
        raise ApiError(400, "BadRequest", "too far")
    for number in range(int(body["to"])):
        yield f"{number}\n".encode()
        yield b""


def logs(asked: http.Asked) -> Any:
    assert asked.item is not None
    return iter([f"log of {asked.item.key.name} {asked.query.get('container', '')}\n".encode()])


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[http.Server]:
    store = SqliteStore(tmp_path_factory.mktemp("data"))
    objects = Objects(store, SystemClock())
    endpoints = [http.Endpoint("echo", echo), http.Endpoint("count", count), http.sources(objects)]
    server = http.serve(http.app(objects, bearer(TOKEN), endpoints=endpoints, answers={("Pod", "log"): logs}))
    yield server
    server.stop()
    store.close()


@pytest.fixture
def web(server: http.Server) -> Iterator[httpx.Client]:
    with httpx.Client(
        base_url=server.endpoint, headers={"Authorization": f"Bearer {TOKEN}"}, trust_env=False
    ) as client:
        yield client


@pytest.fixture
def namespace(web: httpx.Client, request: pytest.FixtureRequest) -> str:
    """A namespace of the test's own."""
    name = f"t{abs(hash(request.node.nodeid))}"
    created = web.post("/api/v1/namespaces", json={"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    assert created.status_code == 201
    return name


@pytest.fixture
def client(server: http.Server) -> Iterator[Client]:
    with Client(Connection(server.endpoint, TOKEN)) as client:
        yield client


def test_an_object_is_created_read_replaced_listed_and_deleted(web: httpx.Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    created = web.post(base, json=configmap(a="1"))
    assert created.status_code == 201
    doc = web.get(f"{base}/cm").json()
    assert doc == created.json()
    replaced = web.put(f"{base}/cm", json={**doc, "data": {"a": "2"}})
    assert replaced.json()["data"] == {"a": "2"}
    assert web.put(f"{base}/cm", json={**doc, "data": {"a": "3"}}).json()["reason"] == "Conflict"
    listed = web.get(base).json()
    assert (listed["kind"], [item["data"] for item in listed["items"]]) == ("ConfigMapList", [{"a": "2"}])
    assert web.delete(f"{base}/cm").json()["status"] == "Success"
    gone = web.get(f"{base}/cm")
    assert (gone.status_code, gone.json()["reason"]) == (404, "NotFound")


def test_a_pod_is_bound_and_its_status_written_by_subresources(web: httpx.Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}/pods"
    web.post(base, json=pod())
    binding = {"apiVersion": "v1", "kind": "Binding", "metadata": {"name": "web"}, "target": {"name": "n1"}}
    assert web.post(f"{base}/web/binding", json=binding).status_code == 201
    again = web.post(f"/api/v1/namespaces/{namespace}/bindings", json=binding)
    assert (again.status_code, again.json()["reason"]) == (409, "Conflict")
    doc = web.get(f"{base}/web").json()
    assert doc["spec"]["nodeName"] == "n1"
    written = web.put(f"{base}/web/status", json={**doc, "status": {"phase": "Running"}})
    assert written.json()["status"]["phase"] == "Running"
    assert web.get(base, params={"fieldSelector": "spec.nodeName=n1,status.phase=Running"}).json()["items"] != []
    deleting = web.request("DELETE", f"{base}/web", json={"gracePeriodSeconds": 7}).json()
    assert deleting["metadata"]["deletionGracePeriodSeconds"] == 7
    assert web.delete(f"{base}/web", params={"gracePeriodSeconds": "0"}).json()["status"] == "Success"


@pytest.mark.parametrize(
    ("media", "patch"),
    [
        ("application/merge-patch+json", {"data": {"a": None, "b": "2"}}),
        (
            "application/json-patch+json",
            [
                {"op": "test", "path": "/data/a", "value": "1"},
                {"op": "remove", "path": "/data/a"},
                {"op": "add", "path": "/data/b", "value": "2"},
            ],
        ),
    ],
)
def test_merge_and_json_patches_change_what_they_say(
    web: httpx.Client, namespace: str, media: str, patch: object
) -> None:
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    web.post(base, json=configmap(a="1", c="3"))
    patched = web.patch(f"{base}/cm", content=json.dumps(patch), headers={"Content-Type": media})
    assert patched.json()["data"] == {"b": "2", "c": "3"}


def test_a_json_patch_whose_test_fails_changes_nothing(web: httpx.Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    web.post(base, json=configmap(a="1"))
    patch = [{"op": "replace", "path": "/data/a", "value": "2"}, {"op": "test", "path": "/data/a", "value": "x"}]
    media = {"Content-Type": "application/json-patch+json"}
    assert web.patch(f"{base}/cm", content=json.dumps(patch), headers=media).status_code == 422
    assert web.get(f"{base}/cm").json()["data"] == {"a": "1"}


def test_a_collection_is_deleted_by_selector(web: httpx.Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    for name in ("a", "b"):
        doc = configmap(name)
        doc["metadata"]["labels"] = {"name": name}
        web.post(base, json=doc)
    web.delete(base, params={"labelSelector": "name=a"})
    assert [item["metadata"]["name"] for item in web.get(base).json()["items"]] == ["b"]


def test_a_namespace_goes_when_it_is_finalized(web: httpx.Client, namespace: str) -> None:
    path = f"/api/v1/namespaces/{namespace}"
    doc = web.delete(path).json()
    assert doc["status"]["phase"] == "Terminating"
    doc["spec"]["finalizers"] = []
    assert web.put(f"{path}/finalize", json=doc).status_code == 200
    assert web.get(path).status_code == 404


def test_discovery_lists_groups_versions_and_resources(web: httpx.Client) -> None:
    assert web.get("/api").json()["versions"] == ["v1"]
    assert "apps" in {group["name"] for group in web.get("/apis").json()["groups"]}
    resources = {item["name"]: item for item in web.get("/apis/apps/v1").json()["resources"]}
    assert resources["deployments"]["shortNames"] == ["deploy"]
    assert resources["deployments/status"]["verbs"] == ["get", "patch", "update"]
    assert web.get("/apis/apps").json()["preferredVersion"]["groupVersion"] == "apps/v1"
    assert web.get("/version").json()["major"] == "1"


def test_health_needs_no_token_and_all_else_does(server: http.Server) -> None:
    with httpx.Client(base_url=server.endpoint, trust_env=False) as stranger:
        for path in ("/healthz", "/livez", "/readyz"):
            assert stranger.get(path).text == "ok"
        for path in ("/api", "/api/v1/pods", "/version", "/kdl/v1/echo", "/nonsense"):
            for headers in ({}, {"Authorization": "Bearer wrong"}, {"Authorization": f"Basic {TOKEN}"}):
                answer = stranger.get(path, headers=headers)
                assert (answer.status_code, answer.json()["kind"]) == (401, "Status")


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "evil.example"},
        {"Origin": "https://evil.example"},
        {"Host": "127.0.0.1.evil.example:80"},
        {"Host": "[::1"},
    ],
)
def test_what_a_browser_sends_for_another_site_is_forbidden(web: httpx.Client, headers: dict[str, str]) -> None:
    answer = web.get("/api/v1/pods", headers=headers)
    assert (answer.status_code, answer.json()["reason"]) == (403, "Forbidden")


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1:6443", "[::1]:6443"])
def test_loopback_names_are_answered(web: httpx.Client, name: str) -> None:
    assert web.get("/version", headers={"Host": name, "Origin": f"http://{name}"}).status_code == 200


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        ({"content": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": b"[]", "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": b"[" * 900, "headers": {"Content-Type": "application/json"}}, 400),
        ({"content": b"a: b", "headers": {"Content-Type": "text/x-toml"}}, 415),
        ({"content": b"x" * (request.MAX_BODY + 1), "headers": {"Content-Type": "application/json"}}, 413),
        ({"json": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": 7}}, 422),
        ({"json": {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "Not A Name"}}}, 422),
        ({"json": {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}}, 400),
        ({"json": {**configmap(), "metadata": {"name": "cm", "namespace": "other"}}}, 400),
        ({"json": configmap(), "params": {"dryRun": "Some"}}, 400),
    ],
)
def test_a_bad_request_is_a_status_object(web: httpx.Client, request_: dict[str, Any], status: int) -> None:
    answer = web.post("/api/v1/namespaces/default/configmaps", **request_)
    assert (answer.status_code, answer.json()["kind"], answer.json()["code"]) == (status, "Status", status)


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/api/v1/nonsense", 404),
        ("GET", "/apis/apps/v1/pods", 404),
        ("GET", "/api/v1/pods/web", 404),
        ("GET", "/api/v1/namespaces/default/pods/web/nonsense", 404),
        ("GET", "/api/v1/namespaces/default/pods?labelSelector=a+b", 400),
        ("GET", "/api/v1/namespaces/default/pods?fieldSelector=a", 400),
        ("GET", "/api/v1/namespaces/default/pods?watch=1&labelSelector=a+b", 400),
        ("GET", "/api/v1/pods?watch=1&resourceVersion=x", 400),
        ("POST", "/api/v1/configmaps", 405),
        ("DELETE", "/api/v1/namespaces/default/configmaps/none", 404),
        ("PATCH", "/api/v1/namespaces/default/configmaps/none", 415),
        ("GET", "/kdl/v1/nonsense", 404),
    ],
)
def test_a_path_or_query_that_makes_no_sense_is_refused(web: httpx.Client, method: str, path: str, status: int) -> None:
    answer = web.request(method, path)
    assert (answer.status_code, answer.json()["kind"]) == (status, "Status")


def test_small_answers_do_not_wait_for_acknowledgements(web: httpx.Client) -> None:
    def seconds() -> float:
        began = time.perf_counter()
        web.get("/version")
        return time.perf_counter() - began

    assert statistics.median(seconds() for _ in range(15)) < 0.03


def test_a_dry_run_creates_nothing(web: httpx.Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    assert web.post(base, params={"dryRun": "All"}, json=configmap()).status_code == 201
    assert web.get(f"{base}/cm").status_code == 404


def test_a_watch_streams_changes_as_they_are_made(client: Client, namespace: str) -> None:
    client.create(configmap("before"), namespace)
    seen: list[tuple[str, str]] = []
    ready = threading.Event()

    def watch() -> None:
        with Client(client._where) as own:
            for type_, doc in own.watch("cm", namespace, timeout_seconds=20):
                seen.append((type_, doc["metadata"]["name"]))
                ready.set()
                if len(seen) == 4:
                    return

    thread = threading.Thread(target=watch)
    thread.start()
    assert ready.wait(10)
    client.create(configmap("after"), namespace)
    client.merge_patch("cm", "after", {"data": {"x": "y"}}, namespace)
    client.delete("cm", "before", namespace)
    thread.join(10)
    assert seen == [("ADDED", "before"), ("ADDED", "after"), ("MODIFIED", "after"), ("DELETED", "before")]


def test_a_watch_from_a_list_misses_nothing_and_ends_in_time(client: Client, namespace: str) -> None:
    revision = client.list("cm", namespace)["metadata"]["resourceVersion"]
    client.create(configmap(), namespace)
    events = [type_ for type_, _ in client.watch("cm", namespace, since=revision, timeout_seconds=1)]
    assert events == ["ADDED"]


def test_a_watch_from_a_revision_that_is_not_known_says_410(client: Client) -> None:
    with pytest.raises(ApiError) as caught:
        next(client.watch("cm", since="999999999"))
    assert caught.value.status == 410


def test_an_idle_watch_is_sent_bookmarks(web: httpx.Client, namespace: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stream, "BOOKMARK_SECONDS", 0.05)
    revision = web.get("/api/v1/configmaps").json()["metadata"]["resourceVersion"]
    query = {"watch": "1", "allowWatchBookmarks": "true", "resourceVersion": revision}
    path = f"/api/v1/namespaces/{namespace}/configmaps"
    with web.stream("GET", path, params=query) as response:
        event = json.loads(next(response.iter_lines()))
    assert (event["type"], event["object"]["kind"]) == ("BOOKMARK", "ConfigMap")
    assert int(event["object"]["metadata"]["resourceVersion"]) >= int(revision)


def test_a_client_that_leaves_ends_its_subscription(tmp_path: Path) -> None:
    store = MemoryStore()
    server = http.serve(http.app(Objects(store, SystemClock()), bearer(TOKEN)))
    with Client(Connection(server.endpoint, TOKEN)) as client:
        for _ in range(3):
            next(client.watch("ns"))
    deadline = time.monotonic() + 5
    while ("", "Namespace") in store._subscribers and time.monotonic() < deadline:
        time.sleep(0.01)
    assert ("", "Namespace") not in store._subscribers
    server.stop()


def test_lines_are_made_once_for_all_watches_and_large_ones_do_not_stay() -> None:
    def made(revision: int, size: int) -> Object:
        return Object(
            Key("", "ConfigMap", "default/c"), revision, Document({"metadata": Document(), "data": "x" * size})
        )

    lines, small = stream.Lines(10_000), made(1, 10)
    line = lines.of("ADDED", small)
    assert lines.of("ADDED", small) is line
    assert lines.of("ADDED", made(1, 20)) != line  # of another store
    assert lines.of("ADDED", small) == line
    large = [made(revision, 4_000) for revision in range(2, 50)]
    first = [lines.of("ADDED", item) for item in large]
    assert [lines.of("ADDED", item) is line for item, line in zip(large[-2:], first[-2:], strict=True)] == [True, True]
    assert lines.of("ADDED", large[0]) is not first[0]
    assert json.loads(lines.of("MODIFIED", large[0]))["type"] == "MODIFIED"


def test_a_long_list_is_not_taken_for_a_slow_watch(
    web: httpx.Client, namespace: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(stream, "_BACKLOG", 1)
    base = f"/api/v1/namespaces/{namespace}/configmaps"
    for name in ("a", "b", "c"):
        web.post(base, json=configmap(name))
    with web.stream("GET", base, params={"watch": "1", "timeoutSeconds": "1"}) as response:
        assert [json.loads(line)["type"] for line in response.iter_lines()] == ["ADDED"] * 3


def test_stopping_the_server_ends_its_watches(tmp_path: Path) -> None:
    objects = Objects(MemoryStore(), SystemClock())
    server = http.serve(http.app(objects, bearer(TOKEN)))
    ended = threading.Event()

    def watch() -> None:
        with Client(Connection(server.endpoint, TOKEN)) as client:
            list(client.watch("ns"))
            ended.set()

    threading.Thread(target=watch).start()
    time.sleep(0.2)
    began = time.monotonic()
    server.stop()
    assert ended.wait(5)
    assert time.monotonic() - began < 3
    with socket.socket() as probe:
        assert probe.connect_ex((server.host, server.port)) != 0


def test_a_write_that_waits_keeps_nobody_else_waiting() -> None:
    store = MemoryStore()
    server = http.serve(http.app(Objects(store, SystemClock()), bearer(TOKEN)))
    with Client(Connection(server.endpoint, TOKEN)) as client, Client(Connection(server.endpoint, TOKEN)) as other:
        with store.transaction():
            writer = threading.Thread(target=client.create, args=(configmap(),))
            writer.start()
            time.sleep(0.1)
            assert other.list("cm")["items"] == []
            assert [type_ for type_, _ in other.watch("ns", timeout_seconds=1)] == ["ADDED", "ADDED"]
            assert writer.is_alive()
        writer.join(5)
        assert len(other.list("cm")["items"]) == 1
    server.stop()


def test_own_endpoints_answer_stream_and_tell_mistakes(client: Client) -> None:
    assert client.kdl("echo", {"a": 1}) == {"you said": {"a": 1}}
    assert list(client.kdl_lines("count", {"to": 3})) == ["0", "1", "2"]
    with pytest.raises(ApiError, match="too far"):
        list(client.kdl_lines("count", {"to": 100}))
    with pytest.raises(ApiError, match="unknown relation") as caught:
        client.kdl("echo", {"mistake": True})
    assert (caught.value.status, caught.value.details["diagnostics"][0]["code"]) == (400, "KDL101")


def test_a_failing_endpoint_tells_nothing_of_its_inside(client: Client) -> None:
    with pytest.raises(ApiError, match="an internal error occurred"):
        client.kdl("count", {"nothing": "KeyError"})


def test_a_subresource_hook_answers_for_an_object(web: httpx.Client, namespace: str) -> None:
    base = f"/api/v1/namespaces/{namespace}/pods"
    web.post(base, json=pod())
    assert web.get(f"{base}/web/log", params={"container": "c"}).text == "log of web c\n"
    assert web.get(f"{base}/none/log").status_code == 404


def test_apply_creates_then_changes_then_leaves_alone(client: Client, namespace: str) -> None:
    assert client.apply(configmap(a="1", b="2"), namespace)[0] == "created"
    assert client.apply(configmap(a="1", b="2"), namespace)[0] == "unchanged"
    did, doc = client.apply(configmap(a="3"), namespace)
    assert (did, doc["data"]) == ("configured", {"a": "3"})


def test_apply_keeps_what_others_set(client: Client, namespace: str) -> None:
    client.apply(deployment(), namespace)
    others = {"metadata": {"labels": {"theirs": "1"}}, "spec": {"replicas": 7}}
    client.merge_patch("deploy", "web", others, namespace)
    changed = deployment(minReadySeconds=5)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "busybox:1.37"
    _, doc = client.apply(changed, namespace)
    assert (doc["spec"]["replicas"], doc["spec"]["minReadySeconds"]) == (7, 5)
    assert doc["metadata"]["labels"] == {"theirs": "1"}
    (container,) = doc["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["imagePullPolicy"]) == ("busybox:1.37", "IfNotPresent")


def test_apply_takes_older_versions(client: Client, namespace: str) -> None:
    client.apply(deployment(), namespace)
    older = {**deployment(replicas=2), "apiVersion": "extensions/v1beta1"}
    did, doc = client.apply(older, namespace)
    assert (did, doc["apiVersion"], doc["spec"]["replicas"]) == ("configured", "apps/v1", 2)


def test_a_source_sent_by_a_client_is_kept(client: Client, namespace: str, server: http.Server) -> None:
    doc = client.create(configmap(), namespace)
    client.kdl("sources", {"uid": doc["metadata"]["uid"], "file": "cm.yaml", "lines": {"/data": 3}})
    with pytest.raises(ApiError, match="a source has"):
        client.kdl("sources", {"uid": 7})


def test_the_connection_files_are_their_owners_only_and_say_when_nothing_runs(tmp_path: Path) -> None:
    with pytest.raises(NotRunning, match="kdl up"):
        Client.of(tmp_path)
    token = token_of(tmp_path)
    assert token_of(tmp_path) == token
    assert len(token) > 30
    announce(tmp_path, "http://127.0.0.1:1")
    assert connection(tmp_path) == Connection("http://127.0.0.1:1", token)
    assert all((tmp_path / name).stat().st_mode & 0o077 == 0 for name in ("token", "endpoint"))
    with Client.of(tmp_path) as client, pytest.raises(NotRunning, match="kdl up"):
        client.get("pod", "web")
    withdraw(tmp_path)
    with pytest.raises(NotRunning):
        connection(tmp_path)


def test_who_may_only_patch_does_not_create_by_applying(tmp_path: Path) -> None:
    objects = Objects(MemoryStore(), SystemClock())

    def patches(user: User, action: Action) -> Verdict:
        return Verdict(action.verb == "patch", "patches only")

    server = http.serve(http.app(objects, bearer(TOKEN), patches))
    headers = {"Authorization": f"Bearer {TOKEN}", "Content-Type": "application/apply-patch+yaml"}
    path = "/api/v1/namespaces/default/configmaps/cm?fieldManager=m"
    try:
        with httpx.Client(base_url=server.endpoint, headers=headers, trust_env=False) as web:
            said = web.patch(path, json=configmap(a="1"))
            assert (said.status_code, said.json()["reason"]) == (403, "Forbidden")
            assert 'cannot create resource "configmaps"' in said.json()["message"]
            objects.create(configmap(a="0"))
            assert web.patch(path, json=configmap(b="1")).json()["data"] == {"a": "0", "b": "1"}
    finally:
        server.stop()


def names(listed: dict[str, Any]) -> list[str]:
    return [f"{item['metadata']['name']}={item['data']['a']}" for item in listed["items"]]


def test_a_list_in_pages_is_of_one_revision_while_writes_go_on(web: httpx.Client, namespace: str) -> None:
    path, over = f"/api/v1/namespaces/{namespace}/configmaps", threading.Event()
    for number in range(30):
        web.post(path, json=configmap(f"cm-{number:02}", a="0"))

    def write() -> None:
        with httpx.Client(base_url=web.base_url, headers=web.headers, trust_env=False) as other:
            for turn in range(1, 100_000):
                if over.is_set():
                    return
                number = 7 * turn % 40
                if other.delete(f"{path}/cm-{number:02}").status_code == 404:
                    other.post(path, json=configmap(f"cm-{number:02}", a=str(turn)))

    writer = threading.Thread(target=write)
    writer.start()
    try:
        moved = 0
        while moved < 5:
            first = web.get(path, params={"limit": 7}).json()
            revision, token = first["metadata"]["resourceVersion"], first["metadata"]["continue"]
            exact = {"resourceVersion": revision, "resourceVersionMatch": "Exact"}
            whole, seen = web.get(path, params=exact).json(), names(first)
            while token:
                page = web.get(path, params={"limit": 7, "continue": token}).json()
                assert page["metadata"]["resourceVersion"] == revision
                seen += names(page)
                token = page["metadata"].get("continue", "")
            assert seen == names(whole)
            moved += web.get(path).json()["metadata"]["resourceVersion"] != revision
    finally:
        over.set()
        writer.join()


def test_a_page_of_a_list_that_is_too_old_is_expired() -> None:
    server = http.serve(http.app(Objects(MemoryStore(retain=10), SystemClock()), bearer(TOKEN)))
    path, headers = "/api/v1/namespaces/default/configmaps", {"Authorization": f"Bearer {TOKEN}"}
    try:
        with httpx.Client(base_url=server.endpoint, headers=headers, trust_env=False) as web:
            for number in range(5):
                web.post(path, json=configmap(f"cm-{number}"))
            metadata = web.get(path, params={"limit": 2}).json()["metadata"]
            for number in range(20):
                web.post(path, json=configmap(f"later-{number}"))
            for params in (
                {"limit": 2, "continue": metadata["continue"]},
                {"resourceVersion": metadata["resourceVersion"], "resourceVersionMatch": "Exact"},
            ):
                refused = web.get(path, params=params)
                assert (refused.status_code, refused.json()["reason"]) == (410, "Expired")
            watch = {"watch": "true", "resourceVersion": metadata["resourceVersion"], "timeoutSeconds": "5"}
            event = json.loads(web.get(path, params=watch).text)
            assert (event["type"], event["object"]["code"]) == ("ERROR", 410)
    finally:
        server.stop()
