"""A line of the language in pieces, each with its kind: what the REPL colours."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Final

_PIECE: Final = re.compile(
    r"""(?P<comment>\#.*) | (?P<text>[a-z]*"(?:\\.|[^"\\])*"?) | (?P<number>\b\d+\b) | (?P<variable>\b[A-Z_]\w*)
    | (?P<relation>\b[a-z]\w*(?:\.\w+)*(?=\s*\()) | (?P<word>\b(?:not|in|rel|input|open|effect|def|type|key|true
    |false|null|count|sum|min|max|list|due|import|module)\b)""",
    re.VERBOSE,
)


def pieces(line: str, commands: Container[str] = ()) -> Iterator[tuple[str, str]]:
    """The pieces of a line in order, together the line; a command may be its first word."""
    first, space, _ = line.partition(" ")
    at = 0
    if first in commands and (space or first == line):
        yield "command", first
        at = len(first)
    for found in _PIECE.finditer(line, at):
        if found.start() > at:
            yield "", line[at : found.start()]
        yield found.lastgroup or "", found[0]
        at = found.end()
    if at < len(line):
        yield "", line[at:]
