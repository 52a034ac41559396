"""Text to syntax tree.

The grammar is in grammar.lark. A text with a syntax error has no tree: the functions in here raise `ProgramError` with
one diagnostic, the first mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from hashlib import blake2b
from importlib.resources import files
from typing import Any, Final, NamedTuple

from lark import Lark, UnexpectedInput

from kdl.parser import syntax as s
from kdl.parser.build import Builder
from kdl.parser.diagnostic import Diagnostic, ProgramError
from kdl.parser.mistakes import Place, syntax_error
from kdl.parser.source import cache_folder


class Comment(NamedTuple):
    """A comment as written, with its ``#``; `line` and `column` count from 1."""

    line: int
    column: int
    text: str


def parse(text: str, file: str = "<text>") -> s.File:
    """The syntax tree of a program text. Raises `ProgramError`."""
    tree = _tree(text, file, "start")
    assert isinstance(tree, s.File)
    return _with_docs(tree, comments(text))


def parse_query(text: str, file: str = "<query>") -> tuple[s.Literal, ...]:
    """The literals of a query, ``path(1, X), not edge(1, X)``; an end dot is optional. Raises `ProgramError`."""
    body: tuple[s.Literal, ...] = _tree(text.rstrip().removesuffix("."), file, "body")
    return body


def parse_atom(text: str, file: str = "<goal>") -> s.Atom:
    """One atom, ``sched.bind(P, "n1")``. Raises `ProgramError`."""
    match parse_query(text, file):
        case (s.Atom() as atom,):
            return atom
        case body:
            mistake = Diagnostic("KDL103", 'expected one fact, such as `pod("web", N)`', body[0].span)
            raise ProgramError([mistake], {file: text})


def comments(text: str) -> list[Comment]:
    """Every comment of a program text, in order."""
    return [
        Comment(number, match.start() + 1, match[0].rstrip())
        for number, line in enumerate(text.split("\n"), 1)
        if "#" in line
        for match in _STRING_OR_COMMENT.finditer(line)
        if match[0].startswith("#")
    ]


_STRING_OR_COMMENT: Final = re.compile(r'"(?:\\.|[^"\\])*"|#.*')


def _tree(text: str, file: str, start: str) -> Any:
    try:
        return _read(text, start, Place(file))
    except ProgramError as error:
        raise ProgramError(error.diagnostics, {file: text}) from None
    except RecursionError:
        mistake = Diagnostic("KDL114", "this text is nested too deeply", Place(file).span(1, 1, 1, 2))
        raise ProgramError([mistake], {file: text}) from None


@cache
def _lark() -> Lark:
    grammar = files("kdl.parser").joinpath("grammar.lark").read_text("utf-8")
    starts = ["start", "body", "disjunction"]
    folder = cache_folder()
    kept = str(folder / f"{blake2b(grammar.encode(), digest_size=8).hexdigest()}.grammar") if folder else False
    return Lark(
        grammar, parser="lalr", start=starts, propagate_positions=True, maybe_placeholders=True, cache=kept
    )  # the tables take longer to make than all shipped packs to read; Lark checks that what it kept is its own


def _read(text: str, start: str, place: Place) -> Any:
    """Parse what begins at a place of its file."""
    try:
        tree = _lark().parse(text, start=start)
    except UnexpectedInput as error:
        raise ProgramError([syntax_error(error, text, place)]) from None
    return Builder(place, _read).transform(tree)


def _with_docs(tree: s.File, found: list[Comment]) -> s.File:
    """The file with each ``##`` block given to the statement that begins on the line after it."""
    blocks = {comment.line: comment.text[2:].strip() for comment in found if comment.text.startswith("##")}
    if not blocks:
        return tree
    statements = tuple(
        replace(statement, doc="\n".join(lines))
        if not isinstance(statement, (s.Import, s.TestCase)) and (lines := list(_block(statement.span.line, blocks)))
        else statement
        for statement in tree.statements
    )
    return replace(tree, statements=statements)


def _block(line: int, blocks: dict[int, str]) -> Iterator[str]:
    first = line
    while first - 1 in blocks:
        first -= 1
    return (blocks[number] for number in range(first, line))
