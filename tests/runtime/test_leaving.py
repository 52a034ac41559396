"""Endpoints leave first: a terminating pod's containers are stopped once its node's chains no longer lead to it."""

from __future__ import annotations

import pytest

from kdl.effects.driver import Operation
from kdl.parser.manifest.load import load
from kdl.parser.source import shipped
from kdl.runtime.clock import VirtualClock
from kdl.runtime.cluster import Cluster
from kdl.runtime.nodes import fake_nodes
from kdl.runtime.programs import compile as compile_program
from kdl.runtime.store import MemoryStore
from tests.runtime.shell.conftest import HELLO

MINUTE = 60_000


def running(done: list[Operation]) -> tuple[Cluster, VirtualClock]:
    """The hello example at rest on one node; what is done from then on is put into `done`."""
    clock = VirtualClock()
    told = lambda operation, error: done.append(operation)  # noqa: E731
    cluster = Cluster(compile_program(shipped()), MemoryStore(), fake_nodes(1, clock), clock, told)
    cluster.load()
    for manifest in load([HELLO]):
        cluster.objects.create(manifest.doc)
    cluster.rest(clock, MINUTE)
    done.clear()
    return cluster, clock


def uid_of(cluster: Cluster, pod: str) -> str:
    ((*_, uid, _),) = cluster.brain.engine.lookup("core.object", {1: "Pod", 2: pod})
    return str(uid)


def test_the_chains_to_a_pod_go_before_its_container_is_stopped():
    done: list[Operation] = []
    cluster, clock = running(done)
    pod = min(item.key.id for item in cluster.objects.list("Pod")[0])
    uid = uid_of(cluster, pod)
    ip = next(iter(cluster.brain.engine.lookup("core.pod_ip", {0: pod})))[1]
    chains = {str(row[6]) for row in cluster.brain.engine.facts("services.backend") if row[4] == ip}
    assert chains
    cluster.objects.delete("Pod", pod)
    cluster.rest(clock, MINUTE)
    gone = [
        n for n, op in enumerate(done) if op.relation == "network.chain" and op.verb == "remove" and op.key[2] in chains
    ]
    stopped = [
        n for n, op in enumerate(done) if op.relation == "node.container" and op.verb == "remove" and op.key[1] == uid
    ]
    assert len(gone) == len(chains)
    assert len(stopped) == 1
    assert max(gone) < stopped[0]
    assert not cluster.brain.engine.lookup("core.object", {1: "Pod", 2: pod})


def test_a_node_whose_chains_cannot_be_changed_keeps_no_pod_for_ever(monkeypatch: pytest.MonkeyPatch):
    done: list[Operation] = []
    cluster, clock = running(done)
    pod = min(item.key.id for item in cluster.objects.list("Pod")[0])
    uid = uid_of(cluster, pod)
    world = cluster.nodes.world
    assert world is not None
    perform = world.perform
    refused = lambda node, op: "no" if op.relation == "network.chain" else perform(node, op)  # noqa: E731
    monkeypatch.setattr(world, "perform", refused)
    deleted = clock.now()
    cluster.objects.delete("Pod", pod)
    cluster.rest(clock, MINUTE)
    assert any(op.relation == "node.container" and op.verb == "remove" and op.key[1] == uid for op in done)
    assert not cluster.brain.engine.lookup("core.object", {1: "Pod", 2: pod})
    assert clock.now() - deleted >= 2000
