"""Laws, for random chains, in a network namespace.

What ``iptables-legacy-save`` says is what the documents say, what was performed is observed, and where real packets
arrive is where the packet walker says.
"""

from __future__ import annotations

import itertools
import os
import re
import socket
import time
from collections.abc import Iterator
from ipaddress import IPv4Network
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from kdl.effects.iptables.names import Names
from tests.effects.iptables.namespace import CLUSTER, PREFIX, Node, address, digests, inside, require
from tests.effects.walker import Packet, Walker

pytestmark = pytest.mark.docker
Document = dict[str, Any]
LAW = settings(
    max_examples=int(os.environ.get("KDL_LAW_EXAMPLES", "40")),
    deadline=None,
    database=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow, HealthCheck.data_too_large],
)


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node with four pods."""
    require()
    made = Node(f"kdl-law-{os.getpid()}", pods=4)
    try:
        yield made
    finally:
        made.close()


# --- what is saved ------------------------------------------------------------------------------------------

ADDRESSES = st.builds(
    lambda number, length: str(IPv4Network((number, length), strict=False)),
    st.integers(0, 2**32 - 1), st.one_of(st.just(32), st.integers(0, 32)),
)  # fmt: skip
NUMBERS = st.integers(0, 65535)
PORTS = st.one_of(NUMBERS, st.tuples(NUMBERS, NUMBERS).map(lambda pair: "{}:{}".format(*sorted(pair))))
MARKS = st.builds(lambda value, mask: f"{value & mask:#x}/{mask:#x}", NUMBERS, st.integers(1, 2**32 - 1))
INTERFACES = st.from_regex(r"[a-z][a-z0-9.-]{0,13}\+?", fullmatch=True)
TYPES = st.sampled_from(["LOCAL", "UNICAST", "BROADCAST"])
TEXTS = st.text(max_size=300)


def either(draw: st.DrawFn, match: Document, key: str, values: st.SearchStrategy[Any]) -> None:
    """Perhaps add a key or its negation."""
    form = draw(st.sampled_from(["", "", key, f"not{key.capitalize()}"]))
    if form:
        match[form] = draw(values)


@st.composite
def documents(draw: st.DrawFn, table: str) -> Document:
    """Any rule document that a chain of this table may have."""
    match: Document = {}
    protocol = draw(st.sampled_from([None, "tcp", "udp", "sctp", "icmp"]))
    if protocol:
        match["protocol"] = protocol
    if protocol not in (None, "icmp"):
        match.update(draw(st.fixed_dictionaries({}, optional={"sport": PORTS, "dport": PORTS})))
    for key, values in (("source", ADDRESSES), ("destination", ADDRESSES), ("in", INTERFACES), ("out", INTERFACES)):
        either(draw, match, key, values)
    states = st.lists(st.sampled_from(["NEW", "RELATED", "ESTABLISHED", "INVALID", "DNAT"]), min_size=1, unique=True)
    seconds = st.integers(1, 10**6)
    recent = st.one_of(
        st.just({"set": True}), st.just({"update": True}), st.builds(lambda s: {"rcheck": True, "seconds": s}, seconds),
        st.builds(lambda s: {"update": True, "seconds": s, "reap": True}, seconds),
    ).map(lambda r: {**r, "name": "SEP-1"})  # fmt: skip
    types = st.fixed_dictionaries({"dst": TYPES}, optional={"notSrc": TYPES})
    physdev = st.fixed_dictionaries({"in": INTERFACES}, optional={"notOut": INTERFACES, "isBridged": st.just(True)})
    others = {
        "ctstate": states, "ctorigdst": ADDRESSES.filter(lambda cidr: not cidr.endswith("/0")), "mark": MARKS,
        "probability": st.integers(0, 10**10).map(lambda n: f"{n / 10**10:.10f}"), "recent": recent,
        "addrtype": types, "physdev": physdev,
    }  # fmt: skip
    for key in draw(st.lists(st.sampled_from(sorted(others)), unique=True, max_size=3)):
        match[key] = draw(others[key])
    target, params = draw(st.sampled_from(["ACCEPT", "DROP", "RETURN", "MARK", "REJECT", "DNAT", "JUMP"])), {}
    if target == "MARK":
        params = {"setXmark": draw(MARKS)}
    if target == "REJECT" and table == "nat":
        target = "SEP-1"
    if target == "REJECT":
        params = {"rejectWith": "tcp-reset" if protocol == "tcp" else "icmp-admin-prohibited"}
    if target == "DNAT" and table == "filter":
        target = "POD-1"
    if target == "DNAT":
        port = f":{draw(st.integers(1, 65535))}" if protocol not in (None, "icmp") else ""
        params = {"toDestination": draw(ADDRESSES).split("/")[0] + port}
    return {"match": match, "target": target, "params": params, "comment": draw(TEXTS)}


_WORDS = re.compile(r'"((?:\\.|[^"\\])*)"|(\S+)')
_ESCAPED = re.compile(r"\\(.)")
FLAGS = {"set", "rcheck", "update", "reap", "rsource", "physdev-is-bridged"}


def chance(probability: str) -> str:
    """A probability as the kernel keeps it."""
    return str(round(float(probability) * 2**31))


def said(line: str) -> set[tuple[str, str]]:
    """The options of a saved rule, those that only name modules left out; a negated one begins with ``!``."""
    words = [_ESCAPED.sub(r"\1", quoted) or bare for quoted, bare in _WORDS.findall(line)][2:]
    options, sign = set(), ""
    while words:
        word = words.pop(0)
        if word == "!":
            sign = "!"
            continue
        name = word.lstrip("-")
        wanted = "" if name in FLAGS else words.pop(0)
        if name == "probability":
            wanted = chance(wanted)
        if name == "ctstate":
            wanted = ",".join(sorted(wanted.split(",")))
        if name not in ("m", "mask", "rsource", "mode") and wanted != "0:65535":
            options.add((sign + name, wanted))
        sign = ""
    return options


def meant(document: Document) -> set[tuple[str, str]]:
    """The same, of a document."""
    options = {("comment", Names(CLUSTER).comment(document["comment"]).decode())}
    target = document["target"]
    options.add(("j", PREFIX + target if "-" in target or target == "JUMP" else target))
    parameters = {"setXmark": "set-xmark", "rejectWith": "reject-with", "toDestination": "to-destination"}
    options |= {(parameters[key], wanted) for key, wanted in document["params"].items()}
    for key, wanted in document["match"].items():
        plain = key[3:].lower() if key.startswith("not") else key
        sign = "!" if key.startswith("not") else ""
        if (plain in ("source", "destination") and (sign or wanted != "0.0.0.0/0")) or plain in ("in", "out"):
            options.add((sign + plain[0], wanted))
        elif plain == "protocol":
            options.add(("p", wanted))
        elif plain in ("sport", "dport"):
            first, _, last = str(wanted).partition(":")
            if (first, last) != ("0", "65535"):
                options.add((plain, first if last in ("", first) else wanted))
        elif plain == "ctstate":
            options.add((plain, ",".join(sorted(wanted))))
        elif plain == "ctorigdst":
            options.add((plain, wanted.removesuffix("/32")))
        elif plain == "mark":
            options.add((plain, wanted.removesuffix("/0xffffffff")))
        elif plain == "probability":
            options.add((plain, chance(wanted)))
        elif plain == "recent":
            options.add(("name", PREFIX + wanted["name"]))
            options |= {(name, "" if value is True else str(value)) for name, value in wanted.items() if name != "name"}
        elif plain in ("addrtype", "physdev"):
            for name, value in wanted.items():
                bare = name.removeprefix("not").lower() if name.startswith("not") else name
                form = f"{bare}-type" if plain == "addrtype" else f"physdev-{bare.replace('isBridged', 'is-bridged')}"
                options.add((("!" if name.startswith("not") else "") + form, "" if value is True else value))
    return options


@LAW
@given(filters=st.lists(documents("filter"), max_size=25), nats=st.lists(documents("nat"), max_size=25))
def test_what_is_saved_is_what_the_documents_say(node: Node, filters: list[Document], nats: list[Document]) -> None:
    # a chain that nothing reaches: the kernel refuses no target for the hook that it is reached from
    chains: dict[tuple[str, str], list[Document]] = {("filter", "RANDOM"): filters, ("nat", "RANDOM"): nats}
    assert node.driver.perform(chains) == [None, None]
    assert node.driver.observe() == digests(chains)
    text = node.saved()
    nat, rest = text.split("*nat"), text.split("*filter")
    found = {"nat": nat[1].split("COMMIT")[0], "filter": rest[1].split("COMMIT")[0]}
    for (table, _), rules in chains.items():
        lines = [line for line in found[table].splitlines() if line.startswith(f"-A {PREFIX}RANDOM ")]
        assert [said(line) for line in lines[1:]] == [meant(rule) for rule in rules]


# --- where packets arrive -----------------------------------------------------------------------------------

VIP = "10.96.0.10"
SERVED = (8001, 8002, 8003)
PODS = (1, 2, 3, 4)
POD_ADDRESSES = [address(pod) for pod in PODS]
SMALL_MARKS = st.sampled_from(["0x1/0x1", "0x0/0x1", "0x2/0x2", "0x0/0x2", "0x3/0x3"])


@st.composite
def small(draw: st.DrawFn, table: str, targets: list[str]) -> Document:
    """A rule about the few packets that are sent here."""
    match: Document = dict(draw(st.sampled_from([
        {}, {"protocol": "udp"}, {"protocol": "udp", "dport": 8001}, {"protocol": "udp", "dport": "8001:8002"},
        {"protocol": "tcp"},
    ])))  # fmt: skip
    places = st.sampled_from([*(f"{ip}/32" for ip in POD_ADDRESSES), "10.200.0.0/22", f"{VIP}/32", "0.0.0.0/0"])
    for key in draw(st.sampled_from([[], ["source"], ["destination"], ["source", "destination"]])):
        either(draw, match, key, places)
    if draw(st.integers(0, 3)) == 0:
        either(draw, match, "in", st.sampled_from(["pod1", "pod2", "pod+", "eth0"]))
    optional: dict[str, st.SearchStrategy[Any]] = {
        "mark": SMALL_MARKS, "ctstate": st.sampled_from([["NEW"], ["RELATED", "ESTABLISHED"]]),
        "ctorigdst": st.sampled_from([VIP, address(1)]), "addrtype": st.just({"notDst": "LOCAL"}),
    }  # fmt: skip
    key = draw(st.sampled_from(["", "", "", *sorted(optional)]))
    if key:
        match[key] = draw(optional[key])
    if table == "filter" and draw(st.integers(0, 3)) == 0:
        match["out"] = draw(st.sampled_from(["pod1", "pod3"]))
    target = draw(st.sampled_from(targets))
    params: dict[str, str] = {}
    if target == "MARK":
        params = {"setXmark": draw(SMALL_MARKS)}
    if target == "DNAT":
        match["protocol"] = "udp"
        params = {"toDestination": draw(st.sampled_from([f"{ip}:{port}" for ip in POD_ADDRESSES for port in SERVED]))}
    return {"match": match, "target": target, "params": params, "comment": target}


@st.composite
def systems(draw: st.DrawFn) -> dict[tuple[str, str], list[Document]]:
    """The chains of a small node; a chain jumps to later ones only."""

    def rules(table: str, *targets: str) -> list[Document]:
        return draw(st.lists(small(table, list(targets)), min_size=3, max_size=5))

    common = ("ACCEPT", "RETURN", "MARK", "MARK")
    return {
        ("nat", "PREROUTING"): rules("nat", *common, "DNAT", "A", "A", "B"),
        ("nat", "A"): rules("nat", "RETURN", "MARK", "DNAT", "DNAT", "B"),
        ("nat", "B"): rules("nat", "RETURN", "MARK", "DNAT"),
        ("filter", "FORWARD"): rules("filter", *common, "DROP", "REJECT", "A", "A", "B", "B"),
        ("filter", "A"): rules("filter", *common, "DROP", "B"),
        ("filter", "B"): rules("filter", *common, "DROP", "REJECT"),
        ("nat", "POSTROUTING"): rules("nat", "ACCEPT", "MASQUERADE"),
    }


@pytest.fixture(scope="module")
def receivers(node: Node) -> Iterator[dict[tuple[int, int], socket.socket]]:
    """A socket for each pod and port."""
    made = {}
    for pod in PODS:
        for port in SERVED:
            made[pod, port] = inside(node.pods[pod], lambda: socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            made[pod, port].bind(("0.0.0.0", port))
            made[pod, port].setblocking(False)
    yield made
    for receiver in made.values():
        receiver.close()


_SOURCE_PORTS = itertools.cycle(range(10000, 65000))
"""A port that was used lately belongs to a connection that the kernel remembers with its translation."""

Arrivals = dict[str, tuple[int, int, str]]


def send(node: Node, packets: dict[str, tuple[int, str, int]]) -> None:
    """Send packets, each by itself the first of a connection: what they say, from which pod, to where."""
    for pod in PODS:
        mine = [(text, to) for text, (source, *to) in packets.items() if source == pod]

        def sender(pod: int = pod, mine: list[tuple[str, list[Any]]] = mine) -> None:
            for text, (host, port) in mine:
                with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
                    out.bind((address(pod), next(_SOURCE_PORTS)))
                    out.sendto(text.encode(), (host, port))

        inside(node.pods[pod], sender)


def receive(receivers: dict[tuple[int, int], socket.socket], expected: int) -> Arrivals:
    """What arrives: where, and from whom. Waits for as many as are expected, and a little for more."""
    arrived: Arrivals = {}
    end = time.monotonic() + 1
    settled = False
    while True:
        for (pod, port), receiver in receivers.items():
            while True:
                try:
                    text, (source, _) = receiver.recvfrom(100)
                except BlockingIOError:
                    break
                arrived[text.decode()] = (pod, port, source)
        if settled or time.monotonic() > end:
            return arrived
        settled = len(arrived) >= expected
        time.sleep(0.01)


def foreseen(walker: Walker, pod: int, host: str, port: int) -> tuple[int, int, str] | None:
    """Where the walker says that a packet arrives, and from whom; None where it does not."""
    packet = Packet(address(pod), host, "udp", port, in_interface=f"pod{pod}")
    (path,) = walker.forward(packet).paths
    if path.verdict != "accepted" or path.destination not in POD_ADDRESSES:
        return None
    to = POD_ADDRESSES.index(path.destination) + 1
    if to == pod and not path.masqueraded:
        return None  # a pod takes no packet from outside that says to be from itself
    return to, path.port, f"10.200.{to}.1" if path.masqueraded else address(pod)


@LAW
@given(chains=systems())
def test_packets_arrive_where_the_walker_says(
    node: Node, receivers: dict[tuple[int, int], socket.socket], chains: dict[tuple[str, str], list[Document]]
) -> None:
    assert [error for error in node.driver.perform(chains) if error] == []
    assert {key: seen for key, seen in node.driver.observe().items() if key in chains} == digests(chains)
    local = ["127.0.0.1", *(f"10.200.{pod}.1" for pod in PODS)]
    walker = Walker(chains, local=local, route=lambda ip: f"pod{ip.split('.')[2]}" if ip in POD_ADDRESSES else "")
    packets = {
        f"{pod} {host} {port}": (pod, host, port)
        for pod in PODS for host in (VIP, *POD_ADDRESSES) if host != address(pod) for port in SERVED
    }  # fmt: skip
    expected = {text: place for text, to in packets.items() if (place := foreseen(walker, *to)) is not None}
    send(node, packets)
    assert receive(receivers, len(expected)) == expected
