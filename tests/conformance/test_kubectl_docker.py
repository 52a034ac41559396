"""kubectl where containers really run: logs, exec, attach, cp, port-forward, proxy, run, on a lab node of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from kdl.effects.docker.names import POD_UID
from tests.conformance.conftest import Kubectl, eventually
from tests.conformance.inside import Inside, cluster

pytestmark = pytest.mark.docker

BOX = """
apiVersion: v1
kind: Pod
metadata: {name: box}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: one
      image: "busybox:1.36"
      command:
        - sh
        - -c
        - |
          for i in 1 2 3; do echo line $i; done; echo oops >&2
          echo served > /www/index.html; httpd -p 127.0.0.1:8080 -h /www
          n=0; while true; do n=$((n+1)); echo tick $n; sleep 1; done
    - name: two
      image: "busybox:1.36"
      stdin: true
      tty: true
      command: [sh]
"""


@pytest.fixture(scope="module")
def kubectl(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """Kubectl on a node whose cluster runs the pod `box`."""
    with cluster(tmp_path_factory.mktemp("docker") / "data") as inside:
        inside.ok("apply", "-f", "-", stdin=BOX)
        inside.ok("wait", "--for=condition=Ready", "pod/box", "--timeout=60s")
        yield inside


def test_logs_are_told_tailed_dated_and_followed(kubectl: Inside) -> None:
    told = kubectl.ok("logs", "box", "-c", "one")
    assert {"line 1", "line 2", "line 3", "oops"} <= set(told.splitlines())
    assert len(kubectl.ok("logs", "box", "-c", "one", "--tail=2").splitlines()) == 2
    stamped = kubectl.ok("logs", "box", "-c", "one", "--timestamps", "--tail=1")
    assert stamped.split(" ", 1)[0].endswith("Z")
    eventually(lambda: "line 1" not in kubectl.ok("logs", "box", "-c", "one", "--since=1s"))
    follow = kubectl.start("logs", "-f", "box", "-c", "one", "--tail=1")
    assert follow.stdout is not None
    assert [follow.stdout.readline().split()[0] for _ in range(3)] == ["tick"] * 3
    kubectl.stop(follow)
    assert kubectl("logs", "box", "-c", "one", "--previous").code == 1
    assert "container three is not valid for pod box" in kubectl("logs", "box", "-c", "three").err


def test_exec_runs_a_command_with_its_input_output_and_exit_code(kubectl: Inside) -> None:
    assert kubectl.ok("exec", "box", "-c", "one", "--", "echo", "hello") == "hello\n"
    said = kubectl("exec", "box", "-c", "one", "--", "sh", "-c", "echo out; echo err >&2; exit 3")
    assert (said.code, said.out) == (3, "out\n")
    assert said.err.startswith("err\n")
    assert "command terminated with exit code 3" in said.err
    text = "x" * 200_000
    assert kubectl.ok("exec", "-i", "box", "-c", "one", "--", "cat", stdin=text) == text
    assert kubectl("exec", "nobody", "--", "true").err == 'Error from server (NotFound): pods "nobody" not found\n'


def test_exec_with_a_terminal_is_a_terminal(kubectl: Inside) -> None:
    """`script` gives kubectl a terminal of its own, as a person's window does."""
    words = " ".join(
        Kubectl.command(
            kubectl,
            "exec",
            "-it",
            "box",
            "-c",
            "one",
            "--",
            "sh",
            "-c",
            "'tty; until stty size | grep .; do sleep 0.1; done'",  # busybox prints nothing until there is a size
        )
    )
    argv = kubectl.node.argv("script", "-qec", f"stty rows 33 cols 99; {words}", "/dev/null")
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=kubectl.environment
    ) as window:  # its input stays open: a person is there until the command has ended
        assert window.stdout is not None
        printed = window.stdout.read()
    assert "/dev/pts/" in printed
    assert "33 99" in printed


def test_attach_sees_what_the_process_prints_and_feeds_it(kubectl: Inside) -> None:
    attach = kubectl.start("attach", "box", "-c", "one")
    assert attach.stdout is not None
    lines = [attach.stdout.readline() for _ in range(4)]
    assert any(line.startswith("tick") for line in lines)
    kubectl.stop(attach)
    said = kubectl("attach", "-i", "box", "-c", "two", stdin="echo $((6*7))\nexit\n", timeout=30)
    assert "42" in said.out


def test_cp_copies_both_ways(kubectl: Inside, tmp_path: Path) -> None:
    source, back = tmp_path / "source", tmp_path / "back"
    source.write_bytes(os.urandom(300_000))
    kubectl.ok("cp", str(source), "box:/tmp/there", "-c", "one")
    kubectl.ok("cp", "box:/tmp/there", str(back), "-c", "one")
    assert back.read_bytes() == source.read_bytes()


def test_a_port_is_forwarded_even_one_that_only_the_pod_sees(kubectl: Inside) -> None:
    forward = kubectl.start("port-forward", "pod/box", "18080:8080")
    try:
        assert forward.stdout is not None
        assert "Forwarding from 127.0.0.1:18080 -> 8080" in forward.stdout.readline()
        fetch = kubectl.node.argv(
            sys.executable,
            "-c",
            "import urllib.request as u; print(u.urlopen('http://127.0.0.1:18080/').read().decode())",
        )
        for _ in range(3):
            done = subprocess.run(fetch, capture_output=True, text=True, timeout=30)
            assert done.stdout.strip() == "served", done
    finally:
        kubectl.stop(forward)


PAGES = """
apiVersion: v1
kind: Pod
metadata: {name: pages, labels: {app: pages}}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: main
      image: "busybox:1.36"
      command:
        - sh
        - -c
        - |
          mkdir -p /www/below; echo page > /www/index.html; echo more > /www/below/index.html
          exec httpd -f -p 8080 -h /www
      ports: [{name: web, containerPort: 8080}]
      readinessProbe: {tcpSocket: {port: web}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: pages}
spec: {selector: {app: pages}, ports: [{name: http, port: 80, targetPort: web}]}
---
apiVersion: v1
kind: Service
metadata: {name: nobody}
spec: {selector: {app: nobody}, ports: [{port: 80}]}
"""


def test_a_pod_and_a_service_are_asked_through_the_api(kubectl: Inside) -> None:
    kubectl.ok("apply", "-f", "-", stdin=PAGES)
    kubectl.ok("wait", "--for=condition=Ready", "pod/pages", "--timeout=60s")
    base = f"/api/v1/namespaces/{kubectl.namespace}"
    for name in ("pods/pages", "pods/pages:8080", "pods/http:pages:web", "services/pages:http", "services/pages:80"):
        eventually(lambda name=name: kubectl("get", "--raw", f"{base}/{name}/proxy/index.html").out == "page\n")
    assert kubectl.ok("get", "--raw", f"{base}/services/pages/proxy") == "page\n"
    refused = {
        "services/nobody/proxy/": 'no endpoints available for service "nobody"',
        "services/pages:81/proxy/": 'no service port 81 found for service "pages"',
        "pods/pages:81/proxy/": "error trying to reach service: 10.244.0.",
        "pods/pages/proxy/nothing": "Error from server (NotFound)",
    }
    for path, why in refused.items():
        assert why in kubectl("get", "--raw", f"{base}/{path}").err
    proxy = kubectl.start("proxy", "--port=18081")
    try:
        assert proxy.stdout is not None
        assert "Starting to serve on 127.0.0.1:18081" in proxy.stdout.readline()
        service = "services/pages:http/proxy"
        for path in (f"{service}/", f"{service}/below", "pods/pages/proxy/below/index.html"):
            fetch = f"import urllib.request as u; a = u.urlopen('http://127.0.0.1:18081{base}/{path}')"
            argv = kubectl.node.argv(sys.executable, "-c", f"{fetch}; print(a.url, a.read().decode())")
            done = subprocess.run(argv, capture_output=True, text=True, timeout=30)
            url, page = done.stdout.split()
            assert page == ("more" if "below" in path else "page")
            assert url.startswith(f"http://127.0.0.1:18081{base}/{path}"), "a redirect has stayed below the proxy"
    finally:
        kubectl.stop(proxy)


def test_run_shows_what_a_passing_container_prints(kubectl: Inside) -> None:
    said = kubectl(
        "run",
        "once",
        "--image=busybox:1.36",
        "--restart=Never",
        "--rm",
        "-i",
        "--",
        "sh",
        "-c",
        "sleep 2; echo done",
        timeout=90,
    )
    assert "done" in said.out, said
    eventually(lambda: kubectl("get", "pod", "once").code == 1)


def test_a_rollout_of_real_containers_is_followed(kubectl: Inside) -> None:
    kubectl.ok("create", "deployment", "real", "--image=busybox:1.36", "--replicas=2", "--", "sleep", "1000")
    kubectl.ok("rollout", "status", "deploy/real", "--timeout=90s", timeout=100)
    kubectl.ok("set", "image", "deploy/real", "busybox=busybox:1.37")
    kubectl.ok("rollout", "status", "deploy/real", "--timeout=90s", timeout=100)
    eventually(lambda: len(kubectl.ok("get", "pods", "-l", "app=real", "-o", "name").splitlines()) == 2, 60)
    pod = kubectl.ok("get", "pods", "-l", "app=real", "-o", "jsonpath={.items[0].metadata.name}")
    assert kubectl.ok("exec", pod, "--", "sh", "-c", "echo $VERSION").strip() == "2"
    kubectl.ok("delete", "deploy", "real")


def test_top_shows_what_pods_containers_and_the_node_use(kubectl: Inside) -> None:
    """The first figures need two measurements, fifteen seconds apart."""
    eventually(lambda: " two " in kubectl("top", "pod", "box", "--containers").out, 60)
    heads, *rows = [line.split() for line in kubectl.ok("top", "pod", "box", "--containers").splitlines()]
    assert heads == ["POD", "NAME", "CPU(cores)", "MEMORY(bytes)"]
    assert [row[:2] for row in rows] == [["box", "one"], ["box", "two"]]
    assert all(cpu.endswith("m") and memory.endswith("Mi") for _, _, cpu, memory in rows)
    node = kubectl.node.name
    assert kubectl.ok("top", "node").splitlines()[1].split()[0] == node
    used = kubectl.ok("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes/" + node)
    assert int(json.loads(used)["usage"]["memory"].removesuffix("Ki")) > 10_000


def test_what_is_deleted_by_force_is_gone_at_once_and_its_containers_soon(kubectl: Inside) -> None:
    script = "trap '' TERM; while true; do sleep 1; done"
    spec = '{"spec": {"terminationGracePeriodSeconds": 600}}'
    kubectl.ok("run", "deaf", "--image=busybox:1.36", "--overrides", spec, "--", "sh", "-c", script)
    kubectl.ok("wait", "--for=condition=Ready", "pod/deaf", "--timeout=30s")
    uid = kubectl.ok("get", "pod", "deaf", "-o", "jsonpath={.metadata.uid}")

    def containers() -> list[str]:
        return kubectl.node.run("docker", "ps", "-aq", "--filter", f"label={POD_UID}={uid}").split()

    assert len(containers()) == 2
    kubectl.ok("delete", "pod", "deaf", "--force", "--grace-period=0")
    assert kubectl("get", "pod", "deaf").code == 1
    eventually(lambda: containers() == [], 15)
