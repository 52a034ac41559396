"""Program text → the same program in its one form: only white space, commas at ends and the places of comments change.

A statement that fits stands on one line of at most 120 characters. Of one that does not, the body begins on the next
line, indented by four, and its literals fill the lines; brackets that do not fit are opened the same way. What is in
the last brackets of a list stays close to them: ``api.create("Pod", Id, {``. Empty lines are kept, one at a time.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from typing import Final

from kdl.parser.parse import parse
from kdl.parser.tokens import Entry, Group, Item, Part, Remark, Role, Statement, Token, statements

WIDTH: Final = 120
INDENT: Final = 4
_MODIFIERS: Final = ("input", "open", "effect")
_CONTINUED: Final = ("key", "observes", "contains")
"""Words within a declaration or a step that may begin a line."""


def format(text: str, file: str = "<text>") -> str:
    """The text of a program in its one form. Raises `ProgramError` for a text that is none."""
    parse(text, file)
    return "".join(f"{line}\n".lstrip(" ") if not line.strip() else f"{line}\n" for line in _entries(statements(text)))


def _entries(entries: Iterable[Entry], indent: int = 0) -> Iterator[str]:
    """The lines of statements, or of a test's steps, and of the comments between them."""
    margin = " " * indent
    for entry in entries:
        if entry.blank:
            yield ""
        if isinstance(entry, Remark):
            yield margin + _comment(entry.text)
        else:
            *lines, last = _statement(entry, indent)
            yield from lines
            yield _with(last, entry.trail)


def _statement(statement: Statement, indent: int) -> Iterator[str]:
    margin = " " * indent
    for sentence in statement.sentences:
        yield from _lines(_fill([sentence], indent, ""))
    yield from (margin + _comment(text) for text in statement.head.lead)
    if statement.steps is not None:
        header = f"{margin}{_flat(statement.head.parts)} {{"
        if not statement.steps and not statement.head.trail:
            yield header + "}"
            return
        yield _with(header, statement.head.trail)
        yield from _entries(statement.steps, indent + INDENT)
        yield margin + "}"
    elif statement.neck == ":-":
        yield from _rule(statement, indent)
    elif statement.neck:
        yield from _list(statement, indent)
    else:
        yield from _lines(margin + _simple(_ordered(statement.head), indent))


def _rule(statement: Statement, indent: int) -> Iterator[str]:
    margin, head = " " * indent, statement.head
    flat = None if head.trail else _flat_items([Item(head.parts), *statement.body], first=" :- ")
    if flat is not None and indent + len(flat) < WIDTH:
        yield f"{margin}{flat}."
        return
    *lines, last = _lines(margin + _lay(head.parts, indent, indent, 3))
    yield from lines
    body = None if head.trail else _flat_items(statement.body)
    if lines and body is not None and len(last) + len(body) + 5 <= WIDTH:
        yield f"{last} :- {body}."
        return
    yield _with(f"{last} :-", head.trail)
    yield from _lines(_fill(statement.body, indent + INDENT, "."))


def _list(statement: Statement, indent: int) -> Iterator[str]:
    """``expect`` and ``from … import``: the list begins on the same line."""
    opening = " " * indent + statement.neck + " "
    *lines, last = _lines(_fill(statement.body, indent + INDENT, ".", opening))
    yield from lines
    yield last


def _simple(item: Item, indent: int) -> str:
    """A declaration, a fact or a step, its end dot included."""
    parts = item.parts
    flat = _flat(parts)
    if flat is not None and indent + len(flat) < WIDTH:
        text = flat
    elif (place := _body_of_function(parts)) and _stands_below(parts[place:], indent + INDENT):
        start, inner = _lay(parts[:place], indent, indent, 0), indent + INDENT
        text = f"{start}\n{' ' * inner}{_lay(parts[place:], inner, inner, 1, inner)}"
    else:
        pieces = list(_split(parts, _CONTINUED, Role.WORD))
        text = _lay(pieces[0], indent, indent, 0 if pieces[1:] else 1)
        if pieces[1:]:
            text += "\n" + _fill([Item(piece) for piece in pieces[1:]], indent + INDENT, "", comma="")
    *lines, last = _lines(text)
    return "\n".join([*lines, _with(f"{last}.", item.trail)])


def _body_of_function(parts: Sequence[Part]) -> int:
    """Where the expression of a ``def`` begins; 0 in what is none."""
    match parts:
        case [Token("def"), Token(), Group(), Token("="), *_]:
            return 4
        case _:
            return 0


def _stands_below(expression: Sequence[Part], indent: int) -> bool:
    """Whether a function's expression goes on a line of its own: if it fits there, or is cut between its cases."""
    if isinstance(expression[0], Group) and len(expression) == 1:
        return False
    flat = _flat(expression)
    return (flat is not None and indent + len(flat) < WIDTH) or len(
        list(_split(expression, ("else",), Role.KEYWORD))
    ) > 1


def _ordered(item: Item) -> Item:
    """A declaration's modifiers in their order."""
    words = [part.text if isinstance(part, Token) else "" for part in item.parts[:4]]
    if "rel" in words[1:] and set(words[: words.index("rel")]) <= set(_MODIFIERS):
        count = words.index("rel")
        modifiers = sorted(set(words[:count]), key=_MODIFIERS.index)
        item.parts[:count] = [Token(word, Role.WORD, 0, False) for word in modifiers]
    return item


# --- lists and brackets ----------------------------------------------------------------------------------------------


def _fill(items: Sequence[Item], indent: int, end: str, opening: str | None = None, comma: str = ",") -> str:
    """Items on as few lines as hold them, from `opening` or the indent on; one that does not fit has its own lines."""
    margin = " " * indent
    lines: list[str] = []
    line = opening if opening is not None else margin
    empty = True  # nothing but the margin or the opening is on the line
    for item in items:
        after = end if item is items[-1] else comma
        if item.lead:
            if not empty or (opening is not None and not lines):
                lines.append(line.rstrip())
            lines += [margin + _comment(text) for text in item.lead]
            line, empty = margin, True
        flat = _flat(item.parts)
        joined = f"{line}{'' if empty else ' '}{flat}{after}"
        if flat is not None and len(joined) <= WIDTH:
            line, empty = joined, False
        else:
            if not empty:
                lines.append(line)
                line = margin
            inner = indent - INDENT if opening is not None and line == opening else indent
            *broken, line = _lines(line + _lay(item.parts, inner, len(line), len(after)) + after)
            lines += broken
            empty = False
            if broken and item is not items[-1] and not item.trail:
                lines.append(line)
                line, empty = margin, True
        if item.trail:
            lines.append(_with(line, item.trail))
            line, empty = margin, True
    return "\n".join(lines if empty and lines else [*lines, line])


def _lay(parts: Sequence[Part], indent: int, column: int, tail: int, chained: int | None = None) -> str:
    """The parts from a column on, with room for `tail` characters after them; further lines by the indent."""
    flat = _flat(parts)
    if flat is not None and column + len(flat) + tail <= WIDTH:
        return flat
    for words in (("else",), ("or",), ("and",)):
        pieces = list(_split(parts, words, Role.KEYWORD))
        if pieces[1:] and flat is not None:
            inner = indent + INDENT if chained is None else chained
            return _fill([Item(piece) for piece in pieces], inner, "", " " * column, comma="")[column:]
    place = _to_open(parts, column)
    if place is None:
        return flat if flat is not None else _flat(parts, anyway=True) or ""
    before, group, rest = parts[:place], parts[place], parts[place + 1 :]
    assert isinstance(group, Group)
    start = (_flat(before, anyway=True) or "") + (_gap(parts[place - 1], group) if place else "")
    between = _gap(group, rest[0]) if rest else ""
    text = start + _opened(group, indent, column + len(start), len(between) + len(_flat(rest) or "") + tail)
    reached = len(text.rsplit("\n", 1)[-1]) + (column if "\n" not in text else 0) + len(between)
    return text + between + (_lay(rest, indent, reached, tail) if rest else "")


def _to_open(parts: Sequence[Part], column: int) -> int | None:
    """The brackets to open: those with comments, or else the longest that begin on the line."""
    groups = [(place, part) for place, part in enumerate(parts) if isinstance(part, Group)]
    for place, group in groups:
        if _flat([group]) is None:
            return place
    fitting = [
        (len(_flat([group]) or ""), -place)
        for place, group in groups
        if group.items and column + len(_flat(parts[:place]) or "") + 2 <= WIDTH
    ]
    return -max(fitting)[1] if fitting else None


def _opened(group: Group, indent: int, column: int, tail: int) -> str:
    """Brackets over several lines, with room for `tail` characters after them."""
    close = ",)" if group.single else group.close
    if (kept := _kept_close(group, column)) is not None:
        start = column + len(group.open) + len(kept)
        return group.open + kept + _lay(group.items[-1].parts, indent, start, len(close) + tail) + close
    inner = indent + INDENT
    lines = [_fill(group.items, inner, "," if group.single else "")] if group.items else []
    lines += [" " * inner + _comment(text) for text in group.comments]
    return "\n".join([group.open, *lines, " " * indent + group.close])


def _kept_close(group: Group, column: int) -> str | None:
    """What is before the last item, if that ends in brackets which are most of the group and can be opened here."""
    if group.comments or group.spaced or not group.items:
        return None
    *before, last = group.items
    if before and group.open != "(":
        return None
    brackets = last.parts[-1] if last.parts else None
    if not isinstance(brackets, Group) or last.lead or last.trail or not brackets.items:
        return None
    start = _flat_items([*before, Item([])]) if before else ""
    opening = _flat(last.parts[:-1])
    if start is None or opening is None or column + len(start) + len(opening) + 3 > WIDTH:
        return None
    inner, whole = _flat([brackets]), _flat([group])
    if inner is not None and whole is not None and len(inner) * 2 < len(whole):
        return None
    return start


def _split(parts: Sequence[Part], words: Sequence[str], role: Role) -> Iterator[list[Part]]:
    """The parts, cut before each of the words, but not at the very beginning."""
    piece: list[Part] = []
    for part in parts:
        if piece and isinstance(part, Token) and part.role is role and part.text in words and _is_cut(piece[-1], part):
            yield piece
            piece = []
        piece.append(part)
    yield piece


def _is_cut(before: Part, word: Token) -> bool:
    """A word that continues a declaration or a step follows its brackets; a keyword may follow anything."""
    return word.role is Role.KEYWORD or isinstance(before, Group) or word.text == "observes"


# --- one line --------------------------------------------------------------------------------------------------------


def _flat(parts: Sequence[Part], anyway: bool = False) -> str | None:
    """The parts on one line; None if there are comments in them, unless it is to be `anyway`."""
    pieces: list[str] = []
    before: Part | None = None
    for part in parts:
        if before is not None:
            pieces.append(_gap(before, part))
        if isinstance(part, Group):
            inner = _flat_items(part.items, anyway=anyway)
            if inner is None or (part.comments and not anyway):
                return None
            space = " " if part.spaced and inner else ""
            pieces.append(f"{part.open}{space}{inner}{',' if part.single else ''}{space}{part.close}")
        else:
            pieces.append(part.text)
        before = part
    return "".join(pieces)


def _flat_items(items: Sequence[Item], first: str = ", ", anyway: bool = False) -> str | None:
    """Items on one line; `first` is between the first two of them."""
    text = ""
    for number, item in enumerate(items):
        flat = _flat(item.parts, anyway)
        if flat is None or ((item.lead or item.trail) and not anyway):
            return None
        text += ("" if number == 0 else first if number == 1 else ", ") + flat
    return text


def _gap(before: Part, after: Part) -> str:
    """What is between two neighbours on a line."""
    last = Role.CLOSE if isinstance(before, Group) else before.role
    if isinstance(after, Group):
        touches = after.open != "{" and last in (Role.WORD, Role.CLOSE, Role.VALUE, Role.UNARY)
        return "" if touches or last is Role.UNARY else " "
    if last in (Role.JOINT, Role.UNARY) or after.role in (Role.JOINT, Role.COLON):
        return ""
    return " "


def _lines(text: str) -> list[str]:
    return text.split("\n")


def _with(line: str, comment: str) -> str:
    return f"{line}  {_comment(comment)}" if comment else line


def _comment(text: str) -> str:
    """A comment with a space after its ``#`` or ``##``."""
    return _TIGHT.sub(r"\1 ", text)


_TIGHT: Final = re.compile(r"^(##?)(?=[^\s#!])")
