"""Documents that show commands and what they print, run as their readers would run them.

In a ```console block each line ``$ COMMAND`` (continued by a final backslash) is run by a shell, and the lines below it
are what it prints, standard error included. There ``…`` stands for any text within a line, and a line that is only
``…`` for any number of lines. A block opened by ```console norun is only shown.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[1]

_BLOCK = re.compile(r"^```console *\n(.*?)^```", re.MULTILINE | re.DOTALL)


@dataclass(frozen=True, slots=True)
class Step:
    """A command, what it prints by the document, and where that stands."""

    command: str
    output: str
    line: int


def steps(document: Path) -> Iterator[Step]:
    """The commands of a document, in order."""
    text = document.read_text("utf-8")
    for block in _BLOCK.finditer(text):
        first = text.count("\n", 0, block.start(1)) + 1
        pieces = re.split(r"^\$ ", block[1], flags=re.MULTILINE)
        if pieces[0].strip():
            raise ValueError(f"{document}:{first}: a console block begins with a command")
        line = first + pieces[0].count("\n")
        for piece in pieces[1:]:
            command, output = re.fullmatch(r"((?:[^\n]*\\\n)*[^\n]*\n?)(.*)", piece, re.DOTALL).groups()  # type: ignore[union-attr]
            yield Step(command.strip(), output.rstrip(), line)
            line += piece.count("\n")


def run(
    document: Path, folder: Path, environment: Mapping[str, str] | None = None, prefix: tuple[str, ...] = ()
) -> int:
    """Run all commands of a document in a folder and compare what they print; how many there were.

    `kdl` is the one under test; `prefix` is put before the shell's own argument list (to run inside a lab node). Raises
    `AssertionError` with the command, its place and both texts at the first difference.
    """
    search = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    variables = {**os.environ, "PATH": search, "COLUMNS": "160", "NO_COLOR": "1", **(environment or {})}
    count = 0
    for step in steps(document):
        done = subprocess.run(
            [*prefix, "sh", "-c", step.command], cwd=folder, env=variables, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=300, check=False,
        )  # fmt: skip
        printed = "\n".join(line.rstrip() for line in done.stdout.splitlines()).rstrip()
        if not matches(step.output, printed):
            place = f"{document.relative_to(ROOT)}:{step.line}"
            raise AssertionError(f"{place}: $ {step.command}\n--- documented\n{step.output}\n--- printed\n{printed}")
        count += 1
    return count


def matches(documented: str, printed: str) -> bool:
    """Whether a text is as documented, where … stands for anything."""
    lines = [
        "(?:.*\n)*" if line.strip() == "…" else ".*".join(map(re.escape, line.rstrip().split("…"))) + "\n"
        for line in documented.splitlines()
    ]
    return re.fullmatch("".join(lines), printed + "\n" if printed else "") is not None
