"""What an engine was told, in order, on disk: enough to be at any recorded moment again.

A folder of segments, each a file of JSON lines. The first line names the program by the digest of its texts, which are
kept beside the segments; the second holds the base facts that there were; each further one is a delta: the clock, what
came and what went. A segment that has grown large, or another program, begins the next; the oldest go. The last line
may be torn by a crash and is then no line.

Only what is in here and the program decides what the engine derives, so a replay gives the same facts and the same
operations (`tests/runtime/test_journal.py` holds it to that).
"""

from __future__ import annotations

import logging
import os
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, BinaryIO, Final

import orjson

from kdl.fact import Bool, Delta, Fact, canonical, digest, row, value
from kdl.rules.engine import Engine
from kdl.rules.program import Program

log = logging.getLogger(__name__)

FOLDER: Final = "history"
SEGMENT: Final = 32 * 2**20
SEGMENTS: Final = 8
"""How many bytes a segment may have before the next begins, and how many segments are kept."""


class Journal:
    """Records the deltas of one engine after another. Called by one thread."""

    def __init__(self, folder: Path, segment: int = SEGMENT, segments: int = SEGMENTS) -> None:
        """`folder` is the data folder; what an earlier process recorded there stays and ages out."""
        self.folder = folder / FOLDER
        self._segment, self._segments = segment, segments
        self._file: BinaryIO | None = None
        self._program: Program | None = None
        self._size = 0
        self._entry: int | None = None
        """Where the delta recorded last begins."""

    def record(self, engine: Engine, now: int, insert: list[Fact], remove: list[Fact]) -> None:
        """A delta that the engine is about to be given.

        What cannot be written is told in the log, and ends the recording, not the loop.
        """
        self._entry = None
        if not insert and not remove and ((due := engine.due()) is None or due > now):
            return  # the clock alone moved, and nobody waited for it
        try:
            if self._file is None or engine.program is not self._program or self._size > self._segment:
                self._begin(engine, now)
            assert self._file is not None
            self._entry = self._file.tell()
            self._write({"at": now, "in": insert, "out": remove})
        except OSError as error:
            self._give_up(error)

    def retract(self) -> None:
        """The engine refused the delta recorded last: it never was."""
        if self._file is None or self._entry is None:
            return
        try:
            self._file.truncate(self._entry)
            self._file.seek(self._entry)
        except OSError as error:
            self._give_up(error)
        self._entry = None

    def _give_up(self, error: OSError) -> None:
        log.error("history is no longer recorded: %s", error)
        self.record = lambda *_: None  # type: ignore[method-assign]

    def close(self) -> None:
        """Write what is buffered."""
        if self._file is not None:
            self._file.close()
            self._file = None

    def _begin(self, engine: Engine, now: int) -> None:
        self.close()
        programs = self.folder / "programs"
        programs.mkdir(mode=0o700, parents=True, exist_ok=True)
        texts = dict(engine.program.sources)
        name = digest(value(texts))
        if not (programs / name).exists():
            _whole(programs / name, orjson.dumps(texts))
        known = _segments(self.folder)
        for old in known[: len(known) + 1 - self._segments]:
            old.unlink(missing_ok=True)
        number = int(known[-1].stem) + 1 if known else 1
        descriptor = os.open(self.folder / f"{number:08}.jsonl", os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._file, self._program, self._size = os.fdopen(descriptor, "wb"), engine.program, 0
        self._write({"program": name})
        self._write({"at": engine.now or now, "in": engine.base(), "out": ()})
        self._size = 0

    def _write(self, entry: Mapping[str, Any]) -> None:
        assert self._file is not None
        sides = {side: [(f.relation, f.row) for f in entry[side]] for side in ("in", "out") if side in entry}
        line = _encoded({**entry, **sides})
        self._size += self._file.write(line + b"\n")
        self._file.flush()


@dataclass(frozen=True, slots=True)
class Entry:
    """One delta: the clock in milliseconds since the Unix epoch, what came and what went.

    The first of a segment is `whole`: it holds all base facts that there were.
    """

    at: int
    insert: tuple[Fact, ...]
    remove: tuple[Fact, ...]
    whole: bool = False


def entries(data: Path) -> Iterator[Entry]:
    """All recorded deltas of a data folder, oldest first."""
    for segment in _segments(data / FOLDER):
        yield from _entries(segment)


@dataclass(frozen=True, slots=True)
class Moment:
    """An engine as it was after a delta, and what that delta changed."""

    entry: Entry
    engine: Engine
    delta: Delta


def replay(data: Path, until: int | None = None) -> Iterator[Moment]:
    """Each recorded moment up to a time, in order; the engine of one goes on to be that of the next.

    Only what leads up to `until` is worked out: the segment that holds it. Without, everything.
    """
    from kdl.runtime.programs import of_texts

    segments = _segments(data / FOLDER)
    if until is not None:
        begun = [segment for segment in segments if (first := next(_entries(segment), None)) and first.at <= until]
        segments = begun[-1:]
    for segment in segments:
        with segment.open("rb") as file:
            name = orjson.loads(file.readline())["program"]
        engine = Engine(of_texts(orjson.loads((data / FOLDER / "programs" / name).read_bytes())))
        for entry in _entries(segment):
            if until is not None and entry.at > until:
                break
            yield Moment(entry, engine, engine.apply(entry.insert, entry.remove, now=entry.at, trusted=True))


def _segments(folder: Path) -> list[Path]:
    return sorted(folder.glob("[0-9]*.jsonl"))


def _entries(segment: Path) -> Iterator[Entry]:
    with segment.open("rb") as file:
        file.readline()
        for number, line in enumerate(file):
            if line.endswith(b"\n"):
                entry = orjson.loads(line)
                yield Entry(entry["at"], tuple(_facts(entry["in"])), tuple(_facts(entry["out"])), number == 0)


def _facts(items: Iterable[Any]) -> Iterator[Fact]:
    for relation, values in items:
        yield Fact(relation, row(map(_exact, values)))


def _encoded(entry: Mapping[str, Any]) -> bytes:
    """An entry as JSON; numbers that JSON readers round are written as texts that `_exact` knows."""
    try:
        return orjson.dumps(entry, default=_plain)
    except TypeError:
        return canonical(value(entry))


def _plain(odd: object) -> object:
    if isinstance(odd, Bool):
        return bool(odd)
    raise TypeError


def _exact(item: Any) -> Any:
    """A value as `kdl.fact.canonical` wrote it, with its tagged numbers."""
    if isinstance(item, list):
        return [_exact(part) for part in item]
    if isinstance(item, dict):
        if item.keys() == {"\0int"}:
            return int(item["\0int"])
        if item.keys() == {"\0decimal"}:
            return Decimal(item["\0decimal"])
        return {key: _exact(part) for key, part in item.items()}
    return item


def _whole(path: Path, content: bytes) -> None:
    """A file that is there whole or not at all."""
    scratch = path.with_suffix(".new")
    scratch.write_bytes(content)
    os.replace(scratch, path)
