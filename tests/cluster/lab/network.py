"""The network between nodes: a switch, one namespace for each node and one for clients outside, static routes.

``172.30.0.1N`` is node N with the pods ``10.244.N.0/24``; ``172.30.0.1`` is outside. Service addresses are routed to
the wire, or a node would refuse them before its rules see them. Nothing has a default route.
"""

from __future__ import annotations

from pathlib import Path

from tests.cluster.lab.shell import run

SERVICES = "10.96.0.0/12"
OUTSIDE = "172.30.0.1"
NAMESPACES = Path("/run/netns")


def node_address(number: int) -> str:
    """The address of a node."""
    return f"172.30.0.1{number}"


def pod_cidr(number: int) -> str:
    """The range of a node's pods."""
    return f"10.244.{number}.0/24"


class Network:
    """The namespaces of one lab; their names begin with the lab's."""

    def __init__(self, lab: str, nodes: int) -> None:
        self.switch, self.client = f"{lab}-sw", f"{lab}-cp"
        self.nodes = {number: f"{lab}-n{number}" for number in range(1, nodes + 1)}

    def up(self) -> None:
        """Make it all."""
        run("ip", "netns", "add", self.switch)
        run("ip", "-n", self.switch, "link", "add", "br0", "type", "bridge")
        run("ip", "-n", self.switch, "link", "set", "br0", "up")
        self._wire(self.client, "cp", OUTSIDE)
        for number, namespace in self.nodes.items():
            self._wire(namespace, f"n{number}", node_address(number))

    def _wire(self, namespace: str, port: str, address: str) -> None:
        run("ip", "netns", "add", namespace)
        run("ip", "-n", namespace, "link", "set", "lo", "up")
        run("ip", "-n", self.switch, "link", "add", port, "type", "veth", "peer", "name", "eth0", "netns", namespace)
        run("ip", "-n", self.switch, "link", "set", port, "master", "br0", "up")
        run("ip", "-n", namespace, "addr", "add", f"{address}/24", "dev", "eth0")
        run("ip", "-n", namespace, "link", "set", "eth0", "up")
        run("ip", "-n", namespace, "route", "add", SERVICES, "dev", "eth0")
        for number in self.nodes:
            if address != node_address(number):
                run("ip", "-n", namespace, "route", "add", pod_cidr(number), "via", node_address(number))

    def cut(self, number: int) -> None:
        """Partition a node from the others."""
        run("ip", "-n", self.switch, "link", "set", f"n{number}", "down")

    def mend(self, number: int) -> None:
        """End the partition."""
        run("ip", "-n", self.switch, "link", "set", f"n{number}", "up")

    def down(self) -> None:
        """Remove it; whatever still runs in there must have ended."""
        for namespace in (*self.nodes.values(), self.client, self.switch):
            if (NAMESPACES / namespace).exists():
                run("ip", "netns", "del", namespace)
