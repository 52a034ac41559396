"""How long a cluster in memory takes to come to rest: time, ticks, facts and peak memory.

``python -m tests.bench.scale [NODES PODS]`` (default 1000 nodes, 5000 pods from 20 Deployments). Everything is as in
`kdl up --runtime fake`, with a store in memory and a virtual clock: nodes register, Deployments make ReplicaSets and
pods, pods are bound, their containers start, and every Deployment is available in the end. It runs once; its
ticks and facts are the same each time. Seconds are of this process's own processor time.
"""

from __future__ import annotations

import resource
import sys
import time
from collections.abc import Sequence

from kdl.parser.source import shipped
from kdl.runtime import programs
from kdl.runtime.clock import VirtualClock
from kdl.runtime.cluster import Cluster, collect_seldom, fake_nodes
from kdl.runtime.store import MemoryStore

DEPLOYMENTS = 20
PATIENCE = 600_000
"""So much virtual time, in milliseconds, may pass."""


def deployment(number: int, replicas: int) -> dict[str, object]:
    """A Deployment of small pods; one in four of these sizes."""
    labels = {"app": f"app-{number}"}
    resources = {"requests": {"cpu": f"{50 * (1 + number % 4)}m", "memory": f"{64 * (1 + number % 4)}Mi"}}
    container = {"name": "app", "image": "app:1", "resources": resources}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": f"app-{number}", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    }


def settled(
    nodes: int, pods: int, others: Sequence[dict[str, object]] = ()
) -> tuple[Cluster, list[tuple[str, float, int]]]:
    """A cluster at rest with other objects, too; per stage its seconds and ticks."""
    collect_seldom()
    clock = VirtualClock()
    cluster = Cluster(programs.compile(shipped()), MemoryStore(), fake_nodes(nodes, clock), clock)
    stages = []

    def stage(name: str) -> None:
        ticks, start = cluster.brain.ticks, time.process_time()
        if name == "nodes":
            cluster.load()
        else:
            with cluster.objects.transaction() as batch:
                for number in range(DEPLOYMENTS):
                    batch.create(deployment(number, pods // DEPLOYMENTS))
                for other in others:
                    batch.create(other)
        cluster.rest(clock, PATIENCE)
        stages.append((name, time.process_time() - start, cluster.brain.ticks - ticks))

    stage("nodes")
    stage("pods")
    return cluster, stages


def main() -> None:
    """Print one line for what was done, and one for each stage; ends with an error if pods are not Ready."""
    nodes, pods = [int(word) for word in sys.argv[1:]] or [1000, 5000]
    cluster, stages = settled(nodes, pods)
    engine = cluster.brain.engine
    ready = engine.count("core.ready")
    facts = sum(engine.count(name) for name in engine.program.relations)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024
    print(f"{nodes} nodes, {ready} of {pods} pods of {DEPLOYMENTS} Deployments Ready: {facts} facts, {peak} MB at most")
    for name, seconds, ticks in stages:
        print(f"  {name:6} at rest after {seconds:8.1f} s, {ticks:4} ticks")
    if ready != pods:
        sys.exit(f"only {ready} of {pods} pods are Ready after ten minutes of virtual time")


if __name__ == "__main__":
    main()
