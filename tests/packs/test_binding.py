"""Binding: where pods go, how many go at once, and what those that fit nowhere are told."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest

from .world import World, condition, pack


@pytest.fixture(scope="module")
def program():
    return pack("core", "scheduling")


def pod(name: str, cpu: str | None = None, **spec: Any) -> dict[str, Any]:
    """A pod of one container."""
    resources = {"requests": {"cpu": cpu}} if cpu else {}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default"},
        "spec": {"containers": [{"name": "app", "image": "app:1", "resources": resources}], **spec},
    }


def where(world: World) -> Counter[str]:
    return Counter(item["spec"].get("nodeName", "") for item in world.all("Pod"))


def binds(world: World) -> list[tuple[Any, ...]]:
    return [row for relation, row in world.done if relation == "api.bind"]


def test_pods_of_one_class_are_bound_in_one_tick_one_to_a_node(program):
    world = World(program)
    for number in range(10):
        world.node(f"n{number}")
    for number in range(10):
        world.apply(pod(f"p{number}", "100m"))
    world.tick()
    assert sorted(node for _, node in binds(world)) == sorted(f"n{number}" for number in range(10))


def test_several_classes_are_bound_in_one_tick_and_no_node_takes_two(program):
    world = World(program)
    for number in range(20):
        world.node(f"n{number}")
    for number in range(4):
        world.apply(pod(f"small{number}", "100m"))
        world.apply(pod(f"big{number}", "200m"))
    world.tick()
    nodes = [node for _, node in binds(world)]
    assert len(nodes) == len(set(nodes))
    assert len({name.partition("/")[2][:3] for name, _ in binds(world)}) == 2


def test_capacity_is_never_overdrawn(program):
    world = World(program)
    world.node("n1", cpu="1")
    world.node("n2", cpu="1500m")
    for number in range(6):
        world.apply(pod(f"p{number}", "400m" if number % 2 else "500m"))
    world.settle()
    assert sum(where(world).values()) == 6
    for node, room in (("n1", 1000), ("n2", 1500)):
        used = sum(
            int(item["spec"]["containers"][0]["resources"]["requests"]["cpu"].removesuffix("m"))
            for item in world.all("Pod")
            if item["spec"].get("nodeName") == node
        )
        assert used <= room


def test_pods_spread_evenly_over_equal_nodes(program):
    world = World(program)
    for number in range(4):
        world.node(f"n{number}")
    for number in range(20):
        world.apply(pod(f"p{number}"))
    world.settle()
    assert set(where(world).values()) == {5}


def test_a_node_that_is_much_emptier_takes_several_pods_before_a_full_one(program):
    world = World(program)
    world.node("empty", cpu="10")
    world.node("full", cpu="10")
    world.apply(pod("hog", "8", nodeName="full"))
    for number in range(4):
        world.apply(pod(f"p{number}", "500m"))
    world.settle()
    assert where(world) == {"full": 1, "empty": 4}


def test_a_prefer_no_schedule_taint_is_avoided_while_another_node_has_room(program):
    world = World(program)
    world.node("plain", cpu="2")
    world.node("shunned", cpu="2", taints=[{"key": "spot", "effect": "PreferNoSchedule"}])
    for number in range(5):
        world.apply(pod(f"p{number}", "500m"))
    world.settle()
    assert where(world) == {"plain": 4, "shunned": 1}


def test_a_pod_that_fits_nowhere_says_why_with_counts_that_add_up(program):
    world = World(program)
    for number in range(12):
        world.node(f"small{number}", cpu="1")
    for number in range(8):
        world.node(f"gpu{number}", taints=[{"key": "gpu", "value": "true", "effect": "NoSchedule"}])
    world.apply(pod("big", "2"))
    world.settle()
    (scheduled,) = world.get("Pod", "default/big")["status"]["conditions"]
    assert (scheduled["type"], scheduled["status"], scheduled["reason"]) == ("PodScheduled", "False", "Unschedulable")
    assert scheduled["message"] == (
        "0/20 nodes are available: 12 Insufficient cpu, 8 node(s) had untolerated taint {gpu: true}."
    )
    world.node("roomy", cpu="4")
    world.settle()
    assert where(world) == {"roomy": 1}
    assert condition(world.get("Pod", "default/big"), "PodScheduled") == "True"


def test_a_host_port_is_taken_once_per_node(program):
    world = World(program)
    world.node("n1")
    world.node("n2")
    for number in range(3):
        item = pod(f"p{number}")
        item["spec"]["containers"][0]["ports"] = [{"containerPort": 80, "hostPort": 8080}]
        world.apply(item)
    world.settle()
    assert where(world) == {"n1": 1, "n2": 1, "": 1}


@pytest.mark.parametrize("cpu", [None, "100m", "200m", "300m"])
def test_the_higher_priority_is_bound_first_in_its_class_and_among_classes(program, cpu):
    world = World(program)
    world.node("n1", pods="1")
    world.apply(pod("low"))
    world.apply(pod("high", cpu, priority=1000))
    world.settle()
    assert world.get("Pod", "default/high")["spec"]["nodeName"] == "n1"
    assert "nodeName" not in world.get("Pod", "default/low")["spec"]


def test_pods_of_another_scheduler_gated_pods_and_ended_pods_are_left_alone(program):
    world = World(program)
    world.node("n1")
    world.apply(pod("foreign", schedulerName="mine"))
    world.apply(pod("gated", schedulingGates=[{"name": "wait"}]))
    world.apply({**pod("ended"), "status": {"phase": "Succeeded"}})
    world.settle()
    assert where(world) == {"": 3}
    assert condition(world.get("Pod", "default/gated"), "PodScheduled") == "False"


def test_a_finished_pod_gives_its_room_back(program):
    world = World(program)
    world.node("n1", cpu="1")
    world.apply(pod("first", "1"))
    world.apply(pod("second", "1"))
    world.settle()
    (bound,) = (item for item in world.all("Pod") if "nodeName" in item["spec"])
    name = f"default/{bound['metadata']['name']}"
    world.edit("Pod", name, lambda item: item["status"].update(phase="Succeeded"))
    world.settle()
    assert where(world) == {"n1": 2}


def test_a_binding_that_failed_lets_others_of_its_class_go_first(program):
    world = World(program)
    world.node("n1", pods="1")
    world.apply(pod("a"))
    world.apply(pod("b"))
    world.engine.apply(insert=[("core.failed", ("api.bind:default/a", 1, world.now, "conflict"))], now=world.now)
    world.settle()
    assert world.get("Pod", "default/b")["spec"]["nodeName"] == "n1"
