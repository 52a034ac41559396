"""Verdicts of cyclonus's policy matcher against the network pack: its verdict rules and the chains that it derives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

import kdl
from kdl.fact import Row
from tests.effects.walker import Packet, Walker

from .recorded import cases, folders

Input = tuple[str, tuple[Any, ...]]
NODE = "n1"
SERVED: Input = ("node.served", (NODE, "192.168.1.0/24", "192.168.1.254"))
PROTOCOLS = ("TCP", "UDP", "SCTP")


def world(case: dict[str, Any]) -> Iterator[tuple[str, Input]]:
    """The facts of a case by what they are about: its namespaces, its pods, all on one node, and its policies."""
    ports = [
        {"containerPort": number, "protocol": protocol, "name": f"serve-{number}-{protocol.lower()}"}
        for number in (80, 81)
        for protocol in PROTOCOLS
    ]
    for identity, pod in case["pods"].items():
        namespace, name = identity.split("/")
        yield of("", "Namespace", {"metadata": {"name": namespace, "labels": pod["nsLabels"]}})
        document = {
            "metadata": {"name": name, "namespace": namespace, "labels": pod["podLabels"]},
            "spec": {"nodeName": NODE, "containers": [{"name": "serve", "ports": ports}]},
            "status": {"phase": "Running", "podIP": pod["ip"]},
        }
        yield of("", "Pod", document)
    for policy in case["policies"]:
        yield of("networking.k8s.io", "NetworkPolicy", policy)


def of(group: str, kind: str, document: dict[str, Any]) -> tuple[str, Input]:
    """An object's fact, under a name that is its own in the world."""
    metadata = document["metadata"]
    identity = f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]
    uid = f"{kind}-{identity}"
    stored = {**document, "metadata": {**metadata, "uid": uid}}
    return uid, ("core.object", (group, kind, identity, uid, stored))


def questions(case: dict[str, Any]) -> Iterator[tuple[tuple[str, str, str, int], bool]]:
    """The packets that a case asks about, each with whether it passes."""
    order = case["order"]
    for asked in case["verdicts"]:
        for source, row in zip(order, asked["rows"], strict=True):
            for destination, letter in zip(order, row, strict=True):
                if letter != ".":
                    yield (source, destination, asked["protocol"], asked["port"]), {"A": True, "B": False}[letter]


@pytest.fixture(scope="module")
def recorded() -> list[dict[str, Any]]:
    return cases("networkpolicy.jsonl.gz")


class Cluster:
    """One engine that goes from case to case by what differs between them."""

    def __init__(self) -> None:
        self.engine = kdl.Engine(kdl.compile(folders("core", "node", "network", "resources")))
        self.engine.apply(insert=[SERVED])
        self._there: dict[str, Input] = {}
        self._asked: set[Row] = set()

    def become(self, case: dict[str, Any]) -> None:
        """Hold the objects of a case and its questions, and nothing else."""
        wanted = dict(world(case))
        asked: set[Row] = {packet for packet, _ in questions(case)}
        self.engine.apply(
            insert=[
                *[fact for uid, fact in wanted.items() if self._there.get(uid) != fact],
                *[("network.packet", packet) for packet in asked - self._asked],
            ],
            remove=[
                *[fact for uid, fact in self._there.items() if wanted.get(uid) != fact],
                *[("network.packet", packet) for packet in self._asked - asked],
            ],
        )
        self._there, self._asked = wanted, asked

    def walker(self) -> Walker:
        """The chains of the node, ready to be walked."""
        chains: dict[tuple[str, str], Any] = {}
        for row in self.engine.facts("network.chain"):
            assert row[0] == NODE
            chains[str(row[1]), str(row[2])] = row[3]
        return Walker(chains)


def test_rules_and_chains_agree_with_every_recorded_verdict(
    recorded: list[dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    cluster = Cluster()
    agreed = blocked = 0
    wrong: list[str] = []
    for case in recorded:
        cluster.become(case)
        assert not cluster.engine.facts("kdl.fault"), case["case"]
        allowed = cluster.engine.facts("network.allowed")
        walker = cluster.walker()
        ips = {identity: pod["ip"] for identity, pod in case["pods"].items()}
        for packet, expected in questions(case):
            source, destination, protocol, port = packet
            walked = walker.forward(Packet(ips[source], ips[destination], protocol.lower(), port))
            found = (packet in allowed, walked.verdict)
            if found == (expected, "accepted" if expected else "dropped"):
                agreed += 1
                blocked += not expected
            else:
                wrong.append(f"{case['case']}: {packet}: expected {expected}, rules and chains say {found}")
    with capsys.disabled():
        print(
            f"\n  network policies: {agreed} of {agreed + len(wrong)} recorded verdicts agree with the rules and the"
            f" chains, in {len(recorded)} cases ({blocked} packets are blocked)"
        )
    assert not wrong, "\n".join(wrong[:20])
    assert (len(recorded), agreed) == (131, 55_620)
