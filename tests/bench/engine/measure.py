"""One system on one workload of one size, in a process of its own: what it took, as a line of JSON.

``python -m tests.bench.engine.measure SYSTEM WORKLOAD SIZE CHANGES SECONDS``
"""

from __future__ import annotations

import json
import sys
from typing import Any

from tests.bench.engine.systems import resident, start
from tests.bench.engine.workloads import WORKLOADS

COMPARED = 5
"""After so many of the changes the answers are counted."""
LEAST = 2
"""So many changes a system sees that works out everything anew, however long it takes."""


def measured(system: str, workload: str, size: str, changes: int, seconds: float) -> dict[str, Any]:
    """Cold from facts to answers; then random facts that come and go, at most for some seconds."""
    problem = WORKLOADS[workload]
    facts = problem.made(size)
    coming = problem.changes(facts, 1000)[:changes]
    here = start(system, problem)
    here.expect(facts, [row for _, row in coming])
    before = resident(peak=False)
    took = {"load": here.load(facts), "evaluate": here.evaluate(), "memory": here.memory()}
    took |= {"answers": here.count(), "memory": took["memory"] - (before if "swi" not in system else 0)}
    inserts, deletes, counts = list[float](), list[float](), list[int]()
    spent = 0.0
    for number, (there, row) in enumerate(coming if here.updates else coming[:COMPARED]):
        for insert in (not there, there):
            (inserts if insert else deletes).append(here.change(insert, row))
            spent += (inserts if insert else deletes)[-1]
            if number < COMPARED:
                counts.append(here.count())
        if number >= (COMPARED if here.updates else LEAST) - 1 and spent > seconds:
            break
    if inserts and here.count() != took["answers"]:
        raise AssertionError(f"{system} does not come back to {took['answers']} answers: {here.count()}")
    return took | {"inserts": inserts, "deletes": deletes, "counts": counts, "updates": here.updates}


if __name__ == "__main__":
    name, problem, size, changes, seconds = sys.argv[1:]
    print(json.dumps(measured(name, problem, size, int(changes), float(seconds))))
