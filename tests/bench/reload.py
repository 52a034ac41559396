"""A pack that comes to a running engine: the time until its rules hold, beside starting an engine with them anew.

python -m tests.bench.reload [PODS [NODES]]
"""

from __future__ import annotations

import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

from kdl.fact import Fact, value
from kdl.rules.engine import Engine
from kdl.rules.program import Program
from kdl.runtime.programs import of_texts
from kdl.runtime.shell.scratch import program_of
from kdl.runtime.whatif import Supposition, ask_what_if

ROUNDS = 5
ONE = 'module extra. import core. rel team(p: str, t: str). team(P, T) :- core.label("Pod", P, "team", T).'
HOUSE = Path(__file__).parents[2] / "examples/02-policies/house.dl"


def world(pods: int, nodes: int) -> list[Fact]:
    """Nodes, and pods that run on them."""
    found = []
    for number in range(nodes):
        status = {"allocatable": {"cpu": "64", "memory": "256Gi", "pods": "500"}}
        doc = {"metadata": {"name": f"n{number}", "labels": {"zone": f"z{number % 3}"}}, "spec": {}, "status": status}
        found.append(Fact("core.object", ("", "Node", f"n{number}", f"u-n{number}", value(doc))))
    for number in range(pods):
        container = {"name": "a", "image": "a:1", "resources": {"requests": {"cpu": "100m"}}}
        meta = {"name": f"p{number}", "namespace": "default", "labels": {"team": f"t{number % 7}"}}
        spec = {"containers": [container], "nodeName": f"n{number % nodes}"}
        doc = {"metadata": meta, "spec": spec, "status": {"phase": "Running"}}
        found.append(Fact("core.object", ("", "Pod", f"default/p{number}", f"u-p{number}", value(doc))))
    return found


def median(act: Callable[[], object]) -> float:
    """Milliseconds that an act takes, the middle one of some rounds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


def main() -> None:
    pods, nodes = (int(word) for word in [*sys.argv[1:], "2000", "50"][:2])
    base = program_of(())
    facts = world(pods, nodes)
    engine = Engine(base)
    engine.apply(insert=facts)
    total = sum(engine.count(name) for name in base.relations)
    print(f"{pods} pods, {nodes} nodes, {total} facts; medians of {ROUNDS}, ms")
    print(f"{'pack':24}{'anew':>10}{'reloaded':>10}{'removed':>10}{'ratio':>8}")

    def anew(program: Program) -> None:
        Engine(program).apply(insert=facts)

    for name, texts in (("one rule", {"extra.dl": ONE}), ("examples/02-policies", {"house.dl": HOUSE.read_text()})):
        program = of_texts({**base.sources, **texts})
        other, _ = engine.reloaded(program)
        cold, warm = (
            median(lambda program=program: anew(program)),
            median(lambda program=program: engine.reloaded(program)),
        )
        back = median(lambda other=other: other.reloaded(base))
        print(f"{name:24}{cold:10.0f}{warm:10.0f}{back:10.0f}{cold / warm:8.1f}")
    gone = Supposition(remove=(facts[-1],))
    print(f"whatif: one pod less      {median(lambda: ask_what_if(engine, gone)):.1f} ms")


if __name__ == "__main__":
    main()
