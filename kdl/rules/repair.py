"""The smallest change after which a goal would hold, looked for in the proofs of what is in its way.

A change asserts or removes a base fact, or edits one field of a document: a number that was compared is made to fit, or
what a rule read is taken out. Nothing is told that was not tried.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from heapq import nsmallest
from itertools import product
from typing import Any, Final, Protocol

from kdl.fact import Document, Fact, Value, literal, plain, value
from kdl.parser import syntax as s
from kdl.parser.quantity import cpu, mem
from kdl.rules.evaluate import Bindings
from kdl.rules.proof import Condition, Proof, Read
from kdl.rules.provenance import Steps
from kdl.rules.solve import known
from kdl.rules.wording import fact_text, path_text

PROVED: Final = 6
"""So many subjects are looked at, those with the fewest facts in their way and of these the closest."""

TRIED: Final = 40
"""So many changes are tried."""

OTHERS: Final = 2
"""So many others are told after the smallest, and tried for that."""

DRASTIC: Final = 2
"""The weight from which on an edit takes away a whole fact: nothing to propose where something smaller helps."""

AT_LEAST: Final = 4
"""So many are tried however long it takes."""

SECONDS: Final = 0.15
"""Of the processor's time; then no further change is looked for or tried."""

Verify = Callable[[list[Fact], list[Fact]], bool]
"""Whether the goal holds after inserting and removing these facts."""


class Editor(Protocol):
    """What people may change in the documents of facts."""

    def name(self, fact: Fact) -> str:
        """What the document is: `Pod default/web`."""

    def meant(self, fact: Fact) -> Fact:
        """The fact itself, or the one like it that the question is about."""

    def open(self, fact: Fact, path: Steps) -> bool:
        """Whether people write that field."""

    def remedies(self, obstacle: Fact) -> Iterable[tuple[Fact, Steps, Value]]:
        """Values for fields of documents that may take an obstacle away, as the rules propose."""


@dataclass(frozen=True, slots=True)
class Obstacles:
    """What is in the way for one subject: facts that hold and should not, or one that should and does not."""

    facts: tuple[Fact, ...] = ()
    missing: Fact | None = None
    distance: float = 0
    """How far they are from not holding."""


@dataclass(frozen=True, slots=True)
class Edit:
    """One change: a field of a fact's document gets another value, or goes; without a path, the fact comes or goes."""

    text: str
    weight: float
    fact: Fact
    path: Steps = ()
    new: Value = None
    comes: bool = False

    @property
    def alike(self) -> tuple[object, ...]:
        """What it has in common with the same edit of another object of its kind."""
        return (self.fact.relation, *self.fact.row[:2], self.path) if self.path else (self.fact,)


def repairs(
    obstacles: Iterable[Obstacles], prove: Callable[[Fact], Proof], verify: Verify, editor: Editor | None
) -> Iterator[str]:
    """The smallest change that was found and tried; if it is one edit, some others that are one, too."""
    end = time.thread_time() + SECONDS
    candidates: list[tuple[Edit, ...]] = []
    for subject in nsmallest(PROVED, obstacles, key=lambda one: (len(one.facts), one.distance)):
        if subject.missing is not None:
            candidates.append((Edit(f"assert {subject.missing}", 0, subject.missing, comes=True),))
        elif time.thread_time() < end or not candidates:
            count = len(subject.facts)
            most = 4 if count < 3 else 2 if count < 5 else 1  # each with each of the others
            ways = [
                nsmallest(most, _edits(prove(fact), editor), key=lambda edit: edit.weight) for fact in subject.facts
            ]
            candidates += [tuple(dict.fromkeys(way)) for way in product(*ways)]
    candidates.sort(key=lambda edits: (len(edits), sum(edit.weight for edit in edits)))
    told: set[tuple[object, ...]] = set()
    tried, more = 0, TRIED
    for edits in filter(_agree, dict.fromkeys(candidates)):
        if told and (len(edits) > 1 or edits[0].weight >= DRASTIC or edits[0].alike in told):
            continue
        insert, remove = _delta(edits)
        if verify(insert, remove):
            yield " and ".join(edit.text for edit in edits)
            more = more if told else OTHERS
            told |= {edit.alike for edit in edits}
            if len(edits) > 1 or len(told) > OTHERS:
                return
        tried += 1
        more -= 1
        if more <= 0 or (tried >= AT_LEAST and time.thread_time() > end):
            return


def _agree(edits: tuple[Edit, ...]) -> bool:
    """Whether no two of them change one field."""
    return len({(edit.fact, edit.path) for edit in edits}) == len(edits)


def _edits(proof: Proof, editor: Editor | None) -> Iterator[Edit]:
    """The edits of what a proof rests on, each of which may make it fail."""
    if editor is not None:
        for fact, path, new in editor.remedies(proof.fact):
            yield Edit(f"set {path_text(path)} of {editor.name(fact)} to {literal(new)}", 1, fact, path, new)
    found = list(proof.walk())
    close = list(proof.bindings.values())  # what the rule itself looked at rather than what is far below it
    too_much = [
        found for one in proof.premises if isinstance(one, Condition) for found in excesses(one.literal, proof.bindings)
    ]
    for leaf in {one.fact: one for one in found if isinstance(one, Proof) and one.rule is None}.values():
        if editor is None or not any(isinstance(item, Document) for item in leaf.fact.row):
            yield Edit(f"remove {fact_text(leaf.fact)}", 2, leaf.fact)
            continue
        fact = editor.meant(leaf.fact)
        name = editor.name(fact)
        for read in leaf.reads:
            if editor.open(fact, read.path):
                yield from _fitted(read, fact, name, too_much)
                path = _whole(read.path)
                place = f" ({read.place})" if read.place else ""
                weight = (0.9 if read.value in close else 1.4) + (0 if read.place else 0.5)
                yield Edit(f"remove {path_text(path)} of {name}{place}", weight, fact, path)
        yield Edit(f"delete {name}", 3, fact)


def excesses(item: s.Literal, bindings: Bindings) -> Iterator[tuple[int, int]]:
    """By how much the one side of a comparison of whole numbers is too great for it to fail, and that side."""
    test = item.condition if isinstance(item, s.Test) else None
    if not isinstance(test, s.Binary) or test.operator not in ("<", "<=", ">", ">="):
        return
    left, right = known(test.left, bindings), known(test.right, bindings)
    if type(left) is int and type(right) is int:
        yield abs(left - right) + (test.operator in ("<=", ">=")), max(left, right)


def _fitted(read: Read, fact: Fact, name: str, too_much: Sequence[tuple[int, int]]) -> Iterator[Edit]:
    """A number or quantity made smaller by what was too much."""
    for excess, most in too_much:
        for written, share in _smaller(read.value, excess, most):
            before = f"now {literal(read.value)}" + (f", {read.place}" if read.place else "")
            text = f"set {path_text(read.path)} of {name} to {literal(written)} ({before})"
            yield Edit(text, share, fact, read.path, written)


def _smaller(old: Value, excess: int, most: int) -> Iterator[tuple[Value, float]]:
    """A value that is part of `most`, less an amount; and how much of it that is. Units, bytes or thousandths."""
    if type(old) is int and excess < old <= most:
        yield old - excess, excess / old
    elif isinstance(old, str):
        for read, write in ((mem, _bytes), (cpu, _thousandths)):
            try:
                amount = read(old)
            except ValueError:
                return
            if 0 < excess < amount <= most:
                yield write(amount - excess), excess / amount


def _bytes(amount: int) -> str:
    for suffix, size in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if amount % size == 0:
            return f"{amount // size}{suffix}"
    return str(amount)


def _thousandths(amount: int) -> str:
    return str(amount // 1000) if amount % 1000 == 0 else f"{amount}m"


def _whole(path: Steps) -> Steps:
    """The element of a list that a member belongs to directly: a taint rather than its key."""
    return path[:-1] if len(path) > 1 and isinstance(path[-2], int) else path


def _delta(edits: Iterable[Edit]) -> tuple[list[Fact], list[Fact]]:
    """The facts that edits insert and remove."""
    insert: dict[Fact, Fact] = {}
    remove: list[Fact] = []
    for edit in edits:
        if edit.path:
            insert[edit.fact] = _edited(insert.get(edit.fact, edit.fact), edit)
        elif edit.comes:
            insert[edit.fact] = edit.fact
        else:
            remove.append(edit.fact)
    return list(insert.values()), [*remove, *(fact for fact, new in insert.items() if fact != new)]


def _edited(fact: Fact, edit: Edit) -> Fact:
    """The fact with one field of its document changed or gone."""
    row = tuple([_put(plain(item), edit.path, edit.new) if isinstance(item, Document) else item for item in fact.row])
    return Fact(fact.relation, row)


def _put(document: Any, path: Steps, new: Value) -> Value:
    place: Any = document
    for step in path[:-1]:
        place = place.setdefault(step, {}) if isinstance(place, dict) else place[step]
    if new is None and isinstance(place, dict):
        place.pop(path[-1], None)  # a rule may also have read that the field is not there
    elif new is None:
        del place[path[-1]]
    else:
        place[path[-1]] = plain(new)
    return value(document)
