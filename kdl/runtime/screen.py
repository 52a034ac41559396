"""Explanations for those who may not see everything: what follows from objects that the asker may not get is left out.

What is left out says which right it takes. A fact that follows from something hidden is hidden with it, except for the
one that was asked about, and so are its rule's other conditions, whose values may come from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import replace
from typing import TypeAlias

from kdl.fact import Fact
from kdl.parser import syntax as s
from kdl.parser.manifest.kinds import Kind, Kinds
from kdl.rules.program import Program
from kdl.rules.proof import Absence, Aggregation, Condition, Premise, Proof, Step
from kdl.rules.whynot import Reason, WhyNot
from kdl.runtime.api.gate import Action
from kdl.runtime.objects import OBJECT


def everything(verb: str) -> Action:
    """The right to see every answer to a question whole: `why`, `whynot`."""
    return Action(verb, "kdl.dev", "facts")


Lacks: TypeAlias = Callable[[Fact], str | None]
"""Which right an asserted fact takes that the asker does not have; None if it may be shown."""


def get(kind: Kind, id_: str) -> Action:
    """The right to get an object."""
    space, _, name = id_.rpartition("/")
    if (kind.group, kind.name) == ("", "Namespace"):
        space = name  # as Kubernetes has it: a namespace is in itself
    return Action("get", kind.group, kind.plural, "", space, name)


def asked_about(atom: s.Atom, program: Program, kinds: Kinds, whole: Action) -> list[Action]:
    """The rights that a goal takes: to get the objects that it names, else to see the `whole`.

    An object is named by `kind` and `id`, or by a column or relation that is called like its kind.
    """
    columns = program.relations[atom.relation].columns
    known = {
        column.name: argument.value.value
        for column, argument in zip(columns, atom.arguments, strict=True)
        if isinstance(argument.value, s.Constant) and isinstance(argument.value.value, str)
    }
    if "kind" in known and "id" in known:
        kind = kinds.named(known["kind"])
        return [get(kind, known["id"])] if kind is not None else [whole]
    found = []
    for name, item in known.items():
        kind = kinds.lookup(atom.relation.rpartition(".")[2] if name in ("id", "name") else name)
        if kind is not None and kind.namespaced == ("/" in item):
            found.append(get(kind, item))
    return found or [whole]


def screened(proof: Proof, lacks: Lacks) -> Proof:
    """The proof as the asker may see it."""
    premises = [_screened(premise, lacks) for premise in proof.premises]
    if proof.rule is None or premises == list(proof.premises):
        return proof
    kept = [p for p in premises if not isinstance(p, (Absence, Condition)) or p not in proof.premises]
    step = Step(proof.rule, {}, None, lambda: kept)
    return Proof(proof.fact, lambda fact: step, lambda fact, path: None)


def _screened(premise: Premise, lacks: Lacks) -> Premise:
    hidden = _hidden([premise], lacks)
    return premise if hidden is None else Condition(s.Test(s.Constant(True)), hidden, ())


def _hidden(premises: Iterable[Premise], lacks: Lacks) -> str | None:
    """What stands for all that rests on some premises; None if all of it may be shown."""
    needed = sorted({right for fact in _asserted(premises) if (right := lacks(fact)) is not None})
    if not needed:
        return None
    what = ", ".join(needed[:3]) + (f" and {len(needed) - 3} more" if len(needed) > 3 else "")
    return f"<redacted: it takes the right to {what}>"


def _asserted(premises: Iterable[Premise]) -> Iterator[Fact]:
    """The facts that premises rest upon, those of contributors that are not shown included."""
    waiting, seen = list(premises), set[Fact]()
    while waiting:
        premise = waiting.pop()
        if isinstance(premise, Proof) and premise.fact not in seen:
            seen.add(premise.fact)
            if premise.rule is None:
                yield premise.fact
            waiting += premise.premises
        elif isinstance(premise, Aggregation):
            for contributor in (*premise.contributors, *premise.rest()):
                waiting += contributor


def screened_refusal(answer: WhyNot, lacks: Lacks) -> WhyNot:
    """The why-not as the asker may see it: a change is told only where nothing had to be left out."""
    reasons = tuple([_screened_reason(reason, lacks) for reason in answer.reasons])
    through = answer.through
    if through and (hidden := _hidden(answer.rests(), lacks)) is not None:
        through = ((hidden, through[-1][1]),)
    if (reasons, through) == (answer.reasons, answer.through):
        return answer
    return replace(answer, reasons=reasons, through=through, repairs=())


def _screened_reason(reason: Reason, lacks: Lacks) -> Reason:
    if reason.rest:
        return replace(reason, rest=tuple([_screened_reason(one, lacks) for one in reason.rest]))
    hidden = _hidden(reason.rests(), lacks)
    if hidden is None:
        return reason
    return Reason(hidden, reason.rule, reason.count, reason.total)


def lacking(may: Callable[[Action], bool], kinds: Kinds, whole: Action) -> Lacks:
    """What an asker lacks: an object takes the right to get it, what else is asserted the right to see the `whole`."""

    def lacks(fact: Fact) -> str | None:
        if fact.relation != OBJECT:
            return f"{whole.verb} {whole.resource}.{whole.group}"
        kind = next((kind for kind in kinds if (kind.group, kind.name) == fact.row[:2]), None)
        action = get(kind, str(fact.row[2])) if kind is not None else whole
        if may(action):
            return None
        return f"{action.verb} {action.resource} {fact.row[2]}"

    return lacks
