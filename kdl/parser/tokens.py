"""Program text → its statements as trees of tokens, with every comment at the item that it speaks of.

This is the text's outer form alone: what is between brackets and between commas. `kdl.parser.format` lays it out anew;
what a statement means is for `kdl.parser.parse`, which has read the text before and found no mistake.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from enum import Enum, auto
from typing import Final, NamedTuple, TypeAlias


class Role(Enum):
    """What a token is to its neighbours."""

    WORD = auto()
    KEYWORD = auto()
    VALUE = auto()
    OPERATOR = auto()
    UNARY = auto()
    COLON = auto()
    BINDER = auto()
    """The colon of an aggregate."""
    JOINT = auto()
    """``.`` in a path and ``..`` in a range: they touch what they join."""
    OPEN = auto()
    CLOSE = auto()
    COMMA = auto()
    NECK = auto()
    END = auto()
    COMMENT = auto()


class Token(NamedTuple):
    """A word, sign or comment as written; `first` where nothing but white space is before it on its line."""

    text: str
    role: Role
    line: int
    first: bool


@dataclass(slots=True)
class Item:
    """What stands between two commas, with the comments above it and the one at its end."""

    parts: list[Part] = field(default_factory=list)
    lead: list[str] = field(default_factory=list)
    trail: str = ""


@dataclass(slots=True)
class Group:
    """Brackets with their items; `comments` stand after the last item."""

    open: str
    close: str
    items: list[Item]
    comments: list[str]
    spaced: bool = False
    """The braces around the body of an aggregate."""
    single: bool = False
    """A tuple of one, which keeps its comma."""


Part: TypeAlias = Token | Group


@dataclass(slots=True)
class Remark:
    """A comment on a line of its own, between statements; `blank` if an empty line is before it."""

    text: str
    blank: bool


@dataclass(slots=True)
class Statement:
    """A statement or a test's step: sentences, then what is before the neck, then the items after it.

    The neck is ``:-``, or the words that a list follows (``expect``, ``from core import``); without one there is only
    the head. A test has `steps`.
    """

    blank: bool
    sentences: list[Item] = field(default_factory=list)
    head: Item = field(default_factory=Item)
    neck: str = ""
    body: list[Item] = field(default_factory=list)
    steps: list[Entry] | None = None
    trail: str = ""


Entry: TypeAlias = Remark | Statement

_TOKEN: Final = re.compile(
    r"""(?P<comment>\#[^\n]*)
      | (?P<value>(?:f|cpu|mem|dur|cidr|time)?"(?:\\.|[^"\\\n])*" | \d[\d_]*(?:\.\d+)?)
      | (?P<word>@?[A-Za-z_][A-Za-z0-9_]*)
      | (?P<end>\.(?=\s|\Z|\#))
      | (?P<joint>\.\.|\.)
      | (?P<neck>:-)
      | (?P<open>[(\[{]) | (?P<close>[)\]}]) | (?P<comma>,)
      | (?P<operator>\?\?|!=|<=|>=|[-+*/%=<>]) | (?P<colon>:)""",
    re.VERBOSE,
)
_COLUMN: Final = re.compile(r"\s*:")
_KEYWORDS: Final = frozenset({"in", "not", "and", "or", "if", "else", "@why", "@whynot"})
_AGGREGATES: Final = frozenset({"count", "sum", "min", "max", "list"})
_STOPS: Final = (Role.CLOSE, Role.NECK, Role.END)
_VALUES: Final = frozenset({Role.WORD, Role.VALUE, Role.CLOSE})


def tokens(text: str) -> Iterator[Token]:
    """The tokens of a text that follows the grammar, each with its role."""
    last, before, depth, line, position, necked = Role.END, "", 0, 1, 0, False
    waiting: set[int] = set()  # the depths at which an aggregate has not had its colon yet
    for match in _TOKEN.finditer(text):
        between = text.count("\n", position, match.start())
        line, first = line + between, position == 0 or between > 0
        word, role, position = match[0], Role[str(match.lastgroup).upper()], match.end()
        if role is Role.COMMENT:
            yield Token(word.rstrip(), role, line, first)
            continue
        if role is Role.WORD:
            if word in _AGGREGATES and before == "=" and text[position] != "(":
                role = Role.KEYWORD
                waiting.add(depth)
            elif word in _KEYWORDS and not (last in (Role.OPEN, Role.COMMA) and _COLUMN.match(text, position)):
                role = Role.KEYWORD
        elif role is Role.NECK and (depth or necked):
            yield Token(":", Role.COLON, line, first)
            word, role, first = "-", Role.UNARY, False
        elif role is Role.OPERATOR and word == "-" and last not in _VALUES:
            role = Role.UNARY
        elif role is Role.COLON and depth in waiting:
            role = Role.BINDER
            waiting.discard(depth)
        elif role is Role.OPEN:
            depth += 1
        elif role is Role.CLOSE:
            depth -= 1
        if depth == 0:
            necked = role is Role.NECK or (necked and role is not Role.END)
        yield Token(word, role, line, first)
        last, before = role, word


def statements(text: str) -> list[Entry]:
    """The statements of a text and the comments between them."""
    return _Reader(text).entries()


class _Reader:
    """Reads the tokens one after the other, each comment into the place where it is kept."""

    def __init__(self, text: str) -> None:
        self.tokens: list[Token] = [*tokens(text), Token("", Role.CLOSE, text.count("\n") + 2, True)]
        self.place = 0
        self.line = 0

    @property
    def next(self) -> Token:
        return self.tokens[self.place]

    def take(self) -> Token:
        token = self.next
        self.place += 1
        self.line = token.line
        return token

    def entries(self, steps: bool = False) -> list[Entry]:
        """Statements, or a test's steps, up to the closing bracket or the end."""
        found: list[Entry] = []
        while self.next.role is not Role.CLOSE:
            blank = self.next.line > self.line + 1 and bool(found)
            if self.next.role is Role.COMMENT:
                found.append(Remark(self.take().text, blank))
                continue
            statement = self.statement(blank, steps)
            opening = statement.sentences[0] if statement.sentences else statement.head
            _put_before_docs(found, opening.lead, statement)
            opening.lead = []
            found.append(statement)
        return found

    def statement(self, blank: bool, step: bool) -> Statement:
        """One statement, with the comment at its end."""
        found = Statement(blank)
        while self.next.text in ("@why", "@whynot"):
            sentence = Item([self.take()])
            self.comments_of(sentence)
            sentence.parts.append(self.take())
            sentence.trail = self.behind()
            found.sentences.append(sentence)
        if self.next.text == "test" and self.tokens[self.place + 1].role in (Role.VALUE, Role.COMMENT):
            return self.test(found)
        self.neck(found, step)
        if not found.neck:
            found.head = self.items()[0]
            if self.next.role is Role.NECK:
                found.neck = self.take().text
                found.head.trail = found.head.trail or self.behind()
        if found.neck:
            found.body = self.items()
        self.take()
        found.trail = self.behind()
        last = found.body[-1] if found.body else found.head
        if found.trail:
            last.lead += [last.trail] if last.trail else []
        else:
            found.trail = last.trail
        last.trail = ""
        return found

    def neck(self, found: Statement, step: bool) -> None:
        """The words that a list follows, if the statement begins with some."""
        after = self.tokens[self.place + 1 : self.place + 3]
        if step and self.next.text == "expect":
            explains = after[0].text in ("why", "whynot") and after[1].role is Role.WORD
            found.neck = "" if explains else self.take().text
        elif self.next.text == "from" and after[0].role in (Role.WORD, Role.COMMENT):
            words: list[str] = []
            while not words or words[-1] != "import":
                token = self.take()
                (found.head.lead if token.role is Role.COMMENT else words).append(token.text)
            found.neck = " ".join(words)

    def test(self, found: Statement) -> Statement:
        """``test "…" { steps }``."""
        found.head.parts.append(self.take())
        self.comments_of(found.head)
        found.head.parts.append(self.take())
        self.comments_of(found.head)
        self.take()
        found.head.trail = self.behind()
        found.steps = self.entries(steps=True)
        self.take()
        found.trail = self.behind()
        return found

    def behind(self) -> str:
        """The comment that follows on the same line, if there is one."""
        return self.take().text if self.next.role is Role.COMMENT and not self.next.first else ""

    def comments_of(self, item: Item) -> None:
        """Comments in the middle of an item go above it."""
        while self.next.role is Role.COMMENT:
            item.lead.append(self.take().text)

    def items(self) -> list[Item]:
        """The items up to a closing bracket, the neck or the end; the last is empty after a comma."""
        found = [Item()]
        while (role := self.next.role) not in _STOPS:
            match role:
                case Role.COMMA:
                    self.take()
                    found.append(Item())
                case Role.COMMENT:
                    self.comment(found)
                case Role.OPEN:
                    found[-1].parts.append(self.group(found[-1]))
                case _:
                    found[-1].parts.append(self.take())
        return found

    def comment(self, found: list[Item]) -> None:
        """A comment goes behind the item that it follows on the line, or above the one that it is in or before."""
        token, item = self.take(), found[-1]
        if token.first and item.parts and self.beside(0, 1).role is Role.CLOSE:
            found.append(Item(lead=[token.text]))
        elif not token.first and not item.parts and len(found) > 1 and not item.lead:
            before = found[-2]
            before.lead += [before.trail] if before.trail else []
            before.trail = token.text
        elif not token.first and self.next.role in (Role.COMMA, *_STOPS) and item.parts and not item.trail:
            item.trail = token.text
        else:
            item.lead.append(token.text)

    def beside(self, offset: int, step: int) -> Token:
        """The nearest token from here that is no comment, forward or backward."""
        place = self.place + offset
        while self.tokens[place].role is Role.COMMENT:
            place += step
        return self.tokens[place]

    def group(self, item: Item) -> Group:
        """Brackets and what is in them."""
        before = item.parts[-1] if item.parts else None
        role = before.role if isinstance(before, Token) else None
        opening = self.take()
        items = self.items()
        comments: list[str] = []
        if not items[-1].parts:  # a comma at the end, or nothing but comments
            comments = items.pop().lead
        trailing = self.beside(-1, -1).role is Role.COMMA
        single = opening.text == "(" and trailing and len(items) == 1 and role is not Role.WORD
        return Group(opening.text, self.take().text, items, comments, role is Role.BINDER, single)


def _put_before_docs(found: list[Entry], comments: list[str], statement: Statement) -> None:
    """Comments out of the middle of a statement go above it, and above the ``##`` lines that belong to it."""
    if not comments:
        return
    place = len(found)
    if not statement.blank:
        while place and isinstance(entry := found[place - 1], Remark) and entry.text.startswith("##"):
            place -= 1
            if entry.blank:
                break
    blank = statement.blank
    if place < len(found):
        following = found[place]
        assert isinstance(following, Remark)
        blank, following.blank = following.blank, False
    else:
        statement.blank = False
    plain = [f"#{comment.lstrip('#')}" for comment in comments]
    found[place:place] = [Remark(comment, blank and not index) for index, comment in enumerate(plain)]
