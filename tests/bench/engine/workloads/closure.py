"""Transitive closure of a random graph: 1,000 nodes and 2,000 draws of an edge give 611,951 paths."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tests.bench.engine.workload import Facts, Row, Run, Workload


def facts(chance: random.Random, size: Mapping[str, int]) -> Facts:
    """Edges between nodes drawn evenly with `random.Random(1)`; an edge drawn twice is there once."""
    nodes = size["nodes"]
    draws = ((chance.randrange(nodes), chance.randrange(nodes)) for _ in range(size["edges"]))
    return {"edge": list(dict.fromkeys(draws))}


def fresh(chance: random.Random, facts: Facts) -> Row:
    """An edge between two nodes that have edges."""
    return chance.choice(facts["edge"])[0], chance.choice(facts["edge"])[1]


def sql(run: Run) -> None:
    """One recursive table expression."""
    run("""
        CREATE OR REPLACE TABLE path AS
        WITH RECURSIVE found(a, b) AS (
            SELECT c0, c1 FROM edge UNION SELECT found.a, edge.c1 FROM found JOIN edge ON found.b = edge.c0)
        SELECT a, b FROM found
    """)


CLOSURE = Workload(
    name="closure",
    title="transitive closure",
    sizes={
        "small": {"nodes": 100, "edges": 200},
        "medium": {"nodes": 316, "edges": 632},
        "large": {"nodes": 1000, "edges": 2000},
    },
    inputs={"edge": "int int"},
    derived={"path": "int int"},
    rules="""
path(X, Y) :- edge(X, Y).
path(X, Z) :- path(X, Y), edge(Y, Z).
""",
    goal="path",
    changing="edge",
    facts=facts,
    fresh=fresh,
    sql=sql,
)
