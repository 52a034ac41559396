"""What was measured, as a table for people, as a file that is kept and as a picture."""

from __future__ import annotations

import fcntl
import json
import os
import platform
import re
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, field
from datetime import date
from itertools import groupby
from pathlib import Path
from statistics import median, quantiles

from tests.bench.engine.costs import Deletes, Provenance
from tests.bench.engine.plot import plot
from tests.bench.engine.single import Single
from tests.bench.engine.systems import SYSTEMS
from tests.bench.engine.workloads import WORKLOADS


@dataclass
class Line:
    """One system on one workload of one size; times in seconds, memory in bytes."""

    workload: str
    size: str
    system: str
    trouble: str = ""
    answers: int = 0
    runs: int = 0
    facts: int = 0
    load: float = 0.0
    evaluate: float = 0.0
    memory: float = 0.0
    updates: bool = False
    insert: tuple[float, float] = (0.0, 0.0)
    delete: tuple[float, float] = (0.0, 0.0)
    counts: list[int] = field(default_factory=list)

    @property
    def cold(self) -> float:
        """From facts to answers."""
        return self.load + self.evaluate

    @property
    def again(self) -> float:
        """After a change, whichever."""
        return (self.insert[0] + self.delete[0]) / 2


HEAD = (
    "system", "answers", "cold ms", "insert p50", "p99", "delete p50", "p99", "facts", "MB",
    "cold ×", "insert ×", "delete ×",
)  # fmt: skip

READING = """\
Times are processor time in milliseconds, each system on one thread; the systems of a workload are measured in turn, as
a busy machine makes all times longer, by up to a third. *cold* is from facts in memory (for DuckDB and SWI-Prolog in a
file) to all answers: the median of five runs, of three where one takes more than 2 s, of one above 8 s. kdl's holds
counts and witnesses; clingo's is its grounder, which leaves nothing to solve. Updates are p50 and p99 over random
single facts that come and go, half of them there before, half new; *facts* is how many, less than 1,000 where the time
given to updates was over. A system marked † brings answers up to date itself; the others' updates are recomputations
with the facts in place. *MB* is the growth of the process's peak, for Prolog all of it. The last three columns are the
system's time over kdl's: above 1 kdl is faster. `naive` is kdl's specification, for sanity. All read the same rules,
with recursion on the left; DuckDB reads SQL. What was out of time on the machine at hand was not tried at larger
sizes. The number of answers, cold and after each of the first changes and their undoing, is the same for all systems
in the table, or there would be none.
"""

LIMITS = """\
Where it says no, the limit is that of Python objects. A fact is a tuple in a dict: to make one, hash it and put it in
place takes 0.2 to 0.4 µs however it was found; to look one up by chance among 600,000 takes up to 0.8 µs, most of it
waiting for memory. In the profile of the largest closure, cold, 37% is the making of the tuples at the end, 27% unions
of sets, which Python does in C, 23% telling what is new in them, again by sets. A delete in recursion pays several
look-ups for each fact that it takes away and brings back, so its time is their number (below) times some microseconds;
DuckDB, which takes 0.15 µs for each fact when it works out all anew, is not a hundred times slower where thousands are
taken away, nor where it takes 10 ms for all: a hundredth of that is the time of some twenty facts. At the small sizes
half or more of the time is that of making functions of rules, 0.2 to 0.3 ms for each, once in the life of an engine;
the packs behind node feasibility have more than a hundred.
"""

LOSSES = """\
Random facts at the largest sizes, one after the other. *gone* are facts of recursive relations that were there before
and not after; *taken away* are those that a delete took on the way, the ones that came back included. The time for each
is that of the whole delete. *anew* is how many deletes went over to working everything out anew, because the search for
other derivations was taking too long. All numbers but that and the first are means.
"""

RANKS = """\
A fact outside recursion has the number of its derivations, one of a recursive relation has a rank; proofs are read off
from these. Numbers cost nothing that could be saved: rows that are derived more than once must be found in any case,
and a dict that counts them takes no longer than a set. Ranks can be left out, here by the benchmark alone.
"""


def table(lines: Iterable[Line]) -> str:
    """All lines by workload and size, as one Markdown table with aligned columns."""
    rows: list[tuple[str, ...]] = [HEAD]
    for (workload, size), group in groupby(lines, key=lambda line: (line.workload, line.size)):
        found = list(group)
        parameters = ", ".join(f"{count:,} {name}" for name, count in WORKLOADS[workload].sizes[size].items())
        rows.append((f"**{WORKLOADS[workload].title}**, {parameters}",))
        ours = next((line for line in found if line.system == "kdl" and not line.trouble), None)
        rows += [cells(line, ours) for line in found]
    widths = [max(len(row[i]) for row in rows if len(row) > 1) for i in range(len(HEAD))]
    rule = tuple("-" * (width - 1) + (":" if i else "-") for i, width in enumerate(widths))
    return "\n".join(f"| {' | '.join(aligned(row, widths))} |" for row in (rows[0], rule, *rows[1:]))


def aligned(row: tuple[str, ...], widths: list[int]) -> list[str]:
    """A row's cells in columns, the first to the left; a heading has the row to itself."""
    if len(row) == 1:
        return [*row, *[""] * (len(HEAD) - 1)]
    return [row[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=True))]


def cells(line: Line, ours: Line | None) -> tuple[str, ...]:
    """A line's cells."""
    name = line.system + (" †" if line.updates else "")
    if line.trouble:
        return (name, "", line.trouble, *[""] * (len(HEAD) - 3))
    updates = [f"{point * 1000:.3g}" for point in (*line.insert, *line.delete)]
    ratios = [""] * 3
    if ours is not None and line is not ours:
        mine = (line.cold, line.insert[0], line.delete[0])
        base = (ours.cold, ours.insert[0], ours.delete[0])
        ratios = [f"{a / b:.3g}" for a, b in zip(mine, base, strict=True)]
    cold = plain(line.cold * 1000)
    return (name, f"{line.answers:,}", cold, *map(plain_text, updates), f"{line.facts:,}",
            f"{line.memory / 1e6:.0f}", *map(plain_text, ratios))  # fmt: skip


def points(times: list[float]) -> tuple[float, float]:
    """The median and the 99th percentile."""
    return median(times), quantiles(times, n=100, method="inclusive")[98]


def plain(number: float) -> str:
    """A number with three digits that count, and no exponent."""
    return plain_text(f"{number:.3g}")


def plain_text(text: str) -> str:
    """The same, of a text."""
    return f"{float(text):,.0f}" if text and float(text) >= 100 else text


def standing(lines: list[Line]) -> Iterator[str]:
    """What was promised of the largest sizes, each with what was reached."""
    wanted = {"clingo": 1.0, "swi": 1.0, "pydatalog": 20.0, "duckdb": 0.15}
    by = {(line.workload, line.size, line.system): line for line in lines if not line.trouble}
    for workload in dict.fromkeys(line.workload for line in lines):
        size = "large"
        ours = by.get((workload, size, "kdl"))
        if ours is None:
            continue
        for system, least in wanted.items():
            sizes = [
                s for s in ("large", "medium", "small") if (workload, s, system) in by and (workload, s, "kdl") in by
            ]
            if sizes:
                ratio = by[workload, sizes[0], system].cold / by[workload, sizes[0], "kdl"].cold
                yield (f"| {workload} | cold, {system}, {sizes[0]} | ≥ {least:g} | {plain(ratio)} | "
                       f"{'yes' if ratio >= least else '**no**'} |")  # fmt: skip
        peers = [line for line in lines if (line.workload, line.size) == (workload, size) and not line.trouble
                 and not line.updates]  # fmt: skip
        if peers:
            fastest = min(peers, key=lambda line: line.again)
            for what, (median, _) in (("insert", ours.insert), ("delete", ours.delete)):
                ratio = fastest.again / median
                yield (f"| {workload} | {what}, {fastest.system} again | ≥ 100 | {plain(ratio)} | "
                       f"{'yes' if ratio >= 100 else '**no**'} |")  # fmt: skip


def questions(asked: Iterable[Single]) -> str:
    """Single questions, each with what was wanted and reached."""
    rows = ["| question | wanted, ms | p50, ms | p99, ms | times | met |", "| --- | ---: | ---: | ---: | ---: | --- |"]
    for one in asked:
        met = "yes" if one.reached <= one.wanted else "**no**"
        told = " | ".join(plain(seconds * 1000) for seconds in (one.wanted, one.reached, one.most))
        rows.append(f"| {one.question} | {told} | {one.times} | {met} |")
    return "\n".join(rows)


def losses(found: Iterable[Deletes]) -> str:
    """What deletes in recursion take away, in means."""
    rows = ["| workload | deletes | ms | facts gone | taken away | µs for each | anew |",
            "| --- | ---: | ---: | ---: | ---: | ---: | ---: |"]  # fmt: skip
    for one in found:
        each = f"{plain(one.seconds / one.taken * 1e6)}" if one.taken else ""
        gone, taken = (plain(count / one.times) for count in (one.removed, one.taken))
        rows.append(f"| {one.workload} | {one.times} | {plain(one.seconds / one.times * 1000)} | {gone} | {taken} | "
                    f"{each} | {one.anew} |")  # fmt: skip
    return "\n".join(rows)


def ranks(found: Iterable[Provenance]) -> str:
    """What ranks cost."""
    rows = ["| workload | cold, ms | without ranks | times as long |", "| --- | ---: | ---: | ---: |"]
    for one in found:
        told = " | ".join(plain(number) for number in (one.kept * 1000, one.bare * 1000, one.kept / one.bare))
        rows.append(f"| {one.workload} | {told} |")
    return "\n".join(rows)


def with_kept(lines: list[Line], known: Iterable[Line]) -> list[Line]:
    """What was measured, with what is kept of all else, in the order of the table."""
    measured = {(line.workload, line.size, line.system) for line in lines}
    others = [line for line in known if (line.workload, line.size, line.system) not in measured]
    sizes = [(name, size) for name in WORKLOADS for size in WORKLOADS[name].sizes]
    systems = list(SYSTEMS)
    return sorted(
        [*lines, *others], key=lambda line: (sizes.index((line.workload, line.size)), systems.index(line.system))
    )


def kept(folder: Path) -> list[Line]:
    """The lines that are kept."""
    file = folder / "engine.json"
    return [Line(**line) for line in json.loads(file.read_text() or "{}").get("lines", ())] if file.exists() else []


@dataclass
class Extra:
    """What is told beside the table."""

    questions: list[Single] = field(default_factory=list)
    deletes: list[Deletes] = field(default_factory=list)
    provenance: list[Provenance] = field(default_factory=list)


def keep(lines: list[Line], extra: Extra, folder: Path) -> None:
    """Put what was measured in the place of what is kept of the same; then write the page and the picture anew."""
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / "engine.json").open("a+") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # two may measure at once
        lines = with_kept(lines, kept(folder))
        file.seek(0)
        known = json.loads(file.read() or "{}")
        extra = Extra(
            extra.questions or [Single(**one) for one in known.get("questions", ())],
            extra.deletes or [Deletes(**one) for one in known.get("deletes", ())],
            extra.provenance or [Provenance(**one) for one in known.get("provenance", ())],
        )
        data = {"date": date.today().isoformat(), "machine": machine(), "lines": [asdict(line) for line in lines]}
        file.truncate(0)
        file.write(json.dumps(data | asdict(extra), indent=1) + "\n")
        (folder / "engine.svg").write_text(plot(lines))
        (folder / "engine.md").write_text(page(lines, extra, f"{data['date']}, {data['machine']}"))


def page(lines: list[Line], extra: Extra, when: str) -> str:
    """The page for people."""
    return "\n".join([
        "# The engine beside its peers", "",
        f"{when}. Made by `python -m tests.bench.engine --keep`.", "",
        READING, table(lines), "",
        "## What an update costs as facts grow", "",
        "![The time of an update and of a recomputation, by number of answers](engine.svg)", "",
        "## Where this stands", "",
        "| workload | measure | wanted | reached | met |", "| --- | --- | ---: | ---: | --- |", *standing(lines), "",
        LIMITS, "",
        "## What a delete in recursion takes away", "", LOSSES, losses(extra.deletes), "",
        "## What proofs cost", "", RANKS, ranks(extra.provenance), "",
        "## Single questions", "", questions(extra.questions), "",
    ])  # fmt: skip


def machine() -> str:
    """Processor, cores, memory and versions."""
    names = re.findall(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{names[0] if names else platform.machine()}, {os.cpu_count()} cores, {memory:.0f} GB; {versions()}"


def versions() -> str:
    """Of Python and of the peers."""
    from importlib.metadata import version

    peers = [f"{name} {version(name)}" for name in ("clingo", "duckdb", "pyDatalog")]
    said = subprocess.run(["swipl", "--version"], capture_output=True, text=True, check=True).stdout
    prolog = re.search(r"[\d.]+", said)
    return f"Python {platform.python_version()}, {', '.join(peers)}, SWI-Prolog {prolog[0] if prolog else '?'}"
