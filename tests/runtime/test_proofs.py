"""Proofs of what a cluster does end in fields of manifests, or in what was observed or asked."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kdl.runtime.cluster import Cluster
from kdl.runtime.questions import View, ask_why
from kdl.runtime.shell.scratch import Scratch, program_of, settled

HELLO = Path(__file__).parents[2] / "examples/01-hello/hello.yaml"

OBSERVED = ("docker.", "probe.", "iptables.", "node.served", "network.packet")


@pytest.fixture(scope="module")
def program():
    return program_of(())


@pytest.fixture(scope="module")
def cluster(program) -> Cluster:
    return settled(program, [HELLO], 2)


def leaves(tree: Any) -> Iterator[dict[str, Any]]:
    """The asserted facts of proofs; what these refer to is among them."""
    if isinstance(tree, list):
        for item in tree:
            yield from leaves(item)
    elif isinstance(tree, dict):
        if tree.get("asserted"):
            yield tree
        for name in ("proofs", "because", "contributors"):
            yield from leaves(tree.get(name, []))
        yield from leaves(list(tree.get("facts", {}).values()))


def grounded(data: dict[str, Any]) -> None:
    """Every leaf is an observation or an object, and some field of a manifest is among them with its line."""
    found = list(leaves(data))
    assert found
    assert all(leaf["relation"] == "core.object" or leaf["relation"].startswith(OBSERVED) for leaf in found)
    places = [read["place"] for leaf in found for read in leaf["reads"] if read["place"]]
    assert any(place.startswith(f"{HELLO}:") for place in places)


@pytest.mark.parametrize(
    "goal",
    [
        'services.endpoint("default/hello", "http", Ip, 8080, P)',
        'network.rule("nat", "SERVICES", [1, "default/hello", "http"], R)',
        'network.local_rule(N, "filter", "INBOUND", O, R)',
    ],
    ids=["endpoint", "service rule", "policy rule"],
)
def test_what_the_network_does_is_proved_from_manifests(cluster, goal):
    answer = ask_why(cluster.brain.engine, goal, cluster.origin, view=View(form="json"))
    assert answer.holds
    grounded(answer.data)


def test_a_refused_packet_is_proved_from_the_policy_that_isolates(cluster):
    pod = next(row[0] for row in cluster.brain.engine.facts("core.ready"))
    goal = f'network.refused("10.244.200.200", "{pod}", "TCP", 8080, Reason)'
    answer = ask_why(cluster.brain.engine, goal, cluster.origin, view=View(form="json"))
    assert answer.holds
    grounded(answer.data)
    assert "spec.podSelector" in answer.text
    assert not cluster.brain.engine.facts("network.packet")


def test_a_binding_is_proved_from_what_its_pod_asks_for(program, tmp_path):
    file = tmp_path / "all.yaml"
    file.write_text(
        "apiVersion: v1\nkind: Node\nmetadata: {name: n1}\nstatus: {allocatable: {cpu: '2', memory: 4Gi, pods: '9'}}\n"
        "---\napiVersion: v1\nkind: Pod\nmetadata: {name: web, namespace: default}\n"
        "spec:\n  containers:\n  - {name: app, image: 'app:1', resources: {requests: {cpu: 500m}}}\n"
    )
    scratch = Scratch(program, [file])
    answer = ask_why(scratch.engine, 'api.bind("default/web", N)', scratch.origin)
    assert answer.holds
    assert f'spec.containers[0].resources.requests.cpu = "500m"  {file}:11' in answer.text
    assert f'status.allocatable.cpu = "2"  {file}:4' in answer.text
    assert len(answer.text.splitlines()) < 120
