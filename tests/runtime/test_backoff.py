"""How soon a container that crashes is started again, by a virtual clock."""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise

import pytest

from kdl.effects.fake import Behaviour, World
from kdl.runtime.clock import VirtualClock
from kdl.runtime.cluster import Cluster, fake_nodes
from kdl.runtime.shell.scratch import program_of
from kdl.runtime.store import MemoryStore

MINUTE = 60_000

POD = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "crasher", "namespace": "default"},
    "spec": {"containers": [{"name": "main", "image": "crasher:1"}]},
}


class Crasher:
    """A cluster with one pod whose container always ends."""

    def __init__(self, clock: VirtualClock) -> None:
        nodes = fake_nodes(1, clock)
        assert isinstance(nodes.world, World)
        self.world, self.clock = nodes.world, clock
        self.cluster = Cluster(program_of(()), MemoryStore(), nodes, clock)
        self.crashes(after=0)
        self.cluster.objects.create(POD)
        self.cluster.load()

    def crashes(self, after: int) -> None:
        """Its runs from the next on take so many milliseconds."""
        self.world.behave("crasher:1", Behaviour(exits_after=after, exit_code=1))

    def runs(self, count: int, change: Callable[[int], None] = lambda attempt: None) -> list[tuple[int, int]]:
        """When the first runs start and end; `change` is told of each when it is first seen."""
        begun: set[int] = set()
        ended: dict[int, tuple[int, int]] = {}
        while len(ended) < count:
            while self.cluster.brain.tick():
                for row in self.cluster.brain.engine.facts("docker.container"):
                    attempt, started, finished = row[4], row[10], row[11]
                    assert isinstance(attempt, int)
                    assert isinstance(started, int)
                    if attempt not in begun:
                        begun.add(attempt)
                        change(attempt)
                    if isinstance(finished, int):
                        ended[attempt] = started, finished
            due = self.cluster.brain.due()
            assert due is not None
            self.clock.advance(max(due - self.clock.now(), 0))
        return [ended[attempt] for attempt in range(count)]


def rests(runs: list[tuple[int, int]]) -> list[int]:
    """The seconds between the end of each run and the start of the next."""
    return [(later[0] - earlier[1]) // 1000 for earlier, later in pairwise(runs)]


@pytest.fixture
def crasher() -> Crasher:
    """A pod that crashes at once, at time zero of a clock of its own."""
    return Crasher(VirtualClock())


def test_rests_double_from_ten_seconds_to_five_minutes(crasher: Crasher) -> None:
    assert rests(crasher.runs(10)) == [0, 10, 20, 40, 80, 160, 300, 300, 300]


@pytest.mark.parametrize(("minutes", "rest"), [(9, [0, 10, 20, 40, 80]), (10, [0, 10, 20, 0, 10])])
def test_ten_minutes_of_running_make_a_container_as_good_as_new(
    crasher: Crasher, minutes: int, rest: list[int]
) -> None:
    """A run of less does not."""

    def change(attempt: int) -> None:
        crasher.crashes(after=minutes * MINUTE if attempt == 2 else 0)

    assert rests(crasher.runs(6, change)) == rest
