"""Text → plain objects: YAML as Kubernetes reads it, and JSON.

YAML goes through libyaml's events rather than PyYAML's constructors: duplicate keys are seen, nothing but JSON's types
can come out, and scalars follow go-yaml (``0644`` and ``1e3`` are numbers, times stay text). With `places` the same
reader tells where each field is.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final, cast

import yaml

from kdl.parser.diagnostic import Diagnostic, Note, Span

MAX_DEPTH: Final = 100
MAX_EXPANDED: Final = 200_000
"""How many values the aliases of one document may stand for together."""

_LOADER: Final[Any] = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_WORDS: Final[dict[str, bool | None]] = {
    **{spelling: True for word in ("true", "yes", "on") for spelling in (word, word.title(), word.upper())},
    **{spelling: False for word in ("false", "no", "off") for spelling in (word, word.title(), word.upper())},
    **dict.fromkeys(("", "~", "null", "Null", "NULL")),
}
_INT: Final = re.compile(r"[-+]?(?:0[bB][01]+|0[xX][0-9a-fA-F]+|0[oO][0-7]+|[0-9]+)")
_FLOAT: Final = re.compile(r"[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?")
_NO_KEY: Final = object()
_MERGE: Final = object()


class Unreadable(Exception):
    """A text that is no sequence of documents; its argument is the one diagnostic."""

    def __init__(self, diagnostic: Diagnostic) -> None:
        self.diagnostic = diagnostic
        super().__init__(diagnostic.message)


@dataclass(frozen=True, slots=True)
class Written:
    """One document as written: its value and where its text lies (start is the offset of a line's first character)."""

    value: Any
    start: int
    end: int
    line: int


def documents(text: str, file: str) -> Iterator[Written]:
    """The documents in a text, empty ones left out. Raises `Unreadable`."""
    text = text.removeprefix("\ufeff")
    if text.lstrip()[:1] in ("{", "["):
        found = _json_documents(text, file)
        if found is not None:
            return iter(found)
    return (written for written in _Reader(text, file).read() if written.value is not None)


def _json_documents(text: str, file: str) -> list[Written] | None:
    """The documents of a JSON text, or None if it is no JSON: flow-style YAML begins in the same way."""
    found: list[Written] = []
    breaks = [match.start() for match in re.finditer("\n", text)]

    def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
        members = dict(pairs)
        if len(members) != len(pairs):
            raise _Fallback  # the YAML reader knows the places of both keys
        return members

    def fraction(digits: str) -> int | float:
        return _integral(float(digits))

    def constant(word: str) -> Any:
        raise _Fallback(word)

    decoder = json.JSONDecoder(object_pairs_hook=unique, parse_float=fraction, parse_constant=constant)
    at = 0
    try:
        while (rest := text[at:].lstrip()) != "":
            at = len(text) - len(rest)
            value, end = decoder.raw_decode(text, at)
            line = bisect_right(breaks, at - 1)
            start = breaks[line - 1] + 1 if line else 0
            found.append(Written(value, start, end, line + 1))
            at = end
    except RecursionError:
        raise Unreadable(Diagnostic("KDL504", f"`{file}` nests values more than {MAX_DEPTH} deep")) from None
    except (_Fallback, ValueError):
        return None
    return found


class _Fallback(Exception):
    """Raised for JSON that the YAML reader can tell more about."""


class _Frame:
    """An open mapping or sequence while reading."""

    __slots__ = ("anchor", "key", "key_event", "keys", "merges", "pointer", "size", "value")

    def __init__(self, value: Any, anchor: str | None, pointer: str, size: int) -> None:
        self.value = value
        self.anchor = anchor
        self.pointer = pointer
        self.size = size
        self.key: Any = _NO_KEY
        self.key_event: Any = None
        self.keys: dict[str, Any] = {}
        self.merges: list[Any] = []


class _Reader:
    """Builds values from YAML events; with `places` it also notes where each of them is."""

    def __init__(self, text: str, file: str, line: int = 1, places: dict[str, Any] | None = None) -> None:
        self.text = text
        self.file = file
        self.line = line
        self.places = places
        self.stack: list[_Frame] = []
        self.anchors: dict[str, tuple[Any, int]] = {}
        self.size = 0
        self.expanded = 0
        self.root: Any = None

    def read(self) -> Iterator[Written]:
        scalar, alias = yaml.ScalarEvent, yaml.AliasEvent
        map_start, list_start = yaml.MappingStartEvent, yaml.SequenceStartEvent
        start = line = 0
        try:
            for event in cast(Iterator[Any], yaml.parse(self.text, Loader=_LOADER)):
                kind = type(event)
                if kind is scalar:
                    self.size += 1
                    value = self.scalar(event)
                    if event.anchor:
                        self.anchors[event.anchor] = (value, 1)
                    self.put(value, event)
                elif kind is map_start or kind is list_start:
                    self.open(event, {} if kind is map_start else [])
                elif kind is yaml.MappingEndEvent or kind is yaml.SequenceEndEvent:
                    self.close(event)
                elif kind is alias:
                    self.put(self.alias(event), event)
                elif kind is yaml.DocumentStartEvent:
                    mark = event.start_mark
                    start, line = mark.index - mark.column, mark.line
                    self.root, self.anchors, self.size, self.expanded = None, {}, 0, 0
                elif kind is yaml.DocumentEndEvent:
                    yield Written(self.root, start, event.end_mark.index, line + self.line)
        except yaml.MarkedYAMLError as error:
            raise self.unreadable(error) from None
        except yaml.YAMLError as error:  # characters that YAML does not allow
            position = getattr(error, "position", 0)
            raise Unreadable(
                Diagnostic(
                    "KDL502",
                    f"this is not YAML: {getattr(error, 'reason', error)}",
                    self.at(self.text.count("\n", 0, position), 0, 1),
                )
            ) from None

    def open(self, event: Any, value: Any) -> None:
        if len(self.stack) >= MAX_DEPTH:
            self.refuse("KDL504", f"values nest more than {MAX_DEPTH} deep", event)
        if event.tag not in (None, "!", "tag:yaml.org,2002:map", "tag:yaml.org,2002:seq"):
            self.refuse("KDL502", f"the tag `{event.tag}` has no meaning in a manifest", event, "remove the tag")
        if self.stack and self.stack[-1].key is _NO_KEY and isinstance(self.stack[-1].value, dict):
            if event.flow_style and self.text[event.start_mark.index - 1] == "{":
                help = "render the template first, or put the value in quotes"
                self.refuse("KDL502", "`{{` begins a template's placeholder, which YAML cannot read", event, help)
            self.refuse("KDL502", "a mapping's key must be text", event, "put the key in quotes")
        self.size += 1
        self.note(event)
        self.stack.append(_Frame(value, event.anchor, self.pointer(), self.size))
        if event.anchor:
            self.anchors[event.anchor] = (_NO_KEY, 0)

    def close(self, event: Any) -> None:
        frame = self.stack.pop()
        value = frame.value
        for source in frame.merges:
            for members in source if isinstance(source, list) else [source]:
                if not isinstance(members, dict):
                    self.refuse("KDL502", "`<<` merges mappings only", event)
                for key, member in members.items():
                    if key not in value:
                        value[key] = self.copy(member, event)
        if frame.anchor:
            self.anchors[frame.anchor] = (value, self.size - frame.size + 1)
        self.attach(value)

    def alias(self, event: Any) -> Any:
        if event.anchor not in self.anchors:
            self.refuse("KDL502", f"the alias `*{event.anchor}` has no anchor", event, f"write `&{event.anchor}` first")
        value, size = self.anchors[event.anchor]
        if value is _NO_KEY:
            self.refuse("KDL504", f"the alias `*{event.anchor}` is inside of what it stands for", event)
        self.size += size
        self.expanded += size
        if self.expanded > MAX_EXPANDED:
            self.refuse("KDL504", f"aliases stand for more than {MAX_EXPANDED:,} values", event, "write the values out")
        return self.copy(value, event)

    def copy(self, value: Any, event: Any, depth: int = 0) -> Any:
        if depth + len(self.stack) > MAX_DEPTH:
            self.refuse("KDL504", f"values nest more than {MAX_DEPTH} deep", event)
        if isinstance(value, dict):
            return {key: self.copy(member, event, depth + 1) for key, member in value.items()}
        if isinstance(value, list):
            return [self.copy(item, event, depth + 1) for item in value]
        return value

    def put(self, value: Any, event: Any) -> None:
        frame = self.stack[-1] if self.stack else None
        if frame is not None and frame.key is _NO_KEY and type(frame.value) is dict:
            frame.key = self.key(value, event, frame)
            frame.key_event = event
        else:
            self.note(event)
            self.attach(value)

    def attach(self, value: Any) -> None:
        if not self.stack:
            self.root = value
            return
        frame = self.stack[-1]
        if type(frame.value) is list:
            frame.value.append(value)
        elif frame.key is _MERGE:
            frame.merges.append(value)
        else:
            frame.value[frame.key] = value
        frame.key = _NO_KEY

    def key(self, value: Any, event: Any, frame: _Frame) -> Any:
        if value == "<<" and type(event) is yaml.ScalarEvent and event.implicit[0]:
            return _MERGE
        if value is None or isinstance(value, (dict, list)):
            self.refuse("KDL502", "a mapping's key must be text", event, "put the key in quotes")
        if isinstance(value, bool):
            value = "true" if value else "false"
        name = str(value)
        if name in frame.keys:
            first = self.span(frame.keys[name])
            self.refuse(
                "KDL503",
                f"the key `{name}` is written twice",
                event,
                "keep one of the two",
                Note("the first one", first),
            )
        frame.keys[name] = event
        return name

    def scalar(self, event: Any) -> Any:
        if event.implicit[0]:
            return plain(event.value)
        tag = event.tag
        if tag is None or tag in ("!", "tag:yaml.org,2002:str"):
            return event.value
        value = plain(event.value)
        wanted: dict[str, Any] = {"int": int, "float": (int, float), "bool": bool, "null": type(None)}
        if not isinstance(value, wanted.get(tag.rpartition(":")[2], ())):
            self.refuse("KDL502", f"`{event.value}` cannot be read as `{tag}`", event, "remove the tag")
        return value

    def pointer(self) -> str:
        """The pointer of the value that comes next; only kept when places are."""
        if self.places is None or not self.stack:
            return ""
        frame = self.stack[-1]
        if type(frame.value) is list:
            return f"{frame.pointer}/{len(frame.value)}"
        return f"{frame.pointer}/{escape(frame.key) if isinstance(frame.key, str) else '<<'}"

    def note(self, event: Any) -> None:
        if self.places is not None:
            named = self.stack and isinstance(self.stack[-1].value, dict)
            self.places[self.pointer()] = (self.span(self.stack[-1].key_event) if named else None, self.span(event))

    def at(self, line: int, column: int, end: int) -> Span:
        return Span(self.file, line + self.line, column + 1, line + self.line, end + 1)

    def span(self, event: Any) -> Span:
        start, end = event.start_mark, event.end_mark
        if isinstance(event, yaml.MappingStartEvent | yaml.SequenceStartEvent) and not event.flow_style:
            return Span(self.file, start.line + self.line, start.column + 1, start.line + self.line + 1, 1)
        return Span(self.file, start.line + self.line, start.column + 1, end.line + self.line, end.column + 1)

    def refuse(self, code: str, message: str, event: Any, help: str = "", *notes: Note) -> None:
        raise Unreadable(Diagnostic(code, message, self.span(event), help=help, notes=notes))

    def unreadable(self, error: yaml.MarkedYAMLError) -> Unreadable:
        mark = error.problem_mark or error.context_mark
        problem = error.problem or "unexpected text"
        line, column = (mark.line, mark.column) if mark else (0, 0)
        lines = self.text.splitlines()
        if line >= len(lines) and lines:  # the end of the text: point at the last line that has any
            line, column = len(lines) - 1, len(lines[-1])
        help = ""
        if "\\t" in problem or "'\\t'" in problem or "\t" in (lines[line] if line < len(lines) else "")[: column + 1]:
            help = "indent with spaces: YAML does not allow tabs there"
        elif "mapping values are not allowed" in problem:
            help = "put the value in quotes if it contains `: `, or mend the indentation"
        elif "did not find expected key" in problem or "block" in problem:
            help = "check the indentation of this line and of the one before"
        return Unreadable(
            Diagnostic("KDL502", f"this is not YAML: {problem}", self.at(line, column, column + 1), help=help)
        )


def places(text: str, file: str, line: int) -> dict[str, tuple[Span | None, Span]]:
    """The spans of key and value of every field of the first document in a text, by JSON pointer."""
    found: dict[str, tuple[Span | None, Span]] = {}
    for _ in _Reader(text, file, line, found).read():
        break
    return found


def escape(key: str) -> str:
    """A key as one element of a JSON pointer."""
    return key.replace("~", "~0").replace("/", "~1") if "~" in key or "/" in key else key


_MOST_DIGITS: Final = 4000
"""Python reads no longer decimal numbers."""


@lru_cache(maxsize=16384)
def plain(text: str) -> str | int | float | bool | None:
    """What an unquoted YAML scalar stands for."""
    if text in _WORDS:
        return _WORDS[text]
    if text[0] not in "0123456789+-.":
        return text
    digits = text.replace("_", "") if text[0] != "." else text
    if _INT.fullmatch(digits):
        sign, body = (-1, digits[1:]) if digits[0] == "-" else (1, digits.lstrip("+"))
        if body[0] == "0" and body.isdigit() and len(body) > 1:
            body = body if re.search("[89]", body) else "0o" + body
        if body.isdigit():
            return sign * int(body) if len(body) < _MOST_DIGITS else float(digits)  # infinite, which is refused as such
        return sign * int(body, 0)
    if _FLOAT.fullmatch(digits):
        return _integral(float(digits))
    return text


def _integral(number: float) -> int | float:
    """Go writes a floating-point number without a fraction as an integer, so Kubernetes sees one."""
    return int(number) if number.is_integer() and abs(number) < 1e21 else number
