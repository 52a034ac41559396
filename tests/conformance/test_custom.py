"""Custom kinds: defined with kubectl, told of, defaulted, checked, scaled, and gone with their definition."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.conformance.conftest import Kubectl, eventually

DEFINITION = """
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: %(plural)s.example.com}
spec:
  group: example.com
  scope: Namespaced
  names: {kind: %(kind)s, plural: %(plural)s, shortNames: [%(short)s], categories: [all]}
  versions:
    - name: v1
      served: true
      storage: true
      subresources:
        status: {}
        scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}
      additionalPrinterColumns:
        - {name: Repo, type: string, jsonPath: .spec.gitRepo}
        - {name: Ready, type: string, jsonPath: '.status.conditions[?(@.type=="Ready")].status'}
      schema:
        openAPIV3Schema:
          type: object
          description: A site made of a repository.
          properties:
            spec:
              type: object
              required: [gitRepo]
              properties:
                gitRepo: {type: string, description: Where the source of the site is., pattern: '^https://'}
                replicas: {type: integer, default: 2, minimum: 0, maximum: 5}
                tags: {type: array, items: {type: string}, x-kubernetes-list-type: set}
            status: {type: object, x-kubernetes-preserve-unknown-fields: true}
    - name: v1beta1
      served: true
      storage: false
      schema: {openAPIV3Schema: {type: object, x-kubernetes-preserve-unknown-fields: true}}
"""
SITE = '{apiVersion: example.com/v1, kind: %s, metadata: {name: a}, spec: {gitRepo: "https://x"%s}}'


@pytest.fixture(scope="module")
def defined(kubeconfig: object) -> None:
    """The kind Website."""
    admin = Kubectl(kubeconfig)  # type: ignore[arg-type]
    admin.ok("apply", "-f", "-", stdin=DEFINITION % {"kind": "Website", "plural": "websites", "short": "ws"})
    admin.ok("wait", "--for=condition=Established", "crd/websites.example.com", "--timeout=30s")


@pytest.mark.usefixtures("defined")
class TestWebsite:
    """A kind that is defined."""

    def test_it_is_defaulted_printed_in_its_columns_and_in_all(self, kubectl: Kubectl) -> None:
        kubectl.ok("apply", "-f", "-", stdin=SITE % ("Website", ""))
        assert kubectl.ok("get", "ws", "a", "-o", "jsonpath={.spec.replicas}") == "2"
        assert [line.split() for line in kubectl.ok("get", "ws").splitlines()] == [
            ["NAME", "REPO", "READY"],
            ["a", "https://x"],
        ]
        assert "website.example.com/a" in kubectl.ok("get", "all", "-o", "name")

    def test_it_is_explained_and_discovered(self, kubectl: Kubectl) -> None:
        assert "Where the source of the site is." in kubectl.ok("explain", "websites.spec.gitRepo")
        assert "A site made of a repository." in kubectl.ok("explain", "ws")
        row = kubectl.ok("api-resources", "--api-group=example.com", "--no-headers").split()
        assert row == ["websites", "ws", "example.com/v1", "true", "Website"]

    @pytest.mark.parametrize(
        ("more", "message"),
        [
            (", replicas: 9", "spec.replicas` is 9, more than the most allowed, 5"),
            (", replicas: two", "spec.replicas` must be an integer"),
            (', tags: ["x", "x"]', ""),
            (", colour: red", 'strict decoding error: unknown field "spec.colour"'),
        ],
    )
    def test_it_is_checked(self, kubectl: Kubectl, more: str, message: str) -> None:
        said = kubectl("apply", "-f", "-", stdin=SITE % ("Website", more))
        assert message in said.err
        assert (said.code == 1) == bool(message)

    def test_unknown_fields_are_pruned_where_nobody_asks_to_be_strict(self, kubectl: Kubectl) -> None:
        kubectl.ok("apply", "--validate=ignore", "-f", "-", stdin=SITE % ("Website", ", colour: red"))
        assert kubectl.ok("get", "ws", "a", "-o", "jsonpath={.spec.colour}") == ""

    def test_it_scales_and_has_a_status_of_its_own(self, kubectl: Kubectl) -> None:
        kubectl.ok("apply", "-f", "-", stdin=SITE % ("Website", ""))
        kubectl.ok("scale", "ws/a", "--replicas=4")
        status = {"status": {"replicas": 4, "conditions": [{"type": "Ready", "status": "True"}]}}
        kubectl.ok("patch", "ws", "a", "--subresource=status", "--type=merge", "-p", json.dumps(status))
        kubectl.ok("patch", "ws", "a", "--type=merge", "-p", '{"status": {"replicas": 9}}')
        scale = json.loads(kubectl.ok("get", "ws", "a", "--subresource=scale", "-o", "json"))
        assert (scale["spec"]["replicas"], scale["status"]["replicas"]) == (4, 4)
        assert kubectl.ok("wait", "--for=condition=Ready", "ws/a", "--timeout=10s")
        assert kubectl("scale", "ws/a", "--replicas=6").code == 1
        assert kubectl.ok("get", "ws", "a", "-o", "jsonpath={.metadata.generation}") == "2"

    def test_it_is_read_in_another_version(self, kubectl: Kubectl) -> None:
        kubectl.ok("apply", "-f", "-", stdin=SITE % ("Website", ""))
        found = json.loads(kubectl.ok("get", "websites.v1beta1.example.com", "a", "-o", "json"))
        assert (found["apiVersion"], found["spec"]["gitRepo"]) == ("example.com/v1beta1", "https://x")

    def test_strategic_patches_are_not_for_custom_kinds(self, kubectl: Kubectl) -> None:
        kubectl.ok("apply", "-f", "-", stdin=SITE % ("Website", ""))
        path = f"/apis/example.com/v1/namespaces/{kubectl.namespace}/websites/a"
        assert kubectl.ok("get", "--raw", path)
        said = kubectl("patch", "ws", "a", "--type=strategic", "-p", '{"spec": {"replicas": 1}}')
        assert said.code == 1


def test_a_kind_goes_with_its_definition(kubectl: Kubectl) -> None:
    words = {"kind": "Passing", "plural": "passings", "short": "pas"}
    kubectl.ok("apply", "-f", "-", stdin=DEFINITION % words)
    kubectl.ok("wait", "--for=condition=Established", "crd/passings.example.com", "--timeout=30s")
    kubectl.ok("apply", "-f", "-", stdin=SITE % ("Passing", ""))
    kubectl.ok("delete", "crd", "passings.example.com", "--timeout=30s")
    eventually(lambda: kubectl("get", "passings").code == 1)
    assert "passings" not in kubectl.ok("api-resources", "--api-group=example.com")


@pytest.mark.usefixtures("defined")
def test_the_projects_own_command_line_knows_custom_kinds(kubectl: Kubectl, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text(SITE % ("Website", ""))
    environment = {**os.environ, "KDL_DATA": str(kubectl.kubeconfig.parent)}

    def kdl(*words: object) -> str:
        argv = [sys.executable, "-c", "from kdl.runtime.shell.cli import main; main()", *map(str, words)]
        done = subprocess.run(argv, capture_output=True, text=True, env=environment)
        assert done.returncode == 0, done.stderr
        return done.stdout

    assert kdl("apply", "-n", kubectl.namespace, "-f", site) == "website.example.com/a created\n"
    assert [line.split() for line in kdl("get", "ws", "-n", kubectl.namespace).splitlines()][1] == ["a", "https://x"]
    kdl("delete", "-n", kubectl.namespace, "-f", site)
    assert kubectl("get", "ws", "a").code == 1
