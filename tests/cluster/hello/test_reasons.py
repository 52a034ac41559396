"""Why, of what runs: proofs whose leaves are lines of manifests and what was observed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.cluster.hello.conftest import Hello
from tests.cluster.running import name_of, uid_of
from tests.runtime.shell.conftest import HELLO

pytestmark = pytest.mark.docker

OBSERVED = {"docker.sandbox", "docker.container", "probe.result", "node.served", "network.packet"}
"""What drivers saw, which node they are of, and what is asked."""

POLICIES = {("spec.podSelector", "hello.yaml:56"), ("spec.podSelector", "hello.yaml:66")}
"""Where the example's policies say whom they are about; either is a reason."""


def asserted(tree: Any) -> Iterator[dict[str, Any]]:
    """The leaves of a proof that are facts."""
    if isinstance(tree, list):
        for item in tree:
            yield from asserted(item)
    elif isinstance(tree, dict):
        if tree.get("asserted"):
            yield tree
        for name in ("proofs", "because", "contributors"):
            yield from asserted(tree.get(name, []))
        yield from asserted(list(tree.get("facts", {}).values()))


def lines(hello: Hello, *goal: str) -> set[tuple[str, str]]:
    """The fields that a proof rests on, with the lines that they were written in; its other facts were observed."""
    leaves = list(asserted(json.loads(hello.do("why", *goal, "-o", "json"))))
    assert leaves
    objects = [leaf for leaf in leaves if leaf["relation"] == "core.object"]
    assert {leaf["relation"] for leaf in leaves} - {"core.object"} <= OBSERVED
    reads = [read for leaf in objects for read in leaf["reads"] if read["place"]]
    return {(read["path"], read["place"].rpartition("/")[2]) for read in reads}


def test_a_container_tells_by_its_name_or_id_why_it_runs(hello: Hello) -> None:
    pod = hello.replicas()[0]
    for name in ("web", "POD"):
        container = hello.container(pod, name)
        proofs = {hello.do("why", "--container", str(word)) for word in (container.name, container.id)}
        assert len(proofs) == 1
        assert uid_of(pod) in proofs.pop().splitlines()[0]
    read = dict(lines(hello, "--container", str(hello.container(pod, "web").short_id)))
    image = read["spec.containers[0].image"]
    text = (HELLO / "hello.yaml").read_text().splitlines()[int(image.rpartition(":")[2]) - 1]
    assert text.strip() == "image: busybox:1.36"


def test_a_binding_tells_why_at_the_time_that_it_was_made(hello: Hello) -> None:
    """Bound, the pod waits no more: the question is about the past."""
    goal = 'api.bind("default/friend", N)'
    assert hello.kdl("why", goal).code == 1
    moments = json.loads(hello.do("history", "--last", 1_000_000, "-o", "json"))
    mentioned = next(n for n, moment in enumerate(moments) if "default/friend" in json.dumps(moment["inserted"]))
    soon = [moment["at"] for moment in moments[mentioned : mentioned + 20]]  # a node takes one pod at a time
    bound = next(at for at in soon if hello.kdl("why", goal, "--at", at).code == 0)
    assert ("metadata.name", "clients.yaml:4") in lines(hello, goal, "--at", bound)


def test_an_endpoint_tells_why_by_the_service_and_the_pods_state(hello: Hello) -> None:
    pod = hello.replicas()[0]
    read = lines(hello, f'services.endpoint("default/hello", K, "{pod["status"]["podIP"]}", 8080, P)')
    assert {("spec.selector", "hello.yaml:36"), ("spec.ports[0].targetPort", "hello.yaml:38")} <= read


def test_an_iptables_rule_tells_why_by_the_chain_that_the_kernel_shows(hello: Hello) -> None:
    """The rule that leads to a pod, and the one that drops what no policy admits."""
    pod = hello.replicas()[0]
    saved = hello.node.run("iptables-legacy-save")
    target = f"{pod['status']['podIP']}:8080"
    (chain,) = re.findall(rf"-A KDL-\w+-(SEP-\w+) .*:default/hello:.*--to-destination {target}", saved)
    assert ("spec.selector", "hello.yaml:36") in lines(hello, f'network.chain(N, "nat", "{chain}", R)')
    (fence,) = re.findall(rf"-A KDL-\w+-(POD-\w+) .*{name_of(pod)} ingress: no policy admits it.* -j DROP", saved)
    assert POLICIES & lines(hello, f'network.chain(N, "filter", "{fence}", R)')


def test_a_refused_packet_tells_why_by_the_policies(hello: Hello) -> None:
    pod = f"default/{name_of(hello.replicas()[0])}"
    goal = f'network.refused("default/stranger", "{pod}", "TCP", 8080, R)'
    assert "no policy lets default/stranger into" in hello.do("why", goal)
    assert POLICIES & lines(hello, goal)
