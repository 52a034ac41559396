"""Who asks and may they, as a client of the API sees it: credentials, decisions, reviews, impersonation."""

from __future__ import annotations

import base64
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from kdl.parser.manifest.load import load
from kdl.parser.source import shipped
from kdl.runtime.access import Access
from kdl.runtime.admission import Admission
from kdl.runtime.api import http
from kdl.runtime.api.certificates import Authority
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.gate import ADMIN, Action, Credentials, User
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import VirtualClock
from kdl.runtime.identity import ANONYMOUS, Identity
from kdl.runtime.programs import compile
from kdl.runtime.reviews import Reviews
from kdl.runtime.store import MemoryStore
from tests.packs.test_beside import ROOT

TOKEN = "the-admins-own"
RBAC = "rbac.authorization.k8s.io"


class Api:
    """A server with the access and admission packs, and its clients."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        program = compile(shipped())
        store, self.clock = MemoryStore(), VirtualClock(1_800_000_000_000)
        self.objects = Objects(store, self.clock, admit=Admission(program, store, self.clock))
        for manifest in load([ROOT / "policies/access/defaults.yaml"]):
            self.objects.create(manifest.doc)
        self.access = Access(program, store)
        self.identity = Identity(folder, TOKEN, store, self.clock)
        reviews = Reviews(self.objects, self.identity, lambda: self.access)
        secret = http.Endpoint("query", lambda body: {"rows": []})
        application = http.app(self.objects, self.identity, self.access, endpoints=[secret], answers=reviews.answers())
        self.server = http.serve(application)

    def client(self, token: str | None, **headers: str) -> httpx.Client:
        bearer = {"Authorization": f"Bearer {token}"} if token else {}
        return httpx.Client(base_url=self.server.endpoint, headers={**bearer, **headers}, trust_env=False, timeout=30)

    def bind(self, role: str, namespace: str | None, *subjects: dict[str, str]) -> None:
        metadata = {"name": f"{role}-{len(self.objects.list('RoleBinding')[0])}"}
        self.objects.create(
            {
                "apiVersion": f"{RBAC}/v1",
                "kind": "RoleBinding" if namespace else "ClusterRoleBinding",
                "metadata": metadata | ({"namespace": namespace} if namespace else {}),
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": role},
                "subjects": list(subjects),
            }
        )

    def account(self, namespace: str, name: str) -> httpx.Client:
        """A client with a token of a new service account."""
        doc = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name, "namespace": namespace}}
        made = self.objects.create(doc)
        return self.client(self.identity.issue(made, 3600)[0])


@pytest.fixture
def api(tmp_path: Path) -> Iterator[Api]:
    made = Api(tmp_path)
    yield made
    made.server.stop()


def user(name: str) -> dict[str, str]:
    return {"apiGroup": RBAC, "kind": "User", "name": name}


def message(answer: httpx.Response, status: int) -> str:
    assert answer.status_code == status, answer.text
    text: str = answer.json()["message"]
    return text


def test_without_credentials_nothing_but_health_and_version_answers(api):
    nobody = api.client(None)
    assert {nobody.get(path).status_code for path in ("/healthz", "/livez", "/readyz", "/version")} == {200}
    paths = [
        "/api",
        "/apis",
        "/metrics",
        "/openapi/v2",
        "/api/v1/pods",
        "/api/v1/namespaces/default/secrets/x",
        "/kdl/v1/query",
    ]
    for path in paths:
        assert message(nobody.get(path), 403).startswith(("forbidden: ", "pods ", "secrets ", "facts"))
    assert message(nobody.post("/kdl/v1/query", json={"query": "core.pod(id: P)"}), 403)
    assert nobody.post("/api/v1/namespaces", json={}).status_code == 403
    assert message(api.client("wrong").get("/version"), 401) == "Unauthorized"


def test_a_denial_says_what_and_why_as_kubernetes_does(api):
    (api.folder / "tokens.csv").write_text('t1,jane,1,"dev,ops"\n')
    api.bind("view", "default", user("jane"))
    jane = api.client("t1")
    assert jane.get("/api/v1/namespaces/default/pods").status_code == 200
    assert message(jane.get("/api/v1/namespaces/default/secrets"), 403) == (
        'secrets is forbidden: User "jane" cannot list resource "secrets" in API group "" in the namespace "default": '
        "no role that is bound to user jane or its groups in the namespace default speaks of secrets"
    )
    assert message(jane.get("/api/v1/pods"), 403).endswith(
        "at the cluster scope: it is allowed in the namespace default alone"
    )
    assert message(jane.post("/kdl/v1/query", json={"query": "core.pod(id: P)"}), 403)


def test_a_service_account_cannot_reach_another_namespaces_secrets(api):
    for name in ("mine", "theirs"):
        api.objects.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})
    secret = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": "s", "namespace": "theirs"},
        "stringData": {"k": "hidden"},
    }
    api.objects.create(secret)
    robot = api.account("mine", "robot")
    account = {"kind": "ServiceAccount", "name": "robot", "namespace": "mine"}
    api.bind("edit", "mine", account)
    assert robot.get("/api/v1/namespaces/mine/secrets").status_code == 200
    base = "/api/v1/namespaces/theirs"
    apply = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}}
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"containers": [{"name": "c", "image": "x:1"}]},
    }
    tries = [
        robot.get(f"{base}/secrets/s"),
        robot.get(f"{base}/secrets"),
        robot.get("/api/v1/secrets"),
        robot.get(f"{base}/secrets?watch=true&timeoutSeconds=1"),
        robot.get("/api/v1/secrets?watch=true&timeoutSeconds=1"),
        robot.get("/api/v1/secrets?fieldSelector=metadata.namespace=mine"),
        robot.patch(
            f"{base}/secrets/s?fieldManager=x", json=apply, headers={"Content-Type": "application/apply-patch+yaml"}
        ),
        robot.patch(
            f"{base}/secrets/s",
            json={"metadata": {"labels": {"a": "b"}}},
            headers={"Content-Type": "application/merge-patch+json"},
        ),
        robot.put(f"{base}/secrets/s", json={**secret, "metadata": {**secret["metadata"]}}),
        robot.post(f"{base}/pods", json=pod),
        robot.get(f"{base}/pods/p/log"),
        robot.post(f"{base}/pods/p/exec?command=env"),
        robot.delete(f"{base}/secrets/s"),
        robot.post(
            f"{base}/serviceaccounts/default/token",
            json={"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}},
        ),
        robot.post("/kdl/v1/query", json={"query": 'core.object(kind: "Secret", id: I, doc: D)'}),
        robot.get(
            "/api/v1/namespaces/theirs/secrets/s",
            headers={"Impersonate-User": "kubernetes-admin", "Impersonate-Group": "system:masters"},
        ),
        robot.post(
            f"/apis/{RBAC}/v1/clusterrolebindings",
            json={
                "apiVersion": f"{RBAC}/v1",
                "kind": "ClusterRoleBinding",
                "metadata": {"name": "x"},
                "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "cluster-admin"},
                "subjects": [account],
            },
        ),
    ]
    assert [answer.status_code for answer in tries] == [403] * len(tries)
    assert not any("hidden" in answer.text or base64.b64encode(b"hidden").decode() in answer.text for answer in tries)


def test_the_namespaces_admin_cannot_become_more(api):
    api.bind("admin", "default", user("chief"))
    (api.folder / "tokens.csv").write_text("t1,chief,1\n")
    chief = api.client("t1")
    rules = [{"apiGroups": ["*"], "resources": ["*"], "verbs": ["*"]}]
    role: dict[str, Any] = {"apiVersion": f"{RBAC}/v1", "kind": "Role", "metadata": {"name": "all"}, "rules": rules}
    path = f"/apis/{RBAC}/v1/namespaces/default"
    assert "attempting to grant RBAC permissions not currently held: * * in the API group *" in message(
        chief.post(f"{path}/roles", json=role), 403
    )
    small = {**role, "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}]}
    assert chief.post(f"{path}/roles", json=small).status_code == 201
    patch = chief.patch(
        f"{path}/roles/all", json={"rules": rules}, headers={"Content-Type": "application/merge-patch+json"}
    )
    assert "attempting to grant" in message(patch, 403)


def test_tokens_of_service_accounts_expire_and_die_with_what_they_are_bound_to(api):
    admin = api.client(TOKEN)
    api.objects.create(
        {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}}
    )
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "robot", "containers": [{"name": "c", "image": "x:1"}]},
    }
    api.objects.create(pod)
    path = "/api/v1/namespaces/default/serviceaccounts/robot/token"
    head = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest"}

    def issued(**spec: Any) -> str:
        answer = admin.post(path, json={**head, "spec": spec})
        assert answer.status_code == 201, answer.text
        token: str = answer.json()["status"]["token"]
        return token

    def whoami(token: str) -> httpx.Response:
        review = {"apiVersion": "authentication.k8s.io/v1", "kind": "SelfSubjectReview"}
        return api.client(token).post("/apis/authentication.k8s.io/v1/selfsubjectreviews", json=review)

    bound = issued(boundObjectRef={"kind": "Pod", "apiVersion": "v1", "name": "p"})
    free, elsewhere = issued(expirationSeconds=600), issued(audiences=["vault"])
    told = whoami(bound).json()["status"]["userInfo"]
    assert told["username"] == "system:serviceaccount:default:robot"
    assert told["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]
    assert told["extra"]["authentication.kubernetes.io/pod-name"] == ["p"]
    assert whoami(elsewhere).status_code == 401
    header, payload, signature = free.split(".")
    forged = base64.urlsafe_b64encode(b'{"alg":"none"}').decode().rstrip("=")
    for bad in (f"{forged}.{payload}.", f"{header}.{payload}.{signature[:-4]}AAAA", f"{header}.{payload}", "a.b.c"):
        assert whoami(bad).status_code == 401
    assert message(admin.post(path, json={**head, "spec": {"expirationSeconds": 10}}), 400)
    review = {
        "apiVersion": "authentication.k8s.io/v1",
        "kind": "TokenReview",
        "spec": {"token": elsewhere, "audiences": ["vault"]},
    }
    status = admin.post("/apis/authentication.k8s.io/v1/tokenreviews", json=review).json()["status"]
    assert status["authenticated"]
    assert status["audiences"] == ["vault"]
    api.objects.delete("Pod", "default/p")
    assert whoami(bound).status_code == 401
    api.clock.advance(599_000)
    assert whoami(free).status_code == 201
    api.clock.advance(2_000)
    assert whoami(free).status_code == 401


def test_a_token_dies_with_its_account_though_another_of_its_name_comes(api):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}}
    token = api.identity.issue(api.objects.create(account), 3600)[0]
    assert api.identity.bearer(token) is not None
    api.objects.delete("ServiceAccount", "default/robot")
    api.objects.create(account)
    assert api.identity.bearer(token) is None


def test_certificates_name_users_and_groups_and_passwords_are_off_without_their_file(api):
    pem = Authority(api.folder).client("jane", ["dev", "ops"]).certificate
    der = x509.load_pem_x509_certificate(pem).public_bytes(Encoding.DER)
    found = api.identity(Credentials(certificate=der))
    assert (found.name, set(found.groups)) == ("jane", {"dev", "ops", "system:authenticated"})
    assert api.identity(Credentials()) == ANONYMOUS
    assert api.identity(Credentials(f"Bearer {TOKEN}")) == ADMIN
    basic = Credentials("Basic " + base64.b64encode(b"joe:s3cret").decode())
    with pytest.raises(ApiError):
        api.identity(basic)
    (api.folder / "basic.csv").write_text('s3cret,joe,7,"dev"\n')
    assert api.identity(basic).groups == ("dev", "system:authenticated")
    with pytest.raises(ApiError):
        api.identity(Credentials("Basic " + base64.b64encode(b"jane:s3cret").decode()))


def test_reviews_answer_as_decisions_are_made(api):
    api.bind("view", "default", user("jane"))
    admin = api.client(TOKEN)
    base = "/apis/authorization.k8s.io/v1"

    def review(kind: str, client: httpx.Client = admin, **spec: Any) -> dict[str, Any]:
        doc = {"apiVersion": "authorization.k8s.io/v1", "kind": kind, "spec": spec}
        answer = client.post(f"{base}/{kind.lower()}s", json=doc)
        assert answer.status_code == 201, answer.text
        status: dict[str, Any] = answer.json()["status"]
        return status

    about = {"namespace": "default", "verb": "list", "resource": "pods"}
    said = review("SubjectAccessReview", user="jane", resourceAttributes=about)
    assert said["allowed"]
    assert said["reason"].startswith(
        'RBAC: allowed by RoleBinding "view-0/default" of ClusterRole "view" to User "jane"'
    )
    assert not review("SubjectAccessReview", user="jane", resourceAttributes={**about, "verb": "delete"})["allowed"]
    assert review("SelfSubjectAccessReview", resourceAttributes={"verb": "*", "group": "*", "resource": "*"})["allowed"]
    assert not review("SubjectAccessReview", user="jane", nonResourceAttributes={"path": "/metrics", "verb": "get"})[
        "allowed"
    ]
    jane = api.client(TOKEN, **{"Impersonate-User": "jane"})
    rules = review("SelfSubjectRulesReview", jane, namespace="default")
    assert {"verbs": ["create"], "apiGroups": ["authentication.k8s.io"], "resources": ["selfsubjectreviews"]} in rules[
        "resourceRules"
    ]
    assert any("pods" in rule["resources"] for rule in rules["resourceRules"])
    assert any("/healthz" in rule["nonResourceURLs"] for rule in rules["nonResourceRules"])


def test_who_may_impersonate_acts_as_the_other_and_no_more(api):
    (api.folder / "tokens.csv").write_text("t1,helper,1\n")
    api.bind("view", "default", user("jane"))
    rules = [{"apiGroups": [""], "resources": ["users"], "resourceNames": ["jane"], "verbs": ["impersonate"]}]
    api.objects.create(
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "as-jane"}, "rules": rules}
    )
    api.bind("as-jane", None, user("helper"))
    pods = "/api/v1/namespaces/default/pods"
    assert api.client("t1").get(pods).status_code == 403
    assert api.client("t1", **{"Impersonate-User": "jane"}).get(pods).status_code == 200
    assert 'cannot impersonate resource "users"' in message(
        api.client("t1", **{"Impersonate-User": "root"}).get(pods), 403
    )
    masters = {"Impersonate-User": "jane", "Impersonate-Group": "system:masters"}
    assert 'cannot impersonate resource "groups"' in message(api.client("t1", **masters).get(pods), 403)
    assert message(api.client(TOKEN, **{"Impersonate-Group": "system:masters"}).get(pods), 400)
    assert (
        api.client(TOKEN, **{"Impersonate-User": "jane"}).get("/api/v1/namespaces/default/secrets").status_code == 403
    )


def test_who_may_be_any_user_is_no_service_account_by_a_name_that_looks_like_one(api):
    (api.folder / "tokens.csv").write_text("t1,helper,1\n")
    rules = [{"apiGroups": [""], "resources": ["users"], "verbs": ["impersonate"]}]
    api.objects.create(
        {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "as-anybody"}, "rules": rules}
    )
    api.bind("as-anybody", None, user("helper"))
    api.bind("view", "default", {"apiGroup": RBAC, "kind": "Group", "name": "system:serviceaccounts:default"})
    pods = "/api/v1/namespaces/default/pods"
    prefix = "system:serviceaccount:"
    for name in ("default:a:b", "default:", "default", ":a", ""):
        assert api.client("t1", **{"Impersonate-User": prefix + name}).get(pods).status_code == 403
    assert 'cannot impersonate resource "serviceaccounts"' in message(
        api.client("t1", **{"Impersonate-User": f"{prefix}default:a"}).get(pods), 403
    )


def test_a_decision_is_made_again_as_soon_as_a_role_or_binding_has_changed(api):
    (api.folder / "tokens.csv").write_text("t1,jane,1\n")
    jane, pods = api.client("t1"), "/api/v1/namespaces/default/pods"
    for _ in range(2):
        assert jane.get(pods).status_code == 403
    api.bind("view", "default", user("jane"))
    for _ in range(2):
        assert jane.get(pods).status_code == 200
    (binding,), _ = api.objects.list("RoleBinding", "default")
    api.objects.create({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "nothing-to-do-with-it"}})
    assert jane.get(pods).status_code == 200
    api.objects.delete("RoleBinding", binding.key.id)
    for _ in range(2):
        assert jane.get(pods).status_code == 403


def test_decisions_are_right_while_bindings_come_and_go(api):
    """Whoever asks after a write was acknowledged is answered by it, whoever else is asking meanwhile."""
    over, action = threading.Event(), Action("list", "", "pods", namespace="default")

    def ask() -> None:
        while not over.is_set():
            api.access(User("jane"), action)

    threads = [threading.Thread(target=ask) for _ in range(3)]
    for thread in threads:
        thread.start()
    try:
        for _ in range(40):
            api.bind("view", "default", user("jane"))
            assert api.access(User("jane"), action).allowed
            (binding,), _ = api.objects.list("RoleBinding", "default")
            api.objects.delete("RoleBinding", binding.key.id)
            assert not api.access(User("jane"), action).allowed
    finally:
        over.set()
        for thread in threads:
            thread.join()


WRONG_SPECS = [
    ("SubjectAccessReview", {"user": -1, "resourceAttributes": {"verb": "get"}}),
    ("SubjectAccessReview", {"groups": "system:masters", "resourceAttributes": {"verb": "get"}}),
    ("SubjectAccessReview", {"user": "a", "groups": [1], "resourceAttributes": {"verb": "get"}}),
    ("SubjectAccessReview", {"user": "a", "resourceAttributes": {"verb": ["get"]}}),
    ("SubjectAccessReview", {"user": "a", "resourceAttributes": {"verb": "get", "namespace": {}}}),
    ("SubjectAccessReview", {"user": "a", "nonResourceAttributes": {"verb": "get", "path": 1}}),
    ("SubjectAccessReview", {"user": "a", "uid": 1, "resourceAttributes": {"verb": "get"}}),
    ("SelfSubjectAccessReview", {"resourceAttributes": 1}),
    ("SelfSubjectRulesReview", {"namespace": {"namespace": "default"}}),
    ("SelfSubjectRulesReview", []),
    ("TokenReview", {"token": 1}),
    ("TokenReview", {"token": "a.b.c", "audiences": "x"}),
    ("TokenRequest", {"boundObjectRef": "x"}),
    ("TokenRequest", {"boundObjectRef": {"kind": "Pod", "name": ["x"]}}),
    ("TokenRequest", {"boundObjectRef": {"kind": "Pod", "name": "p", "uid": 1}}),
    ("TokenRequest", {"audiences": [1]}),
    ("TokenRequest", {"audiences": "x"}),
    ("TokenRequest", {"expirationSeconds": "600"}),
    ("TokenRequest", {"expirationSeconds": True}),
]


@pytest.mark.parametrize(("kind", "spec"), WRONG_SPECS, ids=str)
def test_a_review_of_the_wrong_form_is_refused(api, kind, spec):
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "robot", "namespace": "default"}}
    pod = {"serviceAccountName": "robot", "containers": [{"name": "c", "image": "x:1"}]}
    api.objects.create(account)
    api.objects.create({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": pod})
    group = "authentication" if kind.startswith("Token") else "authorization"
    path = f"/apis/{group}.k8s.io/v1/{kind.lower()}s"
    if kind == "TokenRequest":
        path = "/api/v1/namespaces/default/serviceaccounts/robot/token"
    answer = api.client(TOKEN).post(path, json={"apiVersion": f"{group}.k8s.io/v1", "kind": kind, "spec": spec})
    assert any(word in message(answer, 400) for word in ("spec", "namespace"))
