"""Syntax errors in people's words: what cannot stand where it does, and what was probably meant."""

from __future__ import annotations

import re
from typing import Final

from lark import Token, UnexpectedCharacters, UnexpectedEOF, UnexpectedInput

from kdl.parser.diagnostic import Diagnostic, Note, Span

_WORDS: Final = {
    "END": "the end dot", "LOWER": "a name", "UPPER": "a variable", "STRING": "a string", "EQUALS": "`=`",
    "LPAR": "`(`", "RPAR": "`)`", "LBRACE": "`{`", "RBRACE": "`}`", "LSQB": "`[`", "RSQB": "`]`", "COMMA": "`,`",
    "COLON": "`:`", "REL": "`rel`", "__ANON_0": "`:-`", "FIELD": "a field name", "IN": "`in`", "INTEGER": "a number",
}  # fmt: skip

_MEANT: Final = {
    "==": "equality is `=`",
    "=": "equality is `=`",
    "'": 'strings are written with double quotes: "…"',
    ";": "write each alternative as a rule of its own, or `or` within one condition",
    "|": "write each alternative as a rule of its own, or `or` within one condition",
    "&": "literals are joined with `,`, conditions with `and`",
    "!": "negation is `not`, inequality `!=`",
    "\\": "negation is `not`, inequality `!=`",
    "~": "negation is `not`",
    "->": "a rule is `head :- body.`",
    "=>": "a rule is `head :- body.`",
    "<-": "a rule is `head :- body.`",
    "//": "a comment begins with `#`",
    "/": "a comment begins with `#`",
    "/*": "a comment begins with `#`",
    "$": 'a variable is `Upper`, a value in a text f"{X}"',
}  # fmt: skip

_TOKENS: Final = re.compile(r'"(?:\\.|[^"\\\n])*"|#[^\n]*|[()\[\]{}]|\.(?=\s|$)')
_PAIRS: Final = {")": "(", "]": "[", "}": "{"}


class Place:
    """Where a text begins in its file: f-strings hold expressions."""

    def __init__(self, file: str, line: int = 1, column: int = 1) -> None:
        self.file, self.line, self.column = file, line, column

    def span(self, line: int, column: int, end_line: int, end_column: int) -> Span:
        """The span in the file of a place in the text."""
        return Span(
            self.file,
            line + self.line - 1,
            column + (self.column - 1 if line == 1 else 0),
            end_line + self.line - 1,
            end_column + (self.column - 1 if end_line == 1 else 0),
        )

    def at(self, text: str, offset: int, length: int = 1) -> Span:
        """The span in the file of some characters of the text, all on one line."""
        line = text.count("\n", 0, offset) + 1
        column = offset - (text.rfind("\n", 0, offset) + 1) + 1
        return self.span(line, column, line, column + length)


def syntax_error(error: UnexpectedInput, text: str, place: Place) -> Diagnostic:
    """What is said of the first mistake of a text."""
    token: Token | None = getattr(error, "token", None)
    if isinstance(error, UnexpectedEOF) or (token is not None and token.type == "$END"):
        return _unfinished(text, place)
    offset = error.pos_in_stream if error.pos_in_stream is not None else 0
    if isinstance(error, UnexpectedCharacters):
        found, expected = text[offset], set(error.allowed or ())
    else:
        found, expected = str(token), set(getattr(error, "accepts", None) or getattr(error, "expected", None) or ())
    if found == '"' or (token is None and text[offset : offset + 2] == 'f"'):
        return Diagnostic("KDL102", "this string has no closing quote on its line", place.at(text, offset))
    if token is not None and "END" in expected and (missing := _missing_mark(token, text, offset, place)):
        return missing
    if found in ".)]}" and (opened := _opened(text, offset)) is not None and _PAIRS.get(found) != text[opened]:
        span = place.at(text, opened)
        notes = [Note(f"`{found}` comes before it is closed", place.at(text, offset))]
        return Diagnostic("KDL115", f"this `{text[opened]}` is not closed", span, notes=tuple(notes))
    span = place.at(text, offset, len(found))
    known = sorted({_WORDS[name] for name in expected if name in _WORDS})
    label = f"expected {' or '.join(known)}" if 1 <= len(known) <= 2 else ""
    return Diagnostic("KDL100", f"`{found}` cannot stand here", span, label, help=_help(text, offset, found, expected))


def _help(text: str, offset: int, found: str, expected: set[str]) -> str:
    for length in (2, 1):
        meant = _MEANT.get(text[offset : offset + length])
        if meant is not None and (length == 2 or len(found) == 1):
            return meant
    if found == "." and "END" in expected:
        return "an end dot is followed by white space"
    if "COMMA" in expected and re.match(r"[A-Za-z_0-9\"({\[]", found):
        return "a comma is missing before it"
    if found == "," and "END" not in expected:
        return "a value is missing before it"
    if re.fullmatch(r"[a-z]\w*", found) and "LOWER" in expected:
        return f"`{found}` is a word of the language: take another name"
    if re.fullmatch(r"[A-Z]\w*", found) and "LOWER" in expected and "UPPER" not in expected:
        return f"names of relations and columns begin with a small letter: `{found[0].lower()}{found[1:]}`"
    return ""


def _missing_mark(token: Token, text: str, offset: int, place: Place) -> Diagnostic | None:
    """A dot or comma that is missing at the end of the line before."""
    before = text[:offset].rstrip()
    line = text[text.rfind("\n", 0, offset) + 1 : offset]
    if line.strip() or not before or not re.match(r"[A-Za-z_@(\"]", token):
        return None
    end = _without_comment(before)
    span = place.at(text, end, 1)
    if not line and re.match("[a-z@]", token):
        return Diagnostic("KDL113", "this statement has no end dot", span, help="end it with a dot")
    return Diagnostic("KDL113", "a comma or an end dot is missing here", span, help="literals are joined with `,`")


def _without_comment(before: str) -> int:
    """The offset just after the last character of a text that is no comment or white space."""
    end = 0
    position = 0
    for match in _TOKENS.finditer(before):
        if before[position : match.start()].strip():
            end = position + len(before[position : match.start()].rstrip())
        if not match[0].startswith("#"):
            end = match.end()
        position = match.end()
    rest = before[position:].rstrip()
    return position + len(rest) if rest.strip() else end


def _unfinished(text: str, place: Place) -> Diagnostic:
    end = _without_comment(text)
    opened = _opened(text, len(text))
    if opened is not None:
        message = f"this `{text[opened]}` is not closed"
        notes = (Note("the text ends before it is"),)
        return Diagnostic("KDL115", message, place.at(text, opened), notes=notes)
    message = "the text ends in the middle of a statement"
    help = "every declaration and every rule ends with a dot"
    return Diagnostic("KDL101", message, place.at(text, end), help=help)


def _opened(text: str, offset: int) -> int | None:
    """The offset of the innermost bracket that is open at an offset."""
    stack: list[int] = []
    for match in _TOKENS.finditer(text, 0, offset):
        mark = match[0]
        if mark in ("(", "[", "{"):
            stack.append(match.start())
        elif mark in _PAIRS and stack and text[stack[-1]] == _PAIRS[mark]:
            stack.pop()
        elif mark == "." and not any(text[position] == "{" for position in stack):
            stack.clear()
    return stack[-1] if stack else None
