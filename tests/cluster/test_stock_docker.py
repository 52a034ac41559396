"""Beside a dockerd as distributions start it, with its own bridge and its own iptables rules."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator

import pytest

from kdl.effects.docker import DockerDriver, connect_to
from tests.cluster.conftest import require_lab
from tests.cluster.images import load, test_images
from tests.cluster.lab import Lab, Node
from tests.cluster.pods import Pod, make_container, make_sandbox

pytestmark = pytest.mark.docker

CHECK = """
from kdl.effects.docker import DockerDriver
from kdl.effects.preflight import examine
for finding in examine(DockerDriver("n", "preflight", "10.244.1.0/24").version):
    if not finding.ok:
        print(finding)
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A lab node with a stock dockerd."""
    require_lab()
    with Lab(stock=True) as lab:
        load(lab.node.docker, *test_images())
        yield lab.node


def rules(node: Node) -> list[str]:
    """All rules of the node, without counters and comments."""
    saved = [line for kind in ("legacy", "nft") for line in node.run(f"iptables-{kind}-save").splitlines()]
    return [re.sub(r"\[\d+:\d+\]", "", line) for line in saved if not line.startswith("#")]


def test_pods_reach_each_other_and_cleanup_leaves_the_host_as_it_was(node: Node) -> None:
    """Docker's own bridge and rules among them."""
    before, links = rules(node), node.run("ip", "-br", "link").split()
    driver = DockerDriver(node.name, "5t0ckd0ck3r", node.pod_cidr, node.address, connect_to(node.docker))
    try:
        serve = "mkdir /tmp/w; echo hello > /tmp/w/index.html; exec httpd -f -p 8080 -h /tmp/w"
        one, two = Pod(node.name, "one"), Pod(node.name, "two")
        server, other = make_sandbox(driver, one), make_sandbox(driver, two)
        make_container(driver, one, str(server[3]), command=["sh", "-c", serve])
        client = make_container(driver, two, str(other[3]))
        fetch = f"for i in 1 2 3 4 5; do timeout 1 wget -qO- http://{server[4]}:8080/ && break; sleep 0.1; done"
        assert driver.execute(str(client[5]), ["sh", "-c", fetch], 10) == (0, "hello\n")
        masqueraded = [line for line in rules(node) if "MASQUERADE" in line and node.pod_cidr in line]
        assert masqueraded == []
    finally:
        driver.cleanup()
    assert rules(node) == before
    assert [name for name in node.run("ip", "-br", "link").split() if name not in links] == []


def test_preflight_finds_the_forward_policy_of_a_stock_docker_and_its_advice_helps(node: Node) -> None:
    """Docker sets it to DROP where forwarding was off before; following the advice leaves nothing to say."""
    node.run("iptables-nft", "-P", "FORWARD", "DROP")
    printed = node.run(sys.executable, "-c", CHECK)
    assert printed.startswith("missing: forwarding allowed by the nft tables; ")
    (advice,) = re.findall("`(.*)`", printed)
    node.run(*advice.split())
    assert node.run(sys.executable, "-c", CHECK) == ""


def test_preflight_fixes_the_kernels_settings(node: Node) -> None:
    """In the node's own network namespace."""
    node.run("sysctl", "-w", "net.ipv4.ip_forward=0")
    assert "net.ipv4.ip_forward" in node.run(sys.executable, "-c", CHECK)
    assert "ip_forward=1" in node.run(sys.executable, "-c", "from kdl.effects.preflight import fix; print(fix())")
    assert node.run(sys.executable, "-c", CHECK) == ""
