"""Andersen's points-to analysis: what each variable of a program without fields may point to."""

from __future__ import annotations

import random
from collections.abc import Mapping

from tests.bench.engine.workload import Facts, Row, Run, Workload


def facts(chance: random.Random, size: Mapping[str, int]) -> Facts:
    """Statements about variables drawn evenly; every fifth variable is set to a new object."""
    count = size["variables"]

    def pairs(number: int) -> list[Row]:
        return list(dict.fromkeys((chance.randrange(count), chance.randrange(count)) for _ in range(number)))

    return {
        "new": [(variable, variable) for variable in chance.sample(range(count), count // 5)],
        "assign": pairs(count * 9 // 10),
        "load": pairs(count // 6),
        "store": pairs(count // 6),
    }


def fresh(chance: random.Random, facts: Facts) -> Row:
    """An assignment between variables that others are assigned to and from."""
    return chance.choice(facts["assign"])[0], chance.choice(facts["assign"])[1]


def sql(run: Run) -> None:
    """Semi-naive rounds: a recursive table expression cannot join what it has found with itself."""
    run("CREATE OR REPLACE TABLE points AS SELECT DISTINCT c0 AS v, c1 AS h FROM new")
    run("CREATE OR REPLACE TABLE fresh AS SELECT * FROM points")
    run("CREATE OR REPLACE TABLE holds (g BIGINT, h BIGINT)")
    while run("SELECT count(*) FROM fresh"):
        run("""
            CREATE OR REPLACE TABLE held AS
            SELECT a.h AS g, b.h AS h FROM fresh a JOIN store s ON a.v = s.c0 JOIN points b ON b.v = s.c1
            UNION SELECT a.h, b.h FROM points a JOIN store s ON a.v = s.c0 JOIN fresh b ON b.v = s.c1
            EXCEPT SELECT * FROM holds
        """)
        run("INSERT INTO holds SELECT * FROM held")
        run("""
            CREATE OR REPLACE TABLE fresh AS
            SELECT a.c0 AS v, f.h FROM fresh f JOIN assign a ON a.c1 = f.v
            UNION SELECT l.c0, x.h FROM fresh f JOIN load l ON l.c1 = f.v JOIN holds x ON x.g = f.h
            UNION SELECT l.c0, x.h FROM points f JOIN load l ON l.c1 = f.v JOIN held x ON x.g = f.h
            EXCEPT SELECT * FROM points
        """)
        run("INSERT INTO points SELECT * FROM fresh")


POINTSTO = Workload(
    name="pointsto",
    title="points-to (Andersen)",
    sizes={"small": {"variables": 300}, "medium": {"variables": 1000}, "large": {"variables": 2000}},
    inputs={"new": "int int", "assign": "int int", "load": "int int", "store": "int int"},
    derived={"points": "int int", "holds": "int int"},
    rules="""
points(V, H) :- new(V, H).
points(V, H) :- points(W, H), assign(V, W).
points(V, H) :- points(W, G), load(V, W), holds(G, H).
holds(G, H) :- points(V, G), store(V, W), points(W, H).
""",
    goal="points",
    changing="assign",
    facts=facts,
    fresh=fresh,
    sql=sql,
)
