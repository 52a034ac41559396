"""Where an object was written, for errors and for `why`.

Lines are not kept: an `Origin` reads its own document again when someone asks, which is seldom, so that loading stays
fast and small.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property

import yaml

from kdl.parser.diagnostic import Span
from kdl.parser.manifest.documents import Unreadable, places


class Origin:
    """Where an object was written: the file, and the line of each field by JSON pointer (``/spec/containers/0``)."""

    def __init__(self, file: str, text: str = "", line: int = 1, prefix: str = "") -> None:
        self.file = file
        self.moved: Mapping[str, str] = {}
        """Pointers that conversion made → the pointers of the fields that they were made from."""
        self._text = text
        self._line = line
        self._prefix = prefix

    def __repr__(self) -> str:
        return f"Origin({self.file}:{self.line('')})"

    @cached_property
    def places(self) -> dict[str, tuple[Span | None, Span]]:
        """The spans of key and value of every field as written."""
        try:
            found = places(self._text, self.file, self._line)
        except (Unreadable, yaml.YAMLError):  # JSON that is no YAML (surrogate escapes): the document's own line stays
            found = {"": (None, Span(self.file, self._line, 1, self._line, 2))}
        skip = len(self._prefix)
        return {
            pointer[skip:]: place
            for pointer, place in found.items()
            if pointer == self._prefix or pointer.startswith(self._prefix + "/")
        }

    @cached_property
    def lines(self) -> dict[str, int]:
        """The line of every field as written, counted from 1."""
        return {pointer: (key or span).line for pointer, (key, span) in self.places.items()}

    def written(self, pointer: str) -> str:
        """The pointer, in the text as written, of the field or the nearest thing around it."""
        while pointer not in self.places:
            if pointer in self.moved:
                pointer = self.moved[pointer]
            elif pointer:
                pointer = pointer.rpartition("/")[0]
            else:
                break
        return pointer

    def line(self, pointer: str) -> int:
        """The line of a field, or of the nearest thing around it if the field itself is nowhere in the text."""
        return self.span(pointer, key=True).line

    def span(self, pointer: str, *, key: bool = False) -> Span:
        """The place of a field's value, or of its key."""
        unknown = Span(self.file, self._line, 1, self._line, 2)
        found = self.written(pointer)
        name, value = self.places.get(found, (None, unknown))
        return name if name is not None and (key or found != pointer) else value

    def scalar(self, pointer: str) -> str:
        """The value of a field as written, if that is text on one line."""
        if self.written(pointer) != pointer:
            return ""
        span = self.span(pointer)
        lines = self._text.splitlines()
        if span.line != span.end_line or not 0 <= span.line - self._line < len(lines):
            return ""
        return lines[span.line - self._line][span.column - 1 : span.end_column - 1]
