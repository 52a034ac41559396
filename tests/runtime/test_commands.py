"""What the rules' commands do to objects."""

from __future__ import annotations

from typing import Any

from kdl.rules.builtin import BUILTINS
from kdl.runtime.clock import VirtualClock
from kdl.runtime.cluster import Cluster, fake_nodes
from kdl.runtime.shell.scratch import program_of
from kdl.runtime.store import MemoryStore

MINUTE = 60_000
SPEC = {"containers": [{"name": "main", "image": "app:1"}]}


def test_a_generated_name_that_somebody_else_has_is_not_taken_for_ones_own() -> None:
    clock = VirtualClock()
    cluster = Cluster(program_of(()), MemoryStore(), fake_nodes(1, clock), clock)
    labels = {"app": "web"}
    web: dict[str, Any] = {
        "apiVersion": "v1",
        "kind": "ReplicationController",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": 0, "selector": labels, "template": {"metadata": {"labels": labels}, "spec": SPEC}},
    }
    uid = cluster.objects.create(web).uid
    digest = BUILTINS["digest10"].function
    taken = {f"web-{digest((uid, 'default/web#1'))[:5]}", f"web-{digest((uid, 'default/web#1', 1))[:5]}"}
    for name in taken:
        metadata = {"name": name, "namespace": "default", "labels": {"app": "other"}}
        cluster.objects.create({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": SPEC})
    cluster.load()
    cluster.objects.patch("ReplicationController", "default/web", [("/spec/replicas", 3)])
    cluster.rest(clock, MINUTE)
    mine = {item.key.name for item in cluster.objects.list("Pod", labels="app=web")[0]}
    assert len(mine) == 3
    assert not mine & taken
    assert not cluster.brain.engine.facts("core.failed")
    cluster.stop()
