"""Commands on the objects of a running cluster."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from tests.runtime.shell.conftest import HELLO, ROOT, Kdl, eventually, start

WRONG_MANIFESTS = sorted((ROOT / "tests/diagnostics/manifests").glob("*.yaml"))
POD = """
apiVersion: v1
kind: Pod
metadata: {name: %s, labels: {made: here}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: a, image: "x:1", resources: {requests: {cpu: "%s"}}}
"""


@pytest.fixture(autouse=True)
def _data(cluster: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KDL_DATA", str(cluster))
    monkeypatch.chdir(ROOT)


def pod(folder: Path, name: str, cpu: str = "1") -> Path:
    path = folder / f"{name}.yaml"
    path.write_text(POD % (name, cpu))
    return path


def test_pods_are_shown_as_kubectl_shows_them(kdl: Kdl) -> None:
    head, *_ = kdl("get", "pods", "-l", "app=hello").out.splitlines()
    assert head.split() == ["NAME", "READY", "STATUS", "RESTARTS", "AGE"]
    head, *rows = kdl("get", "pods", "-l", "app=hello", "-o", "wide").out.splitlines()
    assert head.split()[5:] == ["IP", "NODE", "NOMINATED", "NODE", "READINESS", "GATES"]
    assert len(rows) == 3
    for row in rows:
        name, ready, status, restarts, _, ip, node, *_ = row.split()
        assert (ready, status, restarts) == ("1/1", "Running", "0")
        assert name.startswith("hello-")
        assert ip.startswith("10.244.")
        assert node in ("node-1", "node-2")


@pytest.mark.parametrize(
    ("kind", "columns", "first"),
    [
        ("deployments", "NAME READY UP-TO-DATE AVAILABLE AGE", ["hello", "3/3", "3", "3"]),
        ("rs", "NAME DESIRED CURRENT READY AGE", None),
        ("svc", "NAME TYPE CLUSTER-IP EXTERNAL-IP PORT(S) AGE", ["hello", "ClusterIP"]),
        ("ep", "NAME ENDPOINTS AGE", ["hello"]),
        ("nodes", "NAME STATUS ROLES AGE VERSION", ["node-1", "Ready", "<none>"]),
        ("netpol", "NAME POD-SELECTOR AGE", ["hello-allow-friends", "app=hello"]),
        ("ns", "NAME STATUS AGE", ["default", "Active"]),
    ],
)
def test_each_kind_has_its_columns(kdl: Kdl, kind: str, columns: str, first: list[str] | None) -> None:
    head, row, *_ = kdl("get", kind).out.splitlines()
    assert head.split() == columns.split()
    assert first is None or row.split()[: len(first)] == first


def test_documents_come_as_json_and_as_yaml(kdl: Kdl) -> None:
    one = json.loads(kdl("get", "deploy", "hello", "-o", "json").out)
    assert one["kind"] == "Deployment"
    assert yaml.safe_load(kdl("get", "deploy/hello", "-o", "yaml").out) == one
    several = json.loads(kdl("get", "deploy,svc", "-o", "json").out)
    assert several["kind"] == "List"
    assert [item["kind"] for item in several["items"]] == ["Deployment", "Service", "Service"]


def test_what_is_not_there_is_an_error_and_the_rest_is_shown(kdl: Kdl) -> None:
    said = kdl("get", "svc", "hello", "nope")
    assert said.code == 1
    assert said.err == 'error: services "nope" not found\n'
    assert "hello" in said.out
    assert kdl("get", "pods", "-n", "kube-system") == (0, "", "no pods in the namespace kube-system\n")


@pytest.mark.parametrize(
    "words", [["frobs"], ["pods/"], ["pods,svc", "x"], ["pods", "a", "-l", "x=y"], ["pods", "-w", "-o", "json"]]
)
def test_words_that_name_nothing_are_usage_errors(kdl: Kdl, words: list[str]) -> None:
    assert kdl("get", *words).code == 2


def test_apply_creates_then_changes_nothing_then_changes_what_differs(kdl: Kdl, tmp_path: Path) -> None:
    file = pod(tmp_path, "twice")
    assert kdl("apply", "-f", file).out == "pod/twice created\n"
    assert kdl("apply", "-f", file).out == "pod/twice unchanged\n"
    file.write_text(file.read_text().replace("made: here", "made: there"))
    said = kdl("apply", "-f", "-", "-o", "json", stdin=file.read_text())
    assert json.loads(said.out)["applied"][0]["result"] == "configured"
    assert kdl("delete", "-f", file).code == 0
    assert kdl("get", "pod", "twice").code == 1


@pytest.mark.parametrize("path", WRONG_MANIFESTS, ids=lambda path: path.stem)
def test_a_wrong_manifest_applies_nothing(kdl: Kdl, path: Path, tmp_path: Path) -> None:
    said = kdl("apply", "-f", pod(tmp_path, "beside-wrong"), "-f", path)
    assert said.code == 2
    assert said.out == ""
    assert said.err.startswith("error[KDL")
    assert kdl("get", "pod", "beside-wrong").code == 1


def test_delete_waits_until_the_objects_are_gone(kdl: Kdl, tmp_path: Path) -> None:
    assert kdl("apply", "-f", pod(tmp_path, "a"), "-f", pod(tmp_path, "b")).code == 0
    said = kdl("delete", "pod", "a", "b")
    assert said == (0, 'pod "a" deleted\npod "b" deleted\n', "")
    assert kdl("get", "pods", "-l", "made=here").out == ""
    again = kdl("delete", "pod/a")
    assert again == (1, "", 'error: pods "a" not found\n')
    assert kdl("delete", "pod/a", "--ignore-not-found").code == 0
    assert kdl("delete", "pods").code == 2
    assert kdl("delete").code == 2


def test_delete_by_label_takes_what_is_selected(kdl: Kdl, tmp_path: Path) -> None:
    assert kdl("apply", "-f", pod(tmp_path, "c"), "-f", pod(tmp_path, "d")).code == 0
    assert kdl("delete", "pods", "-l", "made=here", "--wait=false").code == 0
    eventually(lambda: kdl("get", "pods", "-l", "made=here").out == "")
    assert len(kdl("get", "pods", "-o", "name").out.split()) == 3


def test_describe_tells_what_keeps_a_pod_pending(kdl: Kdl, tmp_path: Path) -> None:
    file = pod(tmp_path, "big", cpu="64")
    assert kdl("apply", "-f", file).code == 0
    eventually(lambda: "Not scheduled:" in kdl("describe", "pod", "big").out)
    said = kdl("describe", "pod", "big")
    assert "0/2 nodes are available: 2 Insufficient cpu." in said.out
    assert "2 × Insufficient cpu (node-1, node-2)" in said.out
    assert kdl("whynot", 'api.bind("default/big", _)').code == 0
    assert kdl("delete", "-f", file).code == 0
    assert kdl("describe", "pod", "big").code == 1


def test_describe_shows_fields_and_conditions(kdl: Kdl) -> None:
    said = kdl("describe", "deploy/hello")
    assert said.code == 0
    assert "maxUnavailable: 0" in said.out
    assert "Available" in said.out.partition("Conditions:")[2]


def test_logs_of_containers_in_memory_are_refused_in_one_sentence(kdl: Kdl) -> None:
    name = kdl("get", "pods", "-o", "name").out.split()[0]
    said = kdl("logs", name)
    assert said == (1, "", "error: there are no logs: on the fake runtime containers print nothing\n")
    assert kdl("logs", name, "-c", "nope").code == 2
    assert kdl("logs", "nope").code == 1


def test_a_proof_ends_in_the_line_of_the_manifest(kdl: Kdl) -> None:
    said = kdl("why", 'core.container(P, _, _, "web", _)')
    assert said.code == 0
    assert f"{HELLO / 'hello.yaml'}:" in said.out
    line = (HELLO / "hello.yaml").read_text().splitlines().index("        - name: web") + 1
    assert f"hello.yaml:{line}" in said.out


def test_what_no_manifest_says_has_no_line(kdl: Kdl) -> None:
    said = kdl("why", "core.on_node(P, N)")
    nodes = [line for line in said.out.splitlines() if "spec.nodeName =" in line]
    assert nodes
    assert not any("hello.yaml" in line for line in nodes)


def test_the_running_cluster_is_asked(kdl: Kdl) -> None:
    said = kdl("query", "core.on_node(P, N), not core.finished(P)", "-o", "json")
    assert {row["N"] for row in json.loads(said.out)} <= {"node-1", "node-2"}
    assert kdl("query", 'core.on_node("default/nope", N)') == (1, "no\n", "")
    wrong = kdl("query", "core.pods(P)")
    assert wrong.code == 2
    assert wrong.err.startswith("error[KDL")
    assert kdl("whynot", 'core.finished("default/nope")').code == 0


def test_the_repl_tries_on_a_copy_of_the_running_cluster(kdl: Kdl) -> None:
    lines = (
        'core.on_node(P, N)\nretract core.object("", "Service", "default/hello", _, _)\ncore.service(S, _, _, _, _)\n'
    )
    said = kdl("repl", "--live", stdin=lines)
    assert said.code == 0, said.err
    assert said.out.count("node-") >= 3
    assert '- core.service("default/hello",' in said.out
    assert said.out.splitlines()[-1] == "1  default/hello-public"
    assert kdl("get", "svc", "hello").code == 0


def test_a_watch_goes_on_with_every_change(kdl: Kdl, cluster: Path, tmp_path: Path) -> None:
    watch = start("get", "pods", "-w", "-l", "made=here", "--data", cluster)
    assert watch.stdout is not None
    try:
        assert kdl("apply", "-f", pod(tmp_path, "watched")).code == 0
        lines = [watch.stdout.readline()]
        while "Running" not in lines[-1]:
            lines.append(watch.stdout.readline())
            assert lines[-1], lines
        assert lines[0].split()[:3] == ["NAME", "READY", "STATUS"]
        assert all(line.startswith("watched") for line in lines[1:])
    finally:
        watch.kill()
        watch.communicate()
        kdl("delete", "pod", "watched", "--ignore-not-found")


def test_a_container_is_asked_for_by_its_id(kdl: Kdl) -> None:
    rows = json.loads(kdl("query", "docker.container(container_id: Id, pod_uid: U)", "-o", "json").out)
    said = kdl("why", "--container", rows[0]["Id"])
    assert said.code == 0
    assert said.out.startswith('node.container("node-')
    assert rows[0]["U"] in said.out
    assert kdl("why", "--container", "nope").code == 1
    assert kdl("why").code == 2
