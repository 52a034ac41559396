"""Proofs as data: a fact, the rule that derives it, what that rests on, and what rules read of what was asserted."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeAlias

from kdl.fact import Fact, Value
from kdl.parser import syntax as s
from kdl.rules.evaluate import Bindings
from kdl.rules.provenance import Provenance, Reading, Steps, Wanted

Origin: TypeAlias = Callable[[Fact, Steps | None], str | None]
"""Where an asserted fact, or a path in its document, was written: ``hello.yaml:12``."""


@dataclass(slots=True)
class Read:
    """A path that a rule read in a document, what was there, and where that was written."""

    path: Steps
    value: Value
    place: str | None = None


@dataclass(slots=True)
class Step:
    """One application of a rule, and what finds the premises that it rests on."""

    rule: s.Rule
    bindings: Bindings
    sentence: str | None
    below: Callable[[], Iterable[Premise]]
    reading: Reading | None = None
    """Which paths it reads of its premises; nothing is noted without."""


class Proof:
    """A fact with the rule that derives it and what that rule rests on; without a rule it was asserted.

    Each part is found when it is first looked at, while the facts are as they were; after `settle` there is no more
    to find. What rules read of an asserted fact is what those read that have been looked at.
    """

    __slots__ = ("_asked", "_find", "_origin", "_premises", "_step", "fact")

    def __init__(self, fact: Fact, find: Callable[[Fact], Step | None], origin: Origin) -> None:
        self.fact = fact
        self._find: Callable[[Fact], Step | None] | None = find
        self._origin = origin
        self._step: Step | None = None
        self._premises: tuple[Premise, ...] | None = None
        self._asked: set[Wanted] = set()

    @property
    def step(self) -> Step | None:
        """The application of a rule that derives the fact; None if it was asserted."""
        if self._find is not None:
            self._step, self._find = self._find(self.fact), None
        return self._step

    @property
    def rule(self) -> s.Rule | None:
        """The rule that derives the fact."""
        return None if (step := self.step) is None else step.rule

    @property
    def bindings(self) -> Bindings:
        """The values of the rule's variables."""
        return {} if (step := self.step) is None else step.bindings

    @property
    def sentence(self) -> str | None:
        """What the rule says of itself."""
        return None if (step := self.step) is None else step.sentence

    @property
    def premises(self) -> tuple[Premise, ...]:
        """What the rule rests on, in the order of its body."""
        if self._premises is None:
            step = self.step
            self._premises = tuple(step.below()) if step is not None else ()
            self._pass(self._asked)
        return self._premises

    @property
    def place(self) -> str | None:
        """Where an asserted fact was written."""
        return self._origin(self.fact, None) if self.step is None else None

    @property
    def reads(self) -> list[Read]:
        """What rules read in the documents of an asserted fact."""
        if self.step is not None:
            return []
        paths = {path: _at(self.fact.row[column], path) for column, path in self._asked if path}
        return [
            Read(path, value, self._origin(self.fact, path))
            for path, value in sorted(paths.items(), key=lambda item: str(item[0]))
            if not any(other != path and other[: len(path)] == path for other in paths)
        ]

    def ask(self, wanted: Iterable[Wanted]) -> None:
        """Note what somebody used of the fact, and what was used for that below."""
        pending: list[tuple[Proof, Iterable[Wanted]]] = [(self, wanted)]
        while pending:
            proof, wanted = pending.pop()
            new = {*wanted} - proof._asked
            proof._asked |= new
            if new and proof._premises is not None:
                pending += proof._used(new)

    def _pass(self, wanted: Iterable[Wanted]) -> None:
        for premise, used in self._used(wanted):
            premise.ask(used)

    def _used(self, wanted: Iterable[Wanted]) -> Iterator[tuple[Proof, set[Wanted]]]:
        """What was used of each premise for what is wanted of this fact."""
        step, premises = self.step, self._premises
        if step is None or step.reading is None or premises is None:
            return
        provenance = Provenance(step.reading, step.bindings)
        below: dict[int, set[Wanted]] = {}
        columns = [column for column, path in wanted if not path]
        places = list(provenance.reads(column for column in columns if column >= 0)) if columns else []
        for column, path in wanted:
            if path and (source := provenance.head(column, path)) is not None:
                places.append(source)
        for place in places:
            below.setdefault(place.literal, set()).add((place.column, place.path))
        for premise, (index, used) in zip(premises, step.reading.premises, strict=True):
            if isinstance(premise, Proof):
                found = below.get(index, set())
                yield premise, found | used if columns else found

    def proofs(self) -> Iterator[Proof]:
        """The proofs of the facts that it rests on directly, those of contributors included."""
        pending = [*self.premises]
        while pending:
            one = pending.pop()
            if isinstance(one, Proof):
                yield one
            elif isinstance(one, Aggregation):
                pending += [premise for several in one.contributors for premise in several]

    def walk(self, seen: set[Fact] | None = None) -> Iterator[Premise]:
        """The proof and all premises below it, a fact once; not those of facts that were `seen` already."""
        pending: list[Premise] = [self]
        seen = set() if seen is None else seen
        while pending:
            one = pending.pop()
            if isinstance(one, Proof):
                if one.fact in seen:
                    continue
                seen.add(one.fact)
                pending += one.premises
            elif isinstance(one, Aggregation):
                pending += [premise for several in one.contributors for premise in several]
            yield one

    def settle(self) -> Proof:
        """Look at all of it."""
        for _ in self.walk():
            pass
        return self


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


def _at(value: Value, path: Steps) -> Value:
    for step in path:
        if isinstance(value, dict) and isinstance(step, str):
            value = value.get(step)
        elif isinstance(value, tuple) and isinstance(step, int) and step < len(value):
            value = value[step]
        else:
            return None
    return value
