"""What is asked of a text: each raises what must not come out of it."""

from __future__ import annotations

import random
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

import kdl
from kdl.fact import Fact, row, value
from kdl.parser.diagnostic import Mistakes
from kdl.parser.format import format
from kdl.parser.manifest.load import loads
from kdl.rules.engine import Engine, LimitExceeded, Limits
from kdl.rules.naive import Naive
from kdl.rules.program import Program
from kdl.runtime.programs import of_texts
from tests.fuzz.mutate import ROOT

PATIENCE: Final = 20
"""Seconds for one text, of this process's own time."""

LIMITS: Final = Limits(rows=5000, steps=200_000, seconds=10)

VALUES: Final = {
    "int": (0, 1, 2, -1, 10**20), "time": (0, 1000, 2000), "str": ("a", "b", "", "1"), "bool": (False, True),
    "json": ({}, {"x": 1, "l": [1, {"x": "a"}]}, {"x": None, "m": {"a": True}}), "any": (None, 1, "1", True, (1, "a")),
}  # fmt: skip


class Hang(BaseException):
    """A text took longer than `PATIENCE`."""


class Wrong(AssertionError):
    """An answer that is not what it must be."""


@contextmanager
def patience() -> Iterator[None]:
    """Raise `Hang` in what is inside when its time is over."""

    def over(number: int, frame: FrameType | None) -> None:
        raise Hang

    before = signal.signal(signal.SIGVTALRM, over)
    signal.setitimer(signal.ITIMER_VIRTUAL, PATIENCE)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


def program(text: str) -> None:
    """A program compiles, or its mistakes can be shown; then engine and specification agree on some history."""
    try:
        with patience():
            found = kdl.compile(text + "\n")
            tidy = format(text)
            if format(tidy) != tidy:
                raise Wrong("what is in the one form has another")
    except kdl.ProgramError as error:
        shown(error)
        return
    with patience():
        history(found, random.Random(text))


def history(found: Program, chance: random.Random) -> None:
    """A few random deltas."""
    inputs = [relation for relation in found.relations.values() if relation.input]
    engine, naive, now = Engine(found, limits=LIMITS), Naive(found), 0
    there: list[Fact] = []
    for step in range(4):
        insert = [
            Fact(relation.name, row(value(chance.choice(VALUES[column.type])) for column in relation.columns))
            for relation in inputs
            for _ in range(chance.randrange(3))
        ]
        remove = chance.sample(there, len(there) // 3)
        there = [fact for fact in there if fact not in remove] + insert
        now += chance.choice((0, 500, 2000))
        try:
            engine.apply(insert=insert, remove=remove, now=now)
        except LimitExceeded:
            return
        naive.apply(insert=insert, remove=remove, now=now)
        for name in found.relations:
            if engine.facts(name) != naive.facts(name):
                more, less = engine.facts(name) - naive.facts(name), naive.facts(name) - engine.facts(name)
                raise Wrong(f"`{name}` in step {step}: the engine has more: {more}, less: {less}")


def pack(text: str) -> None:
    """The shipped packs with one file changed compile, or have mistakes to show; the first line names the file."""
    name, _, changed = text.partition("\n")
    texts = {str(file): file.read_text("utf-8") for file in sorted((ROOT / "policies").rglob("*.dl"))}
    texts[str(ROOT / name.removeprefix("# "))] = changed
    with patience():
        try:
            of_texts(texts, cached=False)
        except kdl.ProgramError as error:
            shown(error)


def manifest(text: str) -> None:
    """A manifest loads, or its mistakes can be shown."""
    with patience():
        try:
            for found in loads(text):
                value(found.doc)
        except Mistakes as error:
            shown(error)


def shown(error: Mistakes) -> None:
    """Mistakes say something."""
    if not error.render().startswith("error[KDL"):
        raise Wrong(f"the mistakes are shown as {error.render()[:80]!r}")


TARGETS: Final[dict[str, Callable[[str], None]]] = {"program": program, "pack": pack, "manifest": manifest}
SUFFIX: Final = {"program": ".dl", "pack": ".pack", "manifest": ".yaml"}
