"""Each file beside this one is a program, a history and facts that must hold: for the engine and its specification.

A history is a list of steps, each ended by ``---``: ``+ fact`` asserts, ``- fact`` removes, ``clock N`` sets the time.
After a step, ``= fact`` lines list all facts of each relation they name, ``= no relation`` says that it is empty.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kdl
from kdl import Engine
from kdl.fact import Fact
from kdl.parser.parse import parse_atom
from kdl.rules.evaluate import evaluate
from kdl.rules.naive import Naive

CASES = sorted(Path(__file__).parent.glob("*.md"))


def block(text: str, name: str) -> str:
    found = re.search(rf"```{name}\n(.*?)```", text, re.DOTALL)
    assert found is not None, f"no {name} block"
    return found[1]


def fact(text: str) -> Fact:
    atom = parse_atom(text)
    return Fact(atom.relation, tuple(evaluate(argument.value, {}) for argument in atom.arguments))  # type: ignore[misc]


def steps(history: str) -> Iterator[tuple[dict[str, Any], dict[str, set[Any]]]]:
    """Each delta with the facts expected after it."""
    for part in re.split(r"^(?=---)", f"---\n{history}", flags=re.MULTILINE)[1:]:
        expected: dict[str, set[Any]] = {}
        delta: dict[str, Any] = {"insert": [], "remove": [], "now": None}
        for line in part.splitlines()[1:]:
            kind, _, rest = line.strip().partition(" ")
            if kind == "+":
                delta["insert"].append(fact(rest))
            elif kind == "-":
                delta["remove"].append(fact(rest))
            elif kind == "clock":
                delta["now"] = int(rest)
            elif kind == "=" and rest.startswith("no "):
                expected[rest.removeprefix("no ").strip()] = set()
            elif kind == "=":
                found = fact(rest)
                expected.setdefault(found.relation, set()).add(found.row)
            else:
                assert not kind, f"what is `{line}`?"
        yield delta, expected


@pytest.mark.parametrize("system", [Engine, Naive])
@pytest.mark.parametrize("case", CASES, ids=lambda path: path.stem)
def test_facts_are_as_the_case_says(case: Path, system: type[Any]) -> None:
    text = case.read_text("utf-8")
    program = kdl.compile(block(text, "kdl"))
    subject, reference = system(program), Naive(program)
    pending: dict[str, Any] | None = None
    checks = 0
    for delta, expected in steps(block(text, "history")):
        for name, rows in expected.items():
            assert subject.facts(name) == rows, name
            checks += 1
        if pending is not None:
            for name in program.relations:
                assert subject.facts(name) == reference.facts(name), name
        if any(delta.values()):
            subject.apply(**delta)
            reference.apply(**delta)
            pending = delta
    assert pending is not None
    assert checks or "found by the laws" in text
