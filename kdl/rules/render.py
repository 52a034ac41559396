"""Proofs and why-nots as text for people and as JSON for scripts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from kdl.fact import Fact, plain
from kdl.rules.outline import WHOLE, of_proof, reason_text, repair_lines
from kdl.rules.program import Program, label
from kdl.rules.proof import Absence, Aggregation, Condition, Premise, Proof
from kdl.rules.whynot import WhyNot
from kdl.rules.wording import path_text, source_text

LEVELS: Final = 24
"""So many facts are written inside each other; deeper ones are referred to, as readers of JSON have their limits."""


def proof_text(proof: Proof, program: Program, number: str = "") -> str:
    """A whole proof as a tree of numbered facts; what was shown above is referred to by its number."""
    return "\n".join(of_proof(proof, program, number, WHOLE).lines())


def proofs_json(proofs: Sequence[Proof | None], program: Program) -> tuple[list[Any], dict[str, Any]]:
    """Proofs as JSON-able data, and by their ids the facts that these refer to: ``{"see": "3"}``.

    Every fact is whole, and what is needed more than once is written once; so is what is very far below.
    """
    writer = _Writer(program, proofs)
    return [None if proof is None else writer.proof(proof, 0) for proof in proofs], writer.shared()


class _Writer:
    def __init__(self, program: Program, proofs: Iterable[Proof | None]) -> None:
        self.program = program
        self._ids: dict[Fact, str] = {}
        self._waiting: list[Proof] = []
        roots = [proof for proof in proofs if proof is not None]
        uses = Counter(proof.fact for proof in roots)
        walked: set[Fact] = set()
        for root in roots:
            for one in root.walk(walked):
                if isinstance(one, Proof):
                    uses.update(below.fact for below in one.proofs())
        self._often = {fact for fact, count in uses.items() if count > 1}

    def shared(self) -> dict[str, Any]:
        """The facts that were referred to, those included that they refer to themselves."""
        found = {}
        for proof in self._waiting:  # grows meanwhile
            found[self._ids[proof.fact]] = self._whole(proof, 1)
        return found

    def proof(self, proof: Proof, depth: int) -> dict[str, Any]:
        if proof.fact not in self._often and depth < LEVELS:
            return self._whole(proof, depth + 1)
        if proof.fact not in self._ids:
            self._ids[proof.fact] = str(len(self._ids) + 1)
            self._waiting.append(proof)
        return {"see": self._ids[proof.fact]}

    def _whole(self, proof: Proof, depth: int) -> dict[str, Any]:
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
        found["because"] = [self._premise(premise, depth) for premise in proof.premises]
        return found

    def _premise(self, premise: Premise, depth: int) -> dict[str, Any]:
        match premise:
            case Proof():
                return self.proof(premise, depth)
            case Absence():
                return {"not": premise.sought, "among": premise.among, "by": list(premise.by)}
            case Condition():
                return {"test": premise.text, "values": {name: plain(value) for name, value in premise.values}}
            case Aggregation():
                return {
                    "aggregate": premise.literal.function,
                    "text": source_text(self.program, premise.literal),
                    "result": plain(premise.result),
                    "contributors": [
                        [self._premise(one, depth + 1) for one in contributor] for contributor in premise.contributors
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
    lines += [f"  {line}" for line in repair_lines(answer)]
    return "\n".join(lines)


def whynot_json(answer: WhyNot, program: Program) -> dict[str, Any]:
    """A why-not as JSON-able data, every subject named; `facts` are those that the proofs refer to."""
    proofs, facts = proofs_json([reason.proof for reason in answer.reasons], program)
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
                "proof": proof,
            }
            for reason, proof in zip(answer.reasons, proofs, strict=True)
        ],
        "facts": facts,
        "repairs": list(answer.repairs),
    }
