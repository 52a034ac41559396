"""What the network pack derives, in a kernel: every shape of its rules is taken, and packets go as services say."""

from __future__ import annotations

import json
import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import kdl
from kdl.fact import plain
from tests.effects.iptables.namespace import Node, address, digests, require, run

pytestmark = pytest.mark.docker
POLICIES = Path(__file__).parents[3] / "policies"
PACKS = [POLICIES / name for name in ("core", "node", "network", "resources")]
STICKY, PLAIN, EMPTY = "10.96.0.10", "10.96.0.11", "10.96.0.12"
NODE_PORT, HOST_PORT = 30080, 8123
Chains = dict[tuple[str, str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def node() -> Iterator[Node]:
    """A node with three pods that serve and two that ask; it has the chains of `objects`."""
    require()
    made = Node(f"kdl-der-{os.getpid()}", pods=5)
    try:
        made.serve(1, 2, 3)
        run("ip", "-n", made.name, "route", "add", "10.96.0.0/12", "dev", "pod1")  # as nodes have; no packet gets there
        assert [error for error in made.driver.perform(derived()) if error] == []
        yield made
    finally:
        made.close()


def objects() -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Three ready pods behind services of every kind, a policy for the third, and pods that ask."""
    yield "", "Namespace", {"metadata": {"name": "default", "labels": {"team": "shop"}}}
    for pod in (1, 2, 3, 4, 5):
        labels = {"app": "web" if pod <= 3 else "client", "pod": f"p{pod}"}
        port: dict[str, Any] = {"containerPort": 8080, "name": "http"}
        if pod == 2:
            port["hostPort"] = HOST_PORT
        yield "", "Pod", {
            "metadata": {"name": f"p{pod}", "namespace": "default", "labels": labels},
            "spec": {"nodeName": "n1", "containers": [{"name": "c", "ports": [port]}]},
            "status": {
                "phase": "Running", "podIP": address(pod), "conditions": [{"type": "Ready", "status": "True"}],
            },
        }  # fmt: skip
    affinity: dict[str, Any] = {
        "sessionAffinity": "ClientIP",
        "sessionAffinityConfig": {"clientIP": {"timeoutSeconds": 60}},
    }
    yield service("sticky", STICKY, {"app": "web"}, **affinity)
    yield service("plain", PLAIN, {"app": "web"}, NODE_PORT, type="NodePort")
    yield service("empty", EMPTY, {"app": "nobody"})
    yield (
        "networking.k8s.io",
        "NetworkPolicy",
        {
            "metadata": {"name": "fence", "namespace": "default"},
            "spec": {
                "podSelector": {"matchLabels": {"pod": "p3"}},
                "policyTypes": ["Ingress", "Egress"],
                "ingress": [
                    {"from": [{"podSelector": {"matchLabels": {"pod": "p4"}}}], "ports": [{"port": "http"}]},
                    {
                        "from": [{"ipBlock": {"cidr": "10.200.0.0/16", "except": ["10.200.4.0/23"]}}],
                        "ports": [{"port": 8000, "endPort": 8079, "protocol": "UDP"}, {"protocol": "SCTP"}],
                    },
                ],
                "egress": [{"to": [{"namespaceSelector": {}}]}, {"ports": [{"port": 53, "protocol": "UDP"}]}],
            },
        },
    )


def service(
    name: str, ip: str, selector: dict[str, str], node_port: int | None = None, **more: Any
) -> tuple[str, str, dict[str, Any]]:
    """A service on port 80 of an address."""
    port = {"name": "http", "port": 80, "targetPort": "http", **({"nodePort": node_port} if node_port else {})}
    spec = {"type": "ClusterIP", "clusterIP": ip, "selector": selector, "ports": [port], **more}
    return "", "Service", {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def derived() -> Chains:
    """The chains that the packs derive for the node."""
    engine = kdl.Engine(kdl.compile(PACKS))
    facts: list[tuple[str, tuple[Any, ...]]] = [("node.served", ("n1", "10.200.0.0/16", "10.200.1.1"))]
    for group, kind, document in objects():
        metadata = document["metadata"]
        identity = f"{metadata['namespace']}/{metadata['name']}" if "namespace" in metadata else metadata["name"]
        stored = {**document, "metadata": {**metadata, "uid": f"{kind}-{identity}"}}
        facts.append(("core.object", (group, kind, identity, f"{kind}-{identity}", stored)))
    engine.apply(insert=facts)
    assert not engine.facts("kdl.fault")
    rows = [plain(row) for row in engine.facts("network.chain")]
    return {(table, chain): rules for _, table, chain, rules in json.loads(json.dumps(rows))}


def shapes(chains: Chains) -> set[str]:
    """What rules of the chains match by and lead to."""
    rules = [rule for chain in chains.values() for rule in chain]
    targets = {rule["target"].split("-")[0] for rule in rules}
    return targets.union(*[rule["match"] for rule in rules], *[rule.get("params", {}) for rule in rules])


def test_the_kernel_has_every_derived_chain_as_derived(node: Node) -> None:
    chains = derived()
    assert node.driver.observe() == digests(chains)
    assert shapes(chains) >= {
        "MASQUERADE", "MARK", "DNAT", "REJECT", "DROP", "ACCEPT", "RETURN", "SVC", "SEP", "POD", "POL", "PEER", "BLOCK",
        "source", "notSource", "destination", "notDestination", "protocol", "dport", "ctstate", "mark", "probability",
        "recent", "addrtype", "setXmark", "toDestination", "rejectWith",
    }  # fmt: skip


def test_a_service_spreads_over_the_pods_that_its_client_may_reach(node: Node) -> None:
    answers = Counter(pod for pod, _ in node.ask(4, PLAIN, 80, times=90))
    assert set(answers) == {1, 2, 3}
    assert min(answers.values()) > 8, answers  # five standard deviations


def test_a_policy_admits_one_client_and_drops_another(node: Node) -> None:
    assert node.ask(4, address(3), 8080) == [(3, address(4))]
    with pytest.raises(TimeoutError):
        node.ask(5, address(3), 8080, timeout=0.3)
    assert {pod for pod, _ in node.ask(5, address(1), 8080)} == {1}


def test_a_pod_that_may_not_send_everything_reaches_pods_and_not_its_node(node: Node) -> None:
    assert node.ask(3, address(1), 8080) == [(1, address(3))]
    with pytest.raises(TimeoutError):
        node.ask(3, "10.200.1.1", 9999, timeout=0.3)
    with pytest.raises(ConnectionRefusedError):
        node.ask(4, "10.200.1.1", 9999)


def test_a_client_with_affinity_stays_with_its_pod(node: Node) -> None:
    assert len({pod for pod, _ in node.ask(4, STICKY, 80, times=30)}) == 1


def test_a_service_without_endpoints_refuses_at_once(node: Node) -> None:
    with pytest.raises(ConnectionRefusedError):
        node.ask(4, EMPTY, 80)


def test_the_node_answers_on_node_ports_and_host_ports(node: Node) -> None:
    assert {pod for pod, _ in node.ask(4, "10.200.4.1", NODE_PORT, times=30)} <= {1, 2, 3}
    assert {pod for pod, _ in node.ask(4, "10.200.4.1", HOST_PORT, times=5)} == {2}
