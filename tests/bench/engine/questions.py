"""`why` and `whynot` with all shipped packs on 1,000 nodes and 5,000 pods."""

from __future__ import annotations

import random
from collections.abc import Iterator
from functools import partial

import kdl
from kdl.fact import literal
from kdl.runtime.cluster import collect_seldom
from kdl.runtime.questions import ask_why, ask_why_not
from tests.bench.engine.single import Single, single, timed
from tests.bench.engine.workload import SEED
from tests.bench.engine.workloads.feasibility import documents, facts

EXPLAINED = ("api.bind", "sched.feasible", "sched.rejects", "sched.free", "sched.total", "core.on_node")


def measured() -> Iterator[Single]:
    """Proofs of random facts of some relations, and why waiting pods are not bound, each as text."""
    collect_seldom()  # as in `kdl up`
    engine = kdl.Engine(kdl.compile(list(kdl.shipped())))
    chance = random.Random(SEED)
    engine.apply(insert=documents(facts(chance, {"nodes": 1000, "pods": 5000, "classes": 40})))
    goals = [
        f"{relation}({', '.join(map(literal, row))})"
        for relation in EXPLAINED
        for rows in [sorted(engine.facts(relation), key=repr)]
        for row in chance.sample(rows, min(20, len(rows)))
    ]
    times = [timed(partial(ask_why, engine, goal)) for goal in goals]
    yield single("`why` of a fact on 1,000 nodes and 5,000 pods", 0.020, tuple(times))
    bound = {pod for pod, _ in engine.facts("api.bind")}
    waiting = sorted(str(pod) for (pod,) in engine.facts("sched.pending") if pod not in bound)
    goals = [f'api.bind("{pod}", {node})' for pod in waiting for node in (f'"node-{chance.randrange(1000)}"', "N")]
    times = [timed(partial(ask_why_not, engine, goal)) for goal in goals]
    yield single("`whynot` of a binding on 1,000 nodes and 5,000 pods", 0.200, tuple(times))
