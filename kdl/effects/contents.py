"""What desired rows only name: secret data and tokens, fetched at the moment of use.

What is raised here is told to people, so it never has the data in it.
"""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from typing import TypeAlias

from kdl.fact import Document, Value

Source: TypeAlias = Callable[[Document], bytes]
"""Fetches what rules may not see; raises `LookupError` with what is missing."""


class Contents:
    """What the items of desired rows stand for. `sources` are by the words that rows have for them."""

    def __init__(self, sources: Mapping[str, Source]) -> None:
        self._sources = sources

    def data(self, item: Document) -> bytes:
        """The bytes of one item: its `text`, what is in `base64`, or what its source has."""
        if "text" in item:
            return str(item["text"]).encode()
        if "base64" in item:
            return base64.b64decode(item["base64"])
        ((fetch, what),) = [(fetch, item[word]) for word, fetch in self._sources.items() if word in item]
        return fetch(what)

    def text(self, value: Value) -> str:
        """A text, an item that is one, or a list of these that are one together."""
        if isinstance(value, tuple):
            return "".join([self.text(part) for part in value])
        if not isinstance(value, Document):
            return str(value)
        try:
            text = self.data(value).decode()
        except UnicodeDecodeError:
            text = "\0"
        if "\0" in text:
            (what,) = value.values()
            raise ValueError(f"{what.get('mark')} is no text that a program can be given: UTF-8 without NUL")
        return text
