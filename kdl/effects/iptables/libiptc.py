"""python-iptables: one table's chains and entries as bytes, and entries encoded from shapes. Imported nowhere else.

Why python-iptables, and not the iptables commands: it reads a table as the kernel has it, without text to parse, so
that a change by hand is seen byte by byte; a match or option that the libraries do not know is an error here; and
one process holds the lock over reading, changing and committing a table, which a pair of save and restore cannot.

python-iptables is global: extensions are parsed into shared structures and tables are cached for the process's first
network namespace. So `EXCLUSIVE` is held around everything here, and a process works in one network namespace.
"""

from __future__ import annotations

import ctypes
from collections.abc import Iterator
from functools import cache
from threading import RLock
from typing import Final

import iptc
from iptc import ip4tc

from kdl.effects.iptables.rule import Shape

EXCLUSIVE: Final = RLock()

ENTRY: Final = 112
"""The size of an entry's head; its matches follow."""

PORTS: Final = {"sport": (0x1234, 0x5679), "dport": (0x2345, 0x6789)}
NAME: Final = "kdl-name-to-fill-in"
COMMENT: Final = "kdl-comment-to-fill-in"
ADDRESS: Final = "203.0.113.77"
PORT: Final = 0x5AA6
"""What stands in an encoded shape where each rule's own values go."""


class KernelError(Exception):
    """The kernel, or the iptables libraries, refused."""


def encode(shape: Shape) -> bytes:
    """An entry of this shape, with placeholders for what is filled in; its target is empty unless it is a module."""
    with EXCLUSIVE:
        _permitted()
        try:
            return _encode(shape)
        except (iptc.IPTCError, iptc.XTablesError, AttributeError, ValueError, TypeError) as error:
            raise KernelError(f"iptables does not take {shape}: {error}") from error


@cache
def _permitted() -> None:
    """Raises `KernelError` without the right to read tables: libxtables would end the process then."""
    Table("filter")


def _encode(shape: Shape) -> bytes:
    rule = iptc.Rule()
    if shape.protocol is not None:
        rule.protocol = shape.protocol
    for option, interface in shape.interfaces:
        if option == "in":
            rule.in_interface = interface
        else:
            rule.out_interface = interface
    _match(rule, "comment", (("comment", COMMENT),))
    if shape.ports:
        _match(rule, str(shape.protocol), tuple([(port, "{}:{}".format(*PORTS[port])) for port in shape.ports]))
    for name, options in shape.matches:
        _match(rule, name, (*options, ("name", NAME)) if name == "recent" else options)
    target = iptc.Target(rule, shape.target, goto=False)
    destination = {"": "", "ip": ADDRESS, "ip:port": f"{ADDRESS}:{PORT}"}[shape.destination]
    for option, value in (*shape.options, *([("to-destination", destination)] if destination else [])):
        target.set_parameter(option, value)
    target._final_check()
    rule.target = target
    encoded = rule.rule
    if not encoded:
        raise ValueError("an empty rule")
    return bytes(encoded)


def _match(rule: iptc.Rule, name: str, options: tuple[tuple[str, str], ...]) -> None:
    match = rule.create_match(name)
    for option, value in options:
        match.set_parameter(option, value)
    match._final_check()  # the public one reads options back through the process's standard output


class Table:
    """One table, as it was read or changed since; changes reach the kernel together, by `commit`.

    Used under `EXCLUSIVE`; every error is a `KernelError`.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        try:
            self._table = iptc.Table(name, autocommit=False)
            self._table.refresh()
        except iptc.IPTCError as error:
            raise KernelError(f"table {name} cannot be read: {_words(error)}") from error
        self._lib = ip4tc.iptc

    def commit(self) -> None:
        """Put all changes into the kernel at once; afterwards the table is read anew."""
        try:
            self._table.commit()
            self._table.refresh()
        except iptc.IPTCError as error:
            raise KernelError(f"table {self.name}: {_words(error)}") from error

    def chains(self) -> list[str]:
        """The names of all chains."""
        names = []
        name = self._lib.iptc_first_chain(self._table._handle)
        while name:
            names.append(name.decode())
            name = self._lib.iptc_next_chain(self._table._handle)
        return names

    def entries(self, chain: str) -> Iterator[tuple[bytes, bytes]]:
        """The entries of a chain in order, each with its target's name (empty where it has none)."""
        handle, following, target = self._table._handle, self._lib.iptc_next_rule, self._lib.iptc_get_target
        entry = self._lib.iptc_first_rule(chain.encode(), handle)
        while entry:
            yield ctypes.string_at(entry, entry.contents.next_offset), target(entry, handle) or b""
            entry = following(entry, handle)

    def empty(self, chain: str) -> bool:
        """The chain has no entries."""
        return not self._lib.iptc_first_rule(chain.encode(), self._table._handle)

    def references(self, chain: str) -> int:
        """How many rules jump to the chain."""
        count = ctypes.c_uint()
        self._done(self._lib.iptc_get_references(ctypes.byref(count), chain.encode(), self._table._handle), chain)
        return count.value

    def create(self, chain: str) -> None:
        """Make an empty chain."""
        self._done(self._lib.iptc_create_chain(chain.encode(), self._table._handle), chain)

    def flush(self, chain: str) -> None:
        """Remove a chain's entries."""
        self._done(self._lib.iptc_flush_entries(chain.encode(), self._table._handle), chain)

    def delete(self, chain: str) -> None:
        """Remove an empty chain that nothing jumps to."""
        self._done(self._lib.iptc_delete_chain(chain.encode(), self._table._handle), chain)

    def append(self, chain: str, entries: list[bytes]) -> None:
        """Add entries at the chain's end."""
        append, handle, name = self._lib.iptc_append_entry, self._table._handle, chain.encode()
        for entry in entries:
            if append(name, entry, handle) != 1:
                self._done(0, chain)

    def insert(self, chain: str, entries: list[bytes], position: int) -> None:
        """Put entries before the one that is now at a position, counted from 0."""
        for offset, entry in enumerate(entries):
            number = ctypes.c_uint(position + offset)
            self._done(self._lib.iptc_insert_entry(chain.encode(), entry, number, self._table._handle), chain)

    def remove(self, chain: str, position: int) -> None:
        """Remove the entry at a position, counted from 0."""
        number = ctypes.c_uint(position)
        self._done(self._lib.iptc_delete_num_entry(chain.encode(), number, self._table._handle), chain)

    def _done(self, result: int, chain: str) -> None:
        if result != 1:
            raise KernelError(f"chain {chain} of table {self.name}: {_words(self._table.strerror())}")


def _words(error: object) -> str:
    return error.decode(errors="replace") if isinstance(error, bytes) else str(error)
