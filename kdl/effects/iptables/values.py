"""Checked access to the values of a rule document: each either fits or is refused in the user's words."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import IPv4Network
from typing import Any

from kdl.effects.iptables.names import BadRule
from kdl.fact import TRUE, Document, Value, literal

MARK = re.compile(r"(0x[0-9a-fA-F]{1,8}|\d{1,10})(/(0x[0-9a-fA-F]{1,8}|\d{1,10}))?")
INTERFACE = re.compile(r"[^\s/!+]{1,15}|[^\s/!+]{0,14}\+")


def known(document: Mapping[str, Any], keys: frozenset[str], what: str) -> None:
    """Refuse keys that are not among those known."""
    if not document.keys() <= keys:
        unknown = ", ".join(f"`{key}`" for key in sorted(document.keys() - keys))
        raise BadRule(f"unknown {what} {unknown}")


def member(document: Document, key: str) -> Document:
    """A document in a document; an empty one where there is none."""
    found = document.get(key)
    if found is None:
        return Document()
    if not isinstance(found, Document):
        raise BadRule(f"`{key}` is a document, not {literal(found)}")
    return found


def flag(document: Document, key: str) -> bool:
    """A member that is true or false; false where there is none."""
    found = document.get(key)
    if found is not None and not isinstance(found, type(TRUE)):
        raise BadRule(f"`{key}` is true or false, not {literal(found)}")
    return bool(found)


def text(key: str, value: Value, pattern: re.Pattern[str]) -> str:
    """A text of the given form."""
    if not isinstance(value, str) or not pattern.fullmatch(value):
        raise BadRule(f"`{key}` cannot be {literal(value)}")
    return value


def port(key: str, value: Value) -> tuple[int, int]:
    """The first and last port of ``80`` or ``80:90``."""
    first, colon, last = (str(value).partition(":")) if isinstance(value, (int, str)) else ("", "", "")
    last = last if colon else first
    if first.isdecimal() and last.isdecimal() and int(first) <= int(last) < 65536:
        return int(first), int(last)
    raise BadRule(f"`{key}` is a port or a range `80:90`, not {literal(value)}")


def network(key: str, value: Value) -> bytes:
    """Address and mask, eight bytes in network order."""
    if not isinstance(value, str):
        raise BadRule(f"`{key}` is an address or a range, not {literal(value)}")
    try:
        return _packed(value)
    except ValueError:
        raise BadRule(f"`{key}`: `{value}` is no IPv4 address or range") from None


@lru_cache(maxsize=65536)
def _packed(text: str) -> bytes:
    network = IPv4Network(text, strict=False)
    return network.network_address.packed + network.netmask.packed
