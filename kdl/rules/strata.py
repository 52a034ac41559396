"""Strata: which relations depend on each other, in the order of evaluation; no relation on its own absence."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import NamedTuple

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Note
from kdl.rules.components import components
from kdl.rules.draft import Draft, Mistake
from kdl.rules.program import Stratum, label


class Dependency(NamedTuple):
    """The head of a rule needs `relation`; `whole`: all of it at once, through a negation or an aggregate."""

    relation: str
    whole: bool
    literal: s.Node


def dependencies(body: Iterable[s.Literal], whole: bool = False) -> Iterator[Dependency]:
    """What a body reads."""
    for literal in body:
        match literal:
            case s.Atom(relation):
                yield Dependency(relation, whole, literal)
            case s.Negation(atom):
                yield Dependency(atom.relation, True, literal)
            case s.Aggregate(body=inner):
                for relation, _, _ in dependencies(inner, True):
                    yield Dependency(relation, True, literal)
            case _:
                pass


def stratify(draft: Draft) -> None:
    """Set `Draft.strata`, lowest first, or report each cycle through a negation or an aggregate once."""
    edges: dict[str, set[str]] = {name: set() for name in draft.relations}
    rules_of: dict[str, list[int]] = defaultdict(list)
    for index, rule in enumerate(draft.rules):
        rules_of[rule.head.relation].append(index)
        edges[rule.head.relation].update(d.relation for d in dependencies(rule.body))
    strata = []
    for group in components(edges):
        rules = tuple(sorted(index for name in group for index in rules_of[name]))
        recursive = len(group) > 1 or group[0] in edges[group[0]]
        if recursive:
            with draft.statement():
                _check(frozenset(group), [draft.rules[index] for index in rules])
        strata.append(Stratum(frozenset(group), recursive, rules))
    draft.strata = tuple(strata)


def _check(group: frozenset[str], rules: list[s.Rule]) -> None:
    for rule in rules:
        for needed, whole, literal in dependencies(rule.body):
            if whole and needed in group:
                raise _unstratified(rule, needed, literal, group, rules)


def _unstratified(rule: s.Rule, needed: str, literal: s.Node, group: frozenset[str], rules: list[s.Rule]) -> Mistake:
    head = rule.head.relation
    way = _way(needed, head, group, rules)
    name = _short(head, group)
    if isinstance(literal, s.Negation):
        message = f"`{name}` depends on its own absence"
        help = f"base `{_short(needed, group)}` on facts that do not need `{name}`, such as observed ones"
    else:
        message = f"`{name}` depends on an aggregate over itself"
        help = f"aggregate over facts that do not need `{name}`"
    notes = [
        Note(f"`{_short(step.head.relation, group)}` needs `{_short(to, group)}` at {label(step)}") for step, to in way
    ]
    return Mistake("KDL301", message, literal.span, notes=notes, help=help)


def _short(name: str, group: frozenset[str]) -> str:
    """The name without its module where that is clear."""
    last = name.rpartition(".")[2]
    return last if sum(other.rpartition(".")[2] == last for other in group) == 1 else name


def _way(start: str, goal: str, group: frozenset[str], rules: list[s.Rule]) -> list[tuple[s.Rule, str]]:
    """The shortest path of rules by which `start` needs `goal`: each rule with the relation it needs."""
    reached: dict[str, list[tuple[s.Rule, str]]] = {start: []}
    queue = [start]
    for name in queue:
        if name == goal:
            break
        for rule in rules:
            if rule.head.relation != name:
                continue
            for needed, _, _ in dependencies(rule.body):
                if needed in group and needed not in reached:
                    reached[needed] = [*reached[name], (rule, needed)]
                    queue.append(needed)
    return reached[goal]
