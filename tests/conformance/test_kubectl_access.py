"""Who one is and what one may do, asked with the current kubectl, unmodified; and that others are kept out."""

from __future__ import annotations

from tests.conformance.conftest import Kubectl

ROLE = """
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reader}
rules:
  - {apiGroups: [""], resources: [pods], verbs: [get, list]}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: readers}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reader}
subjects:
  - {kind: User, name: jane}
"""


def test_who_asks_is_told(kubectl: Kubectl) -> None:
    told = kubectl.ok("auth", "whoami")
    assert "kubernetes-admin" in told
    assert "system:masters" in told


def test_a_user_may_what_a_binding_gives_and_no_more(kubectl: Kubectl) -> None:
    kubectl.ok("apply", "-f", "-", stdin=ROLE)
    assert kubectl.ok("auth", "can-i", "list", "pods", "--as", "jane") == "yes\n"
    refused = kubectl("auth", "can-i", "delete", "pods", "--as", "jane")
    assert (refused.code, refused.out.splitlines()[0].startswith("no")) == (1, True)
    elsewhere = kubectl("auth", "can-i", "list", "pods", "--as", "jane", "-n", "kube-system")
    assert elsewhere.code == 1
    listed = kubectl.ok("auth", "can-i", "--list", "--as", "jane")
    assert any(line.split()[0] == "pods" and "[get list]" in line for line in listed.splitlines() if line)
    assert kubectl.ok("get", "pods", "--as", "jane") == ""
    said = kubectl("delete", "pod", "web", "--as", "jane")
    assert said.code == 1
    assert 'pods "web" is forbidden: User "jane" cannot delete resource "pods"' in said.err


def test_a_service_accounts_token_is_made_and_is_that_account(kubectl: Kubectl) -> None:
    kubectl.ok("create", "serviceaccount", "robot")
    token = kubectl.ok("create", "token", "robot", "--duration", "10m").strip()
    assert token.count(".") == 2
    account = f"system:serviceaccount:{kubectl.namespace}:robot"
    server = kubectl.ok("config", "view", "--raw", "-o", "jsonpath={.clusters[0].cluster.server}")
    plain = ("--server", server, "--insecure-skip-tls-verify", "--kubeconfig", "/dev/null", "--token", token)
    assert account in kubectl.ok("auth", "whoami", *plain)
    secrets = kubectl("get", "secrets", *plain)
    assert secrets.code == 1
    assert f'User "{account}" cannot list resource "secrets"' in secrets.err


def test_nobody_gives_what_they_do_not_have(kubectl: Kubectl) -> None:
    kubectl.ok("create", "role", "binder", "--verb=create", "--resource=roles,rolebindings")
    kubectl.ok("create", "rolebinding", "binders", "--role=binder", "--user=mallory")
    said = kubectl("create", "role", "more", "--verb=delete", "--resource=secrets", "--as", "mallory")
    assert said.code == 1
    assert "forbidden" in said.err
    bound = kubectl("create", "rolebinding", "grab", "--clusterrole=cluster-admin", "--user=mallory", "--as", "mallory")
    assert bound.code == 1
    assert "forbidden" in bound.err
