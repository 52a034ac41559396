"""Real packets: a service's addresses reach its pods, a policy's refusals are drops."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.cluster.hello.conftest import CLIENTS, Hello
from tests.cluster.lab.shell import wait
from tests.cluster.running import name_of

pytestmark = pytest.mark.docker

STICKY = """
apiVersion: v1
kind: Service
metadata: {name: sticky}
spec:
  selector: {app: hello}
  sessionAffinity: ClientIP
  ports: [{port: 80, targetPort: http}]
"""


def dropped(hello: Hello) -> int:
    """How many packets the fences around the replicas have dropped."""
    counted = re.findall(
        r"\[(\d+):\d+\] -A .*no policy admits it.* -j DROP", hello.node.run("iptables-legacy-save", "-c")
    )
    assert len(counted) == 3
    return sum(map(int, counted))


def test_thirty_requests_to_the_service_address_reach_all_three_pods(hello: Hello) -> None:
    names = {name_of(pod) for pod in hello.replicas()}
    answers = hello.asks("friend", f"http://{hello.address()}/", times=30)
    assert len(answers) == 30
    assert set(answers) == names


def test_thirty_requests_from_outside_to_the_node_port_reach_all_three_pods(hello: Hello) -> None:
    names = {name_of(pod) for pod in hello.replicas()}
    url = f"http://{hello.node.address}:30080/"
    answers = hello.lab.client("curl", "-sm", "2", *[url] * 30).split()
    assert len(answers) == 30
    assert set(answers) == names


def test_a_client_is_dropped_until_it_has_the_label(hello: Hello, tmp_path: Path) -> None:
    """By the service address and by a pod's own."""
    pod = hello.replicas()[0]
    urls = [f"http://{hello.address()}/", f"http://{pod['status']['podIP']}:8080/"]
    before = dropped(hello)
    assert [hello.asks("stranger", url, timeout=1) for url in urls] == [[], []]
    assert dropped(hello) >= before + 2
    path = tmp_path / "clients.yaml"
    path.write_text(CLIENTS.replace("labels: {}", "labels: {hello: friend}"))
    hello.do("apply", "-f", path)
    wait(lambda: hello.asks("stranger", urls[1], timeout=1) == [name_of(pod)], "the stranger is a friend")
    assert len(hello.asks("stranger", urls[0])) == 1
    path.write_text(CLIENTS)
    hello.do("apply", "-f", path)
    wait(lambda: not hello.asks("stranger", urls[1], timeout=1), "the friend is a stranger")


def test_with_session_affinity_a_client_stays_with_its_pod(hello: Hello, tmp_path: Path) -> None:
    with hello.applied(tmp_path, STICKY):
        wait(lambda: len(hello.endpoints("sticky")) == 3 and hello.idle(), "the service's endpoints")
        answers = hello.asks("friend", f"http://{hello.address('sticky')}/", times=20)
        assert len(answers) == 20
        assert len(set(answers)) == 1
