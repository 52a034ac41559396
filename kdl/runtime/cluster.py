"""A running kdl: store, brain, nodes and API put together, for `kdl up` and for tests.

Which node this is, is a fact (`node.served`); the drivers are told the same.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kdl.effects.driver import Driver
from kdl.effects.fake import World
from kdl.fact import Document, Fact
from kdl.parser.manifest.accept import accept as accept_manifest
from kdl.parser.manifest.kinds import Kind
from kdl.rules.program import Program
from kdl.runtime import machine
from kdl.runtime.admission import Admission
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.service import Objects
from kdl.runtime.brain import Brain, Watcher
from kdl.runtime.clock import Clock
from kdl.runtime.store import MemoryStore, SqliteStore, Store

SERVED = "node.served"

FAKE_CPUS, FAKE_MEMORY = 4, 8 << 30
"""The cores and bytes of a fake node."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node: its name, the range of its pods' addresses, its own address."""

    name: str
    pod_cidr: str
    address: str

    def served(self) -> Fact:
        """The fact that an agent serves it."""
        return Fact(SERVED, (self.name, self.pod_cidr, self.address))


@dataclass(slots=True)
class Nodes:
    """What a runtime brings: nodes, their drivers, and the world they share if it is one in memory."""

    nodes: list[Node]
    capacity: tuple[int, int]
    drivers: list[Driver]
    world: World | None = None
    cleanup: Callable[[], None] = field(default=lambda: None)
    """Removes everything that the drivers ever made."""


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


class Cluster:
    """Everything that runs in one process. `start` returns at once; the brain thinks in a thread of its own."""

    def __init__(
        self,
        program: Program,
        store: Store,
        nodes: Nodes,
        clock: Clock,
        tell: Watcher | None = None,
    ) -> None:
        self.program, self.store, self.nodes, self.clock = program, store, nodes, clock
        self._admission = Admission(program, store)
        self.objects = Objects(store, clock, accept=self._accept)
        threads = 0 if nodes.world is not None else 8
        self.brain = Brain(program, self.objects, clock, nodes.drivers, world=nodes.world, threads=threads, tell=tell)
        self._thread = threading.Thread(target=self.brain.run, name="brain")

    def register(self) -> None:
        """Make the Node objects of the nodes that have none, and bring the others up to date."""
        cpus, memory = self.nodes.capacity
        with self.objects.transaction() as batch:
            for node in self.nodes.nodes:
                doc = machine.node_object(node.name, node.pod_cidr, node.address, cpus, memory)
                if batch.find("Node", node.name) is None:
                    batch.create(doc)
                else:
                    status = [(f"/status/{name}", item) for name, item in doc["status"].items()]
                    batch.patch("Node", node.name, [*status, ("/spec/podCIDR", node.pod_cidr)])

    def load(self) -> None:
        """Bring the brain to the store's and the drivers' state, without starting its thread."""
        self.register()
        self.brain.start(node.served() for node in self.nodes.nodes)

    def start(self) -> None:
        """Load, and think from now on."""
        self.load()
        self._thread.start()

    def stop(self) -> None:
        """Stop thinking; everything that runs goes on running."""
        self.brain.close()
        if self._thread.is_alive():
            self._thread.join()
        self.store.close()

    def rest(self, clock: VirtualClock, patience: int) -> None:
        """For a cluster that is not started: tick, letting virtual time pass as rules or nodes wait for it."""
        end = clock.now() + patience
        while True:
            while self.brain.settle():
                pass
            due = self.brain.due()
            if due is None or due > end:
                return
            clock.advance(max(due - clock.now(), 0))

    @property
    def origin(self) -> Origins:
        """Where the fields of stored objects were written."""

        def document(uid: str) -> Document | None:
            return next((item.doc for item in self.store.snapshot()[0] if item.uid == uid), None)

        return Origins(self.store.source, document)

    def _accept(self, doc: Any, *, namespace: str = "default", known: Iterable[Kind] = ()) -> dict[str, Any]:
        """Manifest checks, then what the rules of `admission.deny` say."""
        accepted = accept_manifest(doc, namespace=namespace, known=known)
        denials = self._admission.denials(accepted, self.clock.now())
        if denials:
            metadata = accepted.get("metadata", {})
            name = metadata.get("name") or metadata.get("generateName", "")
            about = f'{accepted["kind"]} "{name}" is denied: '
            raise ApiError(403, "Forbidden", about + "; ".join(denials), {"name": name, "kind": accepted["kind"]})
        return accepted


def open_store(folder: Path | None) -> Store:
    """The store of a data folder, or one in memory."""
    return MemoryStore() if folder is None else SqliteStore(folder)
