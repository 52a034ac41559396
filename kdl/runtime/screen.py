"""Explanations for those who may not see everything: what follows from objects that the asker may not get is left out.

What is left out says which right it takes. A fact that follows from something hidden is hidden with it, except for the
one that was asked about, and so are its rule's other conditions, whose values may come from there.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import TypeAlias

from kdl.fact import Fact
from kdl.parser import syntax as s
from kdl.parser.manifest.kinds import Kind, Kinds
from kdl.rules.explain import Absence, Aggregation, Condition, Premise, Proof, Step
from kdl.rules.program import Program
from kdl.runtime.api.gate import Action
from kdl.runtime.objects import OBJECT

ALL = Action("why", "kdl.dev", "facts")
"""The right to see every explanation whole."""

Lacks: TypeAlias = Callable[[Fact], str | None]
"""Which right an asserted fact takes that the asker does not have; None if it may be shown."""


def get(kind: Kind, id_: str) -> Action:
    """The right to get an object."""
    space, _, name = id_.rpartition("/")
    if (kind.group, kind.name) == ("", "Namespace"):
        space = name  # as Kubernetes has it: a namespace is in itself
    return Action("get", kind.group, kind.plural, "", space, name)


def asked_about(atom: s.Atom, program: Program, kinds: Kinds) -> list[Action]:
    """The rights that a goal takes: to get the objects that it names, else to see everything.

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
        return [get(kind, known["id"])] if kind is not None else [ALL]
    found = []
    for name, item in known.items():
        kind = kinds.lookup(atom.relation.rpartition(".")[2] if name in ("id", "name") else name)
        if kind is not None and kind.namespaced == ("/" in item):
            found.append(get(kind, item))
    return found or [ALL]


def screened(proof: Proof, lacks: Lacks) -> Proof:
    """The proof as the asker may see it."""
    premises = [_screened(premise, lacks) for premise in proof.premises]
    if proof.rule is None or premises == list(proof.premises):
        return proof
    kept = [p for p in premises if not isinstance(p, (Absence, Condition)) or p not in proof.premises]
    step = Step(proof.rule, {}, None, lambda: kept)
    return Proof(proof.fact, lambda fact: step, lambda fact, path: None)


def _screened(premise: Premise, lacks: Lacks) -> Premise:
    whole = not isinstance(premise, Aggregation) or not premise.more
    needed = sorted({right for fact in _asserted([premise]) if (right := lacks(fact)) is not None})
    if whole and not needed:
        return premise
    what = ", ".join(needed[:3]) + (f" and {len(needed) - 3} more" if len(needed) > 3 else "")
    return Condition(s.Test(s.Constant(True)), f"<redacted: it takes the right to {what or 'why facts.kdl.dev'}>", ())


def _asserted(premises: Iterable[Premise]) -> Iterator[Fact]:
    """The facts that premises rest upon."""
    waiting, seen = list(premises), set[int]()
    while waiting:
        premise = waiting.pop()
        if id(premise) in seen:
            continue
        seen.add(id(premise))
        if isinstance(premise, Proof):
            if premise.rule is None:
                yield premise.fact
            waiting += premise.premises
        elif isinstance(premise, Aggregation):
            waiting += [one for contributor in premise.contributors for one in contributor]


def lacking(may: Callable[[Action], bool], kinds: Kinds) -> Lacks:
    """What an asker lacks: an object takes the right to get it, what else is asserted the right to see everything."""

    def lacks(fact: Fact) -> str | None:
        if fact.relation != OBJECT:
            return "why facts.kdl.dev"
        kind = next((kind for kind in kinds if (kind.group, kind.name) == fact.row[:2]), None)
        action = get(kind, str(fact.row[2])) if kind is not None else ALL
        if may(action):
            return None
        return f"{action.verb} {action.resource} {fact.row[2]}"

    return lacks
