"""What pods use, from readings that only grow to `metrics.k8s.io` and to requests of containers that name none."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kdl.effects.docker.usage import working_set
from kdl.effects.driver import Reading
from kdl.fact import Fact
from kdl.parser.source import shipped
from kdl.runtime import machine
from kdl.runtime.admission import Admission
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import VirtualClock
from kdl.runtime.history import USED, History, amount, bucket, percentile
from kdl.runtime.programs import compile
from kdl.runtime.store import MemoryStore
from kdl.runtime.usage import Usage

DAY = 86_400_000


def pod(name: str, **labels: str) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": labels},
        "spec": {"containers": [{"name": "c", "image": "web:1"}, {"name": "d", "image": "db:1"}]},
    }


class World:
    """A store with a pod and a node, a clock, and the readings that the next measurement gets."""

    def __init__(self) -> None:
        self.clock, self.store, self.seconds = VirtualClock(), MemoryStore(), 0.0
        self.objects = Objects(self.store, self.clock)
        self.uid = self.objects.create(pod("a", app="web")).uid
        self.objects.create({"apiVersion": "v1", "kind": "Node", "metadata": {"name": "n"}})
        self.readings: list[Reading] = []
        self.usage = Usage(self.store, self.clock, "n", lambda: self.readings, lambda: self.seconds)

    def read(self, *readings: tuple[str, str, int, int], after: float = 10.0) -> None:
        """Measure after some seconds: containers with their run, CPU nanoseconds and bytes."""
        self.seconds += after
        self.clock.advance(int(after * 1000))
        self.readings = [Reading(self.uid, *reading) for reading in readings]
        self.usage.measure()


def test_cpu_is_an_average_over_the_window_and_memory_what_it_is_now() -> None:
    world = World()
    world.read(("c", "r1", 5_000_000_000, 1 << 20))
    assert world.usage.pods() == world.usage.nodes() == []
    world.read(("c", "r1", 6_000_000_000, 3 << 20), ("d", "r2", 7, 0))
    (item,) = world.usage.pods()
    assert item.doc["containers"] == ({"name": "c", "usage": {"cpu": "100000000n", "memory": "3072Ki"}},)
    assert item.doc["metadata"]["labels"] == {"app": "web"}
    assert (item.key.id, item.doc["window"]) == ("default/a", "10s")
    (node,) = world.usage.nodes()
    assert int(node.doc["usage"]["memory"].removesuffix("Ki")) > 1000


def test_a_container_that_began_anew_or_is_not_seen_has_no_usage() -> None:
    world = World()
    world.read(("c", "r1", 9, 1))
    world.read(("c", "r2", 5, 1))
    assert world.usage.pods() == []
    world.read(("c", "r2", 10, 1))
    assert len(world.usage.pods()) == 1
    world.read()
    assert world.usage.pods() == []


def test_what_a_machine_used_grows() -> None:
    before, after = machine.used(), machine.used()
    assert 0 < before[0] <= after[0]


@given(st.lists(st.integers(0, 10**12), min_size=1), st.sampled_from(["cpu", "memory"]))
def test_a_percentile_is_at_most_a_step_above_the_true_one(amounts: list[int], resource: str) -> None:
    unit = {"cpu": 1, "memory": 1 << 20}[resource]
    found = amount(resource, percentile(Counter(bucket(resource, each) for each in amounts), 90))
    true = sorted(amounts)[-(-len(amounts) * 90 // 100) - 1]
    assert true <= found <= max(true * 1.1, unit) + 1


def test_history_is_kept_for_a_month_and_told_by_week_and_month() -> None:
    clock, store = VirtualClock(), MemoryStore()
    history = History(store, clock)
    for cpu in range(1, 11):
        history.note("web:1", cpu * 100, 5 << 20)
    history.keep()
    told = {fact.row[:4]: fact.row[4] for fact in history.facts}
    assert told.keys() == {("web:1", days, of, 10) for days in (7, 30) for of in ("cpu", "memory")}
    cpu = told["web:1", 7, "cpu", 10]
    assert isinstance(cpu, int)
    assert 900 <= cpu <= 990
    clock.advance(8 * DAY)
    again = History(store, clock)
    assert {fact.row[1] for fact in again.facts} == {30}
    clock.advance(23 * DAY)
    again.keep()
    assert again.facts == History(store, clock).facts == ()
    assert not [key for key in range(60) if store.meta(f"usage/{key}")]


def test_a_new_container_asks_for_what_others_of_its_image_used() -> None:
    world = World()
    program = compile(shipped())
    admission = Admission(program, world.store, world.clock, used=lambda: world.usage.facts)
    objects = Objects(world.store, world.clock, admit=admission)
    switch = {"metadata": {"name": "admission", "namespace": "kube-system"}, "data": {"InitialResources": "on"}}
    objects.create({"apiVersion": "v1", "kind": "ConfigMap", **switch})
    for number in range(31):
        world.read(("c", "r", number * 10**9, 50 << 20))
    assert "requests" not in objects.create(pod("b")).doc["spec"]["containers"][0].get("resources", {})
    world.usage.keep()
    assert Fact(USED, ("web:1", 7, "cpu", 30, 107)) in world.usage.facts
    made = objects.create(pod("c")).doc
    assert made["spec"]["containers"][0]["resources"]["requests"] == {"cpu": "107m", "memory": "55Mi"}
    assert "requests" not in made["spec"]["containers"][1].get("resources", {})
    assert "memory request for container c" in made["metadata"]["annotations"]["kubernetes.io/initial-resources"]


@pytest.mark.parametrize(
    ("stats", "bytes_"),
    [
        ({"usage": 100, "stats": {"inactive_file": 30}}, 70),
        ({"usage": 100, "stats": {"inactive_file": 5, "total_inactive_file": 40}}, 60),
        ({"usage": 10, "stats": {"inactive_file": 30}}, 0),
        ({}, None),
    ],
)
def test_the_working_set_is_without_what_the_kernel_takes_back_first(stats: dict[str, Any], bytes_: int | None) -> None:
    assert working_set(stats) == bytes_
