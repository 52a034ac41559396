"""The lab keeps its promises: it leaks nothing, and kdl can run in it."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from tests.cluster.lab import Lab
from tests.cluster.lab.network import NAMESPACES

pytestmark = pytest.mark.docker


def test_no_namespace_has_a_default_route(lab: Lab) -> None:
    """A wrong rule cannot send a packet off the machine."""
    for routes in (lab.node.run("ip", "route"), lab.client("ip", "route")):
        assert "172.30.0.0/24" in routes
        assert "default" not in routes


def test_python_runs_in_a_node_and_finds_its_docker_at_the_usual_place(lab: Lab) -> None:
    """What `kdl up` needs of a node."""
    script = "import socket, docker, kdl; print(socket.gethostname(), docker.from_env().ping())"
    assert lab.node.run(sys.executable, "-c", script).split() == ["kdl-n1", "True"]


def test_dockerd_stays_down_until_it_is_started(lab: Lab) -> None:
    """Stopping it is no crash that a supervisor mends."""
    lab.node.stop_docker()
    assert not lab.node.docker_answers()
    lab.node.start_docker()
    assert lab.node.docker_answers()


def test_nodes_reach_each_other_unless_partitioned_and_down_leaves_nothing(lab: Lab) -> None:
    """Two labs run side by side."""
    with Lab(nodes=2) as other:
        one, two = other.nodes
        ping = ["ping", "-c", "1", "-W", "1", two.address]
        assert " 0% packet loss" in one.run("busybox", *ping)
        other.network.cut(2)
        assert " 100% packet loss" in one.run("busybox", *ping, check=False)
    assert not other.folder.exists()
    assert not [path for path in NAMESPACES.iterdir() if path.name.startswith(other.name)]
    assert not list(Path("/sys/fs/cgroup").glob(f"*/{other.name}"))
