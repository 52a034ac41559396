"""The parts of a rule's match that are matches of their own: a document's key → options of an iptables match."""

from __future__ import annotations

import re
from collections.abc import Callable
from ipaddress import IPv4Network
from typing import Final

from kdl.effects.iptables.names import BadRule, Names
from kdl.effects.iptables.rule import Match, Option
from kdl.effects.iptables.values import INTERFACE, MARK, flag, known, network, text
from kdl.fact import Document, Value, literal

_STATES: Final = ("INVALID", "NEW", "RELATED", "ESTABLISHED", "UNTRACKED", "SNAT", "DNAT")
_ADDRESS_TYPES: Final = frozenset({
    "UNSPEC", "UNICAST", "LOCAL", "BROADCAST", "ANYCAST", "MULTICAST", "BLACKHOLE", "UNREACHABLE", "PROHIBIT",
    "THROW", "NAT", "XRESOLVE",
})  # fmt: skip
_PROBABILITY = re.compile(r"0?\.\d+|[01](\.0*)?")


def recent(value: Value, names: Names) -> tuple[Match, bytes]:
    """The match by recent addresses, and the kernel's name of their list."""
    if not isinstance(value, Document):
        raise BadRule(f"recent is a document, not {literal(value)}")
    known(value, _RECENT_KEYS, "recent")
    name = value.get("name")
    if not isinstance(name, str) or not name or not name.isprintable() or " " in name or "/" in name:
        raise BadRule(f"recent needs a name without spaces and slashes, not {literal(name)}")
    kernel_name = (names.prefix + name).encode()
    if len(kernel_name) > 199:
        raise BadRule(f"recent's name `{name}` is too long")
    verbs = [verb for verb in ("set", "rcheck", "update") if flag(value, verb)]
    if len(verbs) != 1:
        raise BadRule("recent needs exactly one of set, rcheck, update")
    options: tuple[Option, ...] = ((verbs[0], ""),)
    seconds = value.get("seconds")
    if seconds is not None:
        if verbs == ["set"] or not isinstance(seconds, int) or not 0 < seconds < 2**31:
            raise BadRule("recent's seconds is a positive number, for rcheck and update")
        options += (("seconds", str(seconds)),)
    if flag(value, "reap"):
        if seconds is None:
            raise BadRule("recent's reap needs seconds")
        options += (("reap", ""),)
    return ("recent", options), kernel_name


def _conntrack(option: str) -> Callable[[Value], tuple[Match, ...]]:
    def options(value: Value) -> tuple[Match, ...]:
        if option == "ctorigdst":
            network(option, value)
            return (("conntrack", ((option, str(IPv4Network(str(value), strict=False))),)),)
        states = value if isinstance(value, tuple) else (value,)
        for state in states:
            if state not in _STATES:
                raise BadRule(f"ctstate {literal(state)} is none of {', '.join(_STATES)}")
        if not states:
            raise BadRule("ctstate names no state")
        return (("conntrack", ((option, ",".join(map(str, states))),)),)

    return options


def _mark(value: Value) -> tuple[Match, ...]:
    return (("mark", (("mark", text("mark", value, MARK)),)),)


def _probability(value: Value) -> tuple[Match, ...]:
    return (("statistic", (("mode", "random"), ("probability", text("probability", value, _PROBABILITY)))),)


def _addrtype(value: Value) -> tuple[Match, ...]:
    if not isinstance(value, Document) or not value:
        raise BadRule("addrtype is a document of dst, notDst, src, notSrc")
    known(value, _ADDRTYPE_KEYS, "addrtype")
    options: tuple[Option, ...] = ()
    for key, (option, sign) in _ADDRTYPE_OPTIONS.items():
        if key in value:
            if value[key] not in _ADDRESS_TYPES:
                raise BadRule(f"addrtype {literal(value[key])} is none of {', '.join(sorted(_ADDRESS_TYPES))}")
            options += ((option, sign + value[key]),)
    if len({option for option, _ in options}) < len(options):
        raise BadRule("addrtype takes one type for each direction")
    return (("addrtype", options),)


def _physdev(value: Value) -> tuple[Match, ...]:
    if not isinstance(value, Document) or not value:
        raise BadRule("physdev is a document of in, notIn, out, notOut, isBridged, isIn, isOut")
    known(value, _PHYSDEV_KEYS, "physdev")
    options: tuple[Option, ...] = ()
    for key, (option, sign) in _PHYSDEV_OPTIONS.items():
        if key in value:
            given = text(key, value[key], INTERFACE) if "is-" not in option else ("" if flag(value, key) else None)
            if given is not None:
                options += ((option, sign + given),)
    return (("physdev", options),)


MATCHES: Final[dict[str, Callable[[Value], tuple[Match, ...]]]] = {
    "ctstate": _conntrack("ctstate"), "ctorigdst": _conntrack("ctorigdst"), "mark": _mark,
    "probability": _probability, "addrtype": _addrtype, "physdev": _physdev,
}  # fmt: skip
_RECENT_KEYS: Final = frozenset({"name", "set", "rcheck", "update", "seconds", "reap"})
_ADDRTYPE_OPTIONS: Final = {
    "dst": ("dst-type", ""), "notDst": ("dst-type", "!"), "src": ("src-type", ""), "notSrc": ("src-type", "!"),
}  # fmt: skip
_ADDRTYPE_KEYS: Final = frozenset(_ADDRTYPE_OPTIONS)
_PHYSDEV_OPTIONS: Final = {
    "in": ("physdev-in", ""), "notIn": ("physdev-in", "!"), "out": ("physdev-out", ""), "notOut": ("physdev-out", "!"),
    "isBridged": ("physdev-is-bridged", ""), "isIn": ("physdev-is-in", ""), "isOut": ("physdev-is-out", ""),
}  # fmt: skip
_PHYSDEV_KEYS: Final = frozenset(_PHYSDEV_OPTIONS)
