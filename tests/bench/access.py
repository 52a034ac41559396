"""How long a decision takes: `python -m tests.bench.access [bindings]`.

Random requests of 1,000 users in 100 namespaces and 100 groups against random roles and bindings, asked of the API
server's own `Access`: decided anew, each for the first time, and again, as most requests in a cluster are. The
straightforward checker of the tests is the peer. Times are the thread's own, so that other work counts for nothing.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable

from kdl.parser.source import shipped
from kdl.runtime.access import Access
from kdl.runtime.api.gate import Action, User
from kdl.runtime.programs import compile
from kdl.runtime.store import Key, MemoryStore
from tests.packs.rbac import Checker
from tests.packs.test_access import GROUP, people, world

MOST = 5_000
"""Requests; fewer than `Access` remembers."""


def taken(work: Callable[[], object]) -> float:
    """The time of one call, in microseconds."""
    start = time.thread_time()
    work()
    return 1e6 * (time.thread_time() - start)


def quantiles(times: Iterable[float]) -> str:
    """Median, 90 and 99 of 100."""
    ordered = sorted(times)
    shares = (("p50", 0.5), ("p90", 0.9), ("p99", 0.99))
    return ", ".join(f"{name} {ordered[int(len(ordered) * share)]:.0f} µs" for name, share in shares)


def main() -> None:
    """Measure, and print."""
    bindings = int(sys.argv[1]) if len(sys.argv) > 1 else 10_000
    docs, asked = world(seed=1, roles=max(bindings // 20, 5), bindings=bindings, who=people(100, 1000, 100))
    store = MemoryStore()
    with store.transaction() as t:
        for doc in docs:
            metadata = doc["metadata"]
            id_ = "/".join(filter(None, (metadata.get("namespace"), metadata["name"])))
            t.put(Key(GROUP, doc["kind"], id_), doc)
    start = time.perf_counter()
    access = Access(compile(shipped()), store)
    print(f"{bindings} bindings of {max(bindings // 20, 5)} roles: loaded in {time.perf_counter() - start:.2f} s")
    questions = [
        (User(user, tuple(groups)), Action(verb, group, *resource, namespace, name))
        for user, groups, verb, group, *resource, namespace, name in dict.fromkeys(asked[:MOST])
    ]
    access(User("nobody"), Action("get", "", "pods"))  # what is worked out once
    first = [taken(lambda q=question: access(*q)) for question in questions]
    allowed = [access(*question).allowed for question in questions]
    for word, which in (("granted", True), ("refused, with the reason", False)):
        times = [time_ for time_, one in zip(first, allowed, strict=True) if one is which]
        print(f"{word} ({len(times)}): {quantiles(times)}")
    print("asked again:", quantiles(taken(lambda q=q: access(*q)) for q in questions))
    checker = Checker(docs)
    print("checker:", quantiles(taken(lambda r=r: next(checker.grants(r), None)) for r in asked[:10]))


if __name__ == "__main__":
    main()
