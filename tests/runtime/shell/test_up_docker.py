"""`kdl up` with real containers, on a lab node of its own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.conftest import require_lab
from tests.cluster.images import load, test_images
from tests.cluster.lab import Lab, Node
from tests.runtime.shell.conftest import HELLO, Said, eventually

pytestmark = pytest.mark.docker

Inside = Callable[..., Said]

TALKER = """
apiVersion: v1
kind: Pod
metadata: {name: talker}
spec:
  terminationGracePeriodSeconds: 0
  containers:
    - {name: one, image: "busybox:1.36", command: [sh, -c, "seq 1 5; exec sleep 1000"]}
    - {name: two, image: "busybox:1.36", command: [sh, -c, "echo other; exec sleep 1000"]}
"""


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node with the test images."""
    require_lab()
    with Lab() as lab:
        load(lab.node.docker, *test_images())
        yield lab.node


@pytest.fixture(scope="module")
def inside(node: Node, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Inside]:
    """Runs commands on the node, of one data folder; whatever runs at the end goes."""
    data = tmp_path_factory.mktemp("docker") / "data"
    environment = {**os.environ, "KDL_DATA": str(data)}
    main = "from kdl.runtime.shell.cli import main; main()"

    def command(*words: object) -> Said:
        argv = node.argv(sys.executable, "-c", main, *map(str, words))
        done = subprocess.run(argv, capture_output=True, text=True, timeout=180, env=environment)
        assert "Traceback" not in done.stdout + done.stderr
        return Said(done.returncode, done.stdout, done.stderr)

    yield command
    command("down", "--purge")


def containers(node: Node) -> set[str]:
    """The ids of all that run."""
    return set(node.run("docker", "ps", "-q", "--no-trunc").split())


@pytest.fixture(scope="module")
def hello(inside: Inside) -> None:
    """The first example, available."""
    said = inside("up", "-d", "--wait", "-f", HELLO)
    assert said.code == 0, said
    assert "docker runtime" in said.out


@pytest.mark.usefixtures("hello")
def test_where_docker_answers_it_is_used_and_the_service_serves(inside: Inside, node: Node) -> None:
    assert len(containers(node)) == 6
    address = json.loads(inside("get", "svc/hello-public", "-o", "json").out)["spec"]["clusterIP"]
    names = {pod.removeprefix("pod/") for pod in inside("get", "pods", "-o", "name").out.split()}
    assert node.run("curl", "-sm", "3", f"http://{address}/").strip() in names


@pytest.mark.usefixtures("hello")
def test_a_container_tells_why_it_runs_by_its_name(inside: Inside, node: Node) -> None:
    name = next(name for name in node.run("docker", "ps", "--format", "{{.Names}}").split() if "-web-" in name)
    said = inside("why", "--container", name)
    assert said.code == 0
    assert said.out.startswith(f'node.container("{node.name}"')
    assert "hello.yaml:" in said.out


@pytest.mark.usefixtures("hello")
def test_logs_are_those_of_the_container_that_is_named(inside: Inside, node: Node, tmp_path: Path) -> None:
    file = tmp_path / "talker.yaml"
    file.write_text(TALKER)
    assert inside("apply", "-f", file).code == 0
    eventually(lambda: "2/2" in inside("get", "pod", "talker").out)
    assert inside("logs", "talker").out == "1\n2\n3\n4\n5\n"
    assert inside("logs", "talker", "--tail", 2).out == "4\n5\n"
    assert inside("logs", "talker", "-c", "two").out == "other\n"
    assert inside("logs", "talker", "-p").code == 1
    assert inside("delete", "pod", "talker").code == 0
    eventually(lambda: len(containers(node)) == 6)


@pytest.mark.usefixtures("hello")
def test_a_killed_process_comes_back_to_the_same_containers(inside: Inside, node: Node) -> None:
    before = containers(node)
    node.run("kill", "-9", str(pid(inside)))
    assert inside("get", "pods").code == 1
    assert containers(node) == before
    assert inside("up", "-d", "--wait").code == 0
    assert containers(node) == before


def pid(inside: Inside) -> int:
    """The process that holds the data folder, as the node counts."""
    said = inside("up", "-d")
    assert said.code == 1
    return int(said.err.partition("in use by process ")[2].partition(":")[0])


@pytest.mark.usefixtures("hello")
def test_down_leaves_no_container_chain_or_network(inside: Inside, node: Node) -> None:
    assert inside("down").code == 0
    assert node.run("docker", "ps", "-aq") == ""
    assert "kdl" not in node.run("docker", "network", "ls")
    assert "kdl" not in node.run("iptables-legacy-save").lower()
    said = inside("up", "-d", "--wait")
    assert said.code == 0
    assert len(containers(node)) == 6
    assert inside("down", "--purge").code == 0
    assert node.run("docker", "ps", "-aq") == ""
