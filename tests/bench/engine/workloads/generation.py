"""Same generation: who is as many steps below a common ancestor as somebody else."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tests.bench.engine.workload import Facts, Row, Run, Workload


def facts(chance: random.Random, size: Mapping[str, int]) -> Facts:
    """Layers of people, each with a parent of the layer above and some with two."""
    width, rows = size["width"], list[Row]()
    for layer in range(1, size["layers"]):
        for child in range(width):
            for _ in range(1 + (chance.random() < 0.2)):
                rows.append(((layer - 1) * width + chance.randrange(width), layer * width + child))
    return {"parent": list(dict.fromkeys(rows))}


def fresh(chance: random.Random, facts: Facts) -> Row:
    """One more parent for somebody, from the layer where the others are."""
    parent, child = chance.choice(facts["parent"])
    width = max(1, child - parent)
    return max(0, parent + chance.randrange(-3, 4)) if width > 6 else parent, child


def sql(run: Run) -> None:
    """One recursive table expression."""
    run("""
        CREATE OR REPLACE TABLE same AS
        WITH RECURSIVE found(a, b) AS (
            SELECT l.c1, r.c1 FROM parent l JOIN parent r ON l.c0 = r.c0
            UNION
            SELECT l.c1, r.c1 FROM found JOIN parent l ON l.c0 = found.a JOIN parent r ON r.c0 = found.b)
        SELECT a, b FROM found
    """)


GENERATION = Workload(
    name="generation",
    title="same generation",
    sizes={
        "small": {"layers": 6, "width": 30},
        "medium": {"layers": 8, "width": 100},
        "large": {"layers": 10, "width": 300},
    },
    inputs={"parent": "int int"},
    derived={"same": "int int"},
    rules="""
same(X, Y) :- parent(P, X), parent(P, Y).
same(X, Y) :- same(A, B), parent(A, X), parent(B, Y).
""",
    goal="same",
    changing="parent",
    facts=facts,
    fresh=fresh,
    sql=sql,
)
