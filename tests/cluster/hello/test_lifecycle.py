"""Containers from their first start to their end: crashes, probes, termination."""

from __future__ import annotations

import threading
import time
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest

from kdl.effects.docker import names as label
from tests.cluster.hello.conftest import Hello
from tests.cluster.lab.shell import wait
from tests.cluster.running import ready

pytestmark = pytest.mark.docker

CRASHER = """
apiVersion: v1
kind: Pod
metadata: {name: crasher}
spec:
  containers: [{name: main, image: "busybox:1.36", command: [sh, -c, "exit 3"]}]
"""

PROBED = """
apiVersion: v1
kind: Pod
metadata: {name: KIND}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - name: exec
      image: busybox:1.36
      command: [sh, -c, "touch /tmp/ok; exec sleep 100000"]
      KINDProbe: {exec: {command: [test, -e, /tmp/ok]}, periodSeconds: 1, failureThreshold: 2}
    - name: http
      image: busybox:1.36
      command: [sh, -c, "mkdir /tmp/www; touch /tmp/www/ok; exec httpd -f -p 8081 -h /tmp/www"]
      ports: [{name: web, containerPort: 8081}]
      KINDProbe: {httpGet: {path: /ok, port: web}, periodSeconds: 1, failureThreshold: 2}
    - name: tcp
      image: busybox:1.36
      command: [sh, -c, "httpd -p 8082 -h /tmp; exec sleep 100000"]
      KINDProbe: {tcpSocket: {port: 8082}, periodSeconds: 1, failureThreshold: 2}
"""
BREAK = {"exec": "rm /tmp/ok", "http": "rm /tmp/www/ok", "tcp": "killall httpd"}
MEND = {"exec": "touch /tmp/ok", "http": "touch /tmp/www/ok", "tcp": "httpd -p 8082 -h /tmp"}

STUBBORN = """
apiVersion: v1
kind: Pod
metadata: {name: stubborn, labels: {app: stubborn}}
spec:
  terminationGracePeriodSeconds: 3
  containers:
    - name: main
      image: busybox:1.36
      command: [sh, -c, "trap 'echo asked' TERM; httpd -p 8080 -h /; echo up; while :; do sleep 0.1; done"]
      readinessProbe: {tcpSocket: {port: 8080}, periodSeconds: 1}
---
apiVersion: v1
kind: Service
metadata: {name: grace}
spec:
  selector: {app: stubborn}
  ports: [{port: 80, targetPort: 8080}]
"""


def moment(text: str) -> float:
    """Docker's time in seconds."""
    return datetime.fromisoformat(text).timestamp()


def test_a_crashing_container_restarts_at_once_and_then_after_ten_seconds(hello: Hello, tmp_path: Path) -> None:
    runs: dict[int, tuple[float, float]] = {}

    def three_runs() -> bool:
        for container in hello.containers(pod="default/crasher", container="main"):
            state = container.attrs["State"]
            if state["Status"] == "exited":
                times = moment(state["StartedAt"]), moment(state["FinishedAt"])
                runs[int(container.labels[label.ATTEMPT])] = times
        return len(runs) == 3

    with hello.applied(tmp_path, CRASHER):
        wait(three_runs, "three runs", seconds=40)
        assert "CrashLoopBackOff" in hello.do("get", "pod", "crasher")
    assert runs[1][0] - runs[0][1] < 5
    assert 10 <= runs[2][0] - runs[1][1] < 15


def test_a_failed_liveness_probe_restarts_its_container_and_no_other(hello: Hello, tmp_path: Path) -> None:
    """By a command, by HTTP and by TCP, for real."""

    def restarts() -> dict[str, int]:
        statuses = hello.pod("liveness")["status"]["containerStatuses"]
        return {status["name"]: status["restartCount"] for status in statuses}

    with hello.applied(tmp_path, PROBED.replace("KIND", "liveness")):
        wait(lambda: ready(hello.pod("liveness")), "the pod")
        expected = restarts()
        for name, script in BREAK.items():
            hello.execute(hello.pod("liveness"), name, script)
            expected[name] += 1
            wait(lambda: restarts() == expected and ready(hello.pod("liveness")), f"{name} restarts")
        assert expected == {"exec": 1, "http": 1, "tcp": 1}
        time.sleep(2.5)
        assert restarts() == expected


def test_a_failed_readiness_probe_makes_the_pod_not_ready_until_it_succeeds(hello: Hello, tmp_path: Path) -> None:
    """By a command, by HTTP and by TCP, for real; nothing is restarted."""
    with hello.applied(tmp_path, PROBED.replace("KIND", "readiness")):
        wait(lambda: ready(hello.pod("readiness")), "the pod")
        pod = hello.pod("readiness")
        for name in BREAK:
            hello.execute(pod, name, BREAK[name])
            wait(lambda: not ready(hello.pod("readiness")), f"{name} is not ready")
            statuses = hello.pod("readiness")["status"]["containerStatuses"]
            assert {status["name"] for status in statuses if not status["ready"]} == {name}
            hello.execute(pod, name, MEND[name])
            wait(lambda: ready(hello.pod("readiness")), f"{name} is ready")
        assert [status["restartCount"] for status in hello.pod("readiness")["status"]["containerStatuses"]] == [0] * 3


def test_a_deleted_pod_leaves_its_service_is_asked_to_end_and_killed_after_its_grace(
    hello: Hello, tmp_path: Path
) -> None:
    with hello.applied(tmp_path, STUBBORN):
        wait(lambda: len(hello.endpoints("grace")) == 1 and hello.idle(), "the pod serves")
        pod = hello.pod("stubborn")
        container = hello.container(pod, "main")
        target = f"{pod['status']['podIP']}:8080"
        assert target in hello.node.run("iptables-legacy-save")
        printed: list[str] = []
        stream = container.logs(stream=True, follow=True, timestamps=True)
        reader = threading.Thread(target=lambda: printed.extend(line.decode() for line in stream))
        reader.start()
        ended: dict[str, Any] = {}
        waiter = threading.Thread(target=lambda: ended.update(container.wait(), at=time.time()))
        waiter.start()
        hello.ask("/api/v1/namespaces/default/pods/stubborn", "-X", "DELETE")
        wait(lambda: not hello.endpoints("grace"), "it leaves the service")
        wait(lambda: target not in hello.node.run("iptables-legacy-save"), "packets go there no more")
        container.reload()
        assert container.status == "running"
        waiter.join()
        reader.join()
        asked = [line.split() for line in printed if line.endswith(" asked\n")]
        assert len(asked) == 1
        assert ended["StatusCode"] == 137
        assert 2.5 <= ended["at"] - moment(asked[0][0]) < 6
        wait(lambda: "stubborn" not in {pod["metadata"]["name"] for pod in hello.pods()}, "the end of the pod")
