"""What is valid is accepted with Kubernetes' defaults, and whatever is not is refused with a diagnostic only."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from kdl.fact import value
from kdl.parser.diagnostic import ManifestError
from kdl.parser.manifest.accept import accept
from kdl.parser.manifest.conversion import convert, fresh
from kdl.parser.manifest.documents import documents
from kdl.parser.manifest.kinds import BUILT_IN, stored
from kdl.parser.manifest.load import Manifest, load, loads

VALID = sorted((Path(__file__).parent / "valid").glob("*.yaml"))
WRITTEN = [
    doc
    for path in VALID
    for written in documents(path.read_text(), path.name)
    for doc in written.value.get("items", [written.value])
    if BUILT_IN.stored(doc.get("apiVersion", ""), doc.get("kind", "")) is not None
]


def manifest(path: str, kind: str, name: str) -> dict[str, Any]:
    manifests = load([Path(__file__).parent / "valid" / path])
    (doc,) = [m.doc for m in manifests if m.doc["kind"] == kind and m.doc["metadata"]["name"] == name]
    return doc


def complaint(doc: dict[str, Any]) -> str:
    with pytest.raises(ManifestError) as caught:
        accept(doc)
    (diagnostic,) = caught.value.diagnostics
    return diagnostic.message


@pytest.mark.parametrize("path", VALID, ids=lambda path: path.name)
def test_what_kubernetes_accepts_is_accepted(path: Path) -> None:
    assert load([path])


@pytest.mark.parametrize("doc", WRITTEN, ids=lambda doc: f"{doc['kind']}-{doc['metadata']['name']}")
def test_accepting_twice_changes_nothing(doc: dict[str, Any]) -> None:
    once = accept(doc)
    assert accept(copy.deepcopy(once)) == once


@pytest.mark.parametrize("doc", WRITTEN, ids=lambda doc: f"{doc['kind']}-{doc['metadata']['name']}")
def test_the_argument_is_left_alone(doc: dict[str, Any]) -> None:
    before = copy.deepcopy(doc)
    accept(doc)
    assert doc == before


@pytest.mark.parametrize("doc", WRITTEN, ids=lambda doc: f"{doc['kind']}-{doc['metadata']['name']}")
def test_an_accepted_object_is_a_value_in_its_stored_version(doc: dict[str, Any]) -> None:
    accepted = accept(doc)
    kind = stored(doc["apiVersion"], doc["kind"])
    assert kind is not None
    assert accepted["apiVersion"] == kind.api_version
    assert value(accepted) is not None


def test_conversion_leaves_the_stored_version_alone() -> None:
    for doc in WRITTEN:
        kind = stored(doc["apiVersion"], doc["kind"])
        assert kind is not None
        if doc["apiVersion"] == kind.api_version:
            copied = fresh(doc)
            assert convert(copied, kind) == {}
            assert copied == fresh(doc)


JUNK: st.SearchStrategy[Any] = st.sampled_from(
    [None, True, 0, -1, 10**30, 1.5, "", "x", "X y", "%", "1e9Ki", [], [None], [[]], [{}], {}, {"": ""}, {"name": None},
     {"matchLabels": 1},
     float("inf"), 1e300, "\ud800", {"\ud800": "x"}, {"a": "\ud800"}, b"", {1: 2}, "0" * 70, "10.0.0.0/33", "\x00", "²"]
)  # fmt: skip


NAMES = st.sampled_from(["added", "spec", "name", "type", "selector", "ports", "template"])
MUTATIONS = st.lists(st.tuples(st.integers(0, 10**6), JUNK, st.sampled_from(["set", "drop"]) | NAMES), max_size=3)


@settings(max_examples=1000, deadline=None)
@given(st.sampled_from(WRITTEN), MUTATIONS)
def test_a_mutated_manifest_is_accepted_or_refused_but_never_fails(doc: dict[str, Any], mutations: list[Any]) -> None:
    doc = copy.deepcopy(doc)
    for place, junk, action in mutations:
        _mutate(doc, place, copy.deepcopy(junk), action)
    try:
        accepted = accept(doc)
    except ManifestError as error:
        told = error.render().encode().decode()
    else:
        told = "accepted"
        assert accept(copy.deepcopy(accepted)) == accepted
        assert_valid(accepted)
    assert told


def assert_valid(doc: dict[str, Any]) -> None:
    """A second opinion: jsonschema over the same schemas. A status may be partial; pod security policies are gone."""
    if doc["kind"] != "PodSecurityPolicy":
        without_status = {key: member for key, member in doc.items() if key != "status"}
        kubernetes_validate.validate(without_status, kubernetes_validate.latest_version(), strict=True)


@pytest.mark.parametrize("doc", WRITTEN, ids=lambda doc: f"{doc['kind']}-{doc['metadata']['name']}")
def test_an_accepted_object_is_valid_in_a_second_opinion(doc: dict[str, Any]) -> None:
    assert_valid(accept(doc))


def _mutate(doc: Any, place: int, junk: Any, action: str) -> None:
    """Set or drop one of the fields at any depth, or add a field of a given name beside it."""
    fields = list(_fields(doc))
    if not fields:
        return
    holder, key = fields[place % len(fields)]
    if action == "drop":
        del holder[key]
    elif action != "set" and isinstance(holder, dict):
        holder[action] = junk
    else:
        holder[key] = junk


def _fields(value: Any) -> Iterator[tuple[Any, Any]]:
    if isinstance(value, (dict, list)):
        for key in value if isinstance(value, dict) else range(len(value)):
            yield value, key
            yield from _fields(value[key])


def test_a_pod_gets_the_defaults_of_kubernetes() -> None:
    doc = accept({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": {"containers": [
        {"name": "c", "image": "busybox", "ports": [{"containerPort": 80}], "livenessProbe": {"httpGet": {"port": 80}},
         "resources": {"limits": {"cpu": 1, "memory": "1Gi"}, "requests": {"cpu": 0.5}}}]}})  # fmt: skip
    assert doc == {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "p", "namespace": "default"},
        "spec": {
            "restartPolicy": "Always",
            "dnsPolicy": "ClusterFirst",
            "schedulerName": "default-scheduler",
            "terminationGracePeriodSeconds": 30,
            "securityContext": {},
            "enableServiceLinks": True,
            "containers": [
                {
                    "name": "c",
                    "image": "busybox",
                    "imagePullPolicy": "Always",
                    "terminationMessagePath": "/dev/termination-log",
                    "terminationMessagePolicy": "File",
                    "ports": [{"containerPort": 80, "protocol": "TCP"}],
                    "livenessProbe": {
                        "httpGet": {"port": 80, "path": "/", "scheme": "HTTP"},
                        "timeoutSeconds": 1,
                        "periodSeconds": 10,
                        "successThreshold": 1,
                        "failureThreshold": 3,
                    },
                    "resources": {
                        "limits": {"cpu": "1", "memory": "1Gi"},
                        "requests": {"cpu": "0.5", "memory": "1Gi"},
                    },
                }
            ],
        },
    }


def test_requests_default_to_limits_in_pods_but_not_in_templates() -> None:
    pod = manifest("workloads.yaml", "Pod", "host")["spec"]["containers"][0]
    assert pod["resources"]["requests"] == {"cpu": "500m", "example.com/gpu": "1"}
    assert pod["ports"] == [{"containerPort": 8081, "hostPort": 8081, "protocol": "TCP"}]
    template = manifest("workloads.yaml", "DaemonSet", "agent")["spec"]["template"]["spec"]
    assert template["containers"][0]["ports"] == [{"containerPort": 9100, "protocol": "TCP"}]
    assert "enableServiceLinks" not in template


@pytest.mark.parametrize(
    ("image", "policy"),
    [("web", "Always"), ("web:latest", "Always"), ("web:1", "IfNotPresent"), ("host:5000/web", "Always"),
     ("host:5000/web:2", "IfNotPresent"), ("web@sha256:" + "0" * 64, "IfNotPresent")],
)  # fmt: skip
def test_the_pull_policy_follows_the_tag(image: str, policy: str) -> None:
    spec = {"containers": [{"name": "c", "image": image}]}
    doc = accept({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec})
    assert doc["spec"]["containers"][0]["imagePullPolicy"] == policy


def test_a_deployment_gets_the_defaults_of_its_written_version() -> None:
    extensions = manifest("older.yaml", "Deployment", "web")["spec"]
    assert extensions["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 1}
    assert extensions["selector"] == {"matchLabels": {"app": "web"}}
    assert "rollbackTo" not in extensions
    beta1 = manifest("older.yaml", "Deployment", "web-1")["spec"]
    assert (beta1["revisionHistoryLimit"], beta1["strategy"]["rollingUpdate"]["maxSurge"]) == (2, "25%")
    stable = manifest("workloads.yaml", "Deployment", "web")["spec"]
    assert (stable["revisionHistoryLimit"], stable["progressDeadlineSeconds"]) == (10, 600)
    assert stable["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": 1, "maxUnavailable": 0}}


def test_an_old_ingress_backend_becomes_a_service_reference() -> None:
    spec = manifest("older.yaml", "Ingress", "web")["spec"]
    assert spec["defaultBackend"] == {"service": {"name": "fallback", "port": {"number": 80}}}
    (path,) = spec["rules"][0]["http"]["paths"]
    assert path["backend"] == {"service": {"name": "web", "port": {"name": "http"}}}


def test_a_service_gets_ports_and_affinity() -> None:
    spec = manifest("cluster.yaml", "Service", "web")["spec"]
    assert spec["ports"][1] == {"name": "dns", "port": 53, "protocol": "UDP", "targetPort": 53}
    assert spec["sessionAffinityConfig"] == {"clientIP": {"timeoutSeconds": 10800}}
    assert (spec["externalTrafficPolicy"], spec["internalTrafficPolicy"]) == ("Cluster", "Cluster")
    assert "internalTrafficPolicy" not in manifest("cluster.yaml", "Service", "elsewhere")["spec"]


def test_policy_types_follow_the_rules_that_are_there() -> None:
    assert manifest("cluster.yaml", "NetworkPolicy", "web")["spec"]["policyTypes"] == ["Ingress", "Egress"]
    assert manifest("cluster.yaml", "NetworkPolicy", "deny")["spec"] == {"podSelector": {}, "policyTypes": ["Ingress"]}


def test_a_secret_keeps_clear_text_encoded_and_a_config_map_empty_text() -> None:
    secret = manifest("cluster.yaml", "Secret", "web")
    assert (secret["type"], secret["data"]) == ("Opaque", {"a": "aGk=", "b": "dGhlcmU="})
    assert "stringData" not in secret
    assert manifest("cluster.yaml", "ConfigMap", "web")["data"]["EMPTY"] == ""


def test_a_custom_kind_is_known_through_its_definition_and_stored_in_its_storage_version() -> None:
    website = manifest("cluster.yaml", "Website", "docs")
    assert website["apiVersion"] == "example.com/v1"
    assert website["metadata"]["namespace"] == "default"


def test_a_generated_name_is_enough_for_the_api_but_not_for_a_file() -> None:
    doc = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}
    assert accept(doc)["metadata"]["generateName"] == "x-"
    with pytest.raises(ManifestError, match="`name` is missing"):
        loads("{apiVersion: v1, kind: ConfigMap, metadata: {generateName: x-}}")


def test_lines_lead_back_to_the_file_also_after_conversion(tmp_path: Path) -> None:
    text = (Path(__file__).parent / "valid" / "older.yaml").read_text()
    file = tmp_path / "old.yaml"
    file.write_text(text)
    (ingress,) = [m for m in load([file]) if m.doc["kind"] == "Ingress"]
    line = ingress.origin.line("/spec/rules/0/http/paths/0/backend/service/port/name")
    assert text.splitlines()[line - 1].strip() == "servicePort: http"
    assert ingress.origin.file == str(file)


def test_a_folder_gives_its_files_by_name_and_nothing_below(tmp_path: Path) -> None:
    for name in ("b.yaml", "a.json", "note.txt"):
        (tmp_path / name).write_text(
            f'{{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {{"name": "{name[0]}"}}}}'
        )
    (tmp_path / "below").mkdir()
    (tmp_path / "below" / "c.yaml").write_text("nothing: here")
    assert [m.doc["metadata"]["name"] for m in load([tmp_path])] == ["a", "b"]


def test_all_mistakes_of_all_files_are_told_at_once(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("a: [")
    (tmp_path / "b.yaml").write_text(
        "kind: Pod\n---\napiVersion: v1\nkind: Service\nmetadata: {name: a}\nspec: {typ: x, port: 1}\n"
    )
    with pytest.raises(ManifestError) as caught:
        load([tmp_path, tmp_path / "c.yaml"])
    assert [d.code for d in caught.value.diagnostics] == ["KDL501", "KDL502", "KDL505", "KDL510", "KDL510"]


def test_the_namespace_is_set_where_there_is_none_and_only_for_namespaced_kinds() -> None:
    text = (
        "{apiVersion: v1, kind: ConfigMap, metadata: {name: a}}\n---\n{apiVersion: v1, kind: Node, metadata: {name: n}}"
    )
    first, second = loads(text, namespace="shop")
    assert first.doc["metadata"]["namespace"] == "shop"
    assert "namespace" not in second.doc["metadata"]


def test_a_secret_value_is_never_quoted() -> None:
    text = (
        "apiVersion: v1\nkind: Secret\nmetadata: {name: k}\ndata: {a: hunter2!, b: aHVudGVyMg==}\n"
        "stringData:\n  c: |\n    hunter2\n  d: 2\n"
    )
    with pytest.raises(ManifestError) as caught:
        loads(text)
    rendered = caught.value.render()
    assert "hunter" not in rendered + str(caught.value) + "".join(caught.value.sources.values())
    assert "aHVu" not in rendered + "".join(caught.value.sources.values())


def test_a_status_may_be_written_piece_by_piece() -> None:
    status = {"phase": "Running", "containerStatuses": [{"name": "c", "ready": True}]}
    spec = {"containers": [{"name": "c", "image": "c:1"}]}
    assert accept({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec, "status": status})


def test_a_manifest_is_a_document_and_its_origin() -> None:
    (one,) = loads("apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: a\n", "a.yaml")
    assert isinstance(one, Manifest)
    assert one.origin.lines == {"": 1, "/apiVersion": 1, "/kind": 2, "/metadata": 3, "/metadata/name": 4}


def pod(**container: Any) -> dict[str, Any]:
    spec = {"containers": [{"name": "c", "image": "c:1", **container}]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "p"}, "spec": spec}


@pytest.mark.parametrize(
    ("container", "words"),
    [
        ({"ports": [{"containerPort": 1, "name": "a"}, {"containerPort": 2, "name": "a"}]}, "port name `a`"),
        ({"ports": [{"containerPort": 1, "hostPort": 8}, {"containerPort": 2, "hostPort": 8}]}, "host port"),
        ({"resources": {"limits": {"cpu": "-1"}}}, "must not be negative"),
        ({"resources": {"requests": {"example.com/gpu": 1}}}, "must equal its limit"),
        ({"env": [{"name": "A", "value": "x", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]}, "both"),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "spec.nodename"}}}]},
            "but is `spec.nodename`",
        ),
        ({"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels"}}}]}, "but is `metadata.lab"),
        (
            {"env": [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.labels['a b']"}}}]},
            "the key is `a b`",
        ),
        ({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.gpu"}}}]}, "is `limits.gpu`"),
        (
            {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": "2m"}}}]},
            "must be `1m` or `1`, but is `2m`",
        ),
        (
            {"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.memory", "divisor": "1m"}}}]},
            "but is `1m`",
        ),
        ({"livenessProbe": {"tcpSocket": {"port": 1}, "successThreshold": 2}}, "must be 1"),
        ({"readinessProbe": {"httpGet": {"port": "80"}}}, 'is the text `"80"`'),
        ({"imagePullPolicy": "Sometimes"}, "must be `Always`"),
        ({"lifecycle": {"preStop": {}}}, "has no handler"),
    ],
)
def test_a_container_that_kubernetes_refuses_is_refused(container: dict[str, Any], words: str) -> None:
    assert words in complaint(pod(**container))


@pytest.mark.parametrize(
    ("source", "words"),
    [
        ({"fieldRef": {"fieldPath": "status.podIP"}}, "but is `status.podIP`"),
        ({"resourceFieldRef": {"resource": "limits.cpu"}}, "has no `containerName`"),
        ({}, "has no source"),
    ],
)
def test_a_file_that_kubernetes_refuses_is_refused(source: dict[str, Any], words: str) -> None:
    doc = pod()
    doc["spec"]["volumes"] = [{"name": "v", "downwardAPI": {"items": [{"path": "a", **source}]}}]
    assert words in complaint(doc)


@pytest.mark.parametrize("divisor", ["0", "1", 1, "1000m", "1Mi", "1024Ki"])
def test_a_divisor_is_a_unit_however_it_is_written(divisor: str | int) -> None:
    source = {"resourceFieldRef": {"resource": "limits.memory", "divisor": divisor}}
    field = {"fieldRef": {"fieldPath": "metadata.annotations['example.com/a']"}}
    assert accept(pod(env=[{"name": "A", "valueFrom": source}, {"name": "B", "valueFrom": field}]))


def test_annotations_have_a_limit() -> None:
    doc = pod()
    doc["metadata"]["annotations"] = {"a": "x" * (256 * 1024)}
    assert "at most 262,144" in complaint(doc)


@pytest.mark.parametrize(
    ("schedule", "valid"),
    [("*/5 * * * *", True), ("0 0 1,15 jan-mar mon-fri", True), ("@daily", True), ("@every 1h30m", True),
     ("5/15 * ? * *", True),
     ("60 * * * *", False), ("* * * * 7", False), ("*/0 * * * *", False), ("5-1 * * * *", False), ("@every now", False),
     ("a * * * *", False), ("* * * *", False)],
)  # fmt: skip
def test_a_schedule_is_what_kubernetes_can_parse(schedule: str, valid: bool) -> None:
    template = {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "c:1"}]}}
    spec = {"schedule": schedule, "jobTemplate": {"spec": {"template": template}}}
    doc = {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "c"}, "spec": spec}
    if valid:
        assert accept(doc)["spec"]["schedule"] == schedule
    else:
        assert "`spec.schedule`" in complaint(doc)


@pytest.mark.parametrize("value", ["\ud800", float("nan"), b"bytes", {1: "x"}, {"\udfff": "x"}])
def test_what_json_cannot_hold_is_refused(value: Any) -> None:
    doc = {"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "s"}, "stringData": {"a": value}}
    assert "JSON" in complaint(doc) or "key" in complaint(doc) or "surrogate" in complaint(doc)


def test_a_bottomless_object_is_refused() -> None:
    doc = pod()
    inner = doc
    for _ in range(5000):
        inner["deeper"] = inner = {}
    assert "100 deep" in complaint(doc)
