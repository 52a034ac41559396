"""Rule documents: from the JSON of a chain fact to a checked `Rule`.

A key or value that is not known here is refused, never left out: a rule that says less than its document would let
through what it should stop.
"""

from __future__ import annotations

from typing import Final

from kdl.effects.iptables.matches import MATCHES, recent
from kdl.effects.iptables.names import BUILT_IN, BadRule, Names
from kdl.effects.iptables.rule import (
    ANYWHERE,
    DESTINATION_INVERTED,
    SOURCE_INVERTED,
    Match,
    Option,
    Rule,
    Shape,
)
from kdl.effects.iptables.targets import target_of
from kdl.effects.iptables.values import INTERFACE, known, member, network, port, text
from kdl.fact import Document, Value, literal

_EXCLUSIVE: Final = (("source", "notSource"), ("destination", "notDestination"), ("in", "notIn"), ("out", "notOut"))
_SOURCE_KEYS: Final = {"source": 0, "notSource": SOURCE_INVERTED}
_DESTINATION_KEYS: Final = {"destination": 0, "notDestination": DESTINATION_INVERTED}
_INTERFACE_KEYS: Final = {"in": ("in", ""), "notIn": ("in", "!"), "out": ("out", ""), "notOut": ("out", "!")}
_PORT_KEYS: Final = frozenset({"sport", "dport"})
_RULE_KEYS: Final = frozenset({"match", "target", "params", "comment"})
_MATCH_KEYS: Final = frozenset({
    "protocol", "recent", *_SOURCE_KEYS, *_DESTINATION_KEYS, *_INTERFACE_KEYS, *_PORT_KEYS, *MATCHES
})  # fmt: skip


def rules_of(document: Value, table: str, names: Names) -> list[Rule]:
    """The rules of a chain fact; raises `BadRule`, which names the rule that is wrong."""
    if table not in BUILT_IN:
        raise BadRule(f"no table `{table}`: chains are kept in {' and '.join(BUILT_IN)}")
    if not isinstance(document, tuple):
        raise BadRule(f"rules are a list, not {literal(document)}")
    rules = []
    for number, item in enumerate(document, 1):
        try:
            rules.append(rule_of(item, table, names))
        except BadRule as error:
            comment = item.get("comment", "") if isinstance(item, Document) else ""
            raise BadRule(f"rule {number}{f' ({comment})' if comment else ''}: {error}") from None
    return rules


def rule_of(document: Value, table: str, names: Names) -> Rule:
    """The rule that a document stands for; raises `BadRule`."""
    if not isinstance(document, Document):
        raise BadRule(f"a rule is a document, not {literal(document)}")
    known(document, _RULE_KEYS, "rule")
    match = member(document, "match")
    known(match, _MATCH_KEYS, "match")
    source = target_address = ANYWHERE
    inverted = 0
    ports: tuple[tuple[int, int], ...] = ()
    port_names: tuple[str, ...] = ()
    interfaces: tuple[Option, ...] = ()
    matches: tuple[Match, ...] = ()
    name = b""
    for key, value in match.items():
        if key in _SOURCE_KEYS:
            source, inverted = network(key, value), inverted | _SOURCE_KEYS[key]
        elif key in _DESTINATION_KEYS:
            target_address, inverted = network(key, value), inverted | _DESTINATION_KEYS[key]
        elif key in _INTERFACE_KEYS:
            option, sign = _INTERFACE_KEYS[key]
            interfaces += ((option, sign + text(key, value, INTERFACE)),)
        elif key in _PORT_KEYS:
            ports, port_names = (*ports, port(key, value)), (*port_names, key)
    protocol = match.get("protocol")
    if protocol is not None and protocol not in ("tcp", "udp", "sctp", "icmp"):
        raise BadRule(f"protocol {literal(protocol)} is none of tcp, udp, sctp, icmp")
    if ports and protocol not in ("tcp", "udp", "sctp"):
        raise BadRule("a port needs a protocol: tcp, udp or sctp")
    for one, other in _EXCLUSIVE:
        if one in match and other in match:
            raise BadRule(f"`{one}` and `{other}` are one match: only one of them can be given")
    for key, options in MATCHES.items():
        if key in match:
            matches += options(match[key])
    named = "recent" in match
    if named:
        recently, name = recent(match["recent"], names)
        matches += (recently,)
    target = target_of(document.get("target"), document, table, protocol, names)
    comment = document.get("comment", "")
    if not isinstance(comment, str):
        raise BadRule(f"a comment is a text, not {literal(comment)}")
    destination = "" if target.to is None else "ip:port" if target.to[1] else "ip"
    shape = Shape(protocol, interfaces, port_names, matches, named, target.module, target.options, destination)
    jump = (target.chain or str(document["target"])).encode()
    comment_bytes = names.comment(comment)
    return Rule(
        shape, source, target_address, inverted, ports, name, jump, target.chain, target.to, comment_bytes
    )  # fmt: skip
