"""The iptables driver with a real kernel: chain facts performed in a network namespace, real packets through them."""

from __future__ import annotations

import os
import socket
import subprocess
import time
from collections import Counter
from collections.abc import Iterator
from typing import Any

import pytest

from tests.effects.iptables.namespace import PREFIX, Child, Node, address, digests, inside, require

pytestmark = pytest.mark.docker
VIP = "10.96.0.10"
Chains = dict[tuple[str, str], list[dict[str, Any]]]


@pytest.fixture(scope="module")
def made() -> Iterator[Node]:
    """A node with three pods that serve, and a fourth that asks."""
    require()
    node = Node(f"kdl-ipt-{os.getpid()}", pods=4)
    try:
        node.serve(1, 2, 3)
        yield node
    finally:
        node.close()


@pytest.fixture
def node(made: Node) -> Iterator[Node]:
    """The node without rules, before and after."""
    made.reset()
    yield made
    made.reset()


def rule(target: str, comment: str = "", params: dict[str, str] | None = None, **match: Any) -> dict[str, Any]:
    """One rule document."""
    return {"match": match, "target": target, "comment": comment, **({"params": params} if params else {})}


def service(affinity: bool = False, backends: tuple[int, ...] = (1, 2, 3)) -> Chains:
    """A service with pods behind it, as the network pack derives it."""
    chains: Chains = {
        ("nat", "PREROUTING"): [rule("SERVICES", "service addresses")],
        ("nat", "POSTROUTING"): [rule("MASQUERADE", "marked", mark="0x4000/0x4000")],
        ("nat", "SERVICES"): [rule("SVC-WEB", "default/web:http", destination=f"{VIP}/32", protocol="tcp", dport=80)],
        ("nat", "SVC-WEB"): [],
    }
    for pod in backends if affinity else ():
        recent = {"name": f"SEP-{pod}", "rcheck": True, "seconds": 60, "reap": True}
        chains["nat", "SVC-WEB"].append(rule(f"SEP-{pod}", recent=recent))
    for index, pod in enumerate(backends):
        left = len(backends) - index
        chance: dict[str, Any] = {"probability": f"{1 / left:.10f}"} if left > 1 else {}
        chains["nat", "SVC-WEB"].append(rule(f"SEP-{pod}", f"default/web:http -> {address(pod)}:8080", **chance))
        remember = {"recent": {"name": f"SEP-{pod}", "set": True}} if affinity else {}
        chains["nat", f"SEP-{pod}"] = [
            rule("MARK", "hairpin", {"setXmark": "0x4000/0x4000"}, source=f"{address(pod)}/32"),
            rule("DNAT", "default/web:http", {"toDestination": f"{address(pod)}:8080"}, protocol="tcp", **remember),
        ]
    return chains


def perform(driver: Child, chains: Chains) -> None:
    """Make chains; all must be made."""
    assert [error for error in driver.perform(chains) if error] == []


def test_requests_to_a_service_address_are_spread_evenly_over_its_pods(node: Node) -> None:
    perform(node.driver, service())
    answers = Counter(pod for pod, _ in node.ask(4, VIP, 80, times=300))
    assert set(answers) == {1, 2, 3}
    assert all(55 < count < 145 for count in answers.values()), answers  # five standard deviations


def test_with_affinity_a_client_stays_with_its_pod_and_another_may_get_another(node: Node) -> None:
    perform(node.driver, service(affinity=True))
    assert len({pod for pod, _ in node.ask(4, VIP, 80, times=30)}) == 1
    lists = recent_lists(node)
    assert any(f"src={address(4)}" in text for text in lists.values())
    assert all(name.startswith(PREFIX) for name in lists)


def recent_lists(node: Node) -> dict[str, str]:
    """The kernel's lists of recent addresses in the node."""
    command = "cd /proc/net/xt_recent && for f in *; do echo \"$f $(cat $f | tr '\\n' ' ')\"; done"
    done = subprocess.run(["ip", "netns", "exec", node.name, "sh", "-c", command], capture_output=True, text=True)
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


def test_a_pod_reaches_itself_through_its_service_and_sees_the_node(node: Node) -> None:
    perform(node.driver, service(backends=(1,)))
    assert node.ask(1, VIP, 80) == [(1, "10.200.1.1")]
    assert node.ask(4, VIP, 80) == [(1, address(4))]


def test_packets_are_dropped_admitted_and_reset_by_source(node: Node) -> None:
    chains: Chains = {
        ("filter", "FORWARD"): [
            rule("ACCEPT", "replies", ctstate=["RELATED", "ESTABLISHED"]),
            rule("INBOUND", "fences"),
        ],
        ("filter", "INBOUND"): [rule("POD-1", "fence", destination=f"{address(1)}/32")],
        ("filter", "POD-1"): [
            rule("MARK", "nothing admitted", {"setXmark": "0x0/0x10000"}),
            rule("PEER", "policy"),
            rule("RETURN", "admitted", mark="0x10000/0x10000"),
            rule("REJECT", "told", {"rejectWith": "tcp-reset"}, source=f"{address(3)}/32", protocol="tcp"),
            rule("DROP", "not admitted"),
        ],
        ("filter", "PEER"): [rule("MARK", "peer", {"setXmark": "0x10000/0x10000"}, source=f"{address(4)}/32")],
    }
    perform(node.driver, chains)
    assert node.ask(4, address(1), 8080) == [(1, address(4))]
    with pytest.raises(TimeoutError):
        node.ask(2, address(1), 8080, timeout=0.3)
    start = time.monotonic()
    with pytest.raises(ConnectionRefusedError):
        node.ask(3, address(1), 8080)
    assert time.monotonic() - start < 0.5
    assert node.ask(2, address(3), 8080) == [(3, address(2))]


def test_after_performing_nothing_is_left_to_do(node: Node) -> None:
    chains = {**service(affinity=True), ("filter", "EMPTY"): [], ("filter", "INPUT"): []}
    perform(node.driver, chains)
    assert node.driver.observe() == digests(chains)
    chains["nat", "SERVICES"] = []
    del chains["nat", "SVC-WEB"]
    node.driver.perform({("nat", "SVC-WEB"): None, ("nat", "SERVICES"): []})
    assert node.driver.observe() == digests(chains)


def test_another_process_sees_the_same_chains(node: Node) -> None:
    perform(node.driver, service())
    assert node.child().observe() == digests(service())


WEB = f"{PREFIX}SVC-WEB"


@pytest.mark.parametrize(
    ("chain", "commands"),
    [
        pytest.param("SVC-WEB", [f"-D {WEB} 2"], id="a rule is deleted"),
        pytest.param("SVC-WEB", [f"-D {WEB} 1"], id="the first rule is deleted"),
        pytest.param("SVC-WEB", [f"-F {WEB}"], id="the chain is flushed"),
        pytest.param("SVC-WEB", [f"-I {WEB} 1 -j ACCEPT"], id="a rule is put before ours"),
        pytest.param("SVC-WEB", [f"-A {WEB} -j RETURN"], id="a rule is put behind ours"),
        pytest.param("SVC-WEB", [f"-R {WEB} 4 -s 10.0.0.1 -j {PREFIX}SEP-3"], id="a rule is edited"),
        pytest.param("SEP-1", [f"-R {PREFIX}SEP-1 3 -p tcp -j DNAT --to-destination 9.9.9.9"], id="a target is edited"),
        pytest.param("PREROUTING", ["-I PREROUTING 1 -j ACCEPT"], id="a rule is put before our hook"),
        pytest.param("PREROUTING", ["-D PREROUTING 2"], id="our hook is deleted"),
    ],
)
def test_what_is_changed_by_hand_is_seen_and_mended(node: Node, chain: str, commands: list[str]) -> None:
    perform(node.driver, service())
    for command in commands:
        node.iptables("-t", "nat", *command.split())
    wanted = digests(service())
    seen = node.driver.observe()
    assert {key for key in wanted if seen.get(key) != wanted[key]} == {("nat", chain)}
    perform(node.driver, {("nat", chain): service()["nat", chain]})
    assert node.driver.observe() == wanted
    assert {pod for pod, _ in node.ask(4, VIP, 80, times=40)} == {1, 2, 3}


def test_two_rules_that_change_places_are_seen(node: Node) -> None:
    perform(node.driver, service())
    rules = [line for line in node.saved().splitlines() if line.startswith(f"-A {PREFIX}SEP-1 ")]
    text = "\n".join(["*nat", f"-F {PREFIX}SEP-1", rules[0], rules[2], rules[1], "COMMIT", ""])
    command = ["ip", "netns", "exec", node.name, "iptables-legacy-restore", "--noflush", "-w"]
    subprocess.run(command, input=text, text=True, check=True)
    seen, wanted = node.driver.observe(), digests(service())
    assert {key for key in wanted if seen[key] != wanted[key]} == {("nat", "SEP-1")}
    text = "\n".join(["*nat", f"-F {PREFIX}SEP-1", *rules, "COMMIT", ""])
    subprocess.run(command, input=text, text=True, check=True)
    assert node.driver.observe() == wanted


FOREIGN = [
    "-t filter -N DOCKER", "-t filter -A DOCKER -s 172.17.0.0/16 -j ACCEPT", "-t filter -A FORWARD -j DOCKER",
    "-t nat -A PREROUTING -p tcp --dport 99 -j DNAT --to-destination 10.9.9.9", "-t nat -N KDL-ffff-SERVICES",
    "-t nat -A KDL-ffff-SERVICES -m comment --comment kdl:ffff:theirs -j RETURN", "-t nat -N KDL-abcdX",
]  # fmt: skip


def test_rules_of_others_are_not_touched(node: Node) -> None:
    for command in FOREIGN:
        node.iptables(*command.split())
    before = node.saved()
    chains: Chains = {**service(), ("filter", "FORWARD"): [rule("ACCEPT", "all")]}
    perform(node.driver, chains)
    text = node.saved()
    others = [line for line in text.splitlines() if "kdl:abcd:" not in line and not line.startswith(f":{PREFIX}")]
    assert [line.split("[")[0] for line in others] == [line.split("[")[0] for line in before.splitlines()]
    forward = [line for line in text.splitlines() if line.startswith("-A FORWARD")]
    assert forward[-1] == "-A FORWARD -j DOCKER"
    assert node.driver.ask("cleanup") is None
    assert [line.split("[")[0] for line in node.saved().splitlines()] == [
        line.split("[")[0] for line in before.splitlines()
    ]


def test_two_clusters_on_one_node_leave_each_other_in_place(node: Node) -> None:
    other = node.child("1234")
    perform(node.driver, service())
    perform(other, service())
    perform(node.driver, service())
    assert node.driver.observe() == digests(service())
    assert other.observe() == digests(service())
    assert node.driver.ask("cleanup") is None
    assert other.observe() == digests(service())
    assert "KDL-abcd" not in node.saved()


def test_cleanup_leaves_nothing_and_names_who_holds_on_to_ours(node: Node) -> None:
    perform(node.driver, {**service(affinity=True), ("filter", "FORWARD"): [rule("ACCEPT", "all")]})
    node.iptables("-t", "nat", "-A", "OUTPUT", "-j", f"{PREFIX}SERVICES")
    error = node.driver.ask("cleanup")
    assert f"{PREFIX}SERVICES" in error
    node.iptables("-t", "nat", "-D", "OUTPUT", "-j", f"{PREFIX}SERVICES")
    assert node.driver.ask("cleanup") is None
    assert "abcd" not in node.saved()
    assert node.driver.observe() == {}


def test_chains_may_come_and_go_in_any_order(node: Node) -> None:
    chains = service()
    for key in sorted(chains, key=str):
        perform(node.driver, {key: chains[key]})
    assert node.driver.observe() == digests(chains)
    for key in sorted(chains, key=str, reverse=True):
        assert node.driver.perform({key: None}) == [None]
        assert key not in node.driver.observe()
    assert "abcd" not in node.saved()


def test_a_chain_that_the_kernel_refuses_fails_alone(node: Node) -> None:
    bad: Chains = {
        ("nat", "POSTROUTING"): [rule("DNAT", "too late", {"toDestination": "10.200.1.2"})],
        ("nat", "LOOP-A"): [rule("LOOP-B", "round")],
        ("nat", "LOOP-B"): [rule("LOOP-A", "and round")],
    }
    good = {key: rules for key, rules in service().items() if key[1] != "POSTROUTING"}
    good["nat", "PREROUTING"].append(rule("LOOP-A", "in"))
    errors = dict(zip({**good, **bad}, node.driver.perform({**good, **bad}), strict=True))
    assert {key for key in good if errors[key]} <= {("nat", "PREROUTING")}
    assert errors["nat", "POSTROUTING"]
    assert [errors["nat", "LOOP-A"], errors["nat", "LOOP-B"], errors["nat", "PREROUTING"]].count(None) == 2
    seen = node.driver.observe()
    wanted = digests({**good, **bad})
    assert {key for key in wanted if seen.get(key) == wanted[key]} == {key for key in wanted if not errors[key]}


def test_an_unknown_word_fails_its_chain_and_no_other(node: Node) -> None:
    chains: Chains = {("filter", "A"): [rule("DROP", "x", sourc="10.0.0.1")], ("filter", "B"): [rule("DROP")]}
    assert node.driver.perform(chains) == ["rule 1 (x): unknown match `sourc`", None]
    assert set(node.driver.observe()) == {("filter", "B")}


def test_no_rule_of_a_concurrent_writer_is_lost(node: Node) -> None:
    node.iptables("-t", "nat", "-N", "THEIRS")
    script = "for i in $(seq 150); do iptables-legacy -w -t nat -A THEIRS -s 10.0.0.$i -j RETURN || exit 1; done"
    writer = subprocess.Popen(["ip", "netns", "exec", node.name, "sh", "-c", script])
    batches = 0
    while writer.poll() is None:
        perform(node.driver, service(backends=(1, 2, 3) if batches % 2 else (1,)))
        batches += 1
    assert writer.returncode == 0
    assert batches > 10
    assert node.saved().count("-A THEIRS") == 150


def test_a_lock_that_stays_taken_is_an_error_and_changes_nothing(node: Node) -> None:
    impatient = node.child("abcd", lock_seconds=0.2)
    with subprocess.Popen(["flock", "/run/xtables.lock", "cat"], stdin=subprocess.PIPE) as holder:
        time.sleep(0.1)
        (error,) = impatient.perform({("nat", "A"): []})
        assert holder.stdin is not None
        holder.stdin.close()
    assert error is not None
    assert "another program has held" in error
    assert impatient.perform({("nat", "A"): []}) == [None]


def test_a_driver_without_the_right_to_look_is_blind_and_fails(node: Node) -> None:
    weak = node.child("abcd", "setpriv", "--bounding-set=-net_admin", "--inh-caps=-net_admin")
    seen = weak.ask("observe")
    assert "cannot be read" in seen["blind"]
    assert seen["chains"] == []
    (error,) = weak.perform({("nat", "A"): []})
    assert error is not None
    assert "cannot be read" in error


def test_foreign_rules_in_nft_tables_are_told_of(node: Node) -> None:
    version = subprocess.run(["iptables", "--version"], capture_output=True, text=True).stdout
    if "nf_tables" not in version:
        assert node.driver.ask("tables").startswith("legacy")
        return
    assert node.driver.ask("tables").startswith("nft")
    nft = ["ip", "netns", "exec", node.name, "iptables-nft"]
    subprocess.run([*nft, "-P", "FORWARD", "DROP"], check=True)
    subprocess.run([*nft, "-A", "FORWARD", "-s", "10.1.1.1", "-j", "DROP"], check=True)
    told = node.driver.ask("tables")
    assert told.startswith("mixed")
    assert "filter: 1 rules" in told
    assert "FORWARD drops by policy" in told
    perform(node.driver, {("filter", "FORWARD"): [rule("ACCEPT", "all")]})
    with pytest.raises(TimeoutError):  # what it says is so: our ACCEPT is no answer to their DROP
        node.ask(2, address(1), 8080, timeout=0.3)
    subprocess.run([*nft, "-P", "FORWARD", "ACCEPT"], check=True)
    subprocess.run([*nft, "-F", "FORWARD"], check=True)
    assert node.ask(2, address(1), 8080)


def test_no_namespace_has_a_default_route(made: Node) -> None:
    def outside() -> str:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.connect(("192.0.2.1", 9))
            return str(probe.getsockname())

    for namespace in (made.name, *made.pods.values()):
        with pytest.raises(OSError, match="unreachable"):
            inside(namespace, outside)
