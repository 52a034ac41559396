"""Explanations as trees of numbered entries: what text, pictures and expansion are made of.

An entry says one thing in one line, with details and with what it rests on below it. What is left out, because it was
shown before or is one of many, is found again by its number: `entry` looks there, and `opened` shows all of it.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import islice
from typing import Any, Final, Literal

from kdl.fact import Document, Fact, Value, literal
from kdl.rules.program import Program, label
from kdl.rules.proof import Absence, Aggregation, Condition, Premise, Proof
from kdl.rules.whynot import Case, Reason, WhyNot
from kdl.rules.wording import brief, fact_text, path_text, source_text

DEPTH: Final = 4
"""How deep a proof is shown at once; below, only what it ends in. Expansion goes on from there."""

WHOLE: Final = 40
"""How deep a proof is shown to who wants all of it."""

BARE: Final = 1 << 30
"""The depth at which not even that is shown."""

ENDS: Final = 4
"""How many of the asserted facts that a folded proof ends in are shown."""

Kind = Literal["fact", "asserted", "seen", "aggregate", "more", "absent", "condition", "time", "goal", "reason"]
Source = Proof | Aggregation | Reason | Case | None


@dataclass(slots=True)
class Entry:
    """One line of an explanation. `source` is what it speaks of, for whoever wants to see more of it."""

    number: str
    text: str
    kind: Kind
    details: tuple[str, ...] = ()
    below: list[Entry] = field(default_factory=list)
    source: Source = None

    def walk(self) -> Iterator[Entry]:
        """The entry and all below it, from the top."""
        yield self
        for one in self.below:
            yield from one.walk()

    def lines(self, depth: int = 0) -> Iterator[str]:
        """The entry as text, indented by its depth."""
        indent = "  " * depth
        yield f"{indent}{self.number + ' ' if self.number else ''}{self.text}"
        for detail in self.details:
            yield f"{indent}    {detail}"
        for one in self.below:
            yield from one.lines(depth + 1)

    def json(self) -> dict[str, Any]:
        """The entry as JSON-able data."""
        below = [one.json() for one in self.below]
        return {"number": self.number, "kind": self.kind, "text": self.text, "details": [*self.details], "below": below}


def of_proof(proof: Proof, program: Program, number: str = "", depth: int = DEPTH) -> Entry:
    """A proof as a tree of facts; what was shown above is referred to by its number."""
    outline = _Outline(program, depth)
    return outline.finished(outline.proof(proof, number, 0))


def of_why_not(answer: WhyNot, program: Program) -> Entry:
    """A why-not: the goal, what it needs, and the reasons with the proofs of what is in the way."""
    root = last = Entry("", f"{answer.goal} does not hold", "goal")
    for goal, rule in answer.through:
        last.below.append(Entry("", f"it needs {goal}  {rule}", "goal"))
        last = last.below[0]
    last.below += [_reason(reason, program, str(number)) for number, reason in enumerate(answer.reasons, 1)]
    root.details = tuple(repair_lines(answer))
    return root


def repair_lines(answer: WhyNot) -> Iterator[str]:
    """The changes that would make the goal hold, a line each."""
    for number, change in enumerate(answer.repairs):
        yield f"{'or' if number else 'it would hold'} after: {change}"


def entry(roots: Iterable[Entry], number: str, program: Program) -> Entry | None:
    """The entry of a number, opened as far as it takes to get there; None if nothing has it."""
    for root in roots:
        for one in root.walk():
            if one.number == number:
                return one
        inside = [one for one in root.walk() if one.number and number.startswith(f"{one.number}.")]
        for one in sorted(inside, key=lambda found: -len(found.number)):
            shown = opened(one, program)
            if shown.below != one.below and (found := entry(shown.below, number, program)) is not None:
                return found
    return None


def opened(one: Entry, program: Program) -> Entry:
    """The entry with all that was left out of it: its whole fact, every contributor, each subject."""
    match one.source:
        case Proof() as proof:
            whole = of_proof(proof, program, one.number)
            return replace(whole, details=(*_whole(proof.fact), *_rule(proof, program), *whole.details))
        case Aggregation() as aggregation:
            outline = _Outline(program)
            return outline.finished(outline.aggregation(aggregation, one.number, 0, whole=True))
        case Reason(rest=rest) if rest:
            below = [_reason(reason, program, f"{one.number}.{n}") for n, reason in enumerate(rest, 1)]
            return replace(one, below=below)
        case Reason(cases=cases) if cases:
            return replace(one, below=[_case(case, f"{one.number}.{n}") for n, case in enumerate(cases, 1)])
        case Reason(proof=proof) | Case(proof=proof) if proof is not None:
            return replace(one, below=[of_proof(proof, program, f"{one.number}.1")])
    return one


def _reason(reason: Reason, program: Program, number: str) -> Entry:
    shown = Entry(number, reason_text(reason), "reason", source=reason)
    return opened(shown, program) if not reason.cases and not reason.rest else shown


def _case(case: Case, number: str) -> Entry:
    return Entry(number, f"{case.subject}: {case.text}", "reason", source=case)


def reason_text(reason: Reason, named: int = 2) -> str:
    """What stops a rule, for how many of its subjects, and the first of these."""
    if reason.total == 1:
        return f"{reason.text}  {reason.rule}"
    text = f"{reason.count} of {reason.total}: {reason.text}"
    if reason.subjects:
        more = len(reason.subjects) - named
        text += f" ({', '.join(reason.subjects[:named])}{f', +{more}' if more > 0 else ''})"
    return f"{text}  {reason.rule}"


class _Outline:
    """One tree: the number under which each fact was shown first."""

    def __init__(self, program: Program, depth: int = DEPTH) -> None:
        self.program, self.depth = program, depth
        self.shown: dict[Fact, str] = {}
        self._ends: list[tuple[Entry, Proof]] = []

    def finished(self, root: Entry) -> Entry:
        """The tree, with what the rules in it read of the facts that were asserted."""
        for shown, proof in self._ends:
            shown.details = tuple(
                f"{path_text(read.path)} = {brief(read.value)}" + (f"  {read.place}" if read.place else "")
                for read in proof.reads
            )
        return root

    def proof(self, proof: Proof, number: str, depth: int) -> Entry:
        head = fact_text(proof.fact)
        if proof.fact in self.shown:
            return Entry(number, f"{head}  (see {self.shown[proof.fact] or 'above'})", "seen", source=proof)
        self.shown[proof.fact] = number
        if proof.rule is None:
            end = Entry(number, f"{head}  {proof.place or 'asserted'}", "asserted", source=proof)
            self._ends.append((end, proof))
            return end
        said = (f"“{proof.sentence}”",) if proof.sentence is not None else ()
        found = Entry(number, f"{head}  {label(proof.rule)}", "fact", said, source=proof)
        if depth < self.depth:
            told = proof if self.depth > DEPTH else _told(proof)
            found.below += self._premises(((one, depth + 1) for one in told.premises), number)
        elif any(isinstance(premise, (Proof, Aggregation)) for premise in proof.premises):
            found.text += f"  … (expand {number})"
            if depth == BARE:
                return found
            ends = list(islice((end for end in _ends(proof) if end.fact not in self.shown), ENDS + 1))
            found.below += [self.proof(end, "", depth + 1) for end in ends[:ENDS]]
            if len(ends) > ENDS:
                found.below.append(Entry("", "… more", "more"))
        return found

    def _premises(self, premises: Iterable[tuple[Premise, int]], number: str) -> Iterator[Entry]:
        """The entries of premises, each with the depth that it is at."""
        count = 0
        for premise, depth in premises:
            if isinstance(premise, (Proof, Aggregation)):
                count += 1
                below = f"{number}.{count}" if number else str(count)
            match premise:
                case Proof():
                    yield self.proof(premise, below, depth)
                case Aggregation():
                    yield self.aggregation(premise, below, depth)
                case Absence():
                    by = f", looked up by {', '.join(premise.by)}" if premise.by else ""
                    yield Entry("", f"not {premise.sought}: none of {premise.among}{by}", "absent")
                case Condition():
                    values = ", ".join(f"{name} = {brief(value)}" for name, value in premise.values if "$" not in name)
                    yield Entry("", f"{premise.text}" + (f"  with {values}" if values else ""), "condition")
                case _:
                    word = "is still to come" if premise.negated else "has come"
                    yield Entry("", f"{_moment(premise.time)} {word}", "time")

    def aggregation(self, premise: Aggregation, number: str, depth: int, whole: bool = False) -> Entry:
        total = len(premise.contributors) + premise.more
        text = f"{premise.literal.function} of {total} = {brief(premise.result)}"
        found = Entry(number, text, "aggregate", source=premise)
        if whole:
            found.details = (source_text(self.program, premise.literal),)
        contributors = [*premise.contributors, *(premise.rest() if whole else ())]
        first = premise.literal.function in ("min", "max")  # it decides; the others, or all of a sum, get a line each
        line = depth + 1 if whole or self.depth > DEPTH else BARE if first or depth > 1 else max(depth + 1, DEPTH)
        depths = [depth + 1 if first and not at else line for at in range(len(contributors))]
        found.below += self._premises(
            ((one, at) for several, at in zip(contributors, depths, strict=True) for one in several), number
        )
        if premise.more and not whole:
            found.below.append(Entry("", f"… {premise.more} more" + (f" (expand {number})" if number else ""), "more"))
        return found


def _told(proof: Proof) -> Proof:
    """The proof that says something new: a fact that only hands on another one is passed over."""
    while len(proof.premises) == 1:
        (only,) = proof.premises
        if not isinstance(only, Proof) or only.rule is None or only.sentence is not None or len(only.premises) != 1:
            break
        if not isinstance(only.premises[0], Proof):
            break
        proof = only
    return proof


def _ends(proof: Proof) -> Iterator[Proof]:
    """The asserted facts that a proof ends in, each once; of contributors of which one decides, those of that one."""
    pending: list[Premise] = [proof]
    seen: set[Fact] = set()
    while pending:
        match pending.pop():
            case Proof(fact=fact) as one if fact not in seen:
                seen.add(fact)
                if one.rule is None:
                    yield one
                pending += reversed(one.premises)
            case Aggregation(literal=item, contributors=contributors):
                decisive = contributors[:1] if item.function in ("min", "max") else contributors
                pending += [one for several in reversed(decisive) for one in reversed(several)]


def _whole(fact: Fact) -> Iterator[str]:
    """The values of a fact that its line shortens, each in full."""
    for column, value in enumerate(fact.row, 1):
        if brief(value) != literal(value):
            yield f"column {column}:"
            yield from (f"  {line}" for line in _pretty(value, ""))


def _pretty(value: Value, indent: str) -> Iterator[str]:
    """A value over several lines where it is too long for one."""
    if len(literal(value)) + len(indent) <= 100 or not isinstance(value, (Document, tuple)):
        yield indent + literal(value)
        return
    members = [(f"{literal(key)}: ", item) for key, item in sorted(value.items())] if isinstance(value, Document) else [
        ("", item) for item in value
    ]  # fmt: skip
    for key, item in members:
        first, *others = _pretty(item, indent + "  ")
        if others:
            yield f"{indent}{key}" if key else f"{indent}-"
            yield first
            yield from others
        else:
            yield f"{indent}{key or '- '}{first.strip()}"


def _rule(proof: Proof, program: Program) -> Iterator[str]:
    if proof.rule is not None:
        span = proof.rule.span
        yield from program.sources.get(span.file, "").splitlines()[span.line - 1 : span.end_line]


def _moment(time: int) -> str:
    return datetime.fromtimestamp(time / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
