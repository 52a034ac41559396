"""What people ask of an engine, as text in and plain data out: queries, why, why not.

The same for a running cluster (through the API), for a scratch engine of the command line, and for the REPL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kdl.fact import Fact, plain
from kdl.parser import syntax as s
from kdl.parser.parse import parse_atom, parse_query
from kdl.rules.check import resolve_atom, resolve_query
from kdl.rules.engine import Engine
from kdl.rules.explain import Origin, why
from kdl.rules.render import proof_json, proof_text, whynot_json, whynot_text
from kdl.rules.whynot import why_not

PACKET = "network.packet"
VERDICTS = frozenset({"network.allowed", "network.refused"})
"""Relations about a question that is a fact itself: asking for one puts the question in for as long as it takes."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question came to: whether the goal holds, the explanation as text, and as data."""

    holds: bool
    text: str
    data: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The answer as JSON-able data."""
        return {"holds": self.holds, "text": self.text, "data": self.data}


def query(engine: Engine, text: str, module: str | None = None) -> list[dict[str, Any]]:
    """The rows of a query, by variable, in a stable order. Raises `ProgramError`."""
    body = resolve_query(engine.program, parse_query(text), module, text)
    rows = [{name: plain(item) for name, item in row.items()} for row in engine.query(body)]
    return sorted(rows, key=repr)


def goal(engine: Engine, text: str) -> s.Atom:
    """The atom that is asked about, with its names resolved. Raises `ProgramError`."""
    return resolve_atom(engine.program, parse_atom(text), None, text)


def ask_why(engine: Engine, text: str, origin: Origin | None = None, limit: int = 3) -> Answer:
    """Why a goal holds: the proofs of the first few facts that match it; else why it does not."""
    atom = goal(engine, text)
    with asking(engine, atom):
        rows = sorted(matching(engine, atom), key=repr)
        if not rows:
            found = why_not(engine, atom)
            assert found is not None
            return Answer(False, whynot_text(found), {"holds": False, **whynot_json(found, engine.program)})
        proofs = [proof for row in rows[:limit] if (proof := why(engine, atom.relation, row, origin)) is not None]
    answer = "\n\n".join(proof_text(proof, engine.program) for proof in proofs)
    if len(rows) > limit:
        answer += f"\n\n… and {len(rows) - limit} more facts match"
    return Answer(True, answer, {"holds": True, "proofs": [proof_json(p, engine.program) for p in proofs]})


def ask_why_not(engine: Engine, text: str) -> Answer:
    """Why a goal does not hold; the answer `holds` if it does not, as asked."""
    atom = goal(engine, text)
    with asking(engine, atom):
        found = why_not(engine, atom)
    if found is None:
        return Answer(False, f"{text.strip()} holds: ask `why`", {"holds": True})
    return Answer(True, whynot_text(found), {"holds": False, **whynot_json(found, engine.program)})


@contextmanager
def asking(engine: Engine, atom: s.Atom) -> Iterator[None]:
    """For a goal about a question, the question is a fact inside the block."""
    question = [a.value.value for a in atom.arguments[:4] if isinstance(a.value, s.Constant)]
    if atom.relation not in VERDICTS or len(question) != 4 or engine.holds(PACKET, tuple(question)):
        yield
        return
    fact = Fact(PACKET, tuple(question))
    engine.apply(insert=[fact])
    try:
        yield
    finally:
        engine.apply(remove=[fact])


def matching(engine: Engine, atom: s.Atom) -> list[tuple[Any, ...]]:
    """The rows that an atom matches."""
    known = {
        index: argument.value.value
        for index, argument in enumerate(atom.arguments)
        if isinstance(argument.value, s.Constant)
    }
    variables = [a.value.name for a in atom.arguments if isinstance(a.value, s.Variable)]
    rows = list(engine.lookup(atom.relation, known))
    if len(variables) == len(set(variables)):
        return rows
    places: dict[str, list[int]] = {}
    for index, argument in enumerate(atom.arguments):
        if isinstance(argument.value, s.Variable):
            places.setdefault(argument.value.name, []).append(index)
    return [row for row in rows if all(len({row[i] for i in same}) == 1 for same in places.values())]
