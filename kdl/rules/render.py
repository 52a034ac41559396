"""Proofs and why-nots as text for people and as JSON for scripts."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from kdl.fact import Fact, plain
from kdl.rules.explain import (
    Absence,
    Aggregation,
    Condition,
    Premise,
    Proof,
    brief,
    fact_text,
    path_text,
    source_text,
)
from kdl.rules.program import Program, label
from kdl.rules.whynot import NAMED, Reason, WhyNot

DEPTH: Final = 40
"""How deep a proof is shown."""


def proof_text(proof: Proof, program: Program) -> str:
    """A proof as a tree of numbered facts; what was shown above is referred to by its number."""
    return "\n".join(_Tree(program).lines(proof, "", 0))


class _Tree:
    """One rendering: the number under which each fact was shown first."""

    def __init__(self, program: Program) -> None:
        self.program = program
        self.shown: dict[Fact, str] = {}

    def lines(self, proof: Proof, number: str, depth: int) -> Iterator[str]:
        indent = "  " * depth
        head = f"{indent}{number + ' ' if number else ''}{fact_text(proof.fact)}"
        if proof.fact in self.shown and proof.rule is not None:
            yield f"{head}  (see {self.shown[proof.fact] or 'above'})"
            return
        self.shown.setdefault(proof.fact, number)
        if proof.rule is None:
            yield head + (f"  {proof.place}" if proof.place else "  asserted")
            for read in proof.reads:
                place = f"  {read.place}" if read.place else ""
                yield f"{indent}    {path_text(read.path)} = {brief(read.value)}{place}"
            return
        yield f"{head}  {label(proof.rule)}"
        if proof.sentence is not None:
            yield f"{indent}    “{proof.sentence}”"
        if depth >= DEPTH:
            yield f"{indent}  …"
            return
        yield from self._premises(proof.premises, number, depth)

    def _premises(self, premises: tuple[Premise, ...], number: str, depth: int) -> Iterator[str]:
        indent = "  " * (depth + 1)
        count = 0
        for premise in premises:
            if isinstance(premise, (Proof, Aggregation)):
                count += 1
                below = f"{number}.{count}" if number else str(count)
            match premise:
                case Proof():
                    yield from self.lines(premise, below, depth + 1)
                case Aggregation():
                    yield from self._aggregation(premise, below, depth + 1)
                case Absence():
                    yield f"{indent}not {premise.sought}: none of {premise.among}"
                case Condition():
                    values = ", ".join(f"{name} = {brief(value)}" for name, value in premise.values)
                    yield f"{indent}{premise.text}" + (f"  with {values}" if values else "")
                case _:
                    word = "is still to come" if premise.negated else "has come"
                    yield f"{indent}{_moment(premise.time)} {word}"

    def _aggregation(self, premise: Aggregation, number: str, depth: int) -> Iterator[str]:
        total = len(premise.contributors) + premise.more
        yield f"{'  ' * depth}{number} {premise.literal.function} of {total} = {brief(premise.result)}"
        inner = tuple(one for contributor in premise.contributors for one in contributor)
        yield from self._premises(inner, number, depth)
        if premise.more:
            yield f"{'  ' * (depth + 1)}… {premise.more} more"


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def proof_json(proof: Proof, program: Program) -> dict[str, Any]:
    """A proof as JSON-able data; every fact is whole."""
    found: dict[str, Any] = {"relation": proof.fact.relation, "row": [plain(item) for item in proof.fact.row]}
    if proof.rule is None:
        found["asserted"] = True
        found["place"] = proof.place
        found["reads"] = [
            {"path": path_text(read.path), "value": plain(read.value), "place": read.place} for read in proof.reads
        ]
        return found
    found["rule"] = label(proof.rule)
    if proof.sentence is not None:
        found["sentence"] = proof.sentence
    found["because"] = [_premise_json(premise, program) for premise in proof.premises]
    return found


def _premise_json(premise: Premise, program: Program) -> dict[str, Any]:
    match premise:
        case Proof():
            return proof_json(premise, program)
        case Absence():
            return {"not": premise.sought, "among": premise.among}
        case Condition():
            return {"test": premise.text, "values": {name: plain(value) for name, value in premise.values}}
        case Aggregation():
            return {
                "aggregate": premise.literal.function,
                "text": source_text(program, premise.literal),
                "result": plain(premise.result),
                "contributors": [
                    [_premise_json(one, program) for one in contributor] for contributor in premise.contributors
                ],
                "more": premise.more,
            }
        case _:
            return {"due": premise.time, "reached": not premise.negated}


def whynot_text(answer: WhyNot) -> str:
    """A why-not in a few numbered lines."""
    lines = [f"{answer.goal} does not hold"]
    lines += [f"  it needs {goal}  {rule}" for goal, rule in answer.through]
    lines += [f"  {number}. {_reason(reason)}" for number, reason in enumerate(answer.reasons, 1)]
    if answer.repair is not None:
        lines.append(f"  it would hold after: {answer.repair}")
    return "\n".join(lines)


def _reason(reason: Reason) -> str:
    if reason.total == 1:
        return f"{reason.text}  {reason.rule}"
    text = f"{reason.count} of {reason.total}: {reason.text}"
    if reason.subjects:
        more = len(reason.subjects) - NAMED
        text += f" ({', '.join(reason.subjects[:NAMED])}{f', +{more}' if more > 0 else ''})"
    return f"{text}  {reason.rule}"


def whynot_json(answer: WhyNot, program: Program) -> dict[str, Any]:
    """A why-not as JSON-able data, every subject named."""
    return {
        "goal": answer.goal,
        "through": [{"goal": goal, "rule": rule} for goal, rule in answer.through],
        "reasons": [
            {
                "text": reason.text,
                "rule": reason.rule,
                "count": reason.count,
                "total": reason.total,
                "subjects": list(reason.subjects),
                "proof": proof_json(reason.proof, program) if reason.proof is not None else None,
            }
            for reason in answer.reasons
        ],
        "repair": answer.repair,
    }
