"""What questions about a cluster in memory cost: `why`, `whynot` with its repair, and the size of a proof as data.

``python -m tests.bench.questions [NODES PODS]`` (default 1000 nodes, 5000 pods). The cluster is that of `scale`, at
rest, with two pods that fit nowhere: one asks for too much, one for a label that no node has. Seconds are of this
process's own processor time; the first question about a relation also compiles its rules and builds indexes, and is
told apart.
"""

from __future__ import annotations

import gc
import json
import random
import sys
from collections.abc import Callable, Iterable, Iterator
from functools import cache, partial
from typing import Any

from kdl.fact import literal
from kdl.rules.engine import Engine
from kdl.runtime.questions import View, ask_why, ask_why_not
from tests.bench.engine.report import questions
from tests.bench.engine.single import Single, single, timed
from tests.bench.engine.workload import SEED
from tests.bench.scale import settled

WHY, WHY_NOT = 0.020, 0.200
"""What a question may take, in seconds."""

EXPLAINED = (
    "core.ready", "core.on_node", "node.container", "sched.free", "sched.rejects", "resources.qos", "network.rule",
    "api.status", "api.condition",
)  # fmt: skip

REFUSED = (
    'api.bind("default/big", N)', 'api.bind("default/big", "node-7")',
    'api.bind("default/picky", N)', 'api.bind("default/picky", "node-7")',
    'core.ready("default/big", T)', 'sched.feasible(C, "node-7")',
)  # fmt: skip


def unplaceable(name: str, spec: dict[str, Any], cpu: str) -> dict[str, Any]:
    """A pod that fits nowhere."""
    container = {"name": "app", "image": "app:1", "resources": {"requests": {"cpu": cpu, "memory": "64Mi"}}}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {**spec, "containers": [container]}}


def measured(engine: Engine, chance: random.Random) -> Iterator[Single]:
    """Each relation and each goal on its own, all of them asked once before."""
    for relation in EXPLAINED:
        rows = sorted(engine.facts(relation), key=repr)
        goals = [f"{relation}({', '.join(map(literal, row))})" for row in chance.sample(rows, min(40, len(rows)))]
        yield asked(f"`why` {relation}", WHY, partial(ask_why, engine), goals)
    for goal in REFUSED:
        yield asked(f"`whynot {goal}`", WHY_NOT, partial(ask_why_not, engine), [goal] * 10)


def asked(question: str, wanted: float, ask: Callable[[str], object], goals: Iterable[str]) -> Single:
    """The questions after the first."""
    first, *times = [timed(partial(ask, goal)) for goal in goals]
    print(f"{question}: first {first * 1000:.1f} ms", file=sys.stderr)
    return single(question, wanted, times)


def main() -> None:
    """Print the table, and what the largest proof is as data."""
    nodes, pods = [int(word) for word in sys.argv[1:]] or [1000, 5000]
    cluster, _ = settled(nodes, pods, [
        unplaceable("big", {}, "100"), unplaceable("picky", {"nodeSelector": {"disk": "ssd"}}, "100m"),
    ])  # fmt: skip
    gc.collect()
    engine = cluster.brain.engine
    print(questions(measured(engine, random.Random(SEED))))
    goal = next(f"sched.verdict({literal(c)}, M)" for c, _ in sorted(engine.facts("sched.verdict")))
    data = ask_why(engine, goal, view=View(form="json")).data
    print(
        f"`why {goal}` as data: {len(json.dumps(data))} bytes, {len(data['facts'])} facts are referred to; "
        f"{written_out(data)} bytes with these written out"
    )


def written_out(data: dict[str, Any]) -> int:
    """The bytes of the proofs if each fact were written wherever it is needed."""

    @cache
    def fact(number: str) -> int:
        return size(data["facts"][number])

    def size(tree: Any) -> int:
        if isinstance(tree, dict) and "see" in tree:
            return fact(tree["see"])
        if isinstance(tree, dict):
            return 2 * len(tree) + sum(len(json.dumps(key)) + 2 + size(item) for key, item in tree.items())
        if isinstance(tree, list):
            return max(2, 2 * len(tree)) + sum(map(size, tree))
        return len(json.dumps(tree))

    return size(data["proofs"])


if __name__ == "__main__":
    main()
