"""Other clients than kubectl: the Python client, a kopf operator, and programs behind `kubectl proxy`."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.request
from pathlib import Path
from typing import Any

import pytest

from tests.conformance.conftest import Kubectl, eventually

OPERATOR = """
import kopf

@kopf.on.create("example.org", "v1", "greetings")
def create(spec, name, namespace, patch, body, **_):
    import kubernetes
    kubernetes.config.load_kube_config()
    doc = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name}, "data": {"text": spec["text"]}}
    kopf.adopt(doc)
    kubernetes.client.CoreV1Api().create_namespaced_config_map(namespace, doc)
    patch.status["made"] = name
    kopf.event(body, type="Normal", reason="Greeted", message=spec["text"])
    return {"text": spec["text"]}

@kopf.on.update("example.org", "v1", "greetings", field="spec.text")
def update(new, name, namespace, **_):
    import kubernetes
    kubernetes.config.load_kube_config()
    kubernetes.client.CoreV1Api().patch_namespaced_config_map(name, namespace, {"data": {"text": new}})

@kopf.on.delete("example.org", "v1", "greetings")
def delete(**_):
    pass
"""
DEFINITION = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "greetings.example.org"},
    "spec": {
        "group": "example.org",
        "scope": "Namespaced",
        "names": {"kind": "Greeting", "plural": "greetings"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {"status": {}},
                "schema": {"openAPIV3Schema": {"type": "object", "x-kubernetes-preserve-unknown-fields": True}},
            }
        ],
    },
}


@pytest.fixture
def api(kubeconfig: Path) -> Any:
    """The Python client, configured by the kubeconfig."""
    kubernetes = pytest.importorskip("kubernetes")
    return kubernetes.config.new_client_from_config(str(kubeconfig))


def deployment(name: str) -> dict[str, Any]:
    labels = {"app": name}
    containers = [{"name": "c", "image": "busybox:1.36"}]
    template = {"metadata": {"labels": labels}, "spec": {"containers": containers}}
    spec = {"replicas": 1, "selector": {"matchLabels": labels}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name}, "spec": spec}


def test_the_python_client_creates_watches_patches_scales_and_deletes(kubectl: Kubectl, api: Any) -> None:
    from kubernetes import client, watch

    apps, space = client.AppsV1Api(api), kubectl.namespace
    made = apps.create_namespaced_deployment(space, deployment("py"))
    seen = []
    for event in watch.Watch().stream(
        apps.list_namespaced_deployment, space, resource_version=made.metadata.resource_version, timeout_seconds=30
    ):
        seen.append(event["type"])
        if (event["object"].status.available_replicas or 0) == 1:
            break
    assert set(seen) == {"MODIFIED"}
    apps.patch_namespaced_deployment("py", space, {"spec": {"replicas": 2}})
    scale = apps.read_namespaced_deployment_scale("py", space)
    assert scale.spec.replicas == 2
    apps.patch_namespaced_deployment_scale("py", space, {"spec": {"replicas": 3}})
    assert apps.read_namespaced_deployment("py", space).spec.replicas == 3
    with pytest.raises(client.ApiException) as caught:
        apps.create_namespaced_deployment(space, deployment("py"))
    assert (caught.value.status, json.loads(caught.value.body)["reason"]) == (409, "AlreadyExists")
    pages, token = 0, None
    for _ in range(3):
        client.CoreV1Api(api).create_namespaced_config_map(space, {"metadata": {"generateName": "p-"}})
    while True:
        page = client.CoreV1Api(api).list_namespaced_config_map(space, limit=2, _continue=token)
        pages, token = pages + 1, page.metadata._continue
        if not token:
            break
    assert pages == 2
    apps.delete_namespaced_deployment("py", space, propagation_policy="Foreground")
    eventually(lambda: not apps.list_namespaced_deployment(space).items)


def test_the_dynamic_client_finds_kinds_and_applies_on_the_server(kubectl: Kubectl, api: Any) -> None:
    from kubernetes import dynamic

    found = dynamic.DynamicClient(api)
    configmaps = found.resources.get(api_version="v1", kind="ConfigMap")
    doc = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "d"}, "data": {"a": "1"}}
    made = configmaps.server_side_apply(body=doc, name="d", namespace=kubectl.namespace, field_manager="test")
    assert made.metadata.managedFields[0].manager == "test"
    configmaps.patch(
        body={"data": {"b": "2"}}, name="d", namespace=kubectl.namespace, content_type="application/merge-patch+json"
    )
    assert dict(configmaps.get(name="d", namespace=kubectl.namespace).data) == {"a": "1", "b": "2"}
    for event in configmaps.watch(namespace=kubectl.namespace, field_selector="metadata.name=d", timeout=5):
        assert (event["type"], event["object"].metadata.name) == ("ADDED", "d")
        break
    configmaps.delete(name="d", namespace=kubectl.namespace)


def test_a_kopf_operator_manages_a_custom_resource(kubectl: Kubectl, tmp_path: Path) -> None:
    pytest.importorskip("kopf")
    kubectl.ok("apply", "-f", "-", stdin=json.dumps(DEFINITION))
    kubectl.ok("wait", "--for=condition=Established", "crd/greetings.example.org", "--timeout=30s")
    program = tmp_path / "operator.py"
    program.write_text(OPERATOR)
    log = tmp_path / "log"
    with log.open("w") as out:
        operator = subprocess.Popen(
            [sys.executable, "-m", "kopf", "run", "--standalone", "-n", kubectl.namespace, str(program)],
            env={**os.environ, "KUBECONFIG": str(kubectl.kubeconfig)},
            stdout=out,
            stderr=out,
        )
    try:
        greeting = "{apiVersion: example.org/v1, kind: Greeting, metadata: {name: g}, spec: {text: %s}}"
        kubectl.ok("apply", "-f", "-", stdin=greeting % "hello")
        text = ("get", "cm", "g", "-o", "jsonpath={.data.text}")
        eventually(lambda: kubectl(*text).out == "hello")
        eventually(lambda: kubectl.ok("get", "greeting", "g", "-o", "jsonpath={.status.made}") == "g")
        kubectl.ok("apply", "-f", "-", stdin=greeting % "goodbye")
        eventually(lambda: kubectl(*text).out == "goodbye")
        eventually(lambda: "Greeted" in kubectl.ok("get", "events", "-o", "jsonpath={.items[*].reason}"))
        kubectl.ok("delete", "greeting", "g", "--timeout=30s")
        eventually(lambda: kubectl("get", "cm", "g").code == 1)
    finally:
        operator.send_signal(signal.SIGTERM)
        operator.wait(20)
    assert "Traceback" not in log.read_text()


def test_programs_reach_the_api_through_kubectl_proxy(kubectl: Kubectl) -> None:
    """The ambassador pattern: a neighbour holds the credentials, the program speaks plain HTTP."""
    proxy = kubectl.start("proxy", "--port=0")
    try:
        assert proxy.stdout is not None
        address = proxy.stdout.readline().strip().removeprefix("Starting to serve on ")
        kubectl.ok("create", "cm", "c", "--from-literal=a=b")
        with urllib.request.urlopen(f"http://{address}/api/v1/namespaces/{kubectl.namespace}/configmaps/c") as answer:
            assert json.load(answer)["data"] == {"a": "b"}
    finally:
        kubectl.stop(proxy)
