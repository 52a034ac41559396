"""What people do with kubectl does with kdl what it does with Kubernetes: the current kubectl, unmodified.

On real containers, and on the fake runtime, which has a second node.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cluster.images import busybox
from tests.conformance.conftest import Kubectl, eventually
from tests.conformance.inside import cluster
from tests.conformance.wire import FILE, table

ROOT = Path(__file__).parents[2]
HELLO = ROOT / "examples" / "01-hello" / "hello.yaml"

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, labels: {app: web}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec:
      terminationGracePeriodSeconds: 1
      containers:
        - {name: web, image: "busybox:1.36", command: [sleep, "1000"], ports: [{containerPort: 80}]}
"""


@pytest.fixture(scope="module", params=["fake", pytest.param("docker", marks=pytest.mark.docker)])
def admin(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Kubectl]:
    """Kubectl of the one who may do everything, with each runtime."""
    if request.param == "fake":
        yield Kubectl(request.getfixturevalue("kubeconfig"))
        return
    with cluster(tmp_path_factory.mktemp("docker") / "data", busybox("busybox:1.35")) as inside:
        yield inside


@pytest.fixture
def nodes(admin: Kubectl) -> list[str]:
    """The names of the nodes."""
    return admin.ok("get", "nodes", "-o", "jsonpath={.items[*].metadata.name}").split()


@pytest.fixture
def web(kubectl: Kubectl) -> Kubectl:
    """A namespace with a deployment of three pods that has come up."""
    assert kubectl.ok("apply", "-f", "-", stdin=WEB) == "deployment.apps/web created\n"
    kubectl.ok("rollout", "status", "deploy/web", "--timeout=30s")
    return kubectl


def replicas(kubectl: Kubectl, name: str = "web") -> str:
    return kubectl.ok("get", "deploy", name, "-o", "jsonpath={.spec.replicas}")


def test_the_kubeconfig_is_for_its_owner_only(admin: Kubectl) -> None:
    assert stat.S_IMODE(os.stat(admin.kubeconfig).st_mode) == 0o600
    config = json.loads(admin.kubeconfig.read_text())
    assert config["clusters"][0]["cluster"]["server"].startswith("https://127.0.0.1:")
    assert "client-key-data" in config["users"][0]["user"]


def test_a_server_of_another_authority_is_not_believed(kubectl: Kubectl, tmp_path: Path) -> None:
    config = json.loads(kubectl.kubeconfig.read_text())
    del config["clusters"][0]["cluster"]["certificate-authority-data"]
    other = tmp_path / "kubeconfig"
    other.write_text(json.dumps(config))
    said = kubectl("get", "pods", "--kubeconfig", other)
    assert (said.code, "certificate signed by unknown authority" in said.err) == (1, True)


# Reading.


def test_get_prints_tables_names_documents_paths_and_columns(web: Kubectl) -> None:
    head, row = web.ok("get", "deployments").splitlines()
    assert head.split() == ["NAME", "READY", "UP-TO-DATE", "AVAILABLE", "AGE"]
    assert row.split()[:4] == ["web", "3/3", "3", "3"]
    head, *pods = web.ok("get", "pods", "-o", "wide").splitlines()
    assert head.split()[:7] == ["NAME", "READY", "STATUS", "RESTARTS", "AGE", "IP", "NODE"]
    assert len(pods) == 3
    assert web.ok("get", "deploy", "-o", "name") == "deployment.apps/web\n"
    assert json.loads(web.ok("get", "deploy", "web", "-o", "json"))["spec"]["replicas"] == 3
    assert web.ok("get", "deploy", "-o", "custom-columns=N:.metadata.name,R:.spec.replicas").split() == [
        "N",
        "R",
        "web",
        "3",
    ]
    assert web.ok("get", "pods", "--field-selector", "status.phase=Pending", "-o", "name") == ""
    assert len(web.ok("get", "pods", "--field-selector", "status.phase=Running", "-o", "name").splitlines()) == 3
    assert len(web.ok("get", "pods", "-l", "app in (web),!x", "-o", "name").splitlines()) == 3
    both = web.ok("get", "deploy,rs,pods")
    assert all(word in both for word in ("deployment.apps/web", "replicaset.apps/web-", "pod/web-"))


def test_get_says_what_is_not_there(kubectl: Kubectl) -> None:
    said = kubectl("get", "pod", "nobody")
    assert said == (1, "", 'Error from server (NotFound): pods "nobody" not found\n')
    assert kubectl("get", "pods") == (0, "", f"No resources found in {kubectl.namespace} namespace.\n")
    said = kubectl("get", "nothings")
    assert said == (1, "", 'error: the server doesn\'t have a resource type "nothings"\n')


def test_get_in_chunks_gets_everything(kubectl: Kubectl) -> None:
    labels = {"of": "many"}
    many = [
        {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": f"c{n:02}", "labels": labels}} for n in range(25)
    ]
    kubectl.ok("create", "-f", "-", stdin=json.dumps({"apiVersion": "v1", "kind": "List", "items": many}))
    names = kubectl.ok("get", "cm", "-l", "of=many", "--chunk-size=10", "-o", "name").splitlines()
    assert names == [f"configmap/c{n:02}" for n in range(25)]


def test_describe_tells_of_a_pod_its_node_and_what_happened(web: Kubectl, nodes: list[str]) -> None:
    pod = web.ok("describe", "pods", "-l", "app=web")
    assert all(word in pod for word in ("Namespace:", "Running", "IP:", "busybox:1.36", "Conditions:"))
    web.ok("scale", "deploy/web", "--replicas=2")
    eventually(lambda: "Scaled down replica set web-" in web.ok("describe", "deploy", "web"))
    assert "Non-terminated Pods:" in web.ok("describe", "node", nodes[0])


def test_events_tell_the_life_of_a_pod(web: Kubectl, nodes: list[str]) -> None:
    def told(of: str) -> list[list[str]]:
        said = web.ok("events", "--for", of, "--no-headers")
        return sorted(line.split(maxsplit=4)[1:5] for line in said.splitlines() if not line.startswith("No events"))

    pod = web.ok("get", "pods", "-l", "app=web", "-o", "name").split()[0]
    name = pod.removeprefix("pod/")
    assert [row[1] for row in told(pod)] == ["Scheduled", "Started"]
    web.ok("delete", pod)
    assert ["Normal", "Killing", f"Pod/{name}", "Stopping container web"] in told(pod)
    big = {"containers": [{"name": "c", "image": "busybox:1.36", "resources": {"requests": {"cpu": "99"}}}]}
    web.ok("run", "big", "--image=busybox:1.36", "--overrides", json.dumps({"spec": big}))
    reason = f"0/{len(nodes)} nodes are available: {len(nodes)} Insufficient cpu."
    eventually(lambda: ["Warning", "FailedScheduling", "Pod/big", reason] in told("pod/big"))
    assert reason in web.ok("describe", "pod", "big")


def test_ephemeral_containers_are_refused_in_words(web: Kubectl) -> None:
    pod = web.ok("get", "pods", "-l", "app=web", "-o", "name").split()[0]
    said = web("debug", pod, "--image=busybox:1.36")
    assert said.code == 1
    assert "ephemeral containers are disabled for this cluster" in said.err


def test_get_watches(web: Kubectl) -> None:
    watch = web.start("get", "deploy", "-w")
    assert watch.stdout is not None
    assert watch.stdout.readline().split()[0] == "NAME"
    assert watch.stdout.readline().split()[:2] == ["web", "3/3"]
    web.ok("scale", "deploy/web", "--replicas=4")
    assert watch.stdout.readline().split()[:2] == ["web", "3/4"]
    web.stop(watch)


def test_explain_and_api_resources_tell_what_there_is(kubectl: Kubectl) -> None:
    told = kubectl.ok("explain", "deployment.spec.template.spec.containers.image")
    assert "FIELD: image <string>" in told
    assert "Container image name" in told
    assert "KIND:       Pod" in kubectl.ok("explain", "pods")
    lines = kubectl.ok("api-resources", "--no-headers").splitlines()
    rows = {line.split()[0]: line.split()[1:] for line in reversed(lines)}
    assert rows["deployments"] == ["deploy", "apps/v1", "true", "Deployment"]
    assert rows["nodes"] == ["no", "v1", "false", "Node"]
    assert {"apps/v1", "v1", "rbac.authorization.k8s.io/v1"} <= set(kubectl.ok("api-versions").split())


def test_the_server_tells_its_version_health_and_figures(kubectl: Kubectl) -> None:
    assert "Server Version: v1." in kubectl.ok("version")
    assert [kubectl.ok("get", "--raw", f"/{path}") for path in ("healthz", "livez", "readyz")] == ["ok"] * 3
    components = [line.split()[:3] for line in kubectl.ok("get", "cs", "--no-headers").splitlines()]
    assert components == [[name, "Healthy", "ok"] for name in ("controller-manager", "etcd-0", "scheduler")]
    assert kubectl("delete", "cs", "scheduler").code == 1
    assert "apiserver_request_total{" in kubectl.ok("get", "--raw", "/metrics")
    assert "is running at https://" in kubectl.ok("cluster-info")


# Applying.


def test_apply_creates_configures_and_leaves_alone(kubectl: Kubectl) -> None:
    assert kubectl.ok("apply", "-f", "-", stdin=WEB) == "deployment.apps/web created\n"
    assert kubectl.ok("apply", "-f", "-", stdin=WEB) == "deployment.apps/web unchanged\n"
    changed = WEB.replace("replicas: 3", "replicas: 2")
    assert kubectl("diff", "-f", "-", stdin=changed).code == 1
    assert kubectl("diff", "-f", "-", stdin=WEB) == (0, "", "")
    assert kubectl.ok("apply", "-f", "-", stdin=changed) == "deployment.apps/web configured\n"
    assert replicas(kubectl) == "2"


def test_apply_on_the_server_tells_whose_fields_are_whose(kubectl: Kubectl) -> None:
    assert kubectl.ok("apply", "--server-side", "-f", "-", stdin=WEB) == "deployment.apps/web serverside-applied\n"
    kubectl.ok("scale", "deploy/web", "--replicas=5")
    said = kubectl("apply", "--server-side", "-f", "-", stdin=WEB)
    assert said.code == 1
    assert 'conflict with "kubectl" with subresource "scale" using apps/v1: .spec.replicas' in said.err
    kubectl.ok("apply", "--server-side", "--force-conflicts", "-f", "-", stdin=WEB)
    assert replicas(kubectl) == "3"
    managers = json.loads(kubectl.ok("get", "deploy", "web", "-o", "json", "--show-managed-fields"))
    assert {entry["manager"] for entry in managers["metadata"]["managedFields"]} == {"kubectl"}


def test_what_is_no_longer_applied_goes(kubectl: Kubectl) -> None:
    config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c, labels: {%s}}, data: {%s}}"
    for how in ((), ("--server-side",)):
        kubectl.ok("apply", *how, "-f", "-", stdin=config % ("x: one, z: two", "a: '1', b: '2'"))
        kubectl.ok("label", "cm", "c", "kept=yes")
        kubectl.ok("apply", *how, "-f", "-", stdin=config % ("x: one", "b: '3'"))
        found = json.loads(kubectl.ok("get", "cm", "c", "-o", "json"))
        assert (found["data"], found["metadata"]["labels"]) == ({"b": "3"}, {"x": "one", "kept": "yes"})
        kubectl.ok("delete", "cm", "c")


def test_client_side_apply_turns_into_server_side(kubectl: Kubectl) -> None:
    config = "{apiVersion: v1, kind: ConfigMap, metadata: {name: c}, data: {%s}}"
    kubectl.ok("apply", "-f", "-", stdin=config % "a: '1', b: '2'")
    kubectl.ok("apply", "--server-side", "-f", "-", stdin=config % "a: '1'")
    assert json.loads(kubectl.ok("get", "cm", "c", "-o", "json"))["data"] == {"a": "1"}


def test_dry_runs_on_the_server_change_nothing(kubectl: Kubectl) -> None:
    said = kubectl.ok("create", "deployment", "x", "--image=busybox", "--dry-run=server", "-o", "json")
    assert json.loads(said)["spec"]["strategy"]["type"] == "RollingUpdate"
    assert (
        kubectl.ok("apply", "--dry-run=server", "-f", "-", stdin=WEB)
        == "deployment.apps/web created (server dry run)\n"
    )
    assert kubectl.ok("get", "deploy", "-o", "name") == ""
    kubectl.ok("apply", "-f", "-", stdin=WEB)
    kubectl.ok("delete", "deploy", "web", "--dry-run=server")
    kubectl.ok("scale", "deploy/web", "--replicas=9", "--dry-run=server")
    assert replicas(kubectl) == "3"


def test_unknown_fields_are_refused_warned_of_or_dropped(kubectl: Kubectl) -> None:
    config = '{"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "c"}, "dta": {"a": "b"}}'
    said = kubectl("apply", "-f", "-", stdin=config)
    assert said.code == 1
    assert 'strict decoding error: unknown field "dta"' in said.err
    said = kubectl("apply", "--validate=warn", "-f", "-", stdin=config)
    assert (said.code, said.out) == (0, "configmap/c created\n")
    assert 'unknown field "dta"' in said.err
    kubectl.ok("apply", "--validate=ignore", "-f", "-", stdin=config)


def test_a_bad_object_is_refused_with_its_fields(kubectl: Kubectl) -> None:
    said = kubectl("apply", "-f", "-", stdin=WEB.replace("app: web}}\n  template", "app: other}}\n  template"))
    assert said.code == 1
    assert said.err.startswith('The Deployment "web" is invalid: ')


# Changing.


def test_edit_writes_what_the_editor_leaves(web: Kubectl, tmp_path: Path) -> None:
    editor = tmp_path / "editor"
    editor.write_text('#!/bin/sh\nsed -i "s/replicas: 3/replicas: 1/" "$1"\n')
    editor.chmod(0o755)
    assert web.ok("edit", "deploy", "web", KUBE_EDITOR=str(editor)) == "deployment.apps/web edited\n"
    assert replicas(web) == "1"
    assert web("edit", "deploy", "web", KUBE_EDITOR="true") == (0, "", "Edit cancelled, no changes made.\n")


def test_patches_of_three_kinds(web: Kubectl) -> None:
    env = {"spec": {"template": {"spec": {"containers": [{"name": "web", "env": [{"name": "A", "value": "1"}]}]}}}}
    web.ok("patch", "deploy", "web", "-p", json.dumps(env))
    (container,) = json.loads(web.ok("get", "deploy", "web", "-o", "json"))["spec"]["template"]["spec"]["containers"]
    assert (container["image"], container["env"]) == ("busybox:1.36", [{"name": "A", "value": "1"}])
    operations = [
        {"op": "test", "path": "/spec/replicas", "value": 3},
        {"op": "replace", "path": "/spec/replicas", "value": 2},
    ]
    web.ok("patch", "deploy", "web", "--type=json", "-p", json.dumps(operations))
    assert replicas(web) == "2"
    web.ok("patch", "deploy", "web", "--type=merge", "-p", '{"spec": {"replicas": 1}}')
    assert replicas(web) == "1"
    again = ("patch", "deploy", "web", "-p", '{"spec": {"replicas": 1}}')
    eventually(lambda: web.ok(*again) == "deployment.apps/web patched (no change)\n")  # once its status is at rest
    assert web("patch", "deploy", "web", "--type=json", "-p", json.dumps(operations)).code == 1


def test_labels_and_annotations_are_set_and_removed(web: Kubectl) -> None:
    web.ok("label", "deploy", "web", "tier=front")
    assert web("label", "deploy", "web", "tier=back").code == 1
    web.ok("label", "--overwrite", "deploy", "web", "tier=back")
    web.ok("annotate", "deploy", "web", "note=yes")
    metadata = json.loads(web.ok("get", "deploy", "web", "-o", "json"))["metadata"]
    assert (metadata["labels"]["tier"], metadata["annotations"]["note"]) == ("back", "yes")
    web.ok("label", "deploy", "web", "tier-")
    assert "tier" not in json.loads(web.ok("get", "deploy", "web", "-o", "json"))["metadata"]["labels"]


def test_a_stale_replace_is_a_conflict(kubectl: Kubectl) -> None:
    kubectl.ok("create", "cm", "c", "--from-literal=a=1")
    old = kubectl.ok("get", "cm", "c", "-o", "json")
    kubectl.ok("annotate", "cm", "c", "x=y")
    said = kubectl("replace", "-f", "-", stdin=old)
    assert said.code == 1
    assert "the object has been modified; please apply your changes to the latest version and try again" in said.err


# Deployments.


def test_scale_changes_the_number_of_pods_under_its_preconditions(web: Kubectl) -> None:
    web.ok("scale", "deploy/web", "--replicas=5", "--current-replicas=3")
    assert web("scale", "deploy/web", "--replicas=6", "--current-replicas=3").code == 1
    eventually(lambda: len(web.ok("get", "pods", "-o", "name").splitlines()) == 5)
    assert web.ok("get", "--raw", f"/apis/apps/v1/namespaces/{web.namespace}/deployments/web/scale")


def test_a_rollout_is_followed_told_of_undone_paused_resumed_and_restarted(web: Kubectl) -> None:
    web.ok("set", "image", "deploy/web", "web=busybox:1.37")
    assert "successfully rolled out" in web.ok("rollout", "status", "deploy/web", "--timeout=30s")
    assert [line.split()[0] for line in web.ok("rollout", "history", "deploy/web").splitlines()[2:] if line] == [
        "1",
        "2",
    ]
    assert "busybox:1.37" in web.ok("rollout", "history", "deploy/web", "--revision=2")
    web.ok("rollout", "undo", "deploy/web", "--to-revision=1")
    web.ok("rollout", "status", "deploy/web", "--timeout=30s")
    image = "jsonpath={.spec.template.spec.containers[0].image}"
    assert web.ok("get", "deploy", "web", "-o", image) == "busybox:1.36"
    assert [line.split()[0] for line in web.ok("rollout", "history", "deploy/web").splitlines()[2:] if line] == [
        "2",
        "3",
    ]
    web.ok("rollout", "pause", "deploy/web")
    assert web("rollout", "pause", "deploy/web").code == 1
    assert web("rollout", "undo", "deploy/web").code == 1
    web.ok("set", "image", "deploy/web", "web=busybox:1.35")
    assert len(web.ok("get", "rs", "-o", "name").splitlines()) == 2
    web.ok("rollout", "resume", "deploy/web")
    web.ok("rollout", "status", "deploy/web", "--timeout=30s")
    assert len(web.ok("get", "rs", "-o", "name").splitlines()) == 3
    web.ok("rollout", "restart", "deploy/web")
    web.ok("rollout", "status", "deploy/web", "--timeout=30s")
    assert len(web.ok("get", "rs", "-o", "name").splitlines()) == 4


def test_expose_run_and_wait(web: Kubectl) -> None:
    assert web.ok("expose", "deploy", "web", "--port=80") == "service/web exposed\n"
    assert web.ok("get", "svc", "web", "-o", "jsonpath={.spec.selector.app}") == "web"
    eventually(
        lambda: web.ok("get", "endpoints", "web", "-o", "jsonpath={.subsets[0].addresses[*].ip}").count(".") == 9
    )
    described = web.ok("describe", "svc", "web")  # which reads EndpointSlices
    assert next(line for line in described.splitlines() if line.startswith("Endpoints:")).count(":80") == 3
    assert web.ok("run", "one", "--image=busybox:1.36", "--", "sleep", "100") == "pod/one created\n"
    assert web.ok("wait", "--for=condition=Ready", "pod/one", "--timeout=30s") == "pod/one condition met\n"
    assert web.ok("wait", "--for=jsonpath={.status.phase}=Running", "pod/one", "--timeout=30s")
    web.ok("delete", "pod", "one", "--wait=false", "--grace-period=1")
    web.ok("wait", "--for=delete", "pod/one", "--timeout=30s")


# Creating and deleting.


def test_create_knows_the_common_kinds(kubectl: Kubectl) -> None:
    kubectl.ok("create", "configmap", "c", "--from-literal=a=b")
    kubectl.ok("create", "secret", "generic", "s", "--from-literal=password=x")
    kubectl.ok("create", "role", "r", "--verb=get,list", "--resource=pods")
    kubectl.ok("create", "rolebinding", "rb", "--role=r", "--user=jane")
    kubectl.ok("create", "quota", "q", "--hard=pods=10,cpu=4")
    kubectl.ok("create", "serviceaccount", "sa")
    kubectl.ok("create", "service", "clusterip", "svc", "--tcp=80:8080")
    kubectl.ok("create", "ingress", "in", "--rule=example.com/*=svc:80")
    kubectl.ok("create", "job", "j", "--image=busybox:1.36", "--", "true")
    kubectl.ok("create", "cronjob", "cj", "--image=busybox:1.36", "--schedule=*/5 * * * *")
    kubectl.ok("create", "pdb", "p", "--selector=app=web", "--min-available=1")
    kubectl.ok("create", "deployment", "d", "--image=busybox:1.36", "--replicas=2")
    kubectl.ok("autoscale", "deployment", "d", "--min=1", "--max=3")
    found = kubectl.ok(
        "get",
        "cm/c,secret/s,role/r,rolebinding/rb,quota/q,sa/sa,svc/svc,in/in".replace("in/in", "ing/in").split(",")[0],
    )
    assert found.splitlines()[1].split()[:2] == ["c", "1"]
    assert kubectl.ok("get", "rolebinding", "rb").splitlines()[1].split()[:2] == ["rb", "Role/r"]
    assert kubectl.ok("get", "hpa", "d").splitlines()[1].split()[1] == "Deployment/d"
    assert kubectl("create", "cm", "c").err == 'error: failed to create configmap: configmaps "c" already exists\n'


def test_a_name_is_generated(kubectl: Kubectl) -> None:
    doc = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"generateName": "x-"}}
    names = {kubectl.ok("create", "-f", "-", "-o", "name", stdin=json.dumps(doc)).strip() for _ in range(2)}
    assert len(names) == 2
    assert all(name.startswith("configmap/x-") for name in names)


def test_delete_takes_dependents_along_or_orphans_them(web: Kubectl) -> None:
    web.ok("delete", "deploy", "web", "--cascade=orphan")
    assert len(web.ok("get", "rs", "-o", "name").splitlines()) == 1
    web.ok("apply", "-f", "-", stdin=WEB)
    eventually(lambda: "web" in web.ok("get", "rs", "-o", "jsonpath={.items[*].metadata.ownerReferences[*].name}"))
    web.ok("delete", "deploy", "web", "--cascade=foreground", timeout=60)
    eventually(lambda: web.ok("get", "rs,pods", "-o", "name") == "")
    assert web("delete", "deploy", "web").err == 'Error from server (NotFound): deployments.apps "web" not found\n'
    assert web("delete", "deploy", "web", "--ignore-not-found").code == 0


def test_delete_by_selector_and_all(kubectl: Kubectl) -> None:
    for name in ("a", "b", "c"):
        kubectl.ok("create", "cm", name)
    kubectl.ok("label", "cm", "a", "b", "x=y")
    assert kubectl.ok("delete", "cm", "-l", "x=y").splitlines() == [
        f'configmap "{name}" deleted from {kubectl.namespace} namespace' for name in ("a", "b")
    ]
    kubectl.ok("delete", "cm", "--all")
    eventually(lambda: kubectl.ok("get", "cm", "-o", "name") == "configmap/kube-root-ca.crt\n")


def test_a_namespace_goes_with_all_that_is_in_it(web: Kubectl) -> None:
    web.ok("delete", "namespace", web.namespace, timeout=60)
    assert web("get", "ns", web.namespace).code == 1


# Nodes.


def test_a_node_is_cordoned_drained_uncordoned_and_tainted(web: Kubectl, nodes: list[str]) -> None:
    node, *others = nodes
    try:
        web.ok("cordon", node)
        assert "Ready,SchedulingDisabled" in web.ok("get", "node", node)
        drained = web.ok("drain", node, "--ignore-daemonsets", "--force", "--timeout=60s")
        assert drained.endswith(f"node/{node} drained\n")
        there = "jsonpath={.items[*].spec.nodeName}"
        eventually(lambda: set(web.ok("get", "pods", "-l", "app=web", "-o", there).split()) == set(others))
    finally:
        web.ok("uncordon", node)
    web.ok("rollout", "status", "deploy/web", "--timeout=30s")
    web.ok("taint", "node", node, "gpu=yes:NoSchedule")
    assert "gpu=yes:NoSchedule" in web.ok("describe", "node", node)
    web.ok("taint", "node", node, "gpu-")


# The wire.


def test_the_numbers_of_the_wire_are_those_of_this_kubectl(kubectl: Kubectl) -> None:
    """Newer releases add fields; what the file says, kubectl says too."""
    known, current = json.loads(FILE.read_text()), table(Path(kubectl.program))
    wrong = {
        (name, number): (field, current[name].get(number))
        for name, fields in known.items()
        for number, field in fields.items()
        if name in current and current[name].get(number) != field
    }
    assert wrong == {}
    assert "io.k8s.api.core.v1.Pod" in current


def test_a_drain_waits_for_a_disruption_budget(web: Kubectl, nodes: list[str]) -> None:
    web.ok("create", "pdb", "web", "--selector=app=web", "--min-available=3")
    allowed = ("get", "pdb", "web", "-o", "jsonpath={.status.expectedPods} {.status.disruptionsAllowed}")
    eventually(lambda: web.ok(*allowed) == "3 0")
    node = web.ok("get", "pods", "-l", "app=web", "-o", "jsonpath={.items[0].spec.nodeName}")
    try:
        said = web("drain", node, "--ignore-daemonsets", "--force", "--pod-selector=app=web", "--timeout=3s")
        assert said.code == 1
        assert "Cannot evict pod as it would violate the pod's disruption budget." in said.err
        elsewhere = 1 if len(nodes) > 1 else 0
        web.ok("patch", "pdb", "web", "--type=merge", "-p", json.dumps({"spec": {"minAvailable": elsewhere}}))
        web.ok("drain", node, "--ignore-daemonsets", "--force", "--pod-selector=app=web", "--timeout=60s")
    finally:
        web.ok("uncordon", node)
