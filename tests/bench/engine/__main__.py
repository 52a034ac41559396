"""The engine beside its peers, in one run: ``python -m tests.bench.engine [--workload …] [--size …] [--system …]``.

Prints one table; with ``--keep`` what was measured takes its place in docs/bench/engine.md and beside it. `report` says
how to read it.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, Final

from tests.bench.engine.costs import deletes, provenance
from tests.bench.engine.report import Extra, Line, keep, kept, losses, points, questions, ranks, table, with_kept
from tests.bench.engine.single import singles
from tests.bench.engine.systems import SYSTEMS
from tests.bench.engine.workloads import WORKLOADS

ROOT: Final = Path(__file__).parents[3]
SIZES: Final = ("small", "medium", "large")
SANE: Final = {"naive": ("small",)}
"""Systems that are shown at some sizes only."""
SLOW: Final = {5: 2.0, 3: 8.0}
"""Runs for a median, and the seconds that the first may take for so many."""
PATIENCE: Final = 3
"""The share of a core that a run may be given by a busy machine is one in so many."""


def main() -> int:
    """Measure what is asked for; 1 if two systems differ in their answers."""
    options = arguments()
    lines: list[Line] = []
    differences: list[str] = []
    folder = ROOT / "docs" / "bench"
    for workload in options.workload:
        over: set[str] = set()
        for size in options.size:
            found = list(measured(options, workload, size, over))
            lines += found
            beside = with_kept(found, kept(folder)) if options.keep else found
            differences += disagreements([line for line in beside if (line.workload, line.size) == (workload, size)])
            if options.keep and not differences:
                keep(found, Extra(), folder)
    extra = Extra(
        list(singles()) if options.questions else [],
        list(deletes(options.changes, options.seconds)) if options.costs else [],
        list(provenance()) if options.costs else [],
    )
    parts = [table(lines)] if lines else []
    parts += [questions(extra.questions)] if options.questions else []
    parts += [losses(extra.deletes), ranks(extra.provenance)] if options.costs else []
    print("\n\n".join(parts))
    if options.keep and extra != Extra() and not differences:
        keep([], extra, folder)
    for difference in differences:
        print(f"error: {difference}", file=sys.stderr)
    return 1 if differences else 0


def arguments() -> argparse.Namespace:
    """What to measure, and how long."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench.engine", description=__doc__)
    parser.add_argument("-w", "--workload", nargs="*", choices=WORKLOADS, default=list(WORKLOADS))
    parser.add_argument("-s", "--size", nargs="+", choices=SIZES, default=list(SIZES))
    parser.add_argument("-p", "--system", nargs="+", choices=SYSTEMS, default=list(SYSTEMS), help="kdl and its peers")
    parser.add_argument("-c", "--changes", type=int, default=1000, help="facts that come and go")
    parser.add_argument("--seconds", type=float, default=30, help="for the changes of one system at one size")
    parser.add_argument(
        "--timeout",
        type=float,
        default=90,
        help="seconds for one run of one system; a busy machine gives three times as many",
    )
    parser.add_argument("--no-questions", dest="questions", action="store_false", help="leave out `single`")
    parser.add_argument("--no-costs", dest="costs", action="store_false", help="leave out `costs`")
    parser.add_argument("--keep", action="store_true", help="put what was measured into docs/bench")
    return parser.parse_args()


def measured(options: argparse.Namespace, workload: str, size: str, over: set[str]) -> Iterator[Line]:
    """A line for each system; those that did not finish a smaller size are not asked again."""
    for system in options.system:
        if size not in SANE.get(system, SIZES):
            continue
        line = Line(workload, size, system)
        if system in over:
            line.trouble = "not tried"
        else:
            print(f"{workload} {size} {system}", file=sys.stderr, flush=True)
            try:
                repeated(options, line)
            except subprocess.TimeoutExpired:
                over.add(system)
                line.trouble = "out of time"
            except subprocess.CalledProcessError:
                over.add(system)
                line.trouble = "failed"
        yield line


def repeated(options: argparse.Namespace, line: Line) -> None:
    """Runs of one system: the first also sees changes."""
    first = run(line, options.changes, options.seconds, options.timeout)
    line.answers, line.counts, line.updates = first["answers"], first["counts"], first["updates"]
    line.facts, line.insert, line.delete = len(first["inserts"]), points(first["inserts"]), points(first["deletes"])
    took = first["load"] + first["evaluate"]
    line.runs = next((runs for runs, most in SLOW.items() if took < most), 1)
    runs = [first, *(run(line, 0, 0, options.timeout) for _ in range(line.runs - 1))]
    line.load, line.evaluate, line.memory = (median(run[key] for run in runs) for key in ("load", "evaluate", "memory"))


def run(line: Line, changes: int, seconds: float, timeout: float) -> dict[str, Any]:
    """One process of `measure`."""
    order = [line.system, line.workload, line.size, str(changes), str(seconds)]
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.bench.engine.measure", *order],
        cwd=ROOT, stdout=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        told, _ = process.communicate(timeout=PATIENCE * (timeout + seconds))
    except subprocess.TimeoutExpired:
        os.killpg(process.pid, signal.SIGKILL)  # and the process of a system that is one of its own
        process.wait()
        raise
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, order)
    found: dict[str, Any] = json.loads(told.splitlines()[-1])
    return found


def disagreements(lines: list[Line]) -> Iterator[str]:
    """Systems whose numbers of answers, cold or after one of the first changes, are not those of the first system."""
    done = [line for line in lines if not line.trouble]
    for line in done[1:]:
        for what, mine, first in (
            ("cold", [line.answers], [done[0].answers]),
            ("after changes", line.counts, done[0].counts),
        ):
            if any(a != b for a, b in zip(mine, first, strict=False)):
                yield f"{line.workload} {line.size}, {what}: {line.system} has {mine}, {done[0].system} {first}"


if __name__ == "__main__":
    sys.exit(main())
