"""A checked program: what the engine, its specification and the explanations all start from.

Every name is qualified, every atom has all its columns in order, functions made with ``def`` are inlined, and each
literal that may fault has its fault rule. Rules stay syntax trees: `kdl.rules.compile` makes them fast,
`kdl.rules.naive` reads them as they are. What `kdl.rules.safety` promises of a body holds here.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property, lru_cache
from pathlib import PurePath

from kdl.parser import syntax as s
from kdl.parser.diagnostic import Diagnostic, Span

FAULT = "kdl.fault"
"""``kdl.fault(rule: str, message: str)``: a literal of the rule was given something outside its domain."""


@dataclass(frozen=True, slots=True)
class Relation:
    """A declared relation; `name` is qualified with its module (bare where the source names no module).

    The type of a column is a built-in one; `types` has them as declared (a named type, qualified). `key` holds column
    positions; `observes` is the qualified name of the observed relation of a desired state.
    """

    name: str
    columns: tuple[s.Column, ...]
    input: bool = False
    open: bool = False
    effect: bool = False
    key: tuple[int, ...] = ()
    observes: str | None = None
    doc: str = ""
    span: Span = s.NOWHERE
    types: tuple[str, ...] = ()

    @property
    def arity(self) -> int:
        return len(self.columns)

    def position(self, column: str) -> int:
        """The position of a column by its name; `KeyError` if there is none."""
        for index, item in enumerate(self.columns):
            if item.name == column:
                return index
        raise KeyError(column)


@dataclass(frozen=True, slots=True)
class Stratum:
    """Relations that depend on each other (or one that depends on none of its own), below all that use them."""

    relations: frozenset[str]
    recursive: bool
    rules: tuple[int, ...]
    """Indexes into `Program.rules` of the rules whose heads are in here."""


@dataclass(frozen=True)
class Program:
    """Relations, rules and their strata in the order of evaluation."""

    relations: Mapping[str, Relation]
    rules: tuple[s.Rule, ...]
    strata: tuple[Stratum, ...]
    tests: tuple[s.TestCase, ...] = ()
    sources: Mapping[str, str] = field(default_factory=dict)
    warnings: tuple[Diagnostic, ...] = ()
    scope: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    """Per module, what each unqualified name means in it: for queries and tests written inside the module."""
    functions: Mapping[str, s.FunctionDeclaration] = field(default_factory=dict)
    """What ``def`` made, by qualified name; rules have them inlined, queries are still to be resolved."""
    types: Mapping[str, str] = field(default_factory=dict)
    """Named types, by qualified name, and the built-in type of each."""
    modules: Mapping[str, str] = field(default_factory=dict)
    """The documentation of each module."""

    @cached_property
    def rules_of(self) -> Mapping[str, tuple[s.Rule, ...]]:
        """The rules of each relation, in source order."""
        found: dict[str, list[s.Rule]] = {name: [] for name in self.relations}
        for rule in self.rules:
            found[rule.head.relation].append(rule)
        return {name: tuple(rules) for name, rules in found.items()}


def restricted(program: Program, goals: Iterable[str]) -> Program:
    """The part of a program that the facts of some relations can follow from; other relations are gone."""
    needed, frontier = set(goals), list(goals)
    while frontier:
        for rule in program.rules_of[frontier.pop()]:
            for node in s.walk(rule):
                if isinstance(node, s.Atom) and node.relation not in needed:
                    needed.add(node.relation)
                    frontier.append(node.relation)
    kept = {
        index: place for place, index in enumerate(i for i, r in enumerate(program.rules) if r.head.relation in needed)
    }
    return replace(
        program,
        relations={name: relation for name, relation in program.relations.items() if name in needed},
        rules=tuple(program.rules[index] for index in kept),
        strata=tuple(
            Stratum(stratum.relations & needed, stratum.recursive, tuple(kept[i] for i in stratum.rules if i in kept))
            for stratum in program.strata
            if stratum.relations & needed
        ),
        tests=(),
    )


def label(rule: s.Rule) -> str:
    """How a rule is cited: the file's own name and the line, ``workloads.dl:33``."""
    return f"{_own_name(rule.span.file)}:{rule.span.line}"


@lru_cache(256)
def _own_name(file: str) -> str:
    return PurePath(file).name
