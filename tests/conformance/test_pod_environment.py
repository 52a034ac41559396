"""Environments of real containers, from all their sources; and that secret data is nowhere else."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator

import pytest
from docker import DockerClient

from tests.conformance.conftest import eventually
from tests.conformance.inside import Inside, cluster

pytestmark = pytest.mark.docker

HIDDEN = "hunter2 \"'$(A)\nhunter3"
"""A password that is hard to quote."""

FIRST = """
apiVersion: v1
kind: Pod
metadata: {name: env, labels: {app: env}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: "busybox:1.36"
      command: [httpd, -f, -p, "$(ALL_port)", -r]
      args: ["$(LEVEL) $$(LEVEL) $(PASSWORD)"]
      resources: {limits: {memory: 64Mi}}
      envFrom:
        - {configMapRef: {name: settings}, prefix: ALL_}
        - {secretRef: {name: db}}
        - {configMapRef: {name: none, optional: true}}
      env:
        - {name: LEVEL, valueFrom: {configMapKeyRef: {name: settings, key: level}}}
        - {name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}
        - {name: URL, value: "pg://me:$(PASSWORD)@db"}
        - {name: ALL_over, value: own}
        - {name: NODE, valueFrom: {fieldRef: {fieldPath: spec.nodeName}}}
        - {name: IP, valueFrom: {fieldRef: {fieldPath: status.podIP}}}
        - {name: APP, valueFrom: {fieldRef: {fieldPath: "metadata.labels['app']"}}}
        - {name: MEBI, valueFrom: {resourceFieldRef: {resource: limits.memory, divisor: 1Mi}}}
        - {name: KUBERNETES_PORT, value: "mine, not $(KUBERNETES_PORT)"}
"""

LATE = """
apiVersion: v1
kind: Pod
metadata: {name: late}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: "busybox:1.36"
      command: [sleep, "1000"]
      env: [{name: LATER, valueFrom: {secretKeyRef: {name: later, key: word}}}]
"""

BROKEN = """
apiVersion: v1
kind: Pod
metadata: {name: broken}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: "busybox:1.36"
      command: ["$(PASSWORD)"]
      env: [{name: PASSWORD, valueFrom: {secretKeyRef: {name: db, key: password}}}]
    - name: other
      image: "busybox:1.36"
      command: [sleep, "1000"]
      env: [{name: BYTES, valueFrom: {secretKeyRef: {name: db, key: bytes}}}]
"""


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """Kubectl where there are settings and a secret."""
    with cluster(tmp_path_factory.mktemp("environment") / "data") as inside:
        words = ("level=debug", "over=map", "port=8080", "odd.name-=kept")
        inside.ok("create", "configmap", "settings", *(f"--from-literal={word}" for word in words))
        inside.ok("create", "secret", "generic", "db", f"--from-literal=password={HIDDEN}")
        yield inside


@pytest.fixture
def docker(kubectl: Inside) -> Iterator[DockerClient]:
    """The node's Docker."""
    with contextlib.closing(DockerClient(base_url=kubectl.node.docker)) as client:
        yield client


def environment(kubectl: Inside, pod: str) -> dict[str, str]:
    """What the first process of a pod's container was given."""
    said = kubectl.ok("exec", pod, "--", "cat", "/proc/1/environ")
    return dict(item.split("=", 1) for item in said.split("\0") if item)


def waiting(kubectl: Inside, pod: str, index: int = 0) -> dict[str, str]:
    """What a container of a pod waits for."""
    told = kubectl.ok("get", "pod", pod, "-o", f"jsonpath={{.status.containerStatuses[{index}].state.waiting}}")
    found: dict[str, str] = json.loads(told or "{}")
    return found


def wait_for(kubectl: Inside, pod: str, message: str, index: int = 0) -> None:
    """A container of a pod comes to wait for this."""
    eventually(lambda: message in waiting(kubectl, pod, index).get("message", ""))


def test_a_container_has_variables_from_all_their_sources(kubectl: Inside, docker: DockerClient) -> None:
    """And goes on with them when these change, until it is made anew."""
    kubectl.ok("apply", "-f", "-", stdin=FIRST)
    kubectl.ok("wait", "--for=condition=Ready", "pod/env", "--timeout=60s")
    pod = json.loads(kubectl.ok("get", "pod", "env", "-o", "json"))
    found = environment(kubectl, "env")
    expected = {
        "ALL_level": "debug", "ALL_over": "own", "ALL_port": "8080", "ALL_odd.name-": "kept", "password": HIDDEN,
        "PASSWORD": HIDDEN, "LEVEL": "debug", "URL": f"pg://me:{HIDDEN}@db", "NODE": pod["spec"]["nodeName"],
        "IP": pod["status"]["podIP"], "APP": "env", "MEBI": "64", "KUBERNETES_SERVICE_HOST": "10.96.0.1",
        "KUBERNETES_PORT": "mine, not tcp://10.96.0.1:443",
    }  # fmt: skip
    assert expected.items() <= found.items()
    words = kubectl.ok("exec", "env", "--", "cat", "/proc/1/cmdline").split("\0")
    assert words[:-1] == ["httpd", "-f", "-p", "8080", "-r", f"debug $(LEVEL) {HIDDEN}"]
    container = pod["status"]["containerStatuses"][0]["containerID"].removeprefix("docker://")
    kubectl.ok("patch", "configmap", "settings", "-p", '{"data": {"level": "warn"}}')
    kubectl.ok("label", "pod", "env", "app=other", "--overwrite")
    time.sleep(1)
    assert environment(kubectl, "env") == found
    docker.containers.get(container).kill()
    eventually(lambda: environment_of_next_run(kubectl, container).get("LEVEL") == "warn")
    again = environment(kubectl, "env")
    assert (again["ALL_level"], again["APP"], again["PASSWORD"]) == ("warn", "other", HIDDEN)
    assert kubectl.ok("get", "pod", "env", "-o", "jsonpath={.status.containerStatuses[0].restartCount}") == "1"


def environment_of_next_run(kubectl: Inside, before: str) -> dict[str, str]:
    """Nothing while there is none."""
    told = kubectl.ok("get", "pod", "env", "-o", "jsonpath={.status.containerStatuses[0]['containerID','ready']}")
    return environment(kubectl, "env") if told.endswith(" true") and before not in told else {}


def test_what_is_missing_is_told_and_waited_for(kubectl: Inside) -> None:
    kubectl.ok("apply", "-f", "-", stdin=LATE)
    eventually(lambda: waiting(kubectl, "late").get("reason") == "CreateContainerConfigError")
    assert waiting(kubectl, "late")["message"] == 'secret "later" not found'
    assert kubectl.ok("get", "pod", "late").splitlines()[1].split()[2] == "CreateContainerConfigError"
    eventually(lambda: 'Error: secret "later" not found' in kubectl.ok("events", "--for", "pod/late"))
    why = kubectl.kdl("why", 'pod_status.state("default/late", "main", S)').out
    assert 'container main of Pod default/late cannot begin: secret "later" not found' in why
    kubectl.ok("create", "secret", "generic", "later", "--from-literal=other=x")
    wait_for(kubectl, "late", "couldn't find key word in Secret default/later")
    kubectl.ok("patch", "secret", "later", "-p", '{"stringData": {"word": "hunter4"}}')
    kubectl.ok("wait", "--for=condition=Ready", "pod/late", "--timeout=60s")
    assert environment(kubectl, "late")["LATER"] == "hunter4"


def test_no_answer_no_line_and_no_record_has_secret_data(kubectl: Inside, docker: DockerClient) -> None:
    """Not even where Docker cannot start what a secret says, or its data is no text."""
    kubectl.ok("patch", "secret", "db", "-p", '{"data": {"bytes": "aHVudGVyAP8y"}}')
    kubectl.ok("apply", "-f", "-", stdin=BROKEN)
    wait_for(kubectl, "broken", "may quote the command, which has secret data in it")
    wait_for(kubectl, "broken", "is no text that a program can be given", 1)
    asked = [
        ("query", "node.container(pod_uid: U, name: C, config: F)"), ("query", "docker.container(name: C, notes: T)"),
        ("query", 'core.object(kind: "Secret", id: I, doc: D)'), ("query", "environment.noted(P, C, S, E)"),
        ("why", 'node.container(name: "main")'), ("query", "core.failed(op: O, error: E)"),
    ]  # fmt: skip
    answers = [kubectl.kdl(*words) for words in asked]
    assert [said.code for said in answers] == [0] * len(asked), answers
    assert all("<secret default/db/password#" in said.out for said in answers[:4]), answers
    told = [kubectl.ok("describe", "pods"), kubectl.ok("events"), kubectl.ok("get", "events,pods", "-o", "yaml")]
    assert not any("hunter" in text for text in (*told, str(answers)))
    recorded = [file.read_bytes() for file in kubectl.data.glob("history/*") if file.is_file()]
    assert any(b"<secret default/db/password#" in text for text in recorded)
    assert not any(b"hunter" in text for text in recorded)
    assert "hunter" not in (kubectl.data / "up.log").read_text()
    labels = str([container.labels for container in docker.containers.list(all=True)])
    assert "<secret default/db/password#" in labels
    assert "hunter" not in labels
    kubectl.ok("delete", "pods", "--all")
