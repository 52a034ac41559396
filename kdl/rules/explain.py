"""Why a fact holds: a proof, down to what was asserted from outside.

A proof is found by looking backwards from the fact through the rules that derive it. It is acyclic: in a recursive
stratum each fact is proved from facts of lower ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Protocol, TypeAlias

from kdl.fact import Document, Fact, Row, Value, literal, sort_key
from kdl.parser import syntax as s
from kdl.parser.diagnostic import Span
from kdl.rules.builtin import Fault
from kdl.rules.evaluate import MISSING, Bindings, Result, evaluate
from kdl.rules.program import Program, label
from kdl.rules.provenance import Provenance, Steps, is_internal
from kdl.rules.solve import Solver, in_order, match_all, names, surrounded

SHOWN = 5
"""How many contributors of an aggregate a proof shows."""

Origin: TypeAlias = Callable[[Fact, Steps | None], str | None]
"""Where an asserted fact, or a path in its document, was written: ``hello.yaml:12``."""


class Facts(Protocol):
    """What explanations need of an engine."""

    @property
    def program(self) -> Program: ...

    @property
    def now(self) -> int: ...

    def lookup(self, relation: str, known: Mapping[int, Value], /) -> Iterable[Row]:
        """The rows of a relation with the given values at the given positions."""
        ...

    def rank(self, relation: str, row: Row, /) -> int:
        """A number that is lower for the facts that a fact of a recursive stratum rests on; 0 outside of recursion."""
        ...


@dataclass(slots=True)
class Read:
    """A path that a rule read in a document, what was there, and where that was written."""

    path: Steps
    value: Value
    place: str | None = None


@dataclass(slots=True)
class Proof:
    """A fact with the rule that derives it and what that rule rests on; without a rule it was asserted."""

    fact: Fact
    rule: s.Rule | None = None
    bindings: Bindings = field(default_factory=dict)
    sentence: str | None = None
    premises: tuple[Premise, ...] = ()
    place: str | None = None
    reads: list[Read] = field(default_factory=list)


@dataclass(slots=True)
class Absence:
    """A negation that holds: what was looked for, among how many facts, and by the values of which columns."""

    literal: s.Negation
    sought: str
    among: int
    by: tuple[str, ...] = ()


@dataclass(slots=True)
class Condition:
    """A test that is true, as written, with the values of its variables."""

    literal: s.Test
    text: str
    values: tuple[tuple[str, Value], ...]


@dataclass(slots=True)
class Timing:
    """A time that the clock has (or, `negated`, has not) reached."""

    literal: s.Due
    time: int
    negated: bool


@dataclass(slots=True)
class Aggregation:
    """An aggregate's result, what some of its contributors rest on, and how many more there are.

    `rest` proves these, for whoever asks while the facts are as they were.
    """

    literal: s.Aggregate
    result: Value
    contributors: tuple[tuple[Premise, ...], ...]
    more: int
    rest: Callable[[], Iterator[tuple[Premise, ...]]] = field(default=lambda: iter(()), repr=False, compare=False)


Premise: TypeAlias = Proof | Absence | Condition | Timing | Aggregation


def why(facts: Facts, relation: str, row: Row, origin: Origin | None = None) -> Proof | None:
    """A proof of a fact; None if it does not hold."""
    fact = Fact(relation, row)
    prover = Prover(facts)
    if not prover.holds(fact):
        return None
    return trace(prover.prove(fact), origin or (lambda fact, path: None))


def reason(facts: Facts, fact: Fact) -> tuple[s.Rule, str] | None:
    """The first rule that derives a fact, and its sentence (else its doc's first line): a cause in one line."""
    derivation = next(Prover(facts).derivations(fact), None)
    if derivation is None:
        return None
    rule = derivation.rule
    return rule, derivation.sentence() or rule.doc.partition("\n")[0]


class Derivation:
    """One application of a rule: its bindings, and for each atom of the body the facts that may stand there."""

    def __init__(self, rule: s.Rule, bindings: Bindings, choices: dict[int, list[Fact]]) -> None:
        self.rule, self.bindings, self.choices = rule, bindings, choices

    def sentence(self) -> str | None:
        """What the rule says of itself."""
        return _sentence(self.rule, self.bindings)


def _sentence(rule: s.Rule, bindings: Bindings) -> str | None:
    said = _try(rule.why, bindings) if rule.why is not None else MISSING
    return said if isinstance(said, str) else None


class Prover:
    """Finds proofs, each fact's once."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.solver = Solver(facts.lookup, facts.now)
        self._proofs: dict[Fact, Proof] = {}
        self._recursive = {
            name: stratum.relations
            for stratum in facts.program.strata
            if stratum.recursive
            for name in stratum.relations
        }

    def holds(self, fact: Fact) -> bool:
        """Whether a fact is there."""
        return any(True for _ in self.facts.lookup(fact.relation, dict(enumerate(fact.row))))

    def prove(self, fact: Fact) -> Proof:
        """A proof of a fact that is there."""
        if fact not in self._proofs:
            derivation = None if self._asserted(fact) else self._witness(fact)
            self._proofs[fact] = self._proof(fact, derivation) if derivation is not None else Proof(fact)
        return self._proofs[fact]

    def _witness(self, fact: Fact) -> Derivation | None:
        """The first application of a rule that derives a fact; in a recursive stratum, from facts of lower ranks."""
        stratum = self._recursive.get(fact.relation)
        if stratum is None:
            return next(self.derivations(fact), None)
        rank = self.facts.rank(*fact)
        for derivation in self.derivations(fact):
            for index, choices in derivation.choices.items():
                if choices[0].relation in stratum:
                    derivation.choices[index] = [choice for choice in choices if self.facts.rank(*choice) < rank]
            if all(derivation.choices.values()):
                return derivation
        return None

    def derivations(self, fact: Fact) -> Iterator[Derivation]:
        """Every application of a rule that derives a fact."""
        for rule in self.facts.program.rules_of[fact.relation]:
            seen: list[Bindings] = []
            for bindings in self.solver.solutions_of(rule.head, rule.body, fact.row):
                if bindings not in seen:
                    seen.append(bindings)
                    yield Derivation(rule, bindings, self._choices(rule.body, bindings))

    def sentence(self, fact: Fact) -> str | None:
        """What the first rule that derives a fact says of itself; quicker than a proof."""
        for rule in self.facts.program.rules_of[fact.relation]:
            for bindings in self.solver.solutions_of(rule.head, rule.body, fact.row):
                return _sentence(rule, bindings)
        return None

    def _asserted(self, fact: Fact) -> bool:
        relation = self.facts.program.relations[fact.relation]
        return relation.input and not self.facts.program.rules_of[fact.relation]

    def _choices(self, body: tuple[s.Literal, ...], bindings: Bindings) -> dict[int, list[Fact]]:
        return {
            index: [Fact(item.relation, row) for row in sorted(self._matching(item, bindings), key=sort_key)]
            for index, item in enumerate(body)
            if isinstance(item, s.Atom)
        }

    def _matching(self, atom: s.Atom, bindings: Bindings) -> Iterator[Row]:
        patterns = [argument.value for argument in atom.arguments]
        known: dict[int, Value] = {}
        for position, pattern in enumerate(patterns):
            if not isinstance(pattern, (s.Wildcard, s.Tuple)) and names(pattern) <= bindings.keys():
                found = _try(pattern, bindings)
                if found is not MISSING:
                    known[position] = found
        for row in self.facts.lookup(atom.relation, known):
            if match_all(patterns, row, bindings) is not None:
                yield row

    def _proof(self, fact: Fact, derivation: Derivation) -> Proof:
        rule, bindings = derivation.rule, derivation.bindings
        taken = {index: choices[0] for index, choices in derivation.choices.items()}
        premises = self._premises(rule.body, bindings, names(rule.head), taken)
        return Proof(fact, rule, bindings, _sentence(rule, bindings), tuple(premises))

    def _premises(
        self, body: tuple[s.Literal, ...], bindings: Bindings, outside: frozenset[str], chosen: Mapping[int, Fact]
    ) -> Iterator[Premise]:
        for index, (item, around) in enumerate(surrounded(body, outside)):
            match item:
                case s.Atom():
                    yield self.prove(chosen[index])
                case s.Negation(atom):
                    among = sum(1 for _ in self.facts.lookup(atom.relation, {}))
                    columns = self.facts.program.relations[atom.relation].columns
                    known = [_try(argument.value, bindings) is not MISSING for argument in atom.arguments]
                    by = tuple(column.name for column, told in zip(columns, known, strict=True) if told)
                    yield Absence(item, goal_text(atom, bindings), among, by)
                case s.Test() if is_internal(item):
                    continue
                case s.Test():
                    used = tuple((name, bindings[name]) for name in sorted(names(item)))
                    yield Condition(item, source_text(self.facts.program, item), used)
                case s.Due(time, negated):
                    at = _try(time, bindings)
                    yield Timing(item, at if isinstance(at, int) else 0, negated)
                case s.Aggregate():
                    yield self._aggregation(item, bindings, around)

    def _aggregation(self, item: s.Aggregate, bindings: Bindings, around: frozenset[str]) -> Aggregation:
        named = replace(item, body=_named(item.body))
        inner = list(self.solver.contributors(named, bindings, around))
        if item.value is not None:
            valued = [(found, one) for one in inner if (found := _try(item.value, one)) is not MISSING]
            valued.sort(key=lambda pair: sort_key(pair[0]), reverse=item.function in ("max", "sum"))
            inner = [one for _, one in valued]
        outside = around | names(item.pattern) | (names(item.value) if item.value is not None else frozenset())

        def proved(some: Iterable[Bindings]) -> Iterator[tuple[Premise, ...]]:
            for one in some:
                chosen = {index: choices[0] for index, choices in self._choices(named.body, one).items()}
                yield tuple(self._premises(named.body, one, outside, chosen))

        shown, left = inner[:SHOWN], inner[SHOWN:]
        result = self._result(item, bindings, around)
        return Aggregation(item, result, tuple(proved(shown)), len(left), lambda: proved(left))

    def _result(self, item: s.Aggregate, bindings: Bindings, around: frozenset[str]) -> Value:
        whole = s.Aggregate(s.Variable("the result"), item.function, item.value, item.body, item.default)
        found = next(self.solver.literal(whole, bindings, around | names(item.pattern)))
        return found["the result"]


def _named(body: tuple[s.Literal, ...]) -> tuple[s.Literal, ...]:
    """A body whose atoms' wildcards are variables, so that bindings tell which facts were matched."""

    def named(index: int, column: int, argument: s.Argument) -> s.Argument:
        wild = isinstance(argument.value, s.Wildcard)
        return replace(argument, value=s.Variable(f"_{index}_{column}")) if wild else argument

    return tuple(
        replace(item, arguments=tuple(named(index, column, a) for column, a in enumerate(item.arguments)))
        if isinstance(item, s.Atom)
        else item
        for index, item in enumerate(body)
    )


def _try(e: s.Expression, bindings: Bindings) -> Result:
    if any(isinstance(node, s.Wildcard) for node in s.walk(e)) or not names(e) <= bindings.keys():
        return MISSING
    try:
        return evaluate(e, bindings)
    except Fault:
        return MISSING


def trace(proof: Proof, origin: Origin) -> Proof:
    """Give every asserted fact its place and the paths that the rules above it read in its documents."""
    every = frozenset(range(len(proof.fact.row)))
    pending: list[tuple[Proof, frozenset[int], frozenset[tuple[int, Steps]]]] = [(proof, every, frozenset())]
    done: dict[Fact, set[object]] = {}
    found: dict[Fact, dict[Steps, Value]] = {}
    leaves: dict[Fact, Proof] = {}
    while pending:
        node, columns, requests = pending.pop()
        seen = done.setdefault(node.fact, set())
        if {*columns, *requests} <= seen and seen:
            continue
        seen |= {*columns, *requests, None}
        if node.rule is None:
            leaves[node.fact] = node
            for column, path in requests:
                if path:
                    found.setdefault(node.fact, {})[path] = _at(node.fact.row[column], path)
            continue
        provenance = Provenance(node.rule, node.bindings)
        below: dict[int, set[tuple[int, Steps]]] = {}
        for place, _ in provenance.reads(columns):
            below.setdefault(place.literal, set()).add((place.column, place.path))
        for column, path in requests:
            if (source := provenance.head(column, path)) is not None:
                below.setdefault(source.literal, set()).add((source.column, source.path))
        premises = iter(node.premises)
        for index, item in enumerate(node.rule.body):
            if isinstance(item, (s.Unification, s.Membership)) or is_internal(item):
                continue
            premise = next(premises)
            if isinstance(item, s.Atom) and isinstance(premise, Proof):
                used = {i for i, a in enumerate(item.arguments) if not isinstance(a.value, s.Wildcard)}
                pending.append((premise, frozenset(used), frozenset(below.get(index, ()))))
            elif isinstance(premise, Aggregation):
                pending += [
                    (one, frozenset(range(len(one.fact.row))), frozenset())
                    for contributor in premise.contributors
                    for one in contributor
                    if isinstance(one, Proof)
                ]
    for fact, leaf in leaves.items():
        paths = found.get(fact, {})
        leaf.place = origin(fact, None)
        leaf.reads = [
            Read(path, value, origin(fact, path))
            for path, value in sorted(paths.items(), key=lambda item: str(item[0]))
            if not any(other != path and other[: len(path)] == path for other in paths)
        ]
    return proof


def _at(value: Value, path: Steps) -> Value:
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, tuple) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value


# --- words -----------------------------------------------------------------------------------------------------------


def brief(value: Value, width: int = 60) -> str:
    """A value as the language writes it, shortened in the middle of documents and long lists."""
    text = literal(value)
    if len(text) <= width:
        return text
    if isinstance(value, Document):
        return "{…" + f"{len(value)} members" + "}"
    if isinstance(value, tuple):
        return f"[…{len(value)} items]"
    return text[: width - 1] + "…"


def fact_text(fact: Fact) -> str:
    """A fact on one line, its documents shortened."""
    return f"{fact.relation}({', '.join(map(brief, fact.row))})"


def path_text(path: Steps) -> str:
    """A path as rules write it: ``spec.ports[0].name``, ``metadata.labels["a/b"]``."""
    text = ""
    for step in path:
        if isinstance(step, str) and step.replace("_", "a").isalnum() and step.isascii() and not step[0].isdigit():
            text += f".{step}"
        else:
            text += f"[{literal(step)}]"
    return text.removeprefix(".")


def goal_text(atom: s.Atom, bindings: Bindings) -> str:
    """An atom with what is known of its arguments, the rest as ``_``."""

    def word(e: s.Expression) -> str:
        if isinstance(e, s.Tuple):
            return f"({', '.join(map(word, e.items))})"
        found = _try(e, bindings)
        return "_" if found is MISSING else brief(found)

    return f"{atom.relation}({', '.join(word(argument.value) for argument in atom.arguments)})"


def source_text(program: Program, node: s.Node) -> str:
    """A node as it was written, on one line."""
    return _slice(program.sources.get(node.span.file, ""), node.span)


def _slice(source: str, span: Span) -> str:
    lines = source.split("\n")[span.line - 1 : span.end_line] if span.line else []
    if not lines:
        return "a condition"
    lines[-1] = lines[-1][: span.end_column - 1]
    lines[0] = lines[0][span.column - 1 :]
    return " ".join(line.strip() for line in lines)


def cited(rule: s.Rule) -> str:
    """How a proof cites a rule."""
    return label(rule)


def ordered_body(rule: s.Rule) -> Iterator[tuple[s.Literal, frozenset[str]]]:
    """The literals of a rule in the order in which they are taken, nothing bound."""
    return in_order(rule.body, frozenset(), names(rule.head))
