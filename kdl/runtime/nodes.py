"""The nodes of a cluster and what drives them: this machine with Docker and iptables, or any number in memory.

Nothing of Docker or iptables is imported before a cluster of that kind is asked for.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from functools import partial
from ipaddress import IPv4Network
from pathlib import Path
from typing import TYPE_CHECKING

from kdl.effects.driver import Driver, Reading
from kdl.effects.fake import World
from kdl.fact import Document, Fact
from kdl.runtime import machine
from kdl.runtime.clock import Clock
from kdl.runtime.fault import point

if TYPE_CHECKING:
    from kdl.effects.contents import Contents
    from kdl.effects.docker.driver import DockerDriver
    from kdl.effects.preflight import Finding
    from kdl.runtime.api.channels import Streams

SERVED = "node.served"

POD_CIDR = "10.244.0.0/24"
"""The addresses of this machine's pods, unless told otherwise."""

FAKE_CPUS, FAKE_MEMORY = 4, 8 << 30
"""The cores and bytes of a fake node."""

Logs = Callable[..., Iterator[bytes]]
"""What a container printed, by pod uid and container name, with `tail` and `follow`."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its name, the range of its pods' addresses, its own address."""

    name: str
    pod_cidr: str
    address: str

    def served(self) -> Fact:
        """The fact that an agent serves it."""
        return Fact(SERVED, (self.name, self.pod_cidr, self.address))

    @property
    def gateway(self) -> str:
        """The node's address in its pods' network."""
        return str(next(IPv4Network(self.pod_cidr).hosts()))


@dataclass(slots=True)
class Nodes:
    """What a runtime brings: nodes, their drivers, and the world they share if it is one in memory."""

    nodes: list[Node]
    capacity: tuple[int, int]
    drivers: list[Driver]
    world: World | None = None
    cleanup: Callable[[], None] = field(default=lambda: None)
    """Removes everything that the drivers ever made."""
    software: str = "fake://"
    """What runs the containers, as Kubernetes writes it: a name and a version."""
    logs: Logs | None = None
    """Where containers print nothing there are no logs."""
    streams: Streams | None = None
    """What can be opened in containers, where they run something."""
    readings: Callable[[], list[Reading]] | None = None
    """What running containers use, where they use something."""


def fake_nodes(count: int, clock: Clock) -> Nodes:
    """So many nodes in memory, `node-1` and on."""
    world = World(clock.now)
    nodes = []
    drivers: list[Driver] = []
    for number in range(1, count + 1):
        cidr = f"10.{244 + number // 256}.{number % 256}.0/24"
        node = Node(f"node-{number}", cidr, f"172.30.{number // 250}.{number % 250 + 1}")
        nodes.append(node)
        drivers.append(world.node(node.name, number))
    return Nodes(nodes, (FAKE_CPUS, FAKE_MEMORY), drivers, world)


def docker_nodes(
    cluster_uid: str,
    folder: Path,
    sources: Mapping[str, Callable[[Document], bytes]],
    name: str | None = None,
    pod_cidr: str | None = None,
) -> Nodes:
    """The machine itself as the one node, with Docker, iptables, probes, and volumes in a data folder."""
    from kdl.effects.contents import Contents
    from kdl.effects.iptables.driver import IptablesDriver
    from kdl.effects.probe import probe
    from kdl.effects.prober import Prober
    from kdl.effects.volumes import VolumeDriver

    node = Node(name or machine.node_name(), pod_cidr or POD_CIDR, machine.address())
    places = folder.absolute() / "pods"
    contents = Contents(sources)
    docker = docker_driver(node, cluster_uid, places, contents)
    iptables = IptablesDriver(node.name, cluster_uid, committed=point)
    prober = Prober(node.name, partial(probe, execute=docker.execute))
    volumes = VolumeDriver(node.name, places, contents)

    def cleanup() -> None:
        iptables.cleanup()
        docker.cleanup()
        volumes.cleanup()

    capacity = (machine.cpus(), machine.memory())
    return Nodes(
        [node],
        capacity,
        [docker, iptables, prober, volumes],
        cleanup=cleanup,
        software=f"docker://{docker.version()}",
        logs=docker.logs,
        streams=docker.streams,
        readings=docker.readings,
    )


def docker_driver(
    node: Node, cluster_uid: str, volumes: Path = Path(), contents: Contents | None = None
) -> DockerDriver:
    """The driver of this machine's containers, whose pods' volumes are in a folder."""
    from kdl.effects.docker.driver import DockerDriver

    return DockerDriver(node.name, cluster_uid, node.pod_cidr, node.address, None, volumes, contents)


def examine() -> list[Finding]:
    """What running containers on this machine needs, and whether it is there."""
    from kdl.effects import preflight

    return preflight.examine(docker_driver(Node("", POD_CIDR, ""), "").version)


def prepare() -> list[str]:
    """Set what the machine's kernel must be set to; what was changed."""
    from kdl.effects import preflight

    return preflight.fix()
