"""What is ours in a table: the names of our chains and the comments of our rules.

Facts speak of logical chains (``SVC-0123456789AB``); in the kernel a chain's name begins with ``KDL-`` and four digits
of the cluster's uid, and a rule's comment with ``kdl:`` and the same digits. Another cluster's prefix is not ours.
"""

from __future__ import annotations

import re
from hashlib import blake2b
from typing import Final

BUILT_IN: Final = {
    "filter": frozenset({"INPUT", "FORWARD", "OUTPUT"}),
    "nat": frozenset({"PREROUTING", "INPUT", "OUTPUT", "POSTROUTING"}),
}
"""The tables that we keep chains in, each with the kernel's own chains."""

HOOKS: Final = frozenset({"PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"})
CHAIN_LENGTH: Final = 28
COMMENT_LENGTH: Final = 255

_HEX = re.compile(r"[0-9a-f]{4}")
_LOGICAL = re.compile(r"[A-Za-z0-9_.-]+")


class BadRule(Exception):
    """A chain or rule that cannot be put into the kernel; says why in the user's words."""


class Names:
    """The names of one cluster."""

    def __init__(self, cluster: str) -> None:
        digits = _HEX.match(cluster)
        self.tag = digits[0] if digits else blake2b(cluster.encode(), digest_size=2).hexdigest()
        self.prefix = f"KDL-{self.tag}-"
        self.comment_prefix = f"kdl:{self.tag}:".encode()
        self._chains: dict[str, str] = {}

    def chain(self, logical: str) -> str:
        """The kernel's name of a logical chain."""
        known = self._chains.get(logical)
        if known is not None:
            return known
        name = self.prefix + logical
        if not _LOGICAL.fullmatch(logical):
            raise BadRule(f"`{logical}` is no chain name: letters, digits and `-_.` only")
        if len(name) > CHAIN_LENGTH:
            raise BadRule(f"chain `{logical}`: `{name}` is too long, iptables takes {CHAIN_LENGTH} characters")
        if len(self._chains) >= 100_000:
            self._chains.clear()
        self._chains[logical] = name
        return name

    def logical(self, chain: str) -> str | None:
        """The logical name of a chain of ours, None for others."""
        return chain[len(self.prefix) :] if chain.startswith(self.prefix) else None

    def comment(self, text: str) -> bytes:
        """A rule's comment as the kernel keeps it: marked as ours, one line, cut where it is too long."""
        if not text.isprintable():
            text = "".join([letter if letter.isprintable() else "?" for letter in text])
        comment = self.comment_prefix + text.encode()
        if len(comment) <= COMMENT_LENGTH:
            return comment
        return comment[: COMMENT_LENGTH - 3].decode(errors="ignore").encode() + "…".encode()
