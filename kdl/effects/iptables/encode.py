"""Rules as the kernel's bytes: each shape is encoded once by python-iptables, each rule is a copy that is filled in.

Where a rule's own values go is found by the placeholders that the shape was encoded with; each must be there exactly
as often as expected, so that a library that lays structures out otherwise is noticed, not mis-written. The checksum of
a chain is taken of the same bytes when they are written and when they are read back.
"""

from __future__ import annotations

import socket
import struct
from collections.abc import Iterable
from functools import lru_cache
from hashlib import blake2b
from typing import Final, NamedTuple

from kdl.effects.iptables import libiptc
from kdl.effects.iptables.libiptc import ENTRY, KernelError
from kdl.effects.iptables.names import COMMENT_LENGTH
from kdl.effects.iptables.rule import ANYWHERE, NO_SHAPE, Rule, Shape
from kdl.effects.iptables.targets import MODULES

Entry = tuple[bytes, bytes]
"""An entry's bytes and its target's name."""

_INVERTED: Final = 83
_TARGET_OFFSET: Final = 88
_TARGET_NAME_LENGTH: Final = 29
_NAME_END: Final = 31
_HEAD: Final = 84
_MODULES: Final = frozenset(name.encode() for name in MODULES)
_COMMENT: Final = ENTRY + 32
_COMMENT_NAME: Final = slice(ENTRY + 2, ENTRY + 10)


class _Template(NamedTuple):
    data: bytes
    ports: tuple[int, ...]
    name: tuple[int, int] | None
    """Where the name of a ``recent`` list begins, and how long it may be."""
    target: int
    address: tuple[int, int] | None
    port: int | None


@lru_cache(maxsize=4096)
def _template(shape: Shape) -> _Template:
    data = libiptc.encode(shape)
    (target,) = struct.unpack_from("=H", data, _TARGET_OFFSET)
    if data[_COMMENT_NAME] != b"comment\0" or not data.startswith(libiptc.COMMENT.encode(), _COMMENT):
        raise KernelError("iptables lays out the comment match in an unknown way")
    ports = tuple([_find(data, struct.pack("=HH", *libiptc.PORTS[port]), 1, ENTRY)[0] for port in shape.ports])
    name = None
    if shape.named:
        (start,) = _find(data, libiptc.NAME.encode(), 1, ENTRY)
        name = (start, 200)
    address = port = None
    if shape.destination:
        first, last = _find(data, socket.inet_aton(libiptc.ADDRESS), 2, target)
        address = (first, last)
    if shape.destination == "ip:port":
        (port,) = _find(data, struct.pack("!HH", libiptc.PORT, libiptc.PORT), 1, target)
    return _Template(data, ports, name, target, address, port)


def _find(data: bytes, placeholder: bytes, times: int, start: int) -> tuple[int, ...]:
    found = []
    at = data.find(placeholder, start)
    while at >= 0:
        found.append(at)
        at = data.find(placeholder, at + 1)
    if len(found) != times:
        raise KernelError(f"iptables lays out a rule in an unknown way: {placeholder!r} is there {len(found)} times")
    return tuple(found)


def encode(rule: Rule) -> Entry:
    """The rule's entry; jumps carry the name of their chain, which libiptc resolves."""
    template = _template(rule.shape)
    data = bytearray(template.data)
    data[0:4], data[8:12] = rule.source[:4], rule.source[4:]
    data[4:8], data[12:16] = rule.target_address[:4], rule.target_address[4:]
    data[_INVERTED] |= rule.inverted
    data[_COMMENT : _COMMENT + COMMENT_LENGTH] = rule.comment.ljust(COMMENT_LENGTH, b"\0")
    for at, (first, last) in zip(template.ports, rule.ports, strict=True):
        struct.pack_into("=HH", data, at, first, last)
    if template.name is not None:
        at, length = template.name
        data[at : at + length] = rule.name.ljust(length, b"\0")
    if rule.to is not None and template.address is not None:
        ip, port = rule.to
        for at in template.address:
            data[at : at + 4] = ip
        if template.port is not None:
            struct.pack_into("!HH", data, template.port, port, port)
    if not rule.shape.target:
        at = template.target + 2
        data[at : at + _TARGET_NAME_LENGTH] = rule.jump.ljust(_TARGET_NAME_LENGTH, b"\0")
    return bytes(data), rule.jump


def marker(comment: bytes) -> bytes:
    """An entry that does nothing but carry a comment."""
    rule = Rule(NO_SHAPE, ANYWHERE, ANYWHERE, 0, (), b"", b"", None, None, comment)
    return encode(rule)[0]


def checksum(entries: Iterable[Entry]) -> str:
    """Of what the entries say: not of counters, of the place of a chain, and of what is behind a module's name."""
    state = blake2b(digest_size=8)
    parts: list[bytes] = []
    unpack = struct.Struct("=H").unpack_from
    for data, target in entries:
        (end,) = unpack(data, _TARGET_OFFSET)
        parts.append(data[:_HEAD])
        at = ENTRY
        while at < end:
            (size,) = unpack(data, at)
            parts += _module(data, at, at + size)
            at += size
        if target in _MODULES:  # of a verdict or jump only the name counts
            parts += _module(data, end, len(data))
        parts.append(b"-j %b\0" % target)
        state.update(b"".join(parts))
        parts.clear()
    return state.hexdigest()


def _module(data: bytes, start: int, end: int) -> tuple[bytes, bytes]:
    """A match or target: its size and name, and from its revision on its data."""
    return data[start : data.index(b"\0", start + 2) + 1], data[start + _NAME_END : end]


def comment_of(data: bytes) -> bytes:
    """The comment that an entry begins with; empty where it begins with another match or none."""
    (start,) = struct.unpack_from("=H", data, _TARGET_OFFSET)
    if start <= _COMMENT or data[_COMMENT_NAME] != b"comment\0":
        return b""
    return data[_COMMENT : _COMMENT + COMMENT_LENGTH + 1].split(b"\0", 1)[0]
