"""Adoption, release and what becomes of the owned when the owner goes."""

from __future__ import annotations

from typing import Any

import pytest

from .world import World, pack


@pytest.fixture(scope="module")
def program():
    return pack("core", "workloads", "scheduling")


@pytest.fixture
def world(program) -> World:
    world = World(program)
    world.node("n1")
    world.node("n2")
    return world


def controller(kind: str, replicas: int, name: str = "web") -> dict[str, Any]:
    """A ReplicaSet or a ReplicationController in namespace `default`, of pods labelled `app=web`."""
    labels = {"app": "web"}
    return {
        "apiVersion": "v1" if kind == "ReplicationController" else "apps/v1",
        "kind": kind,
        "metadata": {"name": name, "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": labels if kind == "ReplicationController" else {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": "app:1"}]}},
        },
    }


def bare(name: str, labels: dict[str, str]) -> dict[str, Any]:
    """A pod that nobody owns."""
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "labels": labels},
        "spec": {"containers": [{"name": "app", "image": "app:1"}]},
    }


def owned(world: World) -> set[str]:
    return {pod["metadata"]["name"] for pod in world.living() if pod["metadata"].get("ownerReferences")}


both = pytest.mark.parametrize("kind", ["ReplicaSet", "ReplicationController"])


@both
def test_a_pod_that_vanishes_is_replaced_under_another_uid(world, kind):
    world.apply(controller(kind, 2))
    world.settle()
    lost = world.ready()[0]["metadata"]
    world.delete("Pod", f"default/{lost['name']}")
    world.settle()
    assert len(world.ready()) == 2
    assert lost["uid"] not in {pod["metadata"]["uid"] for pod in world.all("Pod")}


@both
def test_an_orphan_with_the_right_labels_is_adopted_instead_of_a_new_pod(world, kind):
    world.apply(bare("mine", {"app": "web"}))
    world.apply(bare("other", {"app": "db"}))
    world.settle()
    world.apply(controller(kind, 1))
    world.settle()
    assert owned(world) == {"mine"}
    assert len(world.living()) == 2


@both
def test_a_pod_that_loses_its_label_is_released_and_replaced(world, kind):
    world.apply(controller(kind, 2))
    world.settle()
    name = world.ready()[0]["metadata"]["name"]
    world.edit("Pod", f"default/{name}", lambda pod: pod["metadata"].update(labels={"app": "debug"}))
    world.settle()
    assert len(world.living()) == 3
    assert "ownerReferences" not in world.get("Pod", f"default/{name}")["metadata"]
    assert len(owned(world)) == 2


@both
def test_a_new_template_touches_no_pod_that_runs(world, kind):
    world.apply(controller(kind, 2))
    world.settle()
    before = world.all("Pod")
    changed = controller(kind, 2)
    changed["spec"]["template"]["spec"]["containers"][0]["image"] = "app:2"
    world.apply(changed)
    world.settle()
    assert world.all("Pod") == before


def test_scaling_down_takes_pods_without_a_node_then_unready_then_young_ones(program):
    world = World(program, is_ready=lambda pod: "sick" not in pod["metadata"].get("labels", {}))
    world.node("n1", pods="3")
    world.apply(controller("ReplicaSet", 3))
    world.settle()
    old = {pod["metadata"]["name"] for pod in world.living()}
    sick = min(old)
    world.edit("Pod", f"default/{sick}", lambda pod: pod["metadata"]["labels"].update(sick="yes"))
    world.advance(60_000)
    world.apply(controller("ReplicaSet", 4))
    world.settle()
    (pending,) = {pod["metadata"]["name"] for pod in world.living()} - old
    world.apply(controller("ReplicaSet", 3))
    world.settle()
    assert {pod["metadata"]["name"] for pod in world.living()} == old, pending
    world.apply(controller("ReplicaSet", 2))
    world.settle()
    assert {pod["metadata"]["name"] for pod in world.living()} == old - {sick}


def test_deleting_an_owner_deletes_what_it_owns(world):
    world.apply(controller("ReplicaSet", 3))
    world.settle()
    world.delete("ReplicaSet", "default/web")
    world.settle()
    assert world.all("Pod") == []


def test_foreground_deletion_keeps_the_owner_until_its_pods_are_gone(world):
    world.apply(controller("ReplicaSet", 3))
    world.settle()
    world.delete("ReplicaSet", "default/web", "Foreground")

    def look() -> None:
        assert world.all("ReplicaSet") or not world.all("Pod")

    world.settle(watch=look)
    assert world.all("ReplicaSet") == []
    assert world.all("Pod") == []


def test_orphaned_pods_live_on_and_another_controller_takes_them(world):
    world.apply(controller("ReplicaSet", 3))
    world.settle()
    names = {pod["metadata"]["name"] for pod in world.ready()}
    world.delete("ReplicaSet", "default/web", "Orphan")
    world.settle()
    assert world.all("ReplicaSet") == []
    assert {pod["metadata"]["name"] for pod in world.ready()} == names
    assert owned(world) == set()
    world.apply(controller("ReplicaSet", 3, name="heir"))
    world.settle()
    assert owned(world) == names


def test_an_owner_made_again_under_its_name_does_not_keep_the_old_pods(world):
    world.apply(controller("ReplicaSet", 2))
    world.settle()
    before = {pod["metadata"]["uid"] for pod in world.ready()}
    world.delete("ReplicaSet", "default/web")
    world.apply(controller("ReplicaSet", 2))
    world.settle()
    after = {pod["metadata"]["uid"] for pod in world.ready()}
    assert len(after) == 2
    assert not before & after


def test_deleting_a_namespace_deletes_what_is_in_it_and_then_itself(world):
    world.apply(
        {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {"name": "default"},
            "spec": {"finalizers": ["kubernetes"]},
        }
    )
    world.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "kept"}, "spec": {}})
    world.apply(controller("ReplicationController", 2))
    world.settle()
    assert world.get("Namespace", "default")["status"]["phase"] == "Active"
    world.delete("Namespace", "default")
    world.settle()
    assert sorted(world.objects) == [("Namespace", "kept"), ("Node", "n1"), ("Node", "n2")]


def test_a_finished_pod_is_replaced(world):
    world.apply(controller("ReplicaSet", 2))
    world.settle()
    name = world.ready()[0]["metadata"]["name"]
    world.edit("Pod", f"default/{name}", lambda pod: pod["status"].update(phase="Failed", conditions=[]))
    world.settle()
    assert world.get("ReplicaSet", "default/web")["status"]["readyReplicas"] == 2
    assert len(world.living()) == 3
