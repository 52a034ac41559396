"""Pods that read the API: with their mounted token, with kubectl, and through an ambassador beside them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdl.runtime.api.certificates import Authority
from tests.cluster.images import client
from tests.conformance.conftest import eventually
from tests.conformance.inside import Inside, cluster

pytestmark = pytest.mark.docker

TEAM = """
apiVersion: v1
kind: ServiceAccount
metadata: {name: reader, namespace: team}
---
apiVersion: rbac.authorization.k8s.io/v1
kind: Role
metadata: {name: reads-pods, namespace: team}
rules: [{apiGroups: [""], resources: [pods], verbs: [get, list]}]
---
apiVersion: rbac.authorization.k8s.io/v1
kind: RoleBinding
metadata: {name: reader-reads-pods, namespace: team}
roleRef: {apiGroup: rbac.authorization.k8s.io, kind: Role, name: reads-pods}
subjects: [{kind: ServiceAccount, name: reader, namespace: team}]
---
apiVersion: v1
kind: Pod
metadata: {name: reader, namespace: team, labels: {of: access}}
spec:
  serviceAccountName: reader
  terminationGracePeriodSeconds: 1
  containers:
    - {name: main, image: "client:1", command: [sleep, "1000"]}
    - {name: ambassador, image: "client:1", command: [kubectl, proxy, --port=8001]}
---
apiVersion: v1
kind: Pod
metadata: {name: stranger, namespace: team, labels: {of: access}}
spec:
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "client:1", command: [sleep, "1000"]}]
---
apiVersion: v1
kind: Pod
metadata: {name: closed, namespace: team, labels: {of: access}}
spec:
  automountServiceAccountToken: false
  terminationGracePeriodSeconds: 0
  containers: [{name: main, image: "client:1", command: [sleep, "1000"]}]
"""

FILES = "/var/run/secrets/kubernetes.io/serviceaccount"
TLS = f"curl -sS -m 20 --cacert {FILES}/ca.crt"
TOKEN = f'-H "Authorization: Bearer $(cat {FILES}/token)"'
API = "https://$KUBERNETES_SERVICE_HOST:$KUBERNETES_SERVICE_PORT"
PODS = f"/api/v1/namespaces/$(cat {FILES}/namespace)/pods"


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """Kubectl in a namespace whose account `reader` may read pods."""
    with cluster(tmp_path_factory.mktemp("access") / "data", client()) as inside:
        inside.ok("create", "namespace", "team")
        inside.namespace = "team"
        inside.ok("apply", "-f", "-", stdin=TEAM)
        inside.ok("wait", "--for=condition=Ready", "pod", "-l", "of=access", "--timeout=90s", timeout=100)
        yield inside


def answered(kubectl: Inside, pod: str, request: str) -> dict[str, object]:
    """What the API answers a curl in a pod."""
    said = kubectl.sh(pod, "main", request)
    assert said.code == 0, said
    answer: dict[str, object] = json.loads(said.out)
    return answer


def names(answer: dict[str, object]) -> set[str]:
    """The names in a list."""
    assert answer["kind"] == "PodList", answer
    items = answer["items"]
    assert isinstance(items, list)
    return {item["metadata"]["name"] for item in items}


def test_a_pod_reads_with_its_token_what_its_account_may_read(kubectl: Inside) -> None:
    assert names(answered(kubectl, "reader", f"{TLS} {TOKEN} {API}{PODS}")) == {"reader", "stranger", "closed"}
    for path in ("/api/v1/namespaces/team/secrets", "/api/v1/namespaces/default/pods", "/api/v1/nodes"):
        refused = answered(kubectl, "reader", f"{TLS} {TOKEN} {API}{path}")
        assert (refused["code"], refused["reason"]) == (403, "Forbidden")
        assert 'User "system:serviceaccount:team:reader" cannot list resource' in str(refused["message"])
    refused = answered(kubectl, "stranger", f"{TLS} {TOKEN} {API}{PODS}")
    assert refused["code"] == 403
    assert 'User "system:serviceaccount:team:default" cannot list resource "pods"' in str(refused["message"])


def test_without_a_good_token_nothing_is_read_and_the_server_is_known_by_its_certificate(
    kubectl: Inside, tmp_path: Path
) -> None:
    assert answered(kubectl, "reader", f"{TLS} {API}{PODS}")["code"] in (401, 403)
    assert answered(kubectl, "reader", f'{TLS} -H "Authorization: Bearer nonsense" {API}{PODS}')["code"] == 401
    other = Authority(tmp_path).certificate.decode()
    said = kubectl.sh(
        "reader", "main", f"echo '{other}' > /tmp/other.crt; curl -sS --cacert /tmp/other.crt {API}/version"
    )
    assert said.code == 60, said
    named = "kubernetes.default.svc"
    resolved = f"--resolve {named}:443:$KUBERNETES_SERVICE_HOST {TOKEN} https://{named}{PODS}"
    assert "reader" in names(answered(kubectl, "reader", f"{TLS} {resolved}"))


def test_kubectl_in_a_pod_finds_the_api_by_itself(kubectl: Inside) -> None:
    assert kubectl.sh("reader", "main", "kubectl get pods -o name").out.split() == [
        "pod/closed", "pod/reader", "pod/stranger",
    ]  # fmt: skip
    assert kubectl.sh("reader", "main", "kubectl auth whoami -o jsonpath={.status.userInfo.username}").out == (
        "system:serviceaccount:team:reader"
    )
    said = kubectl.sh("reader", "main", "kubectl get secrets")
    assert said.code == 1
    assert "Error from server (Forbidden): secrets is forbidden" in said.err


def test_an_ambassador_beside_it_asks_in_its_pods_name(kubectl: Inside) -> None:
    assert "reader" in names(answered(kubectl, "reader", f"curl -sS -m 20 http://localhost:8001{PODS}"))
    refused = answered(kubectl, "reader", "curl -sS -m 20 http://localhost:8001/api/v1/namespaces/team/secrets")
    assert refused["code"] == 403


def test_a_pod_that_wants_no_token_has_none(kubectl: Inside) -> None:
    assert kubectl.sh("closed", "main", "ls /var/run/secrets").code == 1
    assert kubectl.ok("get", "pod", "closed", "-o", "jsonpath={.spec.volumes}") == ""
    assert kubectl.sh("closed", "main", "echo $KUBERNETES_SERVICE_HOST").out == "10.96.0.1\n"


def test_files_are_read_only_and_no_fact_tells_a_token(kubectl: Inside) -> None:
    assert kubectl.sh("reader", "main", f"echo x > {FILES}/token").code == 1
    assert kubectl.sh("reader", "main", f"stat -L -c %a {FILES}/token {FILES}/ca.crt").out.split() == ["644", "644"]
    token = kubectl.sh("reader", "main", f"cat {FILES}/token").out
    assert token.count(".") == 2
    told = kubectl.kdl("query", "volumes.volume(N, U, V, C)").out + kubectl.kdl("query", "disk.volume(name: V)").out
    assert "kube-api-access-" in told
    assert token not in told
    recorded = [file.read_bytes() for file in kubectl.data.glob("history/*") if file.is_file()]
    assert any(b"kube-api-access-" in text for text in recorded)
    assert not any(token.encode() in text for text in recorded)
    assert token not in (kubectl.data / "up.log").read_text()


def test_a_token_is_renewed_in_good_time(kubectl: Inside) -> None:
    """Its note says that it is an hour old; a new pod makes the driver look."""
    uid = kubectl.ok("get", "pod", "stranger", "-o", "jsonpath={.metadata.uid}")
    (note,) = (kubectl.data / "pods" / uid).glob("kube-api-access-*.made")
    before = kubectl.sh("stranger", "main", f"cat {FILES}/token").out
    container = kubectl.ok("get", "pod", "stranger", "-o", "jsonpath={.status.containerStatuses[0].containerID}")
    known = json.loads(note.read_text())
    note.write_text(json.dumps({**known, "written": known["written"] - 3600_000}))
    kubectl.ok("run", "other", "--image=busybox:1.36", "--", "sleep", "1000")
    eventually(lambda: kubectl.sh("stranger", "main", f"cat {FILES}/token").out not in ("", before))
    assert answered(kubectl, "stranger", f"{TLS} {TOKEN} {API}{PODS}")["code"] == 403
    again = kubectl.ok("get", "pod", "stranger", "-o", "jsonpath={.status.containerStatuses[0].containerID}")
    assert again == container, "the container goes on"
    kubectl.ok("delete", "pod", "other", "--grace-period=1")


def test_configuration_is_mounted_and_changes_in_a_running_container(kubectl: Inside) -> None:
    kubectl.ok("create", "configmap", "settings", "--from-literal=level=1")
    kubectl.ok("create", "secret", "generic", "db", "--from-literal=password=hunter2")
    kubectl.ok("apply", "-f", "-", stdin=MOUNTS)
    kubectl.ok("wait", "--for=condition=Ready", "pod/mounts", "--timeout=60s")
    seen = "cat /etc/level /secret/password /down/labels; stat -L -c %a /secret/password"
    assert kubectl.sh("mounts", "main", seen).out == '1hunter2app="mounts"400\n'
    kubectl.sh("mounts", "main", "echo shared > /work/file")
    assert kubectl.sh("mounts", "beside", "cat /work/file").out == "shared\n"
    kubectl.ok("patch", "configmap", "settings", "-p", '{"data": {"level": "2"}}')
    kubectl.ok("patch", "secret", "db", "-p", '{"stringData": {"password": "hunter3"}}')
    eventually(lambda: kubectl.sh("mounts", "main", "cat /all/level /secret/password").out == "2hunter3")
    assert kubectl.sh("mounts", "main", "cat /etc/level").out == "1", "a file that was mounted alone stays"
    told = kubectl.kdl("query", "volumes.volume(N, U, V, C)").out
    assert "<secret team/db/password#" in told
    assert "hunter" not in told
    kubectl.ok("delete", "pod", "mounts")


MOUNTS = """
apiVersion: v1
kind: Pod
metadata: {name: mounts, labels: {app: mounts}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: "busybox:1.36"
      command: [sleep, "1000"]
      volumeMounts:
        - {name: settings, mountPath: /etc/level, subPath: level}
        - {name: settings, mountPath: /all}
        - {name: db, mountPath: /secret}
        - {name: down, mountPath: /down}
        - {name: work, mountPath: /work}
    - name: beside
      image: "busybox:1.36"
      command: [sleep, "1000"]
      volumeMounts: [{name: work, mountPath: /work}]
  volumes:
    - {name: settings, configMap: {name: settings}}
    - {name: db, secret: {secretName: db, defaultMode: 0400}}
    - {name: down, downwardAPI: {items: [{path: labels, fieldRef: {fieldPath: metadata.labels}}]}}
    - {name: work, emptyDir: {}}
"""


def test_a_folder_in_memory_is_its_pods_and_has_its_size(kubectl: Inside) -> None:
    kubectl.ok("apply", "-f", "-", stdin=IN_MEMORY)
    kubectl.ok("wait", "--for=condition=Ready", "pod/memory", "--timeout=60s")
    mounted = kubectl.sh("memory", "main", "grep ' /work ' /proc/mounts").out.split()
    assert mounted[2] == "tmpfs"
    assert "size=2048k" in mounted[3].split(",")
    assert kubectl.sh("memory", "main", "echo shared > /work/file").code == 0
    assert kubectl.sh("memory", "beside", "cat /work/file").out == "shared\n"
    filled = kubectl.sh("memory", "main", "head -c 3000000 /dev/zero > /work/large; wc -c < /work/large").out
    assert 2_000_000 < int(filled) < 2 << 20
    uid = kubectl.ok("get", "pod", "memory", "-o", "jsonpath={.metadata.uid}")
    assert uid in kubectl.node.run("cat", "/proc/mounts")
    kubectl.ok("delete", "pod", "memory")
    assert uid not in kubectl.node.run("cat", "/proc/mounts")
    eventually(lambda: not (kubectl.data / "pods" / uid).exists())


IN_MEMORY = """
apiVersion: v1
kind: Pod
metadata: {name: memory}
spec:
  terminationGracePeriodSeconds: 1
  containers:
    - name: main
      image: "busybox:1.36"
      command: [sleep, "1000"]
      securityContext: {runAsUser: 1000}
      volumeMounts: [{name: work, mountPath: /work}]
    - name: beside
      image: "busybox:1.36"
      command: [sleep, "1000"]
      volumeMounts: [{name: work, mountPath: /work, readOnly: true}]
  volumes: [{name: work, emptyDir: {medium: Memory, sizeLimit: 2Mi}}]
"""


def test_nothing_of_a_deleted_pod_is_left_and_its_token_is_worth_nothing(kubectl: Inside) -> None:
    uid = kubectl.ok("get", "pod", "reader", "-o", "jsonpath={.metadata.uid}")
    token = kubectl.sh("reader", "main", f"cat {FILES}/token").out
    ask = f'{TLS} -H "Authorization: Bearer {token}" {API}/api/v1/namespaces/team/pods'
    assert "reader" in names(answered(kubectl, "stranger", ask))
    assert (kubectl.data / "pods" / uid).is_dir()
    kubectl.ok("delete", "pod", "reader")
    assert not (kubectl.data / "pods" / uid).exists()
    assert answered(kubectl, "stranger", ask)["code"] == 401


def test_the_grace_period_of_a_deletion_is_what_containers_get(kubectl: Inside) -> None:
    """They get SIGTERM, and SIGKILL when the seconds that the deletion names are over: no more, no fewer."""
    for name, words, least, most in (("short", ["--grace-period=2"], 2, 8), ("own", [], 4, 10)):
        stubborn = "trap 'echo asked' TERM; echo ready; while true; do sleep 0.1; done"
        override = json.dumps({"spec": {"terminationGracePeriodSeconds": 60 if words else 4}})
        kubectl.ok(
            "run", name, "--image=busybox:1.36", f"--overrides={override}", "--", "sh", "-c", stubborn
        )  # fmt: skip
        kubectl.ok("wait", "--for=condition=Ready", f"pod/{name}", "--timeout=60s")
        follow = kubectl.start("logs", "-f", name)
        began = time.monotonic()
        kubectl.ok("delete", "pod", name, *words, timeout=90)
        took = time.monotonic() - began
        assert least <= took <= most, (name, took)
        assert follow.communicate(timeout=20)[0].splitlines().count("asked") == 1


def test_a_second_deletion_shortens_the_grace_of_the_first(kubectl: Inside) -> None:
    """Its containers do not wait for the end of the first."""
    override = json.dumps({"spec": {"terminationGracePeriodSeconds": 300}})
    kubectl.ok("run", "stays", "--image=busybox:1.36", f"--overrides={override}", "--", "sleep", "1000")
    kubectl.ok("wait", "--for=condition=Ready", "pod/stays", "--timeout=60s")
    kubectl.ok("delete", "pod", "stays", "--wait=false")
    eventually(lambda: "Terminating" in kubectl.ok("get", "pod", "stays"))
    kubectl.ok("delete", "pod", "stays", "--grace-period=1", timeout=30)


def test_the_api_is_a_service_that_leads_to_the_node(kubectl: Inside) -> None:
    ask = ["-n", "default", "get", "service,endpoints,endpointslices", "kubernetes", "-o"]
    addresses = kubectl.ok(*ask, "jsonpath={.items[*].spec.clusterIP} {.items[*].subsets[*].addresses[*].ip}")
    assert addresses.split() == ["10.96.0.1", "10.244.0.1"]
    assert kubectl.ok(*ask, "jsonpath={.items[*].endpoints[*].addresses[0]}") == "10.244.0.1"
    port = kubectl.ok(*ask, "jsonpath={.items[0].spec.ports[0].targetPort}")
    outside = kubectl.node.run("curl", "-sk", "-m", "5", f"https://{kubectl.node.address}:{port}/version", check=False)
    assert outside == "", "it does not listen on the node's own address"
