"""What is ours in one table: written as whole chains, read back as digests.

Each of our chains, and our part of each built-in chain, begins with a marker: a rule that does nothing and whose
comment holds the digest of the desired row and a checksum of the rules after it. Where the checksum does not fit what
is there, somebody changed it, and the digest that is observed says so. Our part of a built-in chain comes before all
rules but those of other clusters, which are as good in front of ours as behind.

A rule may jump to a chain that is not there yet, or not any more: such a chain is kept, empty and without a marker, for
as long as something jumps to it, and is not observed.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from kdl.effects.iptables.encode import Entry, checksum, comment_of, encode, marker
from kdl.effects.iptables.libiptc import KernelError, Table
from kdl.effects.iptables.names import HOOKS, Names
from kdl.effects.iptables.rule import Rule

_MARK = b"# "
_ANY_CLUSTER = b"kdl:"


@dataclass(frozen=True, slots=True)
class Change:
    """A chain by its logical name, with the entries that it is to have; None removes it."""

    chain: str
    entries: list[bytes] | None
    jumps: frozenset[str] = frozenset()
    """The kernel's names of the chains that its rules jump to."""


def change_of(chain: str, rules: list[Rule], digest: str, names: Names) -> Change:
    """The change that makes a chain have these rules."""
    entries = [encode(rule) for rule in rules]
    first = marker(names.comment_prefix + _MARK + f"{digest} {checksum(entries)}".encode())
    jumps = frozenset(rule.chain for rule in rules if rule.chain is not None)
    return Change(chain, [first, *[data for data, _ in entries]], jumps)


def apply(table: Table, changes: Iterable[Change], names: Names) -> None:
    """Make all changes in a table as it was read; the caller commits."""
    changes = list(changes)
    there = set(table.chains())
    wanted = {
        names.chain(change.chain) for change in changes if change.entries is not None and change.chain not in HOOKS
    }
    for chain in sorted(wanted.union(*[change.jumps for change in changes]) - there):
        table.create(chain)
    for change in changes:
        if change.chain in HOOKS:
            _hook(table, change, names)
        else:
            chain = names.chain(change.chain)
            if chain in there:
                table.flush(chain)
            if change.entries is not None:
                table.append(chain, change.entries)
    _sweep(table, names)


def _hook(table: Table, change: Change, names: Names) -> None:
    if change.chain not in table.chains():
        return
    comments = [comment_of(data) for data, _ in table.entries(change.chain)]
    for position in reversed(range(len(comments))):
        if comments[position].startswith(names.comment_prefix):
            table.remove(change.chain, position)
    if change.entries is not None:
        table.insert(change.chain, change.entries, 0)


def _sweep(table: Table, names: Names) -> None:
    """Delete our chains that are empty and that nothing jumps to."""
    for chain in table.chains():
        if names.logical(chain) is not None and table.empty(chain) and not table.references(chain):
            table.delete(chain)


def read(table: Table, names: Names) -> Iterator[tuple[str, str]]:
    """Our chains by their logical names, each with its desired row's digest, or what tells that it differs."""
    for chain in table.chains():
        logical = names.logical(chain)
        if logical is not None:
            entries = list(table.entries(chain))
            if entries:
                yield logical, _digest(entries, names)
        elif chain in HOOKS:
            entries = list(table.entries(chain))
            comments = [comment_of(data) for data, _ in entries]
            mine = [at for at, comment in enumerate(comments) if comment.startswith(names.comment_prefix)]
            if mine:
                digest = _digest([entries[at] for at in mine], names)
                in_front = all(comment.startswith(_ANY_CLUSTER) for comment in comments[: mine[-1]])
                yield chain, digest if in_front else f"behind other rules: {digest}"


def _digest(entries: list[Entry], names: Names) -> str:
    """What the marker says, if it is the first rule and the others are as it says."""
    start = names.comment_prefix + _MARK
    comment = comment_of(entries[0][0])
    actual = checksum(entries[1:])
    words = comment[len(start) :].decode(errors="replace").split(" ")
    if comment.startswith(start) and entries[0][1] == b"" and len(words) == 2 and words[1] == actual:
        return words[0]
    return f"changed by hand: {actual}"


def remove_all(table: Table, names: Names) -> None:
    """Remove everything of ours; the caller commits."""
    ours = [chain for chain in table.chains() if chain in HOOKS or names.logical(chain) is not None]
    apply(table, [Change(names.logical(chain) or chain, None) for chain in ours], names)


def left_over(table: Table, names: Names) -> list[str]:
    """What is there of ours, by the kernel's names."""
    found = []
    for chain in table.chains():
        if names.logical(chain) is not None:
            found.append(chain)
        elif any(comment_of(data).startswith(names.comment_prefix) for data, _ in table.entries(chain)):
            found.append(f"our rules in {chain}")
    return found


__all__ = ["Change", "KernelError", "Table", "apply", "change_of", "left_over", "read", "remove_all"]
