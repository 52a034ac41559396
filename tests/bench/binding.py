"""How many pods a second the scheduler binds, and that it hardly depends on how many nodes there are.

``python -m tests.bench.binding [NODES …]`` (default 100, 500, 1000, 5000). Ten classes of pods wait; all shipped
filters and scores judge them. A tick takes the bindings that the rules derive and gives them back as changed pods,
which is what the loop does with them; loading nodes and pods is not counted. Seconds are of this process's own
processor time, so that others on the machine do not count.
"""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path
from typing import Any

import kdl
from kdl.fact import value
from kdl.runtime.cluster import collect_seldom

ROOT = Path(__file__).parents[2]
REPEATS = 3
PODS = 5000
CLASSES = 10


def node(number: int) -> dict[str, Any]:
    """One of a fleet: three sizes, four zones, every tenth tainted, every twentieth cordoned."""
    taints = [{"key": "spot", "value": "true", "effect": "NoSchedule"}] if number % 10 == 3 else []
    labels = {"zone": f"z{number % 4}", "disk": "ssd" if number % 2 else "hdd"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": f"n{number}", "labels": labels},
        "spec": {"taints": taints, **({"unschedulable": True} if number % 20 == 7 else {})},
        "status": {"allocatable": {"cpu": str(32 + 16 * (number % 3)), "memory": "256Gi", "pods": "250"}},
    }


def pod(number: int) -> dict[str, Any]:
    """A pending pod of one of the classes; one class tolerates the taint, two choose by label."""
    kind = number % CLASSES
    spec: dict[str, Any] = {
        "containers": [
            {
                "name": "app",
                "image": "app:1",
                "resources": {"requests": {"cpu": f"{100 + 10 * kind}m", "memory": f"{64 + kind}Mi"}},
            }
        ]
    }
    if kind == 1:
        spec["tolerations"] = [{"key": "spot", "operator": "Exists"}]
    if kind in (2, 3):
        spec["nodeSelector"] = {"disk": "ssd"}
    if kind == 4:
        spec["affinity"] = {
            "nodeAffinity": {
                "preferredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "weight": 10,
                        "preference": {"matchExpressions": [{"key": "zone", "operator": "In", "values": ["z1"]}]},
                    }
                ]
            }
        }
    metadata = {"name": f"p{number}", "namespace": "default", "creationTimestamp": "2026-01-01T00:00:00Z"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def fact(doc: dict[str, Any], id: str) -> tuple[str, tuple[Any, ...]]:
    """A stored object as a base fact."""
    return "core.object", ("", doc["kind"], id, f"uid-{id}", value(doc))


def measure(program: Any, nodes: int) -> tuple[float, int]:
    """Seconds that binding all pods takes, and in how many ticks."""
    engine = kdl.Engine(program)
    engine.apply(insert=[fact(node(number), f"n{number}") for number in range(nodes)], trusted=True)
    pods = {f"default/p{number}": pod(number) for number in range(PODS)}
    engine.apply(insert=[fact(doc, id) for id, doc in pods.items()], trusted=True)
    bound = ticks = 0
    start = time.process_time()
    while binds := engine.facts("api.bind"):
        ticks += 1
        before, after = [], []
        for id, name in binds:
            old = pods[id]
            new = pods[id] = {**old, "spec": {**old["spec"], "nodeName": name}}
            before.append(fact(old, id))
            after.append(fact(new, id))
        engine.apply(insert=after, remove=before, trusted=True)
        bound += len(binds)
    seconds = time.process_time() - start
    assert bound == PODS, f"{PODS - bound} pods found no node"
    return seconds, ticks


def main() -> None:
    """Print one line for each number of nodes."""
    collect_seldom()
    program = kdl.compile([ROOT / "policies/core", ROOT / "policies/scheduling"])
    for nodes in [int(word) for word in sys.argv[1:]] or [100, 500, 1000, 5000]:
        runs = [measure(program, nodes) for _ in range(REPEATS)]
        seconds = statistics.median(run[0] for run in runs)
        print(
            f"{nodes:6} nodes  {PODS} pods of {CLASSES} classes  {PODS / seconds:8.0f} binds/s  {runs[0][1]:4} ticks"
            f"  (median of {REPEATS})",
            flush=True,
        )


if __name__ == "__main__":
    main()
