"""The nouns between a rule document and the kernel's bytes.

A `Rule` is a `Shape`, which rules share and which is encoded once, and what differs between rules of one shape.
"""

from __future__ import annotations

from typing import Final, NamedTuple

Option = tuple[str, str]
"""An option of a match or target as iptables writes it; the value begins with ``!`` when it is negated."""


Match = tuple[str, tuple[Option, ...]]
"""A match by its module's name, with its options."""


class Shape(NamedTuple):
    """What rules that are encoded alike have in common."""

    protocol: str | None = None
    interfaces: tuple[Option, ...] = ()
    ports: tuple[str, ...] = ()
    matches: tuple[Match, ...] = ()
    """Further matches with their options: ``("mark", (("mark", "0x1/0x1"),))``."""
    named: bool = False
    """The last of `matches` is ``recent``, whose name differs between rules."""
    target: str = ""
    """A target that is a kernel module; empty for verdicts and jumps."""
    options: tuple[Option, ...] = ()
    destination: str = ""
    """What ``DNAT`` is given: ``ip`` or ``ip:port``."""


class Rule(NamedTuple):
    """One rule: its shape, and what is filled in."""

    shape: Shape
    source: bytes
    """Address and mask, eight bytes, network order."""
    target_address: bytes
    inverted: int
    ports: tuple[tuple[int, int], ...]
    name: bytes
    """The name of the ``recent`` list."""
    jump: bytes
    """The verdict, the kernel's name of the chain, or the module."""
    chain: str | None
    """The kernel's name of a chain that is jumped to."""
    to: tuple[bytes, int] | None
    """Where ``DNAT`` sends."""
    comment: bytes


ANYWHERE: Final = bytes(8)
"""The address and mask that every address matches."""

NO_SHAPE: Final = Shape()
SOURCE_INVERTED: Final = 0x08
DESTINATION_INVERTED: Final = 0x10
"""Bits of an entry that negate an address."""
