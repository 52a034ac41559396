"""Programs of the `datalog-conformance` suite in kdl's words: every name there that is not quoted is a variable."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from datalog_conformance.schema import Model, Program, Scalar

import kdl
from kdl.fact import plain

_TOKEN: Final = re.compile(r'"(?:[^"\\]|\\.)*"|[A-Za-z_]\w*|\d+|\s+|:-|[<>!=]=|.')


CODES: Final = {
    "KDL218": "safety_violations",
    "KDL230": "unbound_variable",
    "KDL232": "unbound_variable",
    "KDL301": "cyclic_negation",
}
"""What the suite calls kdl's errors."""


class Refused(Exception):
    """A program or fact that is refused; the text is the suite's word for why."""


class Evaluator:
    """Answers as the suite's protocol asks; the programs of many cases are the same, and are worked out once."""

    def __init__(self) -> None:
        self._models: dict[str, Model] = {}

    def evaluate(self, program: Program) -> Model:
        """All relations of the program. Raises `Refused` for what is no program."""
        text, given = translated(program), list(facts(program))
        key = text + repr(given)
        if key not in self._models:
            try:
                engine = kdl.Engine(kdl.compile(text))
                engine.apply(insert=given)
            except kdl.ProgramError as error:
                raise Refused(CODES.get(error.diagnostics[0].code, error.diagnostics[0].message)) from error
            except ValueError as error:
                raise Refused("arity_mismatch" if "columns, not" in str(error) else str(error)) from error
            self._models[key] = Model({
                name: {tuple(plain(value) for value in row) for row in engine.facts(relation(name))}
                for name in arities(program)
            })  # fmt: skip
        return self._models[key]


def translated(program: Program) -> str:
    """The program's text: each relation is declared, with an input of its own for what is asserted."""
    lines = []
    for name, arity in arities(program).items():
        columns = ", ".join(f"c{index}: any" for index in range(arity))
        variables = ", ".join(f"X{index}" for index in range(arity))
        lines += [f"input rel in_{relation(name)}({columns}).", f"rel {relation(name)}({columns})."]
        lines.append(f"{relation(name)}({variables}) :- in_{relation(name)}({variables}).")
    return "\n".join([*lines, *map(clause, program.rules)])


def facts(program: Program) -> Iterator[tuple[str, tuple[Scalar, ...]]]:
    """What the program asserts."""
    for name, rows in program.facts.items():
        for row in rows:
            yield f"in_{relation(name)}", row


def relation(name: str) -> str:
    """A relation's name: kdl's begin with a small letter, and two must not differ by that alone."""
    return f"rel_{name}"


def clause(text: str) -> str:
    """A rule: names before a parenthesis are relations, others variables."""
    tokens = _TOKEN.findall(text.rstrip().removesuffix(".") + ".")
    after = [next((t for t in tokens[i + 1 :] if not t.isspace()), "") for i in range(len(tokens))]
    return "".join(word(token, following) for token, following in zip(tokens, after, strict=True))


def word(token: str, following: str) -> str:
    """One word of a rule."""
    if not re.match(r"[A-Za-z_]", token) or token in ("not", "_"):
        return token
    return relation(token) if following == "(" else f"V_{token}"


def arities(program: Program) -> dict[str, int]:
    """Every relation of the program and its number of columns, as its first mention has it."""
    found = {name: len(rows[0]) for name, rows in program.facts.items() if rows}
    for rule in program.rules:
        for match in re.finditer(r"([A-Za-z_]\w*)\s*\(", rule):
            if match[1] != "not":
                found.setdefault(match[1], len(arguments(rule[match.end() :])))
    return found


def arguments(text: str) -> list[str]:
    """The arguments up to the parenthesis that ends them."""
    depth, parts = 0, [""]
    for token in _TOKEN.findall(text):
        if token == ")" and depth == 0:
            break
        depth += (token == "(") - (token == ")")
        if token == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += token
    return [part for part in parts if part.strip()]
