"""A plan that was executed leaves nothing to do: not for the cluster that did it, and not for one that looks anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from kdl.effects.driver import Operation
from kdl.runtime.cluster import Cluster
from kdl.runtime.journal import Journal
from tests.runtime.test_journal import MINUTE, busy_cluster


@pytest.mark.parametrize("seed", range(3))
def test_after_execution_the_plan_is_empty_and_stays_so_for_whoever_observes_again(seed: int, tmp_path: Path):
    cluster, done = busy_cluster(tmp_path, Journal(tmp_path), seed)
    assert len(done) > 20
    assert cluster.brain.comparison.differences == {}
    assert cluster.brain.comparison.conflicts == {}
    again: list[Operation] = []
    successor = Cluster(
        cluster.program, cluster.store, cluster.nodes, cluster.clock, lambda operation, error: again.append(operation)
    )
    cluster.brain.close()
    successor.load()
    successor.rest(cluster.clock, MINUTE)
    assert again == []
    assert successor.brain.comparison.differences == {}
