"""What stands between quotes: escapes, and the expressions of f-strings."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final, NamedTuple

_ESCAPE: Final = re.compile(r'\\(["\\/nt]|u\{[0-9a-fA-F]{1,6}\}|.)')
_PLAIN: Final = {"n": "\n", "t": "\t"}


class BadText(ValueError):
    """What is wrong in a text, at an offset into it."""

    def __init__(self, code: str, message: str, help: str, offset: int, length: int) -> None:
        super().__init__(message)
        self.code, self.message, self.help, self.offset, self.length = code, message, help, offset, length


class Hole(NamedTuple):
    """The text of an expression in braces, and its offset."""

    text: str
    offset: int


def unescape(text: str, offset: int = 0) -> str:
    r"""The text with its escapes replaced: ``\" \\ \/ \n \t \u{1F600}``. Raises `BadText`."""
    if "\\" not in text:
        return text

    def character(match: re.Match[str]) -> str:
        found, at = match[1], offset + match.start()
        if found[0] == "u" and len(found) > 1:
            code = int(found[2:-1], 16)
            if code > 0x10FFFF or 0xD800 <= code < 0xE000:
                raise BadText("KDL111", f"`\\{found}` is not a character", "", at, len(match[0]))
            return chr(code)
        if found not in '"\\/nt':
            offer = 'the escapes are \\" \\\\ \\n \\t \\u{1F600}; a backslash is \\\\'
            raise BadText("KDL111", f"`\\{found}` is not an escape", offer, at, len(match[0]))
        return _PLAIN.get(found, found)

    return _ESCAPE.sub(character, text)


def holes(text: str) -> Iterator[str | Hole]:
    """The parts of an f-string's inside: texts, and holes for expressions. Raises `BadText`."""
    position, plain = 0, ""
    while position < len(text):
        two, one = text[position : position + 2], text[position]
        if two in ("{{", "}}"):
            plain, position = plain + one, position + 2
        elif one == "\\":
            end = text.find("}", position) + 1 if two == "\\u" and text[position + 2 : position + 3] == "{" else 0
            escape = text[position : end or position + 2]
            plain, position = plain + unescape(escape, position), position + len(escape)
        elif one == "{":
            end = _closing(text, position)
            if end < 0:
                raise BadText("KDL110", "this `{` is not closed", "write `{{` for a brace itself", position, 1)
            if plain:
                yield plain
                plain = ""
            if not text[position + 1 : end].strip():
                raise BadText("KDL110", "a value is missing here", "write `{{` for a brace itself", position, 2)
            yield Hole(text[position + 1 : end].replace('\\"', '"'), position + 1)
            position = end + 1
        elif one == "}":
            raise BadText("KDL110", "this `}` was not opened", "write `}}` for a brace itself", position, 1)
        else:
            plain, position = plain + one, position + 1
    if plain:
        yield plain


def _closing(text: str, start: int) -> int:
    """The position of the brace that closes the one at `start`; -1 when there is none."""
    depth = 0
    for position in range(start, len(text)):
        depth += {"{": 1, "}": -1}.get(text[position], 0)
        if depth == 0:
            return position
    return -1
