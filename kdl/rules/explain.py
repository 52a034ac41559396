"""Why a fact holds: a proof, down to what was asserted from outside.

A proof is found by looking backwards from the fact through the rules that derive it, as far as somebody looks at it. It
is acyclic: in a recursive stratum each fact is proved from facts of lower ranks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Protocol, TypeAlias

from kdl.fact import Fact, Row, Value, sort_key
from kdl.parser import syntax as s
from kdl.rules.evaluate import MISSING, Bindings
from kdl.rules.program import Program
from kdl.rules.proof import Absence, Aggregation, Condition, Origin, Premise, Proof, Step, Timing
from kdl.rules.provenance import HELD, Reading, is_internal
from kdl.rules.solve import combine, gives, in_order, known, match_all, names, surrounded
from kdl.rules.wording import goal_text, source_text

SHOWN: Final = 5
"""How many contributors of an aggregate a proof shows."""

Search: TypeAlias = Callable[[Row], Iterator[Bindings]]
"""The bindings of all variables of a body, for each way to make it hold while some expressions have given values."""


class Facts(Protocol):
    """What explanations need of an engine."""

    explained: Any
    """What they have worked out of its rules (`Prepared`), for as long as it lives."""

    @property
    def program(self) -> Program: ...

    @property
    def now(self) -> int: ...

    def lookup(self, relation: str, known: Mapping[int, Value], /) -> Iterable[Row]:
        """The rows of a relation with the given values at the given positions."""
        ...

    def count(self, relation: str, /) -> int:
        """How many rows a relation has."""
        ...

    def rank(self, relation: str, row: Row, /) -> int:
        """A number that is lower for the facts that a fact of a recursive stratum rests on; 0 outside of recursion."""
        ...

    def search(self, body: tuple[s.Literal, ...], given: Sequence[s.Expression], outside: frozenset[str], /) -> Search:
        """The search for a body; `outside` are the variables that its surroundings use too."""
        ...


def why(facts: Facts, relation: str, row: Row, origin: Origin | None = None) -> Proof | None:
    """A proof of a fact, to be looked at while the facts are as they are; None if it does not hold."""
    prover = Prover(facts, origin)
    fact = Fact(relation, row)
    return prover.wanted(fact) if prover.holds(fact) else None


def reason(facts: Facts, fact: Fact) -> tuple[s.Rule, str] | None:
    """The first rule that derives a fact, and its sentence (else its doc's first line): a cause in one line."""
    found = next(Prover(facts).derivations(fact), None)
    if found is None:
        return None
    rule, bindings = found
    return rule.source, rule.sentence(bindings) or rule.source.doc.partition("\n")[0]


class _Rule:
    """What is known of a rule before anything is asked: how its bindings are found, what its literals need."""

    def __init__(self, facts: Facts, rule: s.Rule) -> None:
        self.source = rule
        self.reading = Reading(rule)
        self.outside = names(rule.head)
        self.search = facts.search(rule.body, [item.value for item in rule.head.arguments], self.outside)

    def sentence(self, bindings: Bindings) -> str | None:
        """What the rule says of itself."""
        said = known(self.source.why, bindings) if self.source.why is not None else MISSING
        return said if isinstance(said, str) else None


@dataclass(frozen=True, slots=True)
class Extension:
    """One literal of a body, and what extends bindings in each way that makes it hold."""

    literal: s.Literal
    outside: frozenset[str]
    given: tuple[str, ...]
    search: Search

    def __call__(self, bindings: Bindings) -> Iterator[Bindings]:
        for found in self.search(tuple([bindings[name] for name in self.given])):
            yield {**bindings, **found}


class Prepared:
    """What explanations have worked out of an engine's rules; it stays true while its facts change."""

    def __init__(self, facts: Facts) -> None:
        self.program = facts.program
        self.recursive = {
            name: stratum.relations
            for stratum in facts.program.strata
            if stratum.recursive
            for name in stratum.relations
        }
        self._rules: dict[str, list[_Rule]] = {}
        self._bodies: dict[tuple[int, frozenset[str]], list[tuple[s.Literal, frozenset[str]]]] = {}
        self._searches: dict[tuple[object, ...], tuple[s.Aggregate, frozenset[str], tuple[str, ...], Search]] = {}
        self._steps: dict[tuple[int, frozenset[str], frozenset[str]], list[Extension]] = {}
        self._texts: dict[int, str] = {}
        self._names: dict[int, tuple[str, ...]] = {}

    def rules(self, facts: Facts, relation: str) -> list[_Rule]:
        """The rules of a relation."""
        found = self._rules.get(relation)
        if found is None:
            found = self._rules[relation] = [_Rule(facts, rule) for rule in self.program.rules_of[relation]]
        return found

    def body(self, of: s.Rule | s.Aggregate, outside: frozenset[str]) -> list[tuple[s.Literal, frozenset[str]]]:
        """The literals of a body that is part of the program, each with the variables that occur around it."""
        key = id(of), outside
        if key not in self._bodies:
            self._bodies[key] = surrounded(of.body, outside)
        return self._bodies[key]

    def names(self, node: s.Node) -> tuple[str, ...]:
        """The names of the variables in a node that is part of the program, in order."""
        if id(node) not in self._names:
            self._names[id(node)] = tuple(sorted(names(node)))
        return self._names[id(node)]

    def text(self, node: s.Node) -> str:
        """How a node that is part of the program was written."""
        if id(node) not in self._texts:
            self._texts[id(node)] = source_text(self.program, node)
        return self._texts[id(node)]

    def steps(
        self,
        facts: Facts,
        of: s.Rule | s.Aggregate,
        bound: frozenset[str],
        outside: frozenset[str],
    ) -> list[Extension]:
        """The literals of a body in the order in which they are taken once some variables are bound."""
        key = id(of), bound, outside
        found = self._steps.get(key)
        if found is None:
            found = self._steps[key] = []
            for item, around in in_order(of.body, bound, outside):
                inside = names(item)
                given = tuple(sorted(inside & bound))
                search = facts.search((item,), [s.Variable(name) for name in given], around)
                found.append(Extension(item, around, given, search))
                bound |= gives(item, around)
        return found

    def aggregate(
        self, facts: Facts, item: s.Aggregate, around: frozenset[str], bindings: Bindings
    ) -> tuple[s.Aggregate, frozenset[str], Iterator[Bindings]]:
        """An aggregate whose atoms' wildcards are variables, the variables around its body, and its contributors.

        `VALUE` is what each adds.
        """
        key = id(item), around, frozenset(bindings)
        found = self._searches.get(key)
        if found is None:
            named = replace(item, body=_named(item.body))
            parts = [part for part in (item.pattern, item.value, item.default) if part is not None]
            outside = around.union(*map(names, parts))
            value = () if item.value is None else (s.Unification(s.Variable(VALUE), item.value),)
            inside = frozenset().union(*map(names, (*named.body, *value)))
            given = tuple(sorted(inside & bindings.keys()))
            search = facts.search((*named.body, *value), [s.Variable(name) for name in given], outside | {VALUE})
            found = self._searches[key] = named, outside, given, search
        named, outside, given, search = found
        return named, outside, search(tuple([bindings[name] for name in given]))


VALUE: Final = "$value"


def prepared(facts: Facts) -> Prepared:
    """What is known of an engine's rules: worked out once for each engine."""
    if facts.explained is None:
        facts.explained = Prepared(facts)
    found: Prepared = facts.explained
    return found


class Prover:
    """Finds proofs, each fact's once."""

    def __init__(self, facts: Facts, origin: Origin | None = None) -> None:
        self.facts = facts
        self.prepared = prepared(facts)
        self._origin = origin or (lambda fact, path: None)
        self._proofs: dict[Fact, Proof] = {}
        self._firsts: dict[Fact, tuple[_Rule, Bindings] | None] = {}

    def holds(self, fact: Fact) -> bool:
        """Whether a fact is there."""
        return any(True for _ in self.facts.lookup(fact.relation, dict(enumerate(fact.row))))

    def prove(self, fact: Fact) -> Proof:
        """A proof of a fact that is there."""
        found = self._proofs.get(fact)
        if found is None:
            found = self._proofs[fact] = Proof(fact, self._find, self._origin)
        return found

    def wanted(self, fact: Fact) -> Proof:
        """A proof of a fact of which all columns are used."""
        proof = self.prove(fact)
        proof.ask([HELD, *((column, ()) for column in range(len(fact.row)))])
        return proof

    def derivations(self, fact: Fact) -> Iterator[tuple[_Rule, Bindings]]:
        """The applications of rules that derive a fact."""
        for rule in self.prepared.rules(self.facts, fact.relation):
            for bindings in rule.search(fact.row):
                yield rule, bindings

    def first(self, fact: Fact) -> tuple[_Rule, Bindings] | None:
        """The first of them."""
        if fact not in self._firsts:
            self._firsts[fact] = next(self.derivations(fact), None)
        return self._firsts[fact]

    def sentence(self, fact: Fact) -> str | None:
        """What the first rule that derives a fact says of itself; quicker than a proof."""
        found = self.first(fact)
        return found[0].sentence(found[1]) if found is not None else None

    def _find(self, fact: Fact) -> Step | None:
        """The first application of a rule that derives a fact; in a recursive stratum, from facts of lower ranks."""
        stratum = self.prepared.recursive.get(fact.relation)
        if stratum is None:
            found = self.first(fact)
            return self._step(*found, None) if found is not None else None
        limit = self.facts.rank(*fact)
        for rule, bindings in self.derivations(fact):
            chosen = self._chosen(rule.source.body, bindings, stratum, limit)
            if chosen is not None:
                return self._step(rule, bindings, chosen)
        return None

    def _step(self, rule: _Rule, bindings: Bindings, chosen: dict[int, Fact] | None) -> Step:
        def below() -> Iterator[Premise]:
            taken = chosen if chosen is not None else self._chosen(rule.source.body, bindings)
            assert taken is not None
            return self._premises(self.prepared.body(rule.source, rule.outside), bindings, taken)

        return Step(rule.source, bindings, rule.sentence(bindings), below, rule.reading)

    def _chosen(
        self,
        body: tuple[s.Literal, ...],
        bindings: Bindings,
        stratum: frozenset[str] = frozenset(),
        limit: int = 0,
    ) -> dict[int, Fact] | None:
        """For each atom of a body the least fact that may stand there; in a recursive stratum, of those below a rank.

        None if there is none.
        """
        found: dict[int, Fact] = {}
        for index, item in enumerate(body):
            if isinstance(item, s.Atom):
                rows: Iterable[Row] = self._matching(item, bindings)
                if item.relation in stratum:
                    rows = [row for row in rows if self.facts.rank(item.relation, row) < limit]
                row = _least(list(rows))
                if row is None:
                    return None
                found[index] = Fact(item.relation, row)
        return found

    def _matching(self, atom: s.Atom, bindings: Bindings) -> Iterable[Row]:
        values = [known(argument.value, bindings) for argument in atom.arguments]
        told = {position: value for position, value in enumerate(values) if value is not MISSING}
        rows = self.facts.lookup(atom.relation, told)
        patterns = [argument.value for argument in atom.arguments]
        if all(at in told or isinstance(pattern, s.Wildcard) for at, pattern in enumerate(patterns)):
            return rows
        return [row for row in rows if match_all(patterns, row, bindings) is not None]

    def premises(self, body: list[tuple[s.Literal, frozenset[str]]], bindings: Bindings) -> Iterator[Premise]:
        """What the first literals of a body rest on."""
        chosen = self._chosen(tuple([item for item, _ in body]), bindings)
        assert chosen is not None
        return self._premises(body, bindings, chosen)

    def _premises(
        self, body: Iterable[tuple[s.Literal, frozenset[str]]], bindings: Bindings, chosen: Mapping[int, Fact]
    ) -> Iterator[Premise]:
        for index, (item, around) in enumerate(body):
            match item:
                case s.Atom():
                    yield self.prove(chosen[index])
                case s.Negation(atom):
                    columns = self.facts.program.relations[atom.relation].columns
                    told = [known(argument.value, bindings) is not MISSING for argument in atom.arguments]
                    by = tuple(column.name for column, is_told in zip(columns, told, strict=True) if is_told)
                    yield Absence(item, goal_text(atom, bindings), self.facts.count(atom.relation), by)
                case s.Test() if is_internal(item):
                    continue
                case s.Test():
                    used = tuple((name, bindings[name]) for name in self.prepared.names(item))
                    yield Condition(item, self.prepared.text(item), used)
                case s.Due(time, negated):
                    at = known(time, bindings)
                    yield Timing(item, at if isinstance(at, int) else 0, negated)
                case s.Aggregate():
                    yield self._aggregation(item, bindings, around)

    def _aggregation(self, item: s.Aggregate, bindings: Bindings, around: frozenset[str]) -> Aggregation:
        named, outside, found = self.prepared.aggregate(self.facts, item, around, bindings)
        inner = _ordered(list(found), item.function in ("max", "sum"))

        def proved(some: Iterable[Bindings]) -> Iterator[tuple[Premise, ...]]:
            for one in some:
                chosen = self._chosen(named.body, one)
                assert chosen is not None
                premises = tuple(self._premises(self.prepared.body(named, outside), one, chosen))
                for premise in premises:
                    if isinstance(premise, Proof):
                        self.wanted(premise.fact)
                yield premises

        result = self._result(item, bindings, inner)
        first, others = inner[:SHOWN], inner[SHOWN:]
        return Aggregation(item, result, tuple(proved(first)), len(others), lambda: proved(others))

    def _result(self, item: s.Aggregate, bindings: Bindings, inner: list[Bindings]) -> Value:
        found = known(item.pattern, bindings)
        if found is MISSING:
            found = combine(item, [1 if item.value is None else one[VALUE] for one in inner])
        if found is MISSING and item.default is not None:
            found = known(item.default, bindings)
        return None if found is MISSING else found


def _least(rows: list[Row]) -> Row | None:
    """The first row in the order of values."""
    if len(rows) < 2:
        return rows[0] if rows else None
    try:
        return min(rows)  # the same where Python can tell
    except TypeError:
        return min(rows, key=sort_key)


def _ordered(inner: list[Bindings], most: bool) -> list[Bindings]:
    """Contributors by their values, the decisive ones first; of equal values by what they bind."""
    rows = [(one.get(VALUE), *one.values()) for one in inner]  # the names of one search come in one order
    try:
        order = sorted(range(len(rows)), key=rows.__getitem__, reverse=most)  # the same where Python can tell
    except TypeError:
        order = sorted(range(len(rows)), key=lambda at: sort_key(rows[at]), reverse=most)
    return [inner[at] for at in order]


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
