"""What people ask of an engine, as text in and plain data out: queries, why, why not.

The same for a running cluster (through the API), for a scratch engine of the command line, and for the REPL.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from kdl.fact import Fact, Value, plain, sort_key
from kdl.parser import syntax as s
from kdl.parser.parse import parse_atom, parse_query
from kdl.rules.check import resolve_atom, resolve_query
from kdl.rules.engine import Engine, LimitExceeded
from kdl.rules.explain import why
from kdl.rules.outline import Entry, entry, of_proof, of_why_not, opened
from kdl.rules.program import Program, restricted
from kdl.rules.proof import Origin
from kdl.rules.render import proofs_json, whynot_json, whynot_text
from kdl.rules.whynot import WhyNot, why_not
from kdl.runtime.access import action_from, request_fact
from kdl.runtime.api.gate import known_as
from kdl.runtime.objects import OBJECT
from kdl.runtime.screen import Lacks, screened, screened_refusal

PACKET = "network.packet"
PICTURES = ("dot", "svg")
FORMS = ("text", "json", *PICTURES)
VERDICTS = frozenset({"network.allowed", "network.refused"})
"""Relations about a question that is a fact itself: asking for one puts the question in for as long as it takes."""

MAY = "access.may"
"""The same about a request to the API."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a question came to: whether the goal holds, the explanation as text, and as data if that was asked for."""

    holds: bool
    text: str
    data: dict[str, Any]

    def document(self) -> dict[str, Any]:
        """The answer as JSON-able data."""
        return {"holds": self.holds, "text": self.text, "data": self.data}


@dataclass(frozen=True, slots=True)
class View:
    """How an explanation is shown: whole, or what is at some of its numbers; as text, as data too, or as a picture."""

    expand: tuple[str, ...] = ()
    form: str = "text"

    def show(self, engine: Engine, roots: list[Entry], text: str) -> tuple[str, list[Entry]]:
        """The text, and the entries that were asked for by number. Raises `LookupError` for a number nothing has."""
        chosen = []
        for number in self.expand:
            found = entry(roots, number, engine.program)
            if found is None:
                raise LookupError(f"nothing has the number {number} in this explanation")
            chosen.append(opened(found, engine.program))
        shown = chosen or roots
        if self.form in PICTURES:
            from kdl.rules import picture  # only who wants one waits for it

            return picture.dot(shown) if self.form == "dot" else picture.svg(shown), chosen
        return "\n\n".join("\n".join(one.lines()) for one in chosen) if chosen else text, chosen


def query(engine: Engine, text: str, module: str | None = None) -> list[dict[str, Any]]:
    """The rows of a query, by variable, in a stable order. Raises `ProgramError`."""
    body = resolve_query(engine.program, parse_query(text), module, text)
    rows = [{name: plain(item) for name, item in row.items()} for row in engine.query(body)]
    return sorted(rows, key=repr)


def part_for(program: Program, text: str) -> Program:
    """The part of a program that the answers to a query follow from, and objects. Raises `ProgramError`."""
    body = resolve_query(program, parse_query(text), None, text)
    asked = {node.relation for literal in body for node in s.walk(literal) if isinstance(node, s.Atom)}
    return restricted(program, asked | {OBJECT})


def second_opinion(engine: Engine, text: str) -> tuple[list[dict[str, Any]], str]:
    """The rows of a query by pyDatalog, and which relations it worked out. Raises `ProgramError`, `Inexpressible`."""
    from kdl.rules.pydatalog import SecondOpinion  # only who wants one waits for it

    body = resolve_query(engine.program, parse_query(text), None, text)
    found, own = SecondOpinion(engine).query(body)
    rows = [{name: plain(item) for name, item in row.items()} for row in found]
    asked = {node.relation for literal in body for node in s.walk(literal) if isinstance(node, s.Atom)}
    said = [f"pyDatalog's own: {', '.join(sorted(own)) or 'nothing but the query'}"]
    if asked - own:
        said.append(f"kdl's: {', '.join(sorted(asked - own))}")
    return sorted(rows, key=repr), "; ".join(said)


def goal(engine: Engine, text: str) -> s.Atom:
    """The atom that is asked about, with its names resolved. Raises `ProgramError`."""
    return resolve_atom(engine.program, parse_atom(text), None, text)


def ask_why(
    engine: Engine,
    text: str,
    origin: Origin | None = None,
    limit: int = 3,
    view: View | None = None,
    lacks: Lacks | None = None,
) -> Answer:
    """Why a goal holds: the proofs of the first few facts that match it; else why it does not.

    With `lacks` the answer is screened.
    """
    atom = goal(engine, text)
    with asking(engine, atom):
        rows = sorted(matching(engine, atom), key=repr)
        if not rows:
            found = _why_not(engine, atom, origin, lacks)
            assert found is not None
            return _refused(engine, found, False, view)
        proofs = [proof for row in rows[:limit] if (proof := why(engine, atom.relation, row, origin)) is not None]
        if lacks is not None:
            proofs = [screened(proof, _own(atom, lacks)) for proof in proofs]
        numbers = [str(number) if len(proofs) > 1 else "" for number in range(1, len(proofs) + 1)]
        roots = [of_proof(proof, engine.program, number) for proof, number in zip(proofs, numbers, strict=True)]
        told = "\n\n".join("\n".join(root.lines()).removeprefix(f"{root.number} ") for root in roots)
        if len(rows) > limit:
            told += f"\n\n… and {len(rows) - limit} more facts match"
        view = view or View()
        told, chosen = view.show(engine, roots, told)
        data: dict[str, Any] = {"holds": True}
        if view.form == "json":
            data["proofs"], data["facts"] = proofs_json(proofs, engine.program)
    return Answer(True, told, _with(data, chosen))


def ask_why_not(
    engine: Engine,
    text: str,
    view: View | None = None,
    origin: Origin | None = None,
    lacks: Lacks | None = None,
) -> Answer:
    """Why a goal does not hold; the answer `holds` if it does not, as asked. With `lacks` it is screened."""
    atom = goal(engine, text)
    with asking(engine, atom):
        found = _why_not(engine, atom, origin, lacks)
        if found is None:
            return Answer(False, f"{text.strip()} holds: ask `why`", {"holds": True})
        return _refused(engine, found, True, view)


def _why_not(engine: Engine, atom: s.Atom, origin: Origin | None, lacks: Lacks | None) -> WhyNot | None:
    """The answer with a repair that was tried, screened."""

    def verify(insert: list[Fact], remove: list[Fact]) -> bool:
        try:
            with engine.supposing(insert, remove):
                return bool(matching(engine, atom))
        except (ValueError, LimitExceeded):
            return False

    found = why_not(engine, atom, verify, origin, _Objects(engine, atom))
    return screened_refusal(found, _own(atom, lacks)) if found is not None and lacks is not None else found


OBSTACLE, REMEDY = "api.obstacle", "api.remedy"


class _Objects:
    """What people change of objects to make a goal hold: what they write in manifests, of the objects it names."""

    def __init__(self, engine: Engine, atom: s.Atom) -> None:
        self._engine = engine
        self._named = [a.value.value for a in atom.arguments if isinstance(a.value, s.Constant)]

    def name(self, fact: Fact) -> str:
        """Kind and id."""
        return f"{fact.row[1]} {fact.row[2]}"

    def meant(self, fact: Fact) -> Fact:
        """Of objects of one kind that are alike to the rules (pods of one class), the one that the goal names."""
        for id_ in self._named:
            for row in self._engine.lookup(OBJECT, {0: fact.row[0], 1: fact.row[1], 2: id_}):
                return Fact(OBJECT, row)
        return fact

    def open(self, fact: Fact, path: tuple[str | int, ...]) -> bool:
        """A status is observed, metadata ties objects together, and a container without its name is none."""
        return path[0] == "spec" and path[-1] != "name"

    def remedies(self, obstacle: Fact) -> Iterator[tuple[Fact, tuple[str | int, ...], Value]]:
        """What the rules say when they are asked."""
        if OBSTACLE not in self._engine.program.relations:
            return
        about: dict[int, Value] = {0: obstacle.relation, 1: obstacle.row}
        with self._engine.supposing([(OBSTACLE, (*about.values(), tuple(self._named)))]):
            found = list(self._engine.lookup(REMEDY, about))
        for _, _, group, kind, id_, path, new in sorted(found, key=sort_key):
            for row in self._engine.lookup(OBJECT, {0: group, 1: kind, 2: id_}):
                if isinstance(path, tuple):
                    yield Fact(OBJECT, row), path, new


def _refused(engine: Engine, found: WhyNot, holds: bool, view: View | None) -> Answer:
    view = view or View()
    root = of_why_not(found, engine.program)
    told, chosen = view.show(engine, [root], whynot_text(found))
    data = whynot_json(found, engine.program) if view.form == "json" else {}
    return Answer(holds, told, _with({"holds": False, **data}, chosen))


def _with(data: dict[str, Any], chosen: list[Entry]) -> dict[str, Any]:
    return {**data, "expanded": [one.json() for one in chosen]} if chosen else data


@contextmanager
def asking(engine: Engine, atom: s.Atom) -> Iterator[None]:
    """For a goal about a question, the question is a fact inside the block."""
    fact = _question(atom)
    if fact is None or engine.holds(*fact):
        yield
        return
    engine.apply(insert=[fact])
    try:
        yield
    finally:
        engine.apply(remove=[fact])


def _own(atom: s.Atom, lacks: Lacks) -> Lacks:
    """What an asker lacks; the question itself is theirs."""
    question = _question(atom)
    return lambda fact: None if fact == question else lacks(fact)


def _question(atom: s.Atom) -> Fact | None:
    """The question that a goal is about: a packet, a request to the API."""
    given = [a.value.value if isinstance(a.value, s.Constant) else None for a in atom.arguments]
    if atom.relation in VERDICTS and None not in given[:4]:
        return Fact(PACKET, tuple(given[:4]))
    if atom.relation == MAY and all(isinstance(item, str) for item in given[:4]):
        user, verb, resource, namespace, name = (str(item or "") for item in given)
        return request_fact(MAY, known_as(user), action_from(verb, resource, namespace, name))
    return None


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
