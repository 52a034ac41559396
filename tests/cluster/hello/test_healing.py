"""What is broken by hand heals, and what is not broken stays."""

from __future__ import annotations

import time

import pytest

from kdl.effects.docker import names as label
from tests.cluster.hello.conftest import Hello
from tests.cluster.lab.shell import wait
from tests.cluster.running import name_of, uid_of
from tests.runtime.shell.conftest import HELLO

pytestmark = [pytest.mark.docker, pytest.mark.usefixtures("whole")]

OUTAGE = 17
"""Seconds without dockerd: longer than a look may take, the pause between looks, and that between two of its pulses."""


def everything(hello: Hello) -> dict[str, str]:
    """All containers that run, and since when."""
    return {str(c.id): c.attrs["State"]["StartedAt"] for c in hello.containers() if c.status == "running"}


def test_a_killed_container_runs_again_in_the_same_pod_and_sandbox(hello: Hello) -> None:
    pod = hello.replicas()[0]
    killed, sandbox, others = hello.container(pod, "web"), hello.container(pod, "POD"), everything(hello)
    killed.kill()
    hello.await_whole()
    again = hello.container(hello.pod(name_of(pod)), "web")
    assert int(again.labels[label.ATTEMPT]) == int(killed.labels[label.ATTEMPT]) + 1
    assert again.attrs["HostConfig"]["NetworkMode"] == f"container:{sandbox.id}"
    now = hello.pod(name_of(pod))
    assert uid_of(now) == uid_of(pod)
    assert now["status"]["containerStatuses"][0]["restartCount"] == int(again.labels[label.ATTEMPT])
    assert everything(hello).items() - others.items() == {(again.id, again.attrs["State"]["StartedAt"])}


def test_a_pod_whose_pause_container_is_removed_gets_a_new_sandbox_and_its_service_follows(hello: Hello) -> None:
    pod = hello.replicas()[0]
    sandbox, web, others = hello.container(pod, "POD"), hello.container(pod, "web"), everything(hello)
    sandbox.remove(force=True)
    wait(lambda: name_of(pod) not in map(name_of, hello.replicas()), "the pod is not Ready without its network")
    hello.await_whole()
    now = hello.pod(name_of(pod))
    assert uid_of(now) == uid_of(pod)
    new = hello.container(now, "POD")
    assert new.id != sandbox.id
    again = hello.container(now, "web")
    assert again.id != web.id
    assert again.attrs["HostConfig"]["NetworkMode"] == f"container:{new.id}"
    address = new.attrs["NetworkSettings"]["Networks"].popitem()[1]["IPAddress"]
    assert now["status"]["podIP"] == address
    assert address in hello.endpoints("hello")
    assert {key for key, _ in everything(hello).items() - others.items()} == {new.id, again.id}
    answers = hello.asks("friend", f"http://{hello.address()}/", times=30)
    assert len(answers) == 30
    assert set(answers) == {name_of(pod) for pod in hello.replicas()}


def test_without_dockerd_the_node_is_blind_and_nothing_changes_but_what_broke_meanwhile(hello: Hello) -> None:
    pod = hello.replicas()[0]
    before, killed = everything(hello), hello.container(pod, "web")
    hello.node.stop_docker()
    try:
        began = time.monotonic()
        wait(lambda: hello.kdl("query", 'core.blind("docker", N, Why)').code == 0, "the node is blind")
        assert "Docker does not answer" in hello.do("query", 'core.blind("docker", N, Why)')
        (node,) = hello.items("/api/v1/nodes")
        (ready,) = [item for item in node["status"]["conditions"] if item["type"] == "Ready"]
        assert (ready["status"], ready["reason"]) == ("Unknown", "RuntimeUnreachable")
        hello.node.run("kill", "-9", str(killed.attrs["State"]["Pid"]))
        wait(lambda: len(hello.endpoints("hello")) == 2, "its probe tells of it, without Docker")
        pods = hello.pods()
        while time.monotonic() - began < OUTAGE:
            assert hello.lab.client("curl", "-sm", "2", f"http://{hello.node.address}:30080/", check=False) != ""
            assert {uid_of(pod) for pod in hello.pods()} == {uid_of(pod) for pod in pods}
            time.sleep(0.5)
    finally:
        hello.node.start_docker()
    hello.await_whole()
    again = hello.container(pod, "web")
    healed = {(str(again.id), str(again.attrs["State"]["StartedAt"]))}
    assert everything(hello).items() - before.items() == healed
    assert before.keys() - everything(hello).keys() == {killed.id}
    assert hello.kdl("query", "core.blind(D, N, Why)").code == 1


def test_chains_and_containers_go_with_the_objects_that_they_are_for(hello: Hello) -> None:
    """And come again with them."""
    hello.do("delete", "-f", HELLO)
    wait(lambda: not hello.pods("hello"), "the end of the pods")
    wait(hello.idle, "the end of what they had")
    assert {c.labels[label.POD] for c in hello.containers()} == {"default/friend", "default/stranger"}
    chains = hello.node.run("iptables-legacy-save")
    assert "hello" not in chains
    assert [line for line in chains.splitlines() if "DNAT" in line and "default/kubernetes:" not in line] == []
    hello.do("apply", "-f", HELLO)
