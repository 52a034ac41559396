"""The engine's conditions are Python's own as far as that can be; on every mix of operands they say what `naive` says.

Operands are true, false, missing, null, or no conditions at all, which is a fault; each stands on either side.
"""

from __future__ import annotations

import random
from itertools import product

import kdl
from kdl.rules.naive import Naive

LEAVES = ("X = 1", "X < 2", "X in L", "D.p = 1", "D.p < X", "D.flag", "1 in [X, 2]", "size(L) = 1", "F", "D.p != null")
NUMBERS: tuple[object, ...] = (1, 3, None, "s")
LISTS: tuple[object, ...] = ([1], [], None, "s", {"1": 2})
DOCUMENTS: tuple[object, ...] = ({}, {"p": 1}, {"p": "x", "flag": True}, {"flag": 2, "p": None}, None)
ROWS = [
    (number, x, items, doc, number % 2 == 0)
    for number, (x, items, doc) in enumerate(product(NUMBERS, LISTS, DOCUMENTS))
]


def pairs() -> list[str]:
    """Every two operands, joined either way, plain and negated on either side."""
    return [
        f"{before}({one}) {operator} {after}({other})"
        for one, other in product(LEAVES, LEAVES)
        for operator, before, after in product(("and", "or"), ("", "not "), ("", "not "))
    ]


def nested(count: int) -> list[str]:
    """Deeper ones, by chance."""
    chance = random.Random(1)

    def made(depth: int) -> str:
        if depth == 0:
            return chance.choice(LEAVES)
        inner = f"({made(depth - 1)}) {chance.choice(('and', 'or'))} ({made(chance.randrange(depth))})"
        return f"not ({inner})" if chance.random() < 0.3 else inner

    return [made(3) for _ in range(count)]


def test_conditions_say_what_the_specification_says() -> None:
    rules = ["input rel d(i: int, x: any, l: any, d: any, f: bool)."]
    for number, text in enumerate([*pairs(), *nested(200)]):
        rules.append(f"rel p{number}(i: int). p{number}(I) :- d(I, X, L, D, F), ({text}).")
        if number % 3 == 0:
            rules.append(f"rel q{number}(i: int, v: any). q{number}(I, {text}) :- d(I, X, L, D, F).")
    program = kdl.compile("\n".join(rules))
    facts = [("d", row) for row in ROWS]
    engine, naive = kdl.Engine(program), Naive(program)
    engine.apply(insert=facts)
    naive.apply(insert=facts)
    held = 0
    for name in program.relations:
        assert engine.facts(name) == naive.facts(name), next(text for text in rules if f" {name}(" in text)
        held += len(engine.facts(name))
    print(f"{len(rules) - 1} conditions on {len(ROWS)} rows: {held} facts agree")
