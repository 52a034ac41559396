"""The subresource `proxy`: real requests over real connections to a backend of the test.

Pods have the addresses that pods have; the test's network leads connections to them to a loopback address.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import threading
from collections.abc import Callable, Iterable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpcore
import httpx
import kubernetes
import pytest

from kdl.parser.source import shipped
from kdl.rules.program import Program
from kdl.runtime.access import Access
from kdl.runtime.admission import Admission
from kdl.runtime.api import http
from kdl.runtime.api.certificates import Authority, context
from kdl.runtime.api.proxy import Patience, Proxy
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import SystemClock
from kdl.runtime.identity import Identity
from kdl.runtime.programs import compile
from kdl.runtime.store import MemoryStore

TOKEN = "the-admins-own"
RBAC = "rbac.authorization.k8s.io"
POD_IP = "10.244.0.5"
SILENT = 7
"""A port where packets are lost."""

PODS = "/api/v1/namespaces/default/pods"
SERVICES = "/api/v1/namespaces/default/services"
BASE = f"{PODS}/web:8080/proxy"

Handle = Callable[[BaseHTTPRequestHandler], None]


class Backend(ThreadingHTTPServer):
    """A program in a pod: it answers with `handle`, and remembers what it was asked."""

    daemon_threads = True

    def __init__(self) -> None:
        backend = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                backend.heard.append((self.command, self.path, [(k.lower(), v) for k, v in self.headers.items()]))
                backend.handle(self)

            do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = answer

            def log_message(self, format: str, *args: Any) -> None:
                return

        super().__init__(("127.0.0.1", 0), Handler)
        self.heard: list[tuple[str, str, list[tuple[str, str]]]] = []
        self.handle: Handle = said(b"served")
        self.errors: list[str] = []

    def handle_error(self, request: Any, client_address: Any) -> None:
        self.errors.append(str(client_address))

    @property
    def headers(self) -> dict[str, str]:
        """The headers of the last request."""
        return dict(self.heard[-1][2])


def said(body: bytes, status: int = 200, **headers: str) -> Handle:
    """An answer."""

    def handle(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(status)
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **given}.items():
            asked.send_header(name, value)
        asked.end_headers()
        if asked.command != "HEAD":
            asked.wfile.write(body)

    return handle


class Network(httpcore.AsyncNetworkBackend):
    """Leads connections to some addresses and ports elsewhere; all others are refused."""

    def __init__(self) -> None:
        self.leads: dict[tuple[str, int], int] = {}
        self.dialled: list[tuple[str, int]] = []
        self._real = httpcore.AnyIOBackend()

    async def connect_tcp(self, host: str, port: int, *args: Any, **kwargs: Any) -> httpcore.AsyncNetworkStream:
        self.dialled.append((host, port))
        if port == SILENT:
            await asyncio.sleep(kwargs["timeout"])
            raise httpcore.ConnectTimeout
        with socket.socket() as closed:
            closed.bind(("127.0.0.1", 0))  # and nobody listens
            to = self.leads.get((host, port), closed.getsockname()[1])
            return await self._real.connect_tcp("127.0.0.1", to, *args, **kwargs)


class Api:
    """A server with the access pack, a pod and a service before it, and what answers there."""

    def __init__(self, folder: Path, program: Program) -> None:
        store, clock = MemoryStore(), SystemClock()
        self.store = store
        self.objects = Objects(store, clock, admit=Admission(program, store, clock))
        self.objects.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}})
        self.identity = Identity(folder, TOKEN, store, clock)
        self.access = Access(program, store)
        self.network, self.backend = Network(), Backend()
        self.network.leads[POD_IP, 8080] = self.backend.server_address[1]
        threading.Thread(target=self.backend.serve_forever, args=(0.01,), daemon=True).start()
        self.server = self.serve(Proxy(network=self.network))
        self.admin = self.client(TOKEN)

    def serve(self, proxy: Proxy | None) -> http.Server:
        return http.serve(http.app(self.objects, self.identity, self.access, proxy=proxy))

    def client(self, token: str, server: http.Server | None = None) -> httpx.Client:
        headers = {"Authorization": f"Bearer {token}"}
        at = (server or self.server).endpoint
        return httpx.Client(base_url=at, headers=headers, trust_env=False, timeout=30)

    def pod(self, name: str = "web", ip: str = POD_IP, ports: Iterable[dict[str, Any]] = ()) -> None:
        """A running pod."""
        containers = [{"name": "c", "image": "x:1", "ports": list(ports)}]
        metadata = {"name": name, "labels": {"app": "web"}}
        self.objects.create(
            {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": containers}}
        )
        if ip:
            self.objects.patch("Pod", f"default/{name}", [("/status/podIP", ip), ("/status/podIPs", [{"ip": ip}])])

    def service(self, *ports: dict[str, Any], **subset: Any) -> None:
        """A service, and what its Endpoints object says."""
        metadata = {"name": "web"}
        self.objects.create(
            {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": {"ports": list(ports)}}
        )
        if subset:
            self.objects.create({"apiVersion": "v1", "kind": "Endpoints", "metadata": metadata, "subsets": [subset]})

    def account(self, *rules: dict[str, Any]) -> httpx.Client:
        """A client that may do this in `default`."""
        metadata = {"name": "robot"}
        made = self.objects.create({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        head = {"apiVersion": f"{RBAC}/v1", "metadata": metadata}
        self.objects.create({**head, "kind": "Role", "rules": list(rules)})
        reference = {"apiGroup": RBAC, "kind": "Role", "name": "robot"}
        subjects = [{"kind": "ServiceAccount", "name": "robot", "namespace": "default"}]
        self.objects.create({**head, "kind": "RoleBinding", "roleRef": reference, "subjects": subjects})
        return self.client(self.identity.issue(made, 3600)[0])


def address(ip: str = POD_IP, pod: str = "web", namespace: str = "default", **more: Any) -> dict[str, Any]:
    return {"ip": ip, "targetRef": {"kind": "Pod", "namespace": namespace, "name": pod}, **more}


@pytest.fixture(scope="module")
def program() -> Program:
    return compile(shipped())


@pytest.fixture
def api(tmp_path: Path, program: Program) -> Iterator[Api]:
    made = Api(tmp_path, program)
    yield made
    made.admin.close()
    made.server.stop()
    made.backend.shutdown()
    made.backend.server_close()


def refusal(answer: httpx.Response) -> tuple[int, str, str]:
    doc = answer.json()
    assert (doc["kind"], doc["code"]) == ("Status", answer.status_code)
    return doc["code"], doc["reason"], doc["message"]


# Where it leads.

DECLARED = [{"containerPort": 8080, "name": "http"}, {"containerPort": 9090, "name": "admin"}]


@pytest.mark.parametrize("name", ["web", "web:8080", "web:http", "http:web:", "http:web:http", ":web:8080"])
def test_a_pod_is_asked_on_a_port_by_number_or_name_and_else_on_its_first(api: Api, name: str) -> None:
    api.pod(ports=DECLARED)
    answer = api.admin.get(f"{PODS}/{name}/proxy/")
    assert (answer.status_code, answer.text) == (200, "served")
    assert api.network.dialled == [(POD_IP, 8080)]


def test_a_pod_that_declares_no_port_is_asked_on_that_of_the_scheme(api: Api) -> None:
    api.pod()
    api.network.leads[POD_IP, 80] = api.backend.server_address[1]
    assert api.admin.get(f"{PODS}/web/proxy/").text == "served"
    assert api.admin.get(f"{PODS}/https:web:/proxy/").status_code == 503
    assert api.network.dialled == [(POD_IP, 80), (POD_IP, 443)]


def test_a_pod_may_have_an_address_of_the_sixth_version(api: Api) -> None:
    api.pod(ip="fd00::5", ports=DECLARED)
    api.network.leads["fd00::5", 8080] = api.backend.server_address[1]
    api.backend.handle = said(b"", 302, Location="http://[fd00::5]:8080/there")
    assert api.admin.get(f"{BASE}/").headers["location"].endswith(f"{BASE}/there")
    answer = api.admin.get(f"{PODS}/web:9090/proxy/")
    assert refusal(answer)[2] == "error trying to reach service: [fd00::5]:9090: Connection refused"


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [
        (f"{PODS}/web:nothing/proxy/", 400, 'pod "web" has no port "nothing"'),
        (f"{PODS}/web:0/proxy/", 400, "0 is no port"),
        (f"{PODS}/web:65536/proxy/", 400, "65536 is no port"),
        (f"{PODS}/ftp:web:80/proxy/", 400, 'invalid pod request "ftp:web:80"'),
        (f"{PODS}/http:web:80:90/proxy/", 400, 'invalid pod request "http:web:80:90"'),
        (f"{PODS}/:80/proxy/", 400, 'invalid pod request ":80"'),
        (f"{SERVICES}/ftp:web:80/proxy/", 400, 'invalid service request "ftp:web:80"'),
        (f"{SERVICES}/web:81/proxy/", 503, 'no service port 81 found for service "web"'),
        (f"{SERVICES}/web:8080/proxy/", 503, 'no service port 8080 found for service "web"'),
        (f"{SERVICES}/web:nothing/proxy/", 503, 'no service port "nothing" found for service "web"'),
        (f"{PODS}/nobody/proxy/", 404, 'pods "nobody" not found'),
        (f"{SERVICES}/nobody:80/proxy/", 404, 'services "nobody" not found'),
        ("/api/v1/nodes/n/proxy/", 404, "the server could not find the requested resource"),
        ("/api/v1/namespaces/default/configmaps/x/proxy/a", 404, "the server could not find the requested resource"),
        (f"{PODS}/web/log/more", 404, "the server could not find the requested resource"),
    ],
)
def test_what_leads_nowhere_is_refused_in_kubernetes_words(api: Api, path: str, status: int, message: str) -> None:
    api.pod(ports=DECLARED)
    api.service({"port": 80}, addresses=[address()], ports=[{"port": 8080}])
    assert refusal(api.admin.get(path))[::2] == (status, message)
    assert api.network.dialled == []


@pytest.mark.parametrize("name", ["web", "web:80", "web:http", "http:web:", "http:web:http"])
def test_a_service_leads_to_the_target_port_of_a_ready_pod(api: Api, name: str) -> None:
    api.pod()
    port = {"port": 80, "name": "http", "targetPort": 8080}
    elsewhere = [address("10.244.0.6")]
    api.service(port, addresses=[address()], notReadyAddresses=elsewhere, ports=[{"port": 8080, "name": "http"}])
    for _ in range(4):
        assert api.admin.get(f"{SERVICES}/{name}/proxy/").text == "served"
    assert set(api.network.dialled) == {(POD_IP, 8080)}


def test_of_several_ports_of_a_service_one_is_named(api: Api) -> None:
    api.pod()
    named = [{"port": 8080, "name": "http"}, {"port": 9090, "name": "admin"}]
    api.service({"port": 80, "name": "http"}, {"port": 81, "name": "admin"}, addresses=[address()], ports=named)
    nothing = (503, "ServiceUnavailable", 'no endpoints available for service "web"')
    assert refusal(api.admin.get(f"{SERVICES}/web/proxy/")) == nothing
    assert api.admin.get(f"{SERVICES}/web:80/proxy/").text == "served"
    assert api.admin.get(f"{SERVICES}/web:admin/proxy/").status_code == 503
    assert api.network.dialled == [(POD_IP, 8080), (POD_IP, 9090)]


FORGED = [
    {"ip": POD_IP},
    {"ip": POD_IP, "targetRef": {"kind": "Node", "namespace": "default", "name": "web"}},
    address(namespace="other"),
    address(pod="other"),
    address("10.244.0.9"),
    address("127.0.0.1"),
]


@pytest.mark.parametrize("subset", [{}, {"notReadyAddresses": [address()]}, *({"addresses": [a]} for a in FORGED)])
def test_a_service_without_a_ready_pod_of_its_namespace_has_no_endpoints(api: Api, subset: dict[str, Any]) -> None:
    """An Endpoints object that somebody wrote leads to no address that is not its pod's."""
    api.pod()
    api.service({"port": 80}, **({**subset, "ports": [{"port": 8080}]} if subset else {}))
    nothing = (503, "ServiceUnavailable", 'no endpoints available for service "web"')
    assert refusal(api.admin.get(f"{SERVICES}/web/proxy/")) == nothing
    assert api.network.dialled == []


NOWHERE = (
    "127.0.0.1", "127.8.8.8", "0.0.0.0", "0.0.0.1", "169.254.169.254", "224.0.0.1", "255.255.255.255", "::1", "::",
    "fe80::1", "ff02::1", "::ffff:127.0.0.1", "::ffff:169.254.169.254", "::7f00:1",
)  # fmt: skip


@pytest.mark.parametrize("ip", [*NOWHERE, "127.1", "localhost", ""])
def test_a_pod_whose_address_is_not_one_machines_own_is_not_reached(api: Api, ip: str) -> None:
    """Whoever may write a pod's status does not reach what listens on the server's loopback address."""
    api.pod(ip=ip)
    message = f'address not allowed: pod "web" {f"is at {ip}" if ip else "has none yet"}'
    assert refusal(api.admin.get(f"{PODS}/web:{api.server.port}/proxy/")) == (400, "BadRequest", message)
    assert api.network.dialled == []


@pytest.mark.parametrize("ip", NOWHERE)
def test_nor_is_it_through_a_service(api: Api, ip: str) -> None:
    api.pod(ip=ip)
    api.service({"port": 80}, addresses=[address(ip)], ports=[{"port": api.server.port}])
    message = f'address not allowed: service "web" is at {ip}'
    assert refusal(api.admin.get(f"{SERVICES}/web:80/proxy/")) == (400, "BadRequest", message)
    assert api.network.dialled == []


# What is passed on.


@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"])
def test_method_path_query_body_status_and_headers_are_passed_on(api: Api, method: str) -> None:
    api.pod()
    bodies = []

    def handle(asked: BaseHTTPRequestHandler) -> None:
        bodies.append(asked.rfile.read(int(asked.headers.get("Content-Length", 0))))
        said(b"\x00answer", 418, Content_Type="x/y", Set_Cookie="a=b", X_Own="1")(asked)

    api.backend.handle = handle
    path = "/a%2Fb/%e9%C3%A9/c%20d//e%3F/(~)/?q=1&q=%2F+x&watch=true"
    body = {} if method == "GET" else {"content": b"\xffbody"}
    answer = api.admin.request(method, f"{PODS}/web:8080/proxy{path}", headers={"Content-Type": "a/b"}, **body)
    assert (answer.status_code, answer.content) == (418, b"\x00answer")
    assert (answer.headers["content-type"], answer.headers["set-cookie"], answer.headers["x-own"]) == (
        "x/y",
        "a=b",
        "1",
    )
    assert len(answer.headers.get_list("date")) == 1
    heard = "/a/b/%E9%C3%A9/c%20d//e%3F/(~)/?q=1&q=%2F+x&watch=true"
    assert [told[:2] for told in api.backend.heard] == [(method, heard)]
    assert bodies == [b"" if method == "GET" else b"\xffbody"]
    assert api.backend.headers["content-type"] == "a/b"


def test_head_is_passed_on(api: Api) -> None:
    api.pod()
    answer = api.admin.head(f"{PODS}/web:8080/proxy/x")
    assert (answer.status_code, answer.headers["content-length"], answer.content) == (200, "6", b"")
    assert api.backend.heard[0][:2] == ("HEAD", "/x")


def test_answers_without_a_body_are_passed_on(api: Api) -> None:
    api.pod()
    for status in (204, 304):
        api.backend.handle = said(b"", status, Content_Length="0" if status == 204 else "7", Etag='"x"')
        answer = api.admin.get(f"{PODS}/web:8080/proxy/x")
        assert (answer.status_code, answer.content, answer.headers["etag"]) == (status, b"", '"x"')
    assert api.admin.get(f"{PODS}/web:8080/proxy/x").status_code == 304


def test_the_callers_credentials_and_what_is_for_one_hop_are_not_passed_on(api: Api) -> None:
    api.pod()
    api.backend.handle = said(
        b"", Connection="x-internal", X_Internal="1", Keep_Alive="timeout=5", Access_Control_Allow_Origin="*", X_Own="2"
    )
    sent = {
        "Proxy-Authorization": "Basic eDp5",
        "Connection": "X-Hop, keep-alive",
        "X-Hop": "1",
        "TE": "trailers",
        "X-Remote-User": "x",
        "Impersonate-User": "jane",
        "Impersonate-Group": "system:masters",
        "Cookie": "its=own",
        "X-Forwarded-For": "192.0.2.7",
        "X-Forwarded-Host": "elsewhere",
        "X-Forwarded-Proto": "gopher",
        "X-Forwarded-Uri": "/x",
    }
    answer = api.admin.get(f"{PODS}/web:8080/proxy/a?b=c", headers=sent)
    assert answer.status_code == 200
    assert not {"keep-alive", "x-internal", "access-control-allow-origin"} & set(answer.headers)
    assert answer.headers["x-own"] == "2"
    host = f"127.0.0.1:{api.server.port}"
    heard = api.backend.headers
    kept = {name: heard.pop(name) for name in ("accept", "accept-encoding", "user-agent")}
    assert all(kept.values())
    assert heard == {
        "host": host,
        "cookie": "its=own",
        "x-forwarded-for": "192.0.2.7, 127.0.0.1",
        "x-forwarded-host": host,
        "x-forwarded-proto": "http",
        "x-forwarded-uri": f"{PODS}/web:8080/proxy/a",
    }


def test_an_answer_is_passed_on_as_it_comes(api: Api) -> None:
    api.pod()
    seen = threading.Event()

    def handle(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)
        asked.send_header("Transfer-Encoding", "chunked")
        asked.end_headers()
        asked.wfile.write(b"5\r\nfirst\r\n")
        assert seen.wait(10)
        asked.wfile.write(b"6\r\nsecond\r\n0\r\n\r\n")

    api.backend.handle = handle
    with api.admin.stream("GET", f"{PODS}/web:8080/proxy/") as answer:
        parts = answer.iter_raw()
        assert next(parts) == b"first"
        seen.set()
        assert b"".join(parts) == b"second"
    assert api.backend.errors == []


def test_a_body_is_passed_on_as_it_comes_however_long_it_is(api: Api) -> None:
    """Bodies of objects may have three megabytes; this one has five, and no length is said."""
    api.pod()
    begun = threading.Event()

    def handle(asked: BaseHTTPRequestHandler) -> None:
        total = 0
        while size := int(asked.rfile.readline(), 16):
            begun.set()
            total += len(asked.rfile.read(size))
            asked.rfile.readline()
        asked.rfile.readline()
        said(str(total).encode())(asked)

    def body() -> Iterator[bytes]:
        yield b"x" * 1000
        assert begun.wait(10)
        for _ in range(5):
            yield b"x" * (1 << 20)

    api.backend.handle = handle
    assert api.admin.post(f"{PODS}/web:8080/proxy/", content=body()).text == str(1000 + (5 << 20))
    assert api.backend.headers["transfer-encoding"] == "chunked"


def test_an_answer_that_breaks_off_does_not_seem_whole(api: Api) -> None:
    api.pod()

    def handle(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)
        asked.send_header("Transfer-Encoding", "chunked")
        asked.end_headers()
        asked.wfile.write(b"5\r\nfirst\r\n")
        asked.wfile.flush()
        asked.connection.shutdown(socket.SHUT_RDWR)
        asked.close_connection = True

    api.backend.handle = handle
    with pytest.raises(httpx.RemoteProtocolError):
        api.admin.get(f"{PODS}/web:8080/proxy/")
    api.backend.handle = said(b"again")
    assert api.admin.get(f"{PODS}/web:8080/proxy/").text == "again"


def test_a_client_that_leaves_ends_the_request_of_the_backend(api: Api) -> None:
    api.pod()
    ended = threading.Event()

    def handle(asked: BaseHTTPRequestHandler) -> None:
        asked.send_response(200)
        asked.send_header("Content-Length", str(1 << 40))
        asked.end_headers()
        asked.wfile.write(b"first")
        asked.connection.settimeout(10)
        assert asked.connection.recv(1) == b""
        ended.set()
        asked.close_connection = True

    api.backend.handle = handle
    with api.client(TOKEN) as client, client.stream("GET", f"{PODS}/web:8080/proxy/") as answer:
        assert next(answer.iter_raw()) == b"first"
    assert ended.wait(10)


def test_a_backend_that_refuses_or_makes_no_sense_is_told_of(api: Api) -> None:
    api.pod()
    message = f"error trying to reach service: {POD_IP}:81: Connection refused"
    assert refusal(api.admin.get(f"{PODS}/web:81/proxy/")) == (503, "ServiceUnavailable", message)
    api.backend.handle = lambda asked: asked.wfile.write(b"what?\r\n\r\n") and None
    assert refusal(api.admin.get(f"{PODS}/web:8080/proxy/"))[:2] == (503, "ServiceUnavailable")


def test_a_backend_is_waited_for_only_so_long(api: Api) -> None:
    api.pod()
    go_on = threading.Event()
    api.backend.handle = lambda asked: (go_on.wait(20), None)[1]
    server = api.serve(Proxy(Patience(connect=0.2, answer=0.5), api.network))
    try:
        with api.client(TOKEN, server) as admin:
            for port, seconds in ((SILENT, "0.2"), (8080, "0.5")):
                message = f"error trying to reach service: {POD_IP}:{port} has not answered in {seconds} s"
                assert refusal(admin.get(f"{PODS}/web:{port}/proxy/")) == (504, "Timeout", message)
    finally:
        go_on.set()
        server.stop()


def test_tls_to_a_pod_is_spoken_whatever_its_certificate(api: Api, tmp_path: Path) -> None:
    api.pod()
    tls = Backend()
    (tmp_path / "its-own").mkdir()
    made = context(Authority(tmp_path / "its-own"), ["nobody.example"])
    tls.socket = made.wrap_socket(tls.socket, server_side=True)
    threading.Thread(target=tls.serve_forever, args=(0.01,), daemon=True).start()
    api.network.leads[POD_IP, 8443] = tls.server_address[1]
    try:
        assert api.admin.get(f"{PODS}/https:web:8443/proxy/").text == "served"
        refused = refusal(api.admin.get(f"{PODS}/https:web:8080/proxy/"))
        assert refused[:2] == (503, "ServiceUnavailable")
    finally:
        tls.shutdown()
        tls.server_close()
    assert isinstance(tls.socket, ssl.SSLSocket)


# Redirects.


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ("/login?next=%2F#top", f"{BASE}/login?next=%2F#top"),
        ("/", f"{BASE}/"),
        ("login", "login"),
        ("../up/", "../up/"),
        ("?a=b", "?a=b"),
        (f"{BASE}/there", f"{BASE}/there"),
        (f"{BASE}-not", f"{BASE}{BASE}-not"),
        ("http://%HOST/login", f"http://%HOST{BASE}/login"),
        ("http://%HOST", f"http://%HOST{BASE}/"),
        (f"http://{POD_IP}:8080/login", f"http://%HOST{BASE}/login"),
        (f"//{POD_IP}:8080/login", f"http://%HOST{BASE}/login"),
        (f"http://{POD_IP}:8081/login", f"http://{POD_IP}:8081/login"),
        (f"http://{POD_IP}/login", f"http://{POD_IP}/login"),
        ("https://elsewhere.example/login", "https://elsewhere.example/login"),
        ("//elsewhere.example/login", "//elsewhere.example/login"),
        ("http://[broken/", "http://[broken/"),
        ("http://x:99999999/", "http://x:99999999/"),
    ],
)
def test_a_redirect_to_the_same_backend_leads_to_the_proxy(api: Api, given: str, wanted: str) -> None:
    api.pod()
    host = f"127.0.0.1:{api.server.port}"
    api.backend.handle = said(b"", 302, Location=given.replace("%HOST", host))
    answer = api.admin.get(f"{BASE}/x")
    assert (answer.status_code, answer.headers["location"]) == (302, wanted.replace("%HOST", host))


def test_without_a_slash_after_it_a_page_is_asked_for_with_one(api: Api) -> None:
    api.pod()
    answer = api.admin.get(f"{BASE}?a=b")
    assert (answer.status_code, answer.headers["location"]) == (301, f"{BASE}/?a=b")
    assert api.backend.heard == []
    assert api.admin.get(f"{BASE}?a=b", follow_redirects=True).text == "served"
    assert api.admin.post(BASE).text == "served"
    assert [told[:2] for told in api.backend.heard] == [("GET", "/?a=b"), ("POST", "/")]


# Who may.


@pytest.mark.parametrize(
    ("method", "verb"),
    [("GET", "get"), ("HEAD", "get"), ("POST", "create"), ("PUT", "update"), ("PATCH", "patch"), ("DELETE", "delete"),
     ("OPTIONS", "options")],
)  # fmt: skip
def test_the_verb_of_the_method_on_the_subresource_is_asked(api: Api, method: str, verb: str) -> None:
    """Who may do everything with pods and services themselves may nothing of this."""
    api.pod()
    whole = {"apiGroups": [""], "resources": ["services", "pods", "services/status"], "verbs": ["*"]}
    api.service({"port": 80}, addresses=[address()], ports=[{"port": 8080}])
    proxy = {"apiGroups": [""], "resources": ["pods/proxy"], "verbs": [verb], "resourceNames": ["web:8080"]}
    with api.account(whole, proxy) as robot:
        refused = robot.request(method, f"{SERVICES}/web:80/proxy/")
        assert (refused.status_code, api.network.dialled) == (403, [])
        if method != "HEAD":
            user = 'User "system:serviceaccount:default:robot"'
            assert f'{user} cannot {verb} resource "services/proxy" in API group ""' in refusal(refused)[2]
        assert robot.request(method, f"{PODS}/web:80/proxy/").status_code == 403
        assert robot.request(method, f"{PODS}/web:8080/proxy/").status_code == 200
        for other in {"GET", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"} - {method, "GET" if verb == "get" else ""}:
            assert robot.request(other, f"{PODS}/web:8080/proxy/").status_code == 403


def test_a_connection_is_admitted_by_the_rules(api: Api, tmp_path: Path) -> None:
    rule = """
    module quiet.
    import admission.
    admission.deny_connection("Service", I, "not today") :-
        admission.request("CONNECT", "Service", I, "proxy", _, _, _).
    """
    (tmp_path / "quiet.dl").write_text(rule)
    program = compile([*shipped(), tmp_path / "quiet.dl"])
    object.__setattr__(api.objects, "_admit", Admission(program, api.store, SystemClock()))
    api.pod()
    api.service({"port": 80}, addresses=[address()], ports=[{"port": 8080}])
    answer = api.admin.get(f"{SERVICES}/web:80/proxy/")
    assert refusal(answer) == (403, "Forbidden", 'services "web" is forbidden: not today')
    assert api.admin.get(f"{PODS}/web:8080/proxy/").text == "served"


@pytest.mark.parametrize("protocol", ["websocket", "SPDY/3.1"])
def test_upgrades_are_refused(api: Api, protocol: str) -> None:
    api.pod()
    upgrade = {
        "Connection": "Upgrade",
        "Upgrade": protocol,
        "Sec-WebSocket-Version": "13",
        "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
    }
    code, reason, message = refusal(api.admin.get(f"{BASE}/", headers=upgrade))
    assert (code, reason) == (400, "BadRequest")
    assert f"no upgrades to {protocol}" in message
    with api.client("wrong") as stranger:
        assert stranger.get(f"{BASE}/", headers=upgrade).status_code == 401
    assert api.network.dialled == []


def test_where_containers_run_nothing_there_is_nothing_to_ask(api: Api) -> None:
    api.pod()
    server = api.serve(None)
    try:
        with api.client(TOKEN, server) as admin:
            message = "there is no proxy on the fake runtime: its containers run nothing"
            assert refusal(admin.get(f"{BASE}/")) == (400, "BadRequest", message)
            assert refusal(admin.get(f"{PODS}/nobody/proxy/"))[0] == 404
    finally:
        server.stop()


# What is said about it.


def test_discovery_and_openapi_tell_of_it(api: Api) -> None:
    listed = {item["name"]: item for item in api.admin.get("/api/v1").json()["resources"]}
    verbs = ["create", "delete", "get", "patch", "update"]
    for plural, kind in (("pods", "PodProxyOptions"), ("services", "ServiceProxyOptions")):
        told = listed[f"{plural}/proxy"]
        assert (told["kind"], told["version"], told["verbs"], told["namespaced"]) == (kind, "v1", verbs, True)
    assert "nodes/proxy" not in listed
    path = "/api/v1/namespaces/{namespace}/services/{name}/proxy/{path}"
    third = api.admin.get("/openapi/v3/api/v1").json()["paths"][path]
    assert set(third) == {"get", "put", "post", "delete", "options", "head", "patch"}
    assert third["get"]["x-kubernetes-group-version-kind"]["kind"] == "ServiceProxyOptions"
    assert [(p["name"], p["in"]) for p in third["get"]["parameters"]] == [
        ("namespace", "path"), ("name", "path"), ("path", "path"),
    ]  # fmt: skip
    second = api.admin.get("/openapi/v2").json()["paths"]
    assert second[path]["get"]["produces"] == ["*/*"]
    assert path.removesuffix("/{path}") in second


def test_the_python_client_reaches_a_service(api: Api) -> None:
    api.pod()
    api.service({"port": 80, "name": "http"}, addresses=[address()], ports=[{"port": 8080, "name": "http"}])
    api.backend.handle = said(b"page", Content_Type="text/plain")
    configuration = kubernetes.client.Configuration(host=api.server.endpoint)
    configuration.api_key = {"authorization": f"Bearer {TOKEN}"}
    with kubernetes.client.ApiClient(configuration) as client:
        core = kubernetes.client.CoreV1Api(client)
        assert core.connect_get_namespaced_service_proxy_with_path("web:http", "default", "a/b.html") == "page"
        assert core.connect_get_namespaced_service_proxy("web", "default") == "page"
        assert core.connect_post_namespaced_pod_proxy_with_path("web:8080", "default", "form") == "page"
    asked = [("GET", "/a/b.html"), ("GET", "/"), ("POST", "/form")]
    assert [told[:2] for told in api.backend.heard] == asked
    assert "authorization" not in api.backend.headers
