"""The target of a rule and its parameters."""

from __future__ import annotations

from ipaddress import AddressValueError, IPv4Address
from typing import Final, NamedTuple

from kdl.effects.iptables.names import HOOKS, BadRule, Names
from kdl.effects.iptables.rule import Option
from kdl.effects.iptables.values import MARK, known, member, text
from kdl.fact import Document, Value, literal

VERDICTS: Final = frozenset({"ACCEPT", "DROP", "RETURN"})
_PARAMETERS: Final[dict[str, frozenset[str]]] = {
    "DNAT": frozenset({"toDestination"}),
    "MASQUERADE": frozenset(),
    "MARK": frozenset({"setXmark"}),
    "REJECT": frozenset({"rejectWith"}),
}
MODULES: Final = frozenset(_PARAMETERS)
"""The targets that are kernel modules."""

_TABLE: Final = {"DNAT": "nat", "MASQUERADE": "nat", "REJECT": "filter"}
_UNSUPPORTED: Final = frozenset({
    "AUDIT", "CHECKSUM", "CLASSIFY", "CLUSTERIP", "CONNMARK", "CONNSECMARK", "CT", "DNPT", "DSCP", "ECN", "HL",
    "HMARK", "IDLETIMER", "LED", "LOG", "MIRROR", "NETMAP", "NFLOG", "NFQUEUE", "NOTRACK", "QUEUE", "RATEEST",
    "REDIRECT", "SECMARK", "SET", "SNAT", "SNPT", "SYNPROXY", "TCPMSS", "TCPOPTSTRIP", "TEE", "TOS", "TPROXY",
    "TRACE", "TTL", "ULOG",
})  # fmt: skip
_REJECTS: Final = frozenset({
    "icmp-net-unreachable", "icmp-host-unreachable", "icmp-proto-unreachable", "icmp-port-unreachable",
    "icmp-net-prohibited", "icmp-host-prohibited", "icmp-admin-prohibited", "tcp-reset",
})  # fmt: skip


class Target(NamedTuple):
    """What a rule does with a packet."""

    module: str = ""
    """The kernel module that does it; empty for verdicts and jumps."""
    options: tuple[Option, ...] = ()
    to: tuple[bytes, int] | None = None
    """Where ``DNAT`` sends; port 0 leaves the port as it is."""
    chain: str | None = None
    """The kernel's name of the chain that is jumped to."""


def target_of(target: Value, document: Document, table: str, protocol: Value, names: Names) -> Target:
    """The checked target; raises `BadRule`."""
    if not isinstance(target, str) or not target:
        raise BadRule("a rule needs a target")
    params = member(document, "params")
    known(params, _PARAMETERS.get(target, frozenset()), f"{target} parameter")
    if target in VERDICTS:
        return Target()
    if target not in _PARAMETERS:
        if target in _UNSUPPORTED or target in HOOKS:
            raise BadRule(f"target {target} is not supported")
        return Target(chain=names.chain(target))
    if _TABLE.get(target, table) != table:
        raise BadRule(f"target {target} belongs into table {_TABLE[target]}, not {table}")
    if target == "MASQUERADE":
        return Target(target)
    if target == "REJECT":
        kind = params.get("rejectWith", "icmp-port-unreachable")
        if kind not in _REJECTS:
            raise BadRule(f"rejectWith {literal(kind)} is none of {', '.join(sorted(_REJECTS))}")
        if kind == "tcp-reset" and protocol != "tcp":
            raise BadRule("rejectWith tcp-reset needs the match protocol tcp")
        return Target(target, (("reject-with", str(kind)),))
    if target == "MARK":
        if "setXmark" not in params:
            raise BadRule("target MARK needs the parameter setXmark")
        return Target(target, (("set-xmark", text("setXmark", params["setXmark"], MARK)),))
    if protocol not in ("tcp", "udp", "sctp") and ":" in str(params.get("toDestination", "")):
        raise BadRule("DNAT to a port needs a protocol: tcp, udp or sctp")
    return Target(target, to=_destination(params.get("toDestination")))


def _destination(value: Value) -> tuple[bytes, int]:
    if not isinstance(value, str):
        raise BadRule("target DNAT needs the parameter toDestination: an address, or address:port")
    ip, colon, port = value.partition(":")
    if colon and not (port.isdecimal() and 0 < int(port) < 65536):
        raise BadRule(f"toDestination `{value}`: `{port}` is no port")
    try:
        return IPv4Address(ip).packed, int(port) if colon else 0
    except AddressValueError:
        raise BadRule(f"toDestination `{value}`: `{ip}` is no IPv4 address") from None
