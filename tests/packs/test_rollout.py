"""Deployments step by step: how many pods there are, and how many are Ready, at every moment of a rollout."""

from __future__ import annotations

from typing import Any

import pytest

from .world import World, condition, pack


@pytest.fixture(scope="module")
def program():
    return pack("core", "workloads", "scheduling")


def deployment(image: str = "app:1", replicas: int = 3, **spec: Any) -> dict[str, Any]:
    """A deployment `default/web`."""
    labels = {"app": "web"}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [{"name": "app", "image": image}]}},
            **spec,
        },
    }


def rolling(surge: int | str, unavailable: int | str) -> dict[str, Any]:
    """A strategy."""
    return {"type": "RollingUpdate", "rollingUpdate": {"maxSurge": surge, "maxUnavailable": unavailable}}


def cluster(program, nodes: int = 3, **options: Any) -> World:
    world = World(program, **options)
    for number in range(1, nodes + 1):
        world.node(f"n{number}")
    return world


def images(pods: list[dict[str, Any]]) -> list[str]:
    return sorted(pod["spec"]["containers"][0]["image"] for pod in pods)


def test_a_deployment_becomes_a_replicaset_and_its_pods_on_nodes(program):
    world = cluster(program)
    world.apply(deployment())
    world.settle()
    (replicaset,) = world.all("ReplicaSet")
    assert replicaset["spec"]["replicas"] == 3
    assert replicaset["metadata"]["annotations"]["deployment.kubernetes.io/revision"] == "1"
    assert sorted(pod["spec"]["nodeName"] for pod in world.ready()) == ["n1", "n2", "n3"]
    status = world.get("Deployment", "default/web")["status"]
    assert {key: value for key, value in status.items() if key != "conditions"} == {
        "replicas": 3,
        "updatedReplicas": 3,
        "readyReplicas": 3,
        "availableReplicas": 3,
        "unavailableReplicas": 0,
        "observedGeneration": 1,
    }
    assert condition(world.get("Deployment", "default/web"), "Available") == "True"
    assert condition(world.get("Deployment", "default/web"), "Progressing") == "True"


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "most", "least"),
    [(3, 1, 0, 4, 3), (3, 0, 1, 3, 2), (10, "25%", "25%", 13, 8), (4, "50%", 0, 6, 4)],
)
def test_a_rolling_update_keeps_within_its_bounds_all_the_way(program, replicas, surge, unavailable, most, least):
    world = cluster(program)
    world.apply(deployment(replicas=replicas, strategy=rolling(surge, unavailable)))
    world.settle()
    world.apply(deployment("app:2", replicas, strategy=rolling(surge, unavailable)))
    seen = []

    def look() -> None:
        seen.append((len(world.living()), len(world.ready())))

    world.settle(watch=look)
    assert images(world.ready()) == ["app:2"] * replicas
    assert max(living for living, _ in seen) == most
    assert min(ready for _, ready in seen) >= least


def test_a_version_that_never_gets_ready_stops_the_rollout_and_the_old_pods_serve_on(program):
    world = cluster(program, is_ready=lambda pod: pod["spec"]["containers"][0]["image"] != "app:broken")
    world.apply(deployment(strategy=rolling(1, 0)))
    world.settle()
    world.apply(deployment("app:broken", strategy=rolling(1, 0)))
    world.settle()
    assert images(world.ready()) == ["app:1"] * 3
    assert images(world.living()) == ["app:1"] * 3 + ["app:broken"]

    world.advance(600_000)
    world.settle()
    (progressing,) = (
        item for item in world.get("Deployment", "default/web")["status"]["conditions"] if item["type"] == "Progressing"
    )
    assert (progressing["status"], progressing["reason"]) == ("False", "ProgressDeadlineExceeded")

    world.apply(deployment("app:3", strategy=rolling(1, 0)))
    world.settle(watch=lambda: [] if len(world.ready()) >= 3 else pytest.fail("too few"))
    assert images(world.living()) == ["app:3"] * 3


def test_sick_pods_of_an_old_version_go_before_those_that_serve(program):
    sick: set[str] = set()
    world = cluster(program, is_ready=lambda pod: pod["metadata"]["name"] not in sick)
    world.apply(deployment(replicas=8, strategy=rolling(1, 2)))
    world.settle()
    sick.update(pod["metadata"]["name"] for pod in world.ready()[:2])
    world.settle()
    world.apply(deployment("app:2", 8, strategy=rolling(1, 2)))
    seen = []

    def look() -> None:
        old = {pod["metadata"]["name"] for pod in world.living() if images([pod]) == ["app:1"]}
        seen.append((len(old & sick), len(old - sick), len(world.ready())))

    world.settle(watch=look)
    assert all(serving == 6 for bad, serving, _ in seen if bad)
    assert min(ready for *_, ready in seen) == 6
    assert images(world.ready()) == ["app:2"] * 8


def test_going_back_to_an_older_version_takes_its_replicaset_again(program):
    world = cluster(program)
    world.apply(deployment("app:1"))
    world.settle()
    world.apply(deployment("app:2"))
    world.settle()
    world.apply(deployment("app:1"))
    world.settle()
    revisions = {
        item["spec"]["template"]["spec"]["containers"][0]["image"]: (
            item["metadata"]["annotations"]["deployment.kubernetes.io/revision"],
            item["spec"]["replicas"],
        )
        for item in world.all("ReplicaSet")
    }
    assert revisions == {"app:1": ("3", 3), "app:2": ("2", 0)}
    annotations = world.get("Deployment", "default/web")["metadata"]["annotations"]
    assert annotations["deployment.kubernetes.io/revision"] == "3"


def test_recreate_makes_no_new_pod_while_an_old_one_is_there(program):
    world = cluster(program)
    world.apply(deployment("app:1", strategy={"type": "Recreate"}))
    world.settle()
    world.apply(deployment("app:2", strategy={"type": "Recreate"}))

    def look() -> None:
        assert len(set(images(world.all("Pod")))) <= 1

    world.settle(watch=look)
    assert images(world.ready()) == ["app:2"] * 3


def test_a_pod_counts_as_available_after_min_ready_seconds(program):
    world = cluster(program)
    strategy = {"minReadySeconds": 30, "strategy": rolling(1, 0)}
    world.apply(deployment("app:1", **strategy))
    world.settle()
    assert condition(world.get("Deployment", "default/web"), "Available") == "False"
    assert world.engine.due() == world.now + 30_000
    world.advance(30_000)
    world.settle()
    assert condition(world.get("Deployment", "default/web"), "Available") == "True"
    world.apply(deployment("app:2", **strategy))
    world.settle()
    assert images(world.ready()) == ["app:1"] * 3 + ["app:2"]
    for _ in range(3):
        world.advance(30_000)
        world.settle()
    assert images(world.ready()) == ["app:2"] * 3


def test_old_versions_beyond_the_history_limit_are_forgotten(program):
    world = cluster(program)
    for number in range(1, 5):
        world.apply(deployment(f"app:{number}", replicas=1, revisionHistoryLimit=1))
        world.settle()
    kept = {item["spec"]["template"]["spec"]["containers"][0]["image"] for item in world.all("ReplicaSet")}
    assert kept == {"app:3", "app:4"}


def test_a_paused_deployment_scales_but_makes_no_new_version(program):
    world = cluster(program)
    world.apply(deployment("app:1"))
    world.settle()
    world.apply(deployment("app:2", replicas=5, paused=True))
    world.settle()
    assert images(world.ready()) == ["app:1"] * 5
    world.apply(deployment("app:2", replicas=5))
    world.settle()
    assert images(world.ready()) == ["app:2"] * 5


def test_scaling_changes_the_number_of_pods_and_nothing_else(program):
    world = cluster(program)
    world.apply(deployment(replicas=2))
    world.settle()
    first = {pod["metadata"]["uid"] for pod in world.ready()}
    world.apply(deployment(replicas=6))
    world.settle()
    assert len(world.ready()) == 6
    assert first <= {pod["metadata"]["uid"] for pod in world.ready()}
    world.apply(deployment(replicas=0))
    world.settle()
    assert world.all("Pod") == []
