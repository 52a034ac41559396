"""Why a fact does not hold: for each rule that could derive it, how far the rule's body gets and what stops it.

The search is bounded by a number of bindings. What stops it is counted per subject, the first variable that varies
(the nodes that were tried, say): every subject is counted once, so the counts of a rule add up to its total.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import Final, TypeAlias

from kdl.fact import Fact, Row, Value, literal, value
from kdl.parser import syntax as s
from kdl.rules.evaluate import MISSING, Bindings
from kdl.rules.explain import Extension, Facts, Prover
from kdl.rules.program import label
from kdl.rules.proof import Origin, Premise, Proof
from kdl.rules.repair import Editor, Obstacles, Verify, excesses, repairs
from kdl.rules.solve import Solver, binds, known, match, names, surrounded
from kdl.rules.wording import brief, fact_text, goal_text, source_text

BINDINGS: Final = 10_000
LINES: Final = 12
DEPTH: Final = 8
OBSTACLES: Final = 8


Rests: TypeAlias = Callable[[], Iterator[Premise]]
"""Proves what something rests on, for whoever asks while the facts are as they were."""


@dataclass(frozen=True, slots=True)
class Case:
    """One subject by name, what stops the rule for it, and the proof of a fact that is in the way."""

    subject: str
    text: str
    prove: Callable[[], Proof | None] = field(default=lambda: None, repr=False, compare=False)

    @property
    def proof(self) -> Proof | None:
        """Found when it is asked for, while the facts are as they were."""
        return self.prove()


@dataclass(frozen=True, slots=True)
class Reason:
    """What stops a rule for some of its subjects."""

    text: str
    rule: str
    count: int = 1
    total: int = 1
    subjects: tuple[str, ...] = ()
    """The first few subjects by name; empty when the rule was tried for one thing only."""
    proof: Proof | None = None
    """For a negation: the proof of the first fact that is in the way."""
    cases: tuple[Case, ...] = ()
    """Every subject on its own."""
    rest: tuple[Reason, ...] = ()
    """For the reason that stands for those left out: these."""
    rests: Rests = field(default=lambda: iter(()), repr=False, compare=False)
    """What all that is said here rests on."""


@dataclass(frozen=True, slots=True)
class WhyNot:
    """The answer: the goal, the goals below it that the search went through, and what stops them."""

    goal: str
    through: tuple[tuple[str, str], ...]
    """Goals that failed only because of the next one, each with the rule that needs it."""
    reasons: tuple[Reason, ...]
    repairs: tuple[str, ...] = ()
    """Changes after which the goal would hold, the smallest first: each was tried."""
    rests: Rests = field(default=lambda: iter(()), repr=False, compare=False)
    """What the goals below rest on."""


def goal(relation: str, row: Iterable[object]) -> s.Atom:
    """A goal from Python values; ``...`` stands for anything."""
    items = [s.Wildcard() if item is ... else s.Constant(value(item)) for item in row]
    return s.Atom(relation, tuple([s.Argument(item) for item in items]))


def why_not(
    facts: Facts, atom: s.Atom, verify: Verify | None = None, origin: Origin | None = None, editor: Editor | None = None
) -> WhyNot | None:
    """What keeps a goal from holding; None if it holds. Variables and wildcards in the goal stand for anything.

    With `verify` the answer has repairs that were tried; `editor` tells what of a document people may change.
    """
    search = _Search(facts, origin or (lambda fact, path: None))
    if next(search.solver.solve((atom,), {}), None) is not None:
        return None
    through: list[tuple[str, str]] = []
    stops = search.goal(atom, {})
    asked, last = atom, None
    while len(through) < DEPTH and (needed := search.single(stops)) is not None:
        if isinstance(needed, list):
            stops = needed
            continue
        asked, last = needed
        through.append((goal_text(asked, last.bindings), label(stops[0].rule)))
        stops = search.goal(asked, last.bindings, above=last)
    reasons = search.reasons(stops) if stops else [search.unsupported(asked, last)]
    changes = repairs(search.obstacles(stops), search.proof, verify, editor) if verify is not None else ()
    rests = partial(search.premises, last)
    return WhyNot(goal_text(atom, {}), tuple(through), tuple(_folded(reasons)), tuple(changes), rests)


@dataclass(slots=True)
class _Stop:
    """A dead end: a rule, the bindings that satisfy its body up to `literal`, which has no solution."""

    rule: s.Rule
    literal: s.Literal
    outside: frozenset[str]
    bindings: Bindings
    steps: Sequence[Extension]
    """The literals of the body in order."""
    depth: int
    """How many of them hold."""
    above: _Stop | None
    """The dead end that led here: of a goal above, or outside of braces."""


@dataclass(frozen=True, slots=True)
class _Way:
    """What stops a rule, the details of it if there are more, and the fact that is in the way, if one is."""

    stop: _Stop
    text: str
    detail: str | None = None
    fact: Fact | None = None


class _Search:
    def __init__(self, facts: Facts, origin: Origin) -> None:
        self.facts = facts
        self.solver = Solver(facts.lookup, facts.now)
        self.left = BINDINGS
        self._prover = Prover(facts, origin)
        self._prepared = self._prover.prepared
        self._rows: dict[tuple[int, int], tuple[Bindings, list[Row]]] = {}

    def proof(self, fact: Fact) -> Proof:
        """A proof of what is in the way, its places found."""
        return self._prover.wanted(fact)

    # dead ends

    def goal(
        self, atom: s.Atom, bindings: Bindings, seen: tuple[str, ...] = (), above: _Stop | None = None
    ) -> list[_Stop]:
        """The dead ends of every rule that could derive the goal."""
        text = goal_text(atom, bindings)
        if text in seen:
            return []
        found: list[_Stop] = []
        for rule in self.facts.program.rules_of[atom.relation]:
            start: Bindings | None = {}
            for mine, asked in zip(rule.head.arguments, atom.arguments, strict=True):
                told = known(asked.value, bindings)
                if told is not MISSING and start is not None and (binds(mine.value) or not names(mine.value)):
                    start = match(mine.value, told, start)
            if start is not None:
                found += self._body(rule, rule, start, names(rule.head), above)
        return found

    def _body(
        self,
        rule: s.Rule,
        of: s.Rule | s.Aggregate,
        start: Bindings,
        outside: frozenset[str],
        above: _Stop | None,
    ) -> Iterator[_Stop]:
        steps = self._prepared.steps(self.facts, of, frozenset(start), outside)
        pending: list[tuple[int, Bindings]] = [(0, start)]
        while pending and self.left > 0:
            at, bindings = pending.pop()
            self.left -= 1
            if at == len(steps):
                continue
            ways = [(at + 1, extended) for extended in islice(steps[at](bindings), self.left)]
            if not ways:
                yield _Stop(rule, steps[at].literal, steps[at].outside, bindings, steps, at, above)
            pending += reversed(ways)

    def single(self, stops: list[_Stop]) -> tuple[s.Atom, _Stop] | list[_Stop] | None:
        """What the only dead end waits for, where one can look further: a goal below, or what stands in braces."""
        if not stops or len({id(stop.rule) for stop in stops}) > 1 or len(self._subjects(stops)) > 1:
            return None
        deepest = max(stops, key=lambda stop: stop.depth)
        if isinstance(deepest.literal, s.Aggregate):
            return self._inside(deepest) or None
        if isinstance(deepest.literal, s.Atom) and self.facts.program.rules_of[deepest.literal.relation]:
            return deepest.literal, deepest
        return None

    def _inside(self, stop: _Stop) -> list[_Stop]:
        """The dead ends inside the braces of an aggregate that has nothing to range over."""
        item = stop.literal
        assert isinstance(item, s.Aggregate)
        if next(self.solver.contributors(item, stop.bindings, stop.outside), None) is not None:
            return []
        outside = stop.outside | names(item.pattern) | (names(item.value) if item.value is not None else frozenset())
        start = dict(stop.bindings)
        if item.value is not None:
            _align(item.pattern, item.value, start)
        return list(self._body(stop.rule, item, start, outside, stop))

    # counting

    def _subjects(self, stops: list[_Stop]) -> dict[Value, list[_Stop]]:
        """The dead ends by subject: the values of the first variable that has several."""
        for name in stops[0].bindings:
            values = {stop.bindings.get(name) for stop in stops}
            if len(values) > 1 and not any(isinstance(item, dict) for item in values):
                found: dict[Value, list[_Stop]] = {}
                for stop in stops:
                    found.setdefault(stop.bindings.get(name), []).append(stop)
                return found
        return {None: stops}

    def reasons(self, stops: list[_Stop]) -> list[Reason]:
        """The reasons of each rule, most frequent first; the rules that get furthest first."""
        by_rule: dict[int, list[_Stop]] = {}
        for stop in stops:
            by_rule.setdefault(id(stop.rule), []).append(stop)
        ranked = sorted(by_rule.values(), key=lambda group: -max(stop.depth for stop in group))
        return [reason for group in ranked for reason in self._reasons_of_rule(group)]

    def _reasons_of_rule(self, stops: list[_Stop]) -> list[Reason]:
        subjects = self._subjects(stops)
        groups: dict[tuple[str, ...], list[tuple[str, list[_Way]]]] = {}
        for subject, mine in subjects.items():
            deepest = max(stop.depth for stop in mine)
            ways = {way.text: way for stop in mine if stop.depth == deepest for way in self._ways(stop, ())}
            chosen = [ways[text] for text in sorted(ways)]
            groups.setdefault(tuple(_masked(way.text) for way in chosen), []).append((_word(subject), chosen))
        reasons = []
        for members in sorted(groups.values(), key=len, reverse=True):
            members.sort(key=lambda member: _natural(member[0]))
            columns = list(zip(*[ways for _, ways in members], strict=True))
            text = " and ".join(_merged([way.text for way in column]) + _details(column, members) for column in columns)
            first = next((way.fact for _, ways in members for way in ways if way.fact is not None), None)
            named = members if len(subjects) > 1 else []
            cases = [
                Case(subject, " and ".join(way.text for way in ways), self._later(ways)) for subject, ways in named
            ]
            reasons.append(
                Reason(
                    text,
                    label(stops[0].rule),
                    len(members),
                    len(subjects),
                    tuple(subject for subject, _ in named),
                    self.proof(first) if first is not None else None,
                    tuple(cases),
                    rests=partial(self._rests, [way for _, ways in members for way in ways]),
                )
            )
        return reasons

    def _rests(self, ways: Iterable[_Way]) -> Iterator[Premise]:
        for way in ways:
            yield from self.premises(way.stop)
            if way.fact is not None:
                yield self.proof(way.fact)

    def premises(self, stop: _Stop | None) -> Iterator[Premise]:
        """What a dead end and those that led to it rest on: where their values come from."""
        while stop is not None:
            more = isinstance(stop.literal, s.Aggregate)  # its result is told
            body = [(step.literal, step.outside) for step in stop.steps[: stop.depth + more]]
            yield from self._prover.premises(body, stop.bindings)
            stop = stop.above

    def _later(self, ways: list[_Way]) -> Callable[[], Proof | None]:
        fact = next((way.fact for way in ways if way.fact is not None), None)
        return lambda: self.proof(fact) if fact is not None else None

    def obstacles(self, stops: list[_Stop]) -> Iterator[Obstacles]:
        """What would have to give way for each subject: facts that are missing, and facts that are there."""
        for mine in self._subjects(stops).values() if stops else ():
            stop = max(mine, key=lambda one: one.depth)
            item = stop.literal
            if isinstance(item, s.Atom) and self.facts.program.relations[item.relation].input:
                row = [known(argument.value, stop.bindings) for argument in item.arguments]
                if not any(found is MISSING for found in row):
                    yield Obstacles(missing=Fact(item.relation, tuple(row)))  # type: ignore[arg-type]
            elif isinstance(item, s.Negation):
                rows = self._matching(item.atom, stop.bindings)
                facts = tuple([Fact(item.atom.relation, row) for row in rows])
                yield Obstacles(facts, distance=sum(map(self._distance, facts)))

    def _distance(self, fact: Fact) -> float:
        """By how much, of all, the comparisons of the rule that derives a fact would have to change for it to fail."""
        found = self._prover.first(fact)
        if found is None:
            return 0
        rule, bindings = found
        shares = [excess / max(most, 1) for item in rule.source.body for excess, most in excesses(item, bindings)]
        return min(shares, default=0)

    # sentences

    def _ways(self, stop: _Stop, seen: tuple[str, ...]) -> Iterator[_Way]:
        """What stops a rule at a dead end, each reason once."""
        said = known(stop.rule.whynot, stop.bindings) if stop.rule.whynot is not None else MISSING
        item = stop.literal
        if isinstance(said, str):
            yield _Way(stop, said)
        elif isinstance(item, s.Negation):
            yield from self._in_the_way(item, stop)
        elif isinstance(item, s.Atom):
            text = goal_text(item, stop.bindings)
            below = self.goal(item, stop.bindings, seen, stop) if len(seen) < DEPTH else []
            if below:
                deepest = max(below, key=lambda one: one.depth)
                yield from self._ways(deepest, (*seen, text))
            else:
                yield _Way(stop, f"there is no {text}")
        elif isinstance(item, s.Aggregate):
            below = self._inside(stop) if len(seen) < DEPTH else []
            if below:
                yield from self._ways(max(below, key=lambda one: one.depth), (*seen, item.function))
            else:
                yield _Way(stop, self._result(item, stop))
        elif isinstance(item, s.Due):
            yield _Way(stop, self._not_due(item, stop.bindings))
        else:
            yield _Way(stop, self._condition(item, stop.bindings))

    def _in_the_way(self, item: s.Negation, stop: _Stop) -> Iterator[_Way]:
        values = [known(argument.value, stop.bindings) for argument in item.atom.arguments]
        free = [column for column, value in enumerate(values) if value is MISSING]
        for row in self._matching(item.atom, stop.bindings):
            fact = Fact(item.atom.relation, row)
            own = [word for column in free if isinstance(word := row[column], str)]
            sentence = self._prover.sentence(fact)
            if any(" " in word for word in own):  # the fact itself says why
                yield _Way(stop, ": ".join(own), sentence, fact)
            else:
                yield _Way(stop, sentence or fact_text(fact), None, fact)

    def _result(self, item: s.Aggregate, stop: _Stop) -> str:
        whole = s.Aggregate(s.Variable("the result"), item.function, item.value, item.body, item.default)
        found = next(self.solver.literal(whole, stop.bindings, stop.outside | names(item.pattern)), None)
        if found is None:
            return f"{item.function} has nothing to range over"
        return f"{item.function} is {_parts(found['the result'])}"

    def _matching(self, atom: s.Atom, bindings: Bindings) -> list[Row]:
        """The first rows that match an atom of a dead end, whose bindings stay as they are."""
        key = id(atom), id(bindings)
        if key in self._rows:
            return self._rows[key][1]
        patterns = [argument.value for argument in atom.arguments]
        told = {
            position: found
            for position, pattern in enumerate(patterns)
            if (found := known(pattern, bindings)) is not MISSING
        }
        rows = list(self.facts.lookup(atom.relation, told))
        if len(rows) > 1:
            rows = sorted(rows, key=str)[:OBSTACLES]
        self._rows[key] = bindings, rows  # held, so that their id stays their own
        return rows

    def _not_due(self, item: s.Due, bindings: Bindings) -> str:
        at = known(item.time, bindings)
        if not isinstance(at, int):
            return f"{source_text(self.facts.program, item)} has no time"
        moment = datetime.fromtimestamp(at / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
        return f"{moment} has passed" if item.negated else f"{moment} has not come yet"

    def _condition(self, item: s.Literal, bindings: Bindings) -> str:
        for made, written in _equated(item):
            if isinstance(made, s.Variable) and "$" in made.name and made.name in bindings:
                found = known(written, bindings)
                told = "missing" if found is MISSING else brief(found)
                return f"`{source_text(self.facts.program, written)}` is {told}, not {brief(bindings[made.name])}"
        text = source_text(self.facts.program, item)
        seen = [name for name in sorted(names(item)) if name in bindings and "$" not in name]
        used = [f"{name} = {brief(bindings[name])}" for name in seen]
        return f"`{text}` fails" + (f" for {', '.join(used)}" if used else "")

    def unsupported(self, atom: s.Atom, above: _Stop | None) -> Reason:
        """The reason when no rule gets anywhere: nothing derives or asserts such a fact."""
        text = goal_text(atom, above.bindings if above is not None else {})
        relation = self.facts.program.relations[atom.relation]
        known = "asserted" if relation.input else "derived by any rule"
        place = f"{relation.span.file}:{relation.span.line}"
        return Reason(f"{text} is not {known}", place, rests=partial(self.premises, above))


def _equated(item: s.Literal) -> Iterator[tuple[s.Expression, s.Expression]]:
    """The sides of an equation, either way around."""
    match item:
        case s.Unification(left, right) | s.Test(s.Binary("=", left, right)):
            yield left, right
            yield right, left


def _parts(result: Value) -> str:
    """A value, each part of a list shortened on its own."""
    return f"[{', '.join(map(brief, result))}]" if isinstance(result, tuple) else brief(result)


def _align(pattern: s.Expression, value: s.Expression, bindings: dict[str, Value]) -> None:
    """Where the pattern is already known and the value is a variable, the variable has to be the same."""
    if isinstance(pattern, s.Tuple) and isinstance(value, s.Tuple) and len(pattern.items) == len(value.items):
        for one, other in zip(pattern.items, value.items, strict=True):
            _align(one, other, bindings)
    elif isinstance(value, s.Variable) and (found := known(pattern, bindings)) is not MISSING:
        bindings[value.name] = found


_NUMBER: Final = re.compile(r"\d+")
_AMOUNT: Final = re.compile(r"(?<!\w)\d+")


def _masked(text: str) -> str:
    return _NUMBER.sub("#", text)


def _details(column: Sequence[_Way], members: list[tuple[str, list[_Way]]]) -> str:
    """The amounts that the sentences of a group add to its text, if these differ in numbers alone."""
    said = [way.detail for way in column if way.detail is not None and _amounts(way.detail) - _amounts(way.text)]
    subjects = [subject for subject, _ in members]
    alike = len(said) == len(column) and len({_masked(text) for text in said}) == 1
    if not alike or any(subject in text for subject, text in zip(subjects, said, strict=True)):
        return ""
    return f": {_merged(said)}"


def _amounts(text: str) -> set[str]:
    return set(_AMOUNT.findall(text))


def _merged(texts: list[str]) -> str:
    """Sentences that differ in their numbers as one, the numbers as ranges."""
    numbers = [[int(found) for found in _NUMBER.findall(text)] for text in texts]
    columns = iter(zip(*numbers, strict=True))

    def span(_: re.Match[str]) -> str:
        column = next(columns)
        low, high = min(column), max(column)
        return _[0] if low == high else f"{low}…{high}"

    return _NUMBER.sub(span, texts[0])


def _natural(text: str) -> list[tuple[int, str]]:
    """Orders ``n2`` before ``n10``."""
    return [(int(part), "") if part.isdigit() else (-1, part) for part in re.split(r"(\d+)", text)]


def _word(subject: Value) -> str:
    return subject if isinstance(subject, str) else literal(subject)


def _folded(reasons: list[Reason]) -> Iterator[Reason]:
    """At most `LINES` reasons; the last one stands for all that are left out."""
    if len(reasons) <= LINES:
        yield from reasons
        return
    yield from reasons[: LINES - 1]
    rest = reasons[LINES - 1 :]
    count, total = sum(reason.count for reason in rest), max(reason.total for reason in rest)
    yield Reason(f"{len(rest)} more reasons", rest[0].rule, count, total, rest=tuple(rest))


__all__ = ["Case", "Reason", "Verify", "WhyNot", "goal", "surrounded", "why_not"]
