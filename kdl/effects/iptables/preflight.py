"""Which of the kernel's two kinds of iptables tables the host's own rules are in, and what that means for ours.

kdl's rules are in the legacy tables, python-iptables knows no other. Where the host's ``iptables`` command is the nft
one, its rules are in nft tables, and a packet passes both kinds: what either drops is dropped, and an ACCEPT in one is
no answer to a DROP in the other.
"""

from __future__ import annotations

import re
import shutil
import subprocess

_RULE = re.compile(r"-A (\S+)")
_POLICY = re.compile(r":(INPUT|FORWARD|OUTPUT) DROP\b")
_TABLE = re.compile(r"\*(\w+)")


def tables() -> str:
    """One sentence that begins with ``legacy``, ``nft`` (without the host's rules) or ``mixed`` (with them)."""
    version = _output("iptables", "--version")
    if version is None:
        return "legacy: the host has no iptables command; kdl's rules are in the legacy tables"
    if "nf_tables" not in version:
        return "legacy: the host's iptables command and kdl use the same tables"
    found = foreign(_output("iptables-nft-save") or "")
    if not found:
        return "nft: the host's iptables command is the nft one, without rules; `iptables-legacy` shows kdl's rules"
    return (
        f"mixed: the host keeps rules in nft tables ({', '.join(found)}) and kdl in the legacy ones; a packet passes "
        "both, so what those rules drop kdl cannot accept: let them accept the pods' addresses, or move them with "
        "`iptables-nft-save | iptables-legacy-restore`; `iptables-legacy` shows kdl's rules"
    )


def foreign(saved: str) -> list[str]:
    """What an ``iptables-save`` text holds, table by table: rules with their number, and policies that drop."""
    found: list[str] = []
    rules: dict[str, int] = {}
    name = ""
    for line in saved.splitlines():
        if table := _TABLE.match(line):
            name = table[1]
        elif policy := _POLICY.match(line):
            found.append(f"{name} {policy[1]} drops by policy")
        elif _RULE.match(line):
            rules[name] = rules.get(name, 0) + 1
    return [f"{name}: {count} rules" for name, count in rules.items()] + found


def _output(*argv: str) -> str | None:
    """What a command prints; None where there is no such command or it fails."""
    path = shutil.which(argv[0]) or shutil.which(argv[0], path="/usr/sbin:/sbin")
    if path is None:
        return None
    done = subprocess.run([path, *argv[1:]], capture_output=True, text=True, timeout=20, stdin=subprocess.DEVNULL)
    return done.stdout if done.returncode == 0 else None
