"""Proofs and why-nots as text for people and as JSON for scripts."""

from __future__ import annotations

from typing import Any

from kdl.fact import Fact, plain
from kdl.rules.explain import Absence, Aggregation, Condition, Premise, Proof, path_text, source_text
from kdl.rules.outline import WHOLE, of_proof, reason_text
from kdl.rules.program import Program, label
from kdl.rules.whynot import WhyNot


def proof_text(proof: Proof, program: Program, number: str = "") -> str:
    """A whole proof as a tree of numbered facts; what was shown above is referred to by its number."""
    return "\n".join(of_proof(proof, program, number, WHOLE).lines())


def proof_json(proof: Proof, program: Program, known: dict[Fact, dict[str, Any]] | None = None) -> dict[str, Any]:
    """A proof as JSON-able data; every fact is whole, and one that is needed often is made once (see `known`)."""
    known = {} if known is None else known
    if proof.fact not in known:
        known[proof.fact] = _whole(proof, program, known)
    return known[proof.fact]


def _whole(proof: Proof, program: Program, known: dict[Fact, dict[str, Any]]) -> dict[str, Any]:
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
    found["because"] = [_premise_json(premise, program, known) for premise in proof.premises]
    return found


def _premise_json(premise: Premise, program: Program, known: dict[Fact, dict[str, Any]]) -> dict[str, Any]:
    match premise:
        case Proof():
            return proof_json(premise, program, known)
        case Absence():
            return {"not": premise.sought, "among": premise.among, "by": list(premise.by)}
        case Condition():
            return {"test": premise.text, "values": {name: plain(value) for name, value in premise.values}}
        case Aggregation():
            return {
                "aggregate": premise.literal.function,
                "text": source_text(program, premise.literal),
                "result": plain(premise.result),
                "contributors": [
                    [_premise_json(one, program, known) for one in contributor] for contributor in premise.contributors
                ],
                "more": premise.more,
            }
        case _:
            return {"due": premise.time, "reached": not premise.negated}


def whynot_text(answer: WhyNot) -> str:
    """A why-not in a few numbered lines."""
    lines = [f"{answer.goal} does not hold"]
    lines += [f"  it needs {goal}  {rule}" for goal, rule in answer.through]
    lines += [f"  {number}. {reason_text(reason)}" for number, reason in enumerate(answer.reasons, 1)]
    if answer.repair is not None:
        lines.append(f"  it would hold after: {answer.repair}")
    return "\n".join(lines)


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
