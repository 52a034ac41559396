"""How long a decision takes: `python -m tests.bench.access [bindings]`.

Random requests of 1,000 users in 100 namespaces and 100 groups against random roles and bindings. The request goes in,
the answer is read and the request goes out, as in the API server; the straightforward checker of the tests is the peer.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

import kdl
from kdl.fact import Fact, value
from kdl.rules.program import restricted
from tests.packs.rbac import Checker
from tests.packs.test_access import facts, people, whole, world

POLICIES = Path(__file__).parents[2] / "policies"


def quantiles(work: Callable[[int], object], count: int) -> str:
    """The times of so many calls: median, 90 and 99 of 100."""
    times = []
    for number in range(count):
        start = time.perf_counter()
        work(number)
        times.append(time.perf_counter() - start)
    times.sort()
    return ", ".join(
        f"{name} {times[int(count * q)] * 1e6:.0f} µs" for name, q in (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    )


def main() -> None:
    """Measure, and print."""
    bindings = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    program = kdl.compile([POLICIES / name for name in ("core", "access", "admission")])
    engine = kdl.Engine(restricted(program, {"access.allow"}))
    docs, asked = world(seed=1, roles=bindings // 20, bindings=bindings, who=people(100, 1000, 100))
    objects = facts(docs)
    start = time.perf_counter()
    engine.apply(objects)
    print(f"{bindings} bindings of {bindings // 20} roles: loaded in {time.perf_counter() - start:.2f} s")

    def decide(number: int) -> bool:
        user, groups, verb, group, resource, sub, namespace, name = asked[number]
        row = (f"q{number}", user, value(groups), verb, group, whole(resource, sub), sub, namespace, name)
        engine.apply([Fact("access.request", row)], trusted=True)
        allowed = any(True for _ in engine.lookup("access.allow", {0: row[0]}))
        engine.apply((), [Fact("access.request", row)], trusted=True)
        return allowed

    decide(0)
    print("rules:  ", quantiles(decide, 5000))
    checker = Checker(docs)
    print("checker:", quantiles(lambda number: next(checker.grants(asked[number]), None), 10))


if __name__ == "__main__":
    main()
