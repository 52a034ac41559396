"""What nobody should send: every answer is a refusal with a reason, and the server goes on."""

from __future__ import annotations

import json
import socket
import ssl
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdl.runtime.api import http
from kdl.runtime.api import server as serving
from kdl.runtime.api.certificates import LOOPBACK, Authority, context
from kdl.runtime.api.gate import bearer
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import SystemClock
from kdl.runtime.store import MemoryStore

HEADERS = {"Authorization": "Bearer t"}
PODS = "/api/v1/namespaces/default/pods"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[http.Server]:
    patience, serving.PATIENCE = serving.PATIENCE, 1.0  # type: ignore[misc]
    server = http.serve(http.app(Objects(MemoryStore(), SystemClock()), bearer("t")), tls=context(authority, LOOPBACK))
    yield server
    server.stop()
    serving.PATIENCE = patience  # type: ignore[misc]


@pytest.fixture(scope="module")
def web(server: http.Server, authority: Authority) -> Iterator[httpx.Client]:
    tls = ssl.create_default_context(cafile=str(authority.file))
    with httpx.Client(base_url=server.endpoint, headers=HEADERS, verify=tls, trust_env=False, timeout=30) as client:
        yield client


def refused(answer: httpx.Response) -> tuple[int, str]:
    status = answer.json()
    assert status["kind"] == "Status"
    return answer.status_code, status["reason"]


def test_bodies_that_are_too_long_of_the_wrong_type_or_no_object_are_refused(web: httpx.Client) -> None:
    assert refused(web.post(PODS, content=b"x" * 10_000_000)) == (413, "RequestEntityTooLarge")
    assert refused(web.post(PODS, content=b"<pod/>", headers={"Content-Type": "text/xml"})) == (
        415,
        "UnsupportedMediaType",
    )
    protobuf = {"Content-Type": "application/vnd.kubernetes.protobuf"}
    for body in (b"k8s\0\xff\xff\xff", b"{}", b"k8s\0"):
        assert refused(web.post(PODS, content=body, headers=protobuf)) == (400, "BadRequest")
    for body in (b"[]", b"{", b"null", b"1", b"[" * 100_000, b'{"metadata": []}', b"\xff"):
        assert web.post(PODS, content=body).status_code in (400, 422)
    for body in (b"a: &a [*a]", b"- a\n---\n- b", b"\t", b"!!python/object:os.system {}"):
        answer = web.patch(
            f"{PODS}/x?fieldManager=m", content=body, headers={"Content-Type": "application/apply-patch+yaml"}
        )
        assert answer.status_code in (400, 422)


def test_ten_thousand_labels_are_stored_or_refused_but_never_break_anything(web: httpx.Client) -> None:
    labels = {f"label-{number}": "x" for number in range(10_000)}
    doc = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "labels", "labels": labels}}
    made = web.post("/api/v1/namespaces/default/configmaps", json=doc)
    assert made.status_code in (201, 422)
    assert web.get("/api/v1/namespaces/default/configmaps?labelSelector=label-1=x").status_code == 200


def test_without_credentials_or_with_anothers_nobody_gets_in(server: http.Server, authority: Authority) -> None:
    tls = ssl.create_default_context(cafile=str(authority.file))
    for headers in ({}, {"Authorization": "Bearer x"}, {"Authorization": "Basic eA=="}, {"Authorization": "Bearer"}):
        with httpx.Client(base_url=server.endpoint, headers=headers, verify=tls, trust_env=False) as web:
            assert refused(web.get(PODS)) == (401, "Unauthorized")


def test_a_page_from_elsewhere_gets_nothing(web: httpx.Client) -> None:
    assert refused(web.get(PODS, headers={"Origin": "https://evil.example"})) == (403, "Forbidden")
    assert refused(web.get(PODS, headers={"Host": "evil.example"})) == (403, "Forbidden")


def test_plain_http_broken_tls_and_clients_that_say_nothing_end(server: http.Server, web: httpx.Client) -> None:
    for words in (b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x00\x05hello", b""):
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as raw:
            raw.sendall(words)
            raw.shutdown(socket.SHUT_WR)
            assert not raw.recv(100).startswith(b"HTTP/1.1 2")
    tls = ssl.create_default_context()
    tls.check_hostname, tls.verify_mode = False, ssl.CERT_NONE
    raw = socket.create_connection(("127.0.0.1", server.port), timeout=10)
    with tls.wrap_socket(raw) as slow:
        slow.sendall(b"GET /version HTTP/1.1\r\nHost: local")
        assert slow.recv(100) == b""  # closed by the server, whose patience is over
    assert web.get("/version").status_code == 200


def test_what_is_no_websocket_and_what_is_none_of_ours_is_refused(web: httpx.Client) -> None:
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": "websocket",
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    assert web.get(f"{PODS}/nobody/exec?command=x", headers=upgrade).status_code == 404
    assert web.get("/nothing", headers=upgrade).status_code == 404
    assert web.get("/nothing", headers={**upgrade, "Sec-WebSocket-Key": "x"}).status_code in (400, 404)


WORDS = st.sampled_from(
    ["api", "apis", "v1", "apps", "namespaces", "default", "pods", "deployments", "x", "status", "scale", "exec", "log",
     "kdl", "openapi", "v3", "metrics", "%00", "..", "-", "é", "%", "binding", "eviction", "watch"]
)  # fmt: skip
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
        st.sampled_from(["apiVersion", "kind", "metadata", "spec", "name", "labels", "containers", "replicas", "x"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip
QUERY = st.dictionaries(
    st.sampled_from(["labelSelector", "fieldSelector", "limit", "continue", "dryRun", "force", "fieldManager",
                     "resourceVersion", "resourceVersionMatch", "gracePeriodSeconds", "propagationPolicy", "pretty",
                     "fieldValidation", "includeObject"]),
    st.sampled_from(["", "0", "-1", "x", "a=b", "a in (b", "99999999999999999999", "true", "All", "%", "Exact", "é"]),
    max_size=3,
)  # fmt: skip
TYPES = st.sampled_from(
    ["application/json", "application/merge-patch+json", "application/json-patch+json", "application/yaml",
     "application/strategic-merge-patch+json", "application/apply-patch+yaml", "x"]
)  # fmt: skip


@settings(max_examples=300, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    method=st.sampled_from(["GET", "POST", "PUT", "PATCH", "DELETE"]),
    path=st.lists(WORDS, max_size=7) | st.sampled_from(
        [["api", "v1", "namespaces", "default", "pods"], ["api", "v1", "namespaces", "default", "pods", "x"],
         ["apis", "apps", "v1", "namespaces", "default", "deployments", "x"], ["api", "v1", "namespaces"],
         ["apis", "apps", "v1", "namespaces", "default", "deployments"]]
    ),
    query=QUERY,
    body=JSON,
    media=TYPES,
    accept=st.sampled_from(["*/*", "application/json;as=Table;v=v1;g=meta.k8s.io", "text/html", ""]),
)  # fmt: skip
def test_no_request_makes_the_server_fail(
    web: httpx.Client, method: str, path: list[str], query: dict[str, str], body: Any, media: str, accept: str
) -> None:
    data = json.dumps(body).encode() if method != "GET" else None
    answer = web.request(
        method, "/" + "/".join(path), params=query, content=data, headers={"Content-Type": media, "Accept": accept}
    )
    assert answer.status_code < 500 or answer.json()["reason"] == "Timeout", answer.text
    if answer.status_code >= 400 and answer.headers.get("content-type") == "application/json":
        assert answer.json()["kind"] == "Status"


def test_keys_of_the_authority_are_for_their_owner_only(authority: Authority) -> None:
    folder = Path(authority.file).parent
    assert {oct(item.stat().st_mode & 0o777) for item in folder.iterdir()} == {"0o600"}
    assert folder.stat().st_mode & 0o077 == 0
