"""What becomes of a packet, by chain facts alone: a second reading of rule documents, sharing nothing with the driver.

Chains become Python functions, so that tens of thousands of packets a second can be asked about. A random match divides
the walk: all paths are walked, each with its probability. Anything in a document that is not understood here is an
error.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from fractions import Fraction
from functools import lru_cache
from typing import Any

ACCEPTED, DROPPED, REJECTED = "accepted", "dropped", "rejected"
_VERDICTS = {"ACCEPT": ACCEPTED, "DROP": DROPPED}
_WHOLE = Fraction(1)


@dataclass(frozen=True, slots=True)
class Packet:
    """The first packet of a connection, unless `state` says otherwise."""

    source: str
    destination: str
    protocol: str = "tcp"
    dport: int = 0
    sport: int = 40000
    in_interface: str = ""
    out_interface: str = ""
    state: str = "NEW"
    mark: int = 0
    bridge_in: str = ""
    """The bridge's port that it came in by, where it was bridged; `bridge_out` likewise."""
    bridge_out: str = ""


@dataclass(frozen=True, slots=True)
class Path:
    """One way that a packet may go."""

    probability: Fraction
    verdict: str
    destination: str
    """Where it goes, after DNAT; `port` likewise."""
    port: int
    translated: bool
    masqueraded: bool
    mark: int
    remembered: tuple[tuple[str, str], ...]
    """The lists of recent addresses that it was put on, each with the address."""


@dataclass(frozen=True, slots=True)
class Fate:
    """All ways that a packet may go."""

    paths: tuple[Path, ...]

    @property
    def verdict(self) -> str:
        """What becomes of it in the end; `ValueError` when that is a matter of chance."""
        if len(verdicts := {path.verdict for path in self.paths}) > 1:
            raise ValueError(f"chance decides between {', '.join(sorted(verdicts))}")
        return self.paths[0].verdict

    @property
    def destinations(self) -> dict[tuple[str, int], Fraction]:
        """Where DNAT may send it, each with its probability."""
        found: dict[tuple[str, int], Fraction] = {}
        for path in self.paths:
            if path.translated:
                place = (path.destination, path.port)
                found[place] = found.get(place, Fraction()) + path.probability
        return found


@dataclass(slots=True)
class _Walk:
    """A packet on its way, as the chains' functions see it."""

    source: int
    destination: int
    protocol: str
    dport: int
    sport: int
    inward: str
    outward: str
    state: str
    mark: int
    bridge_in: str
    bridge_out: str
    original: int
    script: list[bool]
    """What chance decides, decision by decision; longer than it was when new decisions came up."""
    seen: Collection[tuple[str, str]]
    decided: int = 0
    probability: Fraction = _WHOLE
    translated: bool = False
    masqueraded: bool = False
    remembered: list[tuple[str, str]] = field(default_factory=list)

    def chance(self, probability: Fraction) -> bool:
        """Take this decision as the script says; a new one is yes the first time."""
        if self.decided == len(self.script):
            self.script.append(True)
        taken = self.script[self.decided]
        self.decided += 1
        self.probability *= probability if taken else 1 - probability
        return taken

    def recent(self, name: str, verb: str) -> bool:
        """A list of recent addresses: put on it, or asked for."""
        entry = (name, text_of(self.source))
        known = entry in self.seen
        if verb == "set" or (verb == "update" and known):
            self.remembered.append(entry)
        return verb == "set" or known


class Walker:
    """The chains of a node, ``{(table, chain): rules}``, ready to be walked.

    `local` are the node's own addresses, `seen` what is on lists of recent addresses as (list, address), `policies`
    of built-in chains are ACCEPT unless given. `route` tells by which interface an address is reached, after DNAT;
    without it packets say so themselves.
    """

    def __init__(
        self,
        chains: Mapping[tuple[str, str], Sequence[Mapping[str, Any]]],
        local: Collection[str] = (),
        seen: Collection[tuple[str, str]] = (),
        policies: Mapping[tuple[str, str], str] | None = None,
        route: Callable[[str], str] | None = None,
    ) -> None:
        self._route = route
        self._policies = {key: _VERDICTS[policy] for key, policy in (policies or {}).items()}
        self._seen = frozenset(seen)
        names = {key: f"chain_{number}" for number, key in enumerate(chains)}
        scope: dict[str, Any] = {"Fraction": Fraction, "LOCAL": frozenset(map(number_of, local))}
        source = "\n".join(_function(names, key, rules) for key, rules in chains.items())
        exec(compile(source, "<chains>", "exec"), scope)
        self._chains = {key: scope[name] for key, name in names.items()}

    def forward(self, packet: Packet) -> Fate:
        """What becomes of a packet that is on its way through the node."""
        return self._fate(packet, "PREROUTING", "FORWARD", "POSTROUTING")

    def inward(self, packet: Packet) -> Fate:
        """What becomes of a packet to the node itself."""
        return self._fate(packet, "PREROUTING", "INPUT", "INPUT")

    def outward(self, packet: Packet) -> Fate:
        """What becomes of a packet from the node itself."""
        return self._fate(packet, "OUTPUT", "OUTPUT", "POSTROUTING")

    def _fate(self, packet: Packet, before: str, between: str, after: str) -> Fate:
        paths = []
        script: list[bool] | None = []
        while script is not None:
            path = self._path(packet, script, before, between, after)
            if path.probability:
                paths.append(path)
            while script and not script[-1]:
                script.pop()
            script = [*script[:-1], False] if script else None
        return Fate(tuple(paths))

    def _path(self, p: Packet, script: list[bool], before: str, between: str, after: str) -> Path:
        destination = number_of(p.destination)
        walk = _Walk(
            number_of(p.source), destination, p.protocol, p.dport, p.sport, p.in_interface, p.out_interface, p.state,
            p.mark, p.bridge_in, p.bridge_out, destination, script, self._seen,
        )  # fmt: skip
        new = p.state == "NEW"  # only a connection's first packet passes nat
        verdict = self._run("nat", before, walk) if new else ACCEPTED
        if self._route is not None:
            walk.outward = self._route(text_of(walk.destination))
        if verdict == ACCEPTED:
            verdict = self._run("filter", between, walk)
        if verdict == ACCEPTED and new:
            verdict = self._run("nat", after, walk)
        return Path(
            walk.probability, verdict, text_of(walk.destination), walk.dport, walk.translated, walk.masqueraded,
            walk.mark, tuple(walk.remembered),
        )  # fmt: skip

    def _run(self, table: str, chain: str, walk: _Walk) -> str:
        function = self._chains.get((table, chain))
        verdict: str | None = function(walk) if function else None
        return verdict or self._policies.get((table, chain), ACCEPTED)


@lru_cache(maxsize=65536)
def number_of(address: str) -> int:
    """An IPv4 address as a number."""
    parts = [int(part) for part in address.split(".")]
    if len(parts) != 4 or not all(0 <= part < 256 for part in parts):
        raise ValueError(f"no IPv4 address: {address}")
    return parts[0] << 24 | parts[1] << 16 | parts[2] << 8 | parts[3]


@lru_cache(maxsize=65536)
def text_of(number: int) -> str:
    """A number as an IPv4 address."""
    return ".".join(str(number >> shift & 255) for shift in (24, 16, 8, 0))


def _function(names: Mapping[tuple[str, str], str], key: tuple[str, str], rules: Sequence[Mapping[str, Any]]) -> str:
    """A chain as a Python function: what it decides about a packet, None where it returns."""
    lines = [f"def {names[key]}(p):"]
    for rule in rules:
        _known(rule, "match", "target", "params", "comment")
        tests = list(_tests(rule.get("match") or {}))
        lines.append(f"    if {' and '.join(tests) or 'True'}:")
        lines += [f"        {line}" for line in _action(names, key[0], rule["target"], rule.get("params") or {})]
    return "\n".join([*lines, "    return None"])


def _action(names: Mapping[tuple[str, str], str], table: str, target: str, params: Mapping[str, Any]) -> Iterator[str]:
    if target in _VERDICTS:
        _known(params)
        yield f"return {_VERDICTS[target]!r}"
    elif target == "RETURN":
        _known(params)
        yield "return None"
    elif target == "REJECT":
        _known(params, "rejectWith")
        yield f"return {REJECTED!r}"
    elif target == "MARK":
        _known(params, "setXmark")
        value, mask = _mark(params["setXmark"])
        yield f"p.mark = p.mark & {~mask & 0xFFFFFFFF} ^ {value}"
    elif target == "MASQUERADE":
        _known(params)
        yield "p.masqueraded = True"
        yield f"return {ACCEPTED!r}"
    elif target == "DNAT":
        _known(params, "toDestination")
        address, _, port = params["toDestination"].partition(":")
        yield f"p.destination, p.translated = {number_of(address)}, True"
        if port:
            yield f"p.dport = {int(port)}"
        yield f"return {ACCEPTED!r}"
    elif (table, target) in names:
        _known(params)
        yield f"verdict = {names[table, target]}(p)"
        yield "if verdict is not None: return verdict"
    else:
        raise ValueError(f"a rule jumps to {target}, which is no chain of table {table}")


def _tests(match: Mapping[str, Any]) -> Iterator[str]:
    """The tests of a match; chance and recent lists come last: they are asked when all else matches."""
    _known(
        match, "protocol", "source", "notSource", "destination", "notDestination", "sport", "dport", "in", "notIn",
        "out", "notOut", "ctstate", "ctorigdst", "mark", "probability", "recent", "addrtype", "physdev",
    )  # fmt: skip
    if "protocol" in match:
        yield f"p.protocol == {str(match['protocol'])!r}"
    for key, attribute in (("source", "source"), ("destination", "destination"), ("ctorigdst", "original")):
        if key in match:
            yield _within(attribute, match[key])
        if (negated := f"not{key.capitalize()}") in match:
            yield f"not {_within(attribute, match[negated])}"
    for key in ("sport", "dport"):
        if key in match:
            first, _, last = str(match[key]).partition(":")
            yield f"{int(first)} <= p.{key} <= {int(last or first)}"
    yield from _interfaces(match, {"in": "inward", "out": "outward"})
    if "ctstate" in match:
        yield f"p.state in {tuple(match['ctstate'])!r}"
    if "mark" in match:
        value, mask = _mark(match["mark"])
        yield f"p.mark & {mask} == {value}"
    if "addrtype" in match:
        yield from _address_types(match["addrtype"])
    if "physdev" in match:
        physdev = match["physdev"]
        _known(physdev, "in", "notIn", "out", "notOut", "isBridged", "isIn", "isOut")
        yield from _interfaces(physdev, {"in": "bridge_in", "out": "bridge_out"})
        for key, test in (("isIn", "p.bridge_in"), ("isOut", "p.bridge_out"), ("isBridged", "p.bridge_out")):
            if physdev.get(key):
                yield f"{test} != ''"
    if "probability" in match:
        yield f"p.chance(Fraction({str(match['probability'])!r}))"
    if "recent" in match:
        recent = match["recent"]
        _known(recent, "name", "set", "rcheck", "update", "seconds", "reap")
        (verb,) = [verb for verb in ("set", "rcheck", "update") if recent.get(verb)]
        yield f"p.recent({recent['name']!r}, {verb!r})"


def _within(attribute: str, cidr: str) -> str:
    address, _, length = cidr.partition("/")
    mask = 0xFFFFFFFF << 32 - int(length or 32) & 0xFFFFFFFF
    number = number_of(address) & mask
    return f"(p.{attribute} == {number})" if mask == 0xFFFFFFFF else f"(p.{attribute} & {mask} == {number})"


def _interfaces(match: Mapping[str, Any], attributes: Mapping[str, str]) -> Iterator[str]:
    for key, attribute in attributes.items():
        for name, sign in ((match.get(key), ""), (match.get(f"not{key.capitalize()}"), "not ")):
            if name is not None:
                test = (
                    f"p.{attribute}.startswith({name[:-1]!r})" if name.endswith("+") else f"p.{attribute} == {name!r}"
                )
                yield f"{sign}({test})"


def _address_types(types: Mapping[str, Any]) -> Iterator[str]:
    _known(types, "dst", "notDst", "src", "notSrc")
    for key, attribute in (("dst", "destination"), ("src", "source")):
        for wanted, sign in ((types.get(key), ""), (types.get(f"not{key.capitalize()}"), "not ")):
            if wanted not in (None, "LOCAL"):
                raise ValueError(f"address type {wanted} is not known here")
            if wanted is not None:
                yield f"{sign}(p.{attribute} in LOCAL)"


def _mark(text: str) -> tuple[int, int]:
    value, _, mask = text.partition("/")
    return int(value, 0), int(mask, 0) if mask else 0xFFFFFFFF


def _known(document: Mapping[str, Any], *keys: str) -> None:
    unknown = document.keys() - set(keys)
    if unknown:
        raise ValueError(f"not understood: {', '.join(sorted(unknown))}")
