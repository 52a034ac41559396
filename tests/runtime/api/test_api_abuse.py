"""What nobody should send: every answer is a refusal with a reason, and the server goes on."""

from __future__ import annotations

import gzip
import json
import socket
import ssl
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdl.runtime.api import http
from kdl.runtime.api.certificates import LOOPBACK, Authority, context
from kdl.runtime.api.gate import bearer
from kdl.runtime.api.server import Limits
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import SystemClock
from kdl.runtime.store import MemoryStore

HEADERS = {"Authorization": "Bearer t"}
PODS = "/api/v1/namespaces/default/pods"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("pki"))


@pytest.fixture(scope="module")
def server(authority: Authority) -> Iterator[http.Server]:
    application = http.app(Objects(MemoryStore(), SystemClock()), bearer("t"))
    server = http.serve(application, tls=context(authority, LOOPBACK), limits=Limits(patience=1.0))
    yield server
    server.stop()


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


STRANGE = ["a\nb: c", "日本", "\x00", 'a"b\\', "\u2028", "\x7f", "é" * 300]


def test_strange_names_of_unknown_fields_are_told_in_a_header_that_can_be_read(web: httpx.Client) -> None:
    doc = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "strange"}}
    made = web.post(f"{CONFIGMAPS}?dryRun=All", json={**doc, **dict.fromkeys(STRANGE, 1)})
    assert made.status_code == 201, made.text
    (warning,) = [item.decode() for name, item in made.headers.raw if name == b"warning"]
    assert '299 - "unknown field \\"日本\\""' in warning
    many = web.post(f"{CONFIGMAPS}?dryRun=All", json={**doc, **{f"field{number}": 1 for number in range(10_000)}})
    assert many.status_code == 201
    assert len(str(many.headers)) < 20_000
    strict = web.post(f"{CONFIGMAPS}?fieldValidation=Strict", json={**doc, **dict.fromkeys(STRANGE, 1)})
    assert refused(strict) == (400, "BadRequest")


DEEP = {
    "application/json": (b"[" * 100_000, b'{"a":' * 100_000,
    b'{"apiVersion":"v1","kind":"ConfigMap","metadata":' + b"[" * 500 + b"]" * 500 + b"}"),
    "application/yaml": (b"[" * 100_000, b"a: {" * 100_000, b"- " * 100_000,
    b"".join(b" " * n + b"a:\n" for n in range(1500))),
    "application/merge-patch+json": (b'{"a":' * 900 + b"1" + b"}" * 900, b"[" * 100_000),
    "application/strategic-merge-patch+json": (b'{"metadata":' * 900 + b"1" + b"}" * 900,),
    "application/json-patch+json": (b'[{"op":"add","path":"/data","value":' + b"[" * 900 + b"]" * 900 + b"}]",),
    "application/apply-patch+yaml": (b"[" * 100_000, b"a: [" * 5_000, b"? " * 100_000, b"&a [" * 5000),
    "application/vnd.kubernetes.protobuf": (b"k8s\0" + b"\x0a\xff\xff\x7f" * 10_000,),
}  # fmt: skip


@pytest.mark.parametrize("media", DEEP)
def test_what_nests_too_deep_is_refused_at_once(web: httpx.Client, media: str) -> None:
    doc = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "deep"}, "data": {"a": "b"}}
    web.post(CONFIGMAPS, json=doc)
    for body in DEEP[media]:
        for method, path in (("POST", CONFIGMAPS), ("PUT", f"{CONFIGMAPS}/deep"), ("PATCH", f"{CONFIGMAPS}/deep")):
            begun = time.monotonic()
            answer = web.request(method, f"{path}?fieldManager=m", content=body, headers={"Content-Type": media})
            assert answer.status_code in (400, 413, 415, 422), (method, body[:20], answer.text[:300])
            assert answer.json()["kind"] == "Status"
            assert time.monotonic() - begun < 5, (method, body[:20])


NUMBERS = [
    "NaN",
    "Infinity",
    "-Infinity",
    "1e999",
    "-1e999",
    "9" * 400,
    "-0",
    "1e-999",
    "0.1",
    "1e3",
    "9" * 5000,
    "1_000",
    "0x10",
    "012",
]


@pytest.mark.parametrize("number", NUMBERS)
def test_numbers_that_are_none_or_too_large_are_refused_where_they_matter(web: httpx.Client, number: str) -> None:
    template = '{"metadata":{"labels":{"a":"b"}},"spec":{"containers":[{"name":"c","image":"x:1"}]}}'
    spec = f'"replicas":%s,"selector":{{"matchLabels":{{"a":"b"}}}},"template":{template}'
    head = '"apiVersion":"apps/v1","kind":"Deployment","metadata":{"name":"numbers"}'
    path = "/apis/apps/v1/namespaces/default/deployments"
    for media in ("application/json", "application/yaml"):
        body = f'{{{head},"spec":{{{spec % number}}}}}'
        answer = web.post(f"{path}?dryRun=All", content=body.encode(), headers={"Content-Type": media})
        assert answer.status_code in (201, 400, 422), answer.text
    answer = web.post(f"{path}?dryRun=All", content=f'{{{head},"spec":{{{spec % 1}}},"x":{number}}}'.encode())
    assert answer.status_code in (201, 400), answer.text
    for name in ("limit", "resourceVersion", "timeoutSeconds", "gracePeriodSeconds"):
        method = "DELETE" if name == "gracePeriodSeconds" else "GET"
        for watch in ("", "&watch=1&timeoutSeconds=1") if name == "resourceVersion" else ("",):
            answer = web.request(method, f"{CONFIGMAPS}?{name}={number}{watch}")
            assert answer.status_code in (200, 400, 410, 504), (name, answer.text)
            assert answer.status_code != 504 or answer.json()["reason"] == "Timeout"
    options = f'{{"gracePeriodSeconds":{number}}}'.encode()
    assert web.request("DELETE", f"{CONFIGMAPS}/none", content=options).status_code in (400, 404)


QUANTITIES = [
    "1e999999999",
    "1E9999999999999999",
    "-1e-999999999",
    "9" * 5000,
    "1Ei" * 2,
    "0." + "0" * 5000 + "1",
    "١",
    "1e",
    "+",
    "",
    "NaN",
]


@pytest.mark.parametrize("quantity", QUANTITIES)
def test_quantities_that_are_too_large_or_none_are_refused_at_once(web: httpx.Client, quantity: str) -> None:
    container = {"name": "c", "image": "x:1", "resources": {"requests": {"cpu": quantity, "memory": quantity}}}
    doc = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "q"}, "spec": {"containers": [container]}}
    begun = time.monotonic()
    assert web.post(f"{PODS}?dryRun=All", json=doc).status_code in (201, 400, 422)
    assert time.monotonic() - begun < 3


def test_a_deletion_waits_no_longer_than_a_time_can_be_told(web: httpx.Client) -> None:
    for number, (own, asked) in enumerate([(2**62, None), (30, 2**62), (2**31, 2**31), (30, "9" * 30)]):
        spec = {"nodeName": "n1", "terminationGracePeriodSeconds": own, "containers": [{"name": "c", "image": "x:1"}]}
        doc = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": f"patient-{number}"}, "spec": spec}
        assert web.post(PODS, json=doc).status_code in (201, 422)
        gone = web.delete(f"{PODS}/patient-{number}", params={"gracePeriodSeconds": asked} if asked else None)
        assert gone.status_code in (200, 400, 404), gone.text
        if gone.status_code == 200:
            metadata = gone.json()["metadata"]
            assert metadata["deletionTimestamp"] > "2090"
            assert web.delete(f"{PODS}/patient-{number}?gracePeriodSeconds=0").status_code == 200


def test_bytes_that_are_no_utf8_are_refused_or_not_found(web: httpx.Client) -> None:
    for body in (
        b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"\xff"}}',
        b"\xff\xfe{\x00}\x00",
        b"\xed\xa0\x80",
    ):
        for media in ("application/json", "application/yaml", "application/merge-patch+json"):
            assert web.post(CONFIGMAPS, content=body, headers={"Content-Type": media}).status_code in (400, 415, 422)
    escaped = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"a":"\\ud800"}}'
    assert refused(web.post(CONFIGMAPS, content=escaped))[0] == 400
    for path in ("/%ff", "/api/v1/namespaces/%ff%fe/pods", f"{PODS}/%ff", f"{PODS}/%00", f"{PODS}/a%0ab"):
        assert web.get(path).status_code in (200, 404)
    assert web.get(PODS, params=b"labelSelector=%ff%fe").status_code in (200, 400)
    for name in ("Accept", "Content-Type", "User-Agent", "Impersonate-User", "If-None-Match", "Authorization"):
        headers = {"Authorization": b"Bearer t", name: b"\xff\xfe"}
        answer = web.post(f"{CONFIGMAPS}?dryRun=All", content=b"{}", headers=headers)
        assert 400 <= answer.status_code < 500, (name, answer.text)


def test_content_encodings_are_refused(web: httpx.Client) -> None:
    doc = json.dumps({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "z"}}).encode()
    for encoding in ("gzip", "br", "x"):
        answer = web.post(CONFIGMAPS, content=gzip.compress(doc), headers={"Content-Encoding": encoding})
        assert answer.status_code in (400, 415), answer.text


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
        assert slow.recv(100).startswith(b"HTTP/1.1 408")  # the server's patience is over
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
    ["api", "apis", "v1", "apps", "namespaces", "default", "pods", "deployments", "x", "status", "scale", "exec",
    "log",
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
