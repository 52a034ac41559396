"""An independent judge of proofs: accepts a proof only if every step follows, by the rules' text and the facts alone.

It shares no code with the engine or with the search for proofs; expressions are evaluated by the specification's
`evaluate`, everything else is checked in here, literal by literal.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from itertools import product

from kdl.fact import Fact, Row, sort_key
from kdl.fact import value as value_of
from kdl.parser import syntax as s
from kdl.rules.builtin import Fault
from kdl.rules.evaluate import MISSING, Bindings, evaluate
from kdl.rules.program import Program
from kdl.rules.proof import Absence, Aggregation, Condition, Premise, Proof, Timing
from kdl.rules.solve import Solver

FactsOf = Callable[[str], Iterable[Row]]


class Rejected(AssertionError):
    """A step of a proof that does not follow."""


def check(proof: Proof, facts: FactsOf, asserted: set[Fact], now: int, above: tuple[Fact, ...] = ()) -> None:
    """Accept a proof, or raise `Rejected`."""
    fact = proof.fact
    if fact in above:
        raise Rejected(f"{fact} rests on itself")
    if fact.row not in set(facts(fact.relation)):
        raise Rejected(f"{fact} does not hold")
    if proof.rule is None:
        if fact not in asserted:
            raise Rejected(f"{fact} was not asserted")
        return
    rule, bindings = proof.rule, proof.bindings
    head = tuple([_value(argument.value, bindings) for argument in rule.head.arguments])
    if rule.head.relation != fact.relation or head != fact.row:
        raise Rejected(f"the rule derives {head}, not {fact}")
    outside = {v.name for v in s.variables(rule.head)}
    premises = list(proof.premises)
    for literal in rule.body:
        around = outside | {v.name for other in rule.body if other is not literal for v in s.variables(other)}
        _literal(literal, premises, bindings, around, facts, now)
    if premises:
        raise Rejected("premises that no literal asks for")
    for premise in _proofs(proof.premises):
        check(premise, facts, asserted, now, (*above, fact))


def check_ranks(program: Program, facts: FactsOf, rank: Callable[[str, Row], int], solver: Solver) -> int:
    """Hold that every recursive fact follows from facts of its stratum that have lower ranks; how many there are."""
    checked = 0
    for stratum in program.strata:
        for name in stratum.relations if stratum.recursive else ():
            for row in facts(name):
                if not any(
                    _lower(rule, bindings, stratum.relations, rank, rank(name, row), solver)
                    for rule in program.rules_of[name]
                    for bindings in solver.solutions_of(rule.head, rule.body, row)
                ):
                    raise Rejected(f"{Fact(name, row)} of rank {rank(name, row)} has no witness")
                checked += 1
    return checked


def _lower(
    rule: s.Rule,
    bindings: Bindings,
    stratum: frozenset[str],
    rank: Callable[[str, Row], int],
    limit: int,
    solver: Solver,
) -> bool:
    return all(
        any(rank(item.relation, row) < limit for row in solver.rows(item, bindings))
        for item in rule.body
        if isinstance(item, s.Atom) and item.relation in stratum
    )


def _literal(
    literal: s.Literal, premises: list[Premise], bindings: Bindings, around: set[str], facts: FactsOf, now: int
) -> None:
    if isinstance(literal, s.Atom):
        premise = premises.pop(0)
        if not isinstance(premise, Proof) or premise.fact.relation != literal.relation:
            raise Rejected(f"{premise} is no proof of {literal.relation}")
        if not fits(literal, premise.fact.row, bindings, {}):
            raise Rejected(f"{premise.fact} does not match")
        return
    if isinstance(literal, s.Negation):
        if not isinstance(premises.pop(0), Absence):
            raise Rejected("a negation needs an absence")
    elif isinstance(literal, s.Due):
        if not isinstance(premises.pop(0), Timing):
            raise Rejected("`due` needs a time")
    elif isinstance(literal, s.Aggregate):
        premise = premises.pop(0)
        if not isinstance(premise, Aggregation):
            raise Rejected("an aggregate needs its result")
    elif isinstance(literal, s.Test) and not _is_typing(literal):
        premise = premises.pop(0)
        if not isinstance(premise, Condition):
            raise Rejected("a test needs its condition")
    if not _holds(literal, bindings, around, facts, now):
        raise Rejected(f"{literal} does not hold")


def _is_typing(literal: s.Test) -> bool:
    return isinstance(literal.condition, s.Call) and literal.condition.function == "$typed"


def _proofs(premises: Iterable[Premise]) -> Iterable[Proof]:
    for premise in premises:
        if isinstance(premise, Proof):
            yield premise
        elif isinstance(premise, Aggregation):
            for contributor in premise.contributors:
                yield from _proofs(contributor)


def fits(atom: s.Atom, row: Row, bindings: Bindings, local: dict[str, object]) -> bool:
    """Whether a row matches an atom; unbound variables take their values in `local`."""
    for argument, item in zip(atom.arguments, row, strict=True):
        pattern = argument.value
        if isinstance(pattern, s.Wildcard):
            continue
        if isinstance(pattern, s.Variable) and pattern.name not in bindings:
            if local.setdefault(pattern.name, item) != item:
                return False
        elif _value(pattern, bindings) != item:
            return False
    return True


def _holds(literal: s.Literal, bindings: Bindings, around: set[str], facts: FactsOf, now: int) -> bool:
    match literal:
        case s.Atom():
            return any(fits(literal, row, bindings, {}) for row in facts(literal.relation))
        case s.Negation(atom):
            return not any(fits(atom, row, bindings, {}) for row in facts(atom.relation))
        case s.Test(condition):
            return bool(_value(condition, bindings)) and _value(condition, bindings) is not MISSING
        case s.Unification(pattern, expression):
            return _equal(pattern, _value(expression, bindings), bindings)
        case s.Membership(key, item, source):
            return any(
                (key is None or _equal(key, at, bindings)) and _equal(item, one, bindings)
                for at, one in _members(source, key is not None, bindings)
            )
        case s.Due(time, negated):
            at = _value(time, bindings)
            return isinstance(at, int) and (at <= now) != negated
        case s.Aggregate():
            return _equal(literal.pattern, _aggregate(literal, bindings, around, facts, now), bindings)


def _aggregate(literal: s.Aggregate, bindings: Bindings, around: set[str], facts: FactsOf, now: int) -> object:
    """Try every choice of rows for the atoms in the braces, then the other literals in turn."""
    atoms = [part for part in literal.body if isinstance(part, s.Atom)]
    found = []
    for rows in product(*[tuple(facts(atom.relation)) for atom in atoms]):
        local: dict[str, object] = {}
        if not all(fits(atom, row, bindings, local) for atom, row in zip(atoms, rows, strict=True)):
            continue
        for inner in _extend([p for p in literal.body if p not in atoms], {**bindings, **local}, around, facts, now):
            one = 1 if literal.value is None else _value(literal.value, inner)
            if one is not MISSING and (literal.function != "sum" or type(value_of(one)).__name__ in ("int", "Decimal")):
                found.append(one)
    match literal.function:
        case "count":
            return len(found)
        case "sum":
            return value_of(sum(found))
        case "list" if found:
            return tuple(sorted(found, key=sort_key))
        case "min" | "max" as function if found:
            return sorted(found, key=sort_key)[0 if function == "min" else -1]
    return MISSING if literal.default is None else _value(literal.default, bindings)


def _extend(
    rest: list[s.Literal], bindings: Bindings, around: set[str], facts: FactsOf, now: int
) -> Iterable[Bindings]:
    if not rest:
        yield bindings
        return
    literal, *others = rest
    if isinstance(literal, s.Unification):
        ways = _patterns(literal.pattern, _value(literal.value, bindings), bindings)
    elif isinstance(literal, s.Membership):
        ways = [
            two
            for at, one in _members(literal.source, literal.key is not None, bindings)
            for first in ([bindings] if literal.key is None else _patterns(literal.key, at, bindings))
            for two in _patterns(literal.item, one, first)
        ]
    else:
        ways = [bindings] if _holds(literal, bindings, around, facts, now) else []
    for way in ways:
        yield from _extend(others, way, around, facts, now)


def _patterns(pattern: s.Expression, found: object, bindings: Bindings) -> list[Bindings]:
    if found is MISSING:
        return []
    if isinstance(pattern, s.Wildcard):
        return [bindings]
    if isinstance(pattern, s.Variable) and pattern.name not in bindings:
        return [{**bindings, pattern.name: found}]  # type: ignore[dict-item]
    if isinstance(pattern, s.Tuple):
        if not isinstance(found, tuple) or len(found) != len(pattern.items):
            return []
        ways = [bindings]
        for item, one in zip(pattern.items, found, strict=True):
            ways = [after for before in ways for after in _patterns(item, one, before)]
        return ways
    return [bindings] if _value(pattern, bindings) == found else []


def _equal(pattern: s.Expression, found: object, bindings: Bindings) -> bool:
    return bool(_patterns(pattern, found, bindings))


def _members(source: s.Expression, keyed: bool, bindings: Bindings) -> list[tuple[object, object]]:
    if isinstance(source, s.Range):
        low, high = _value(source.low, bindings), _value(source.high, bindings)
        both = type(low) is int and type(high) is int
        return list(enumerate(range(low, high + 1))) if both else []  # type: ignore[arg-type,operator]
    found = _value(source, bindings)
    if isinstance(found, dict):
        return [(key, item if keyed else key) for key, item in found.items()]
    return list(enumerate(found)) if isinstance(found, tuple) else []


def _value(e: s.Expression, bindings: Bindings) -> object:
    if isinstance(e, s.Tuple) and any(isinstance(item, s.Wildcard) for item in e.items):
        return MISSING
    try:
        return evaluate(e, bindings)
    except Fault:
        return MISSING
