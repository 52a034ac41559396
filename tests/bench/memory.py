"""What a fact of two columns takes of memory: row, count or rank, an index; ``python -m tests.bench.memory``.

By `Engine.memory`, which adds up the sizes of all objects, and beside it by what Python allocated while the facts came.
Then what the documents of pods take that come one by one as JSON, beside what they took if none had a part in common.
"""

from __future__ import annotations

import gc
import json
import random
import tracemalloc
from collections.abc import Iterator
from typing import NamedTuple

import kdl
from kdl.fact import value
from tests.bench.binding import pod
from tests.bench.engine.workload import SEED

WANTED = 400
"""Bytes that a fact of two columns may take, with one index, a count and a rank."""

RULES = """
input rel edge(a: int, b: int).
rel path(a: int, b: int).
path(X, Y) :- edge(X, Y).
path(X, Y) :- path(X, Z), edge(Z, Y).
rel twice(a: int, b: int).
twice(X, Z) :- edge(X, Y), edge(Y, Z).
"""


class Taken(NamedTuple):
    """What facts of a relation take each, in bytes, and what all facts took in the allocator's eyes."""

    relation: str
    facts: int
    row: float
    number: float
    index: float
    allocated: float

    @property
    def each(self) -> float:
        """All of a fact."""
        return self.row + self.number + self.index


def measured(nodes: int = 500) -> Iterator[Taken]:
    """A graph, its closure (ranks) and its steps of two (counts), each with an index over its first column."""
    chance = random.Random(SEED)
    edges = [(chance.randrange(nodes), chance.randrange(nodes)) for _ in range(5 * nodes)]
    program = kdl.compile(RULES)
    kdl.Engine(program).apply(insert=[("edge", (1, 2))])  # what is made once is made
    gc.collect()
    tracemalloc.start()
    engine = kdl.Engine(program)
    engine.apply(insert=[("edge", edge) for edge in edges])
    for relation in ("edge", "path", "twice"):
        engine.query(f"{relation}(1, X)")
    gc.collect()
    allocated = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    found, _ = engine.memory()
    facts = sum(engine.count(relation) for relation in ("edge", "path", "twice"))
    for relation in ("edge", "path", "twice"):
        one = found[relation]
        parts = (part / one.facts for part in (one.rows, one.numbers, one.indexes))
        yield Taken(relation, one.facts, *parts, allocated / facts)


def documents(pods: int = 5000) -> tuple[float, float]:
    """The bytes of a pod's document among others that were made alike, and without what it has in common with them."""
    program = kdl.compile("input rel object(id: str, doc: json).")
    sizes = []
    for trusted in (False, True):
        engine = kdl.Engine(program)
        engine.apply(
            [("object", (f"p{n}", value(json.loads(json.dumps(pod(n)))))) for n in range(pods)], trusted=trusted
        )
        sizes.append(engine.memory()[1] / pods)
    return sizes[0], sizes[1]


def main() -> None:
    """Print a line for each relation."""
    print("relation     facts   row  count or rank  indexes    all  (wanted: at most 400)")
    for one in measured():
        print(f"{one.relation:8} {one.facts:9,} {one.row:5.0f} {one.number:14.0f} {one.index:8.0f} {one.each:6.0f}")
    print(f"by the allocator {one.allocated:.0f} bytes for a fact, whatever is beside rows and indexes included")
    together, apart = documents()
    print(f"a pod's document: {together:.0f} bytes, of {apart:.0f} if pods had nothing in common")


if __name__ == "__main__":
    main()
