"""A running kdl: store, brain, nodes and API put together, for `kdl up` and for tests.

Which node this is, is a fact (`node.served`); the drivers are told the same.
"""

from __future__ import annotations

import gc
import threading
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from kdl.fact import Document, Fact
from kdl.parser.manifest.kinds import identity
from kdl.parser.manifest.load import load
from kdl.parser.syntax import Rule
from kdl.rules.engine import Engine
from kdl.rules.program import Program
from kdl.runtime import machine
from kdl.runtime.access import Access
from kdl.runtime.admission import Admission
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.gate import Review
from kdl.runtime.api.service import Objects
from kdl.runtime.brain import FAILURES, Brain, Watcher
from kdl.runtime.clock import Clock, VirtualClock
from kdl.runtime.components import KIND, components
from kdl.runtime.journal import Journal
from kdl.runtime.nodes import Node, Nodes, fake_nodes
from kdl.runtime.origins import Origins
from kdl.runtime.packs import FACTS, Packs
from kdl.runtime.store import Store, Transaction
from kdl.runtime.usage import GROUP, Usage

__all__ = ["Cluster", "Node", "Nodes", "collect_seldom", "fake_nodes", "reach"]


def reach(certificate: str = "", listens: tuple[str, int] | None = None) -> list[Fact]:
    """What rules are told of the API: the certificate (PEM) that pods check it by, and where it listens for them."""
    known = [Fact("apiserver.authority", (certificate,))]
    return known if listens is None else [*known, Fact("apiserver.listens", listens)]


def collect_seldom() -> None:
    """Let Python look for garbage in cycles more seldom.

    Facts are in no cycle; where there are millions of them, the looking takes a third of the time.
    """
    gc.set_threshold(50_000, 20, 100)


class Cluster:
    """Everything that runs in one process. `start` returns at once; the brain thinks in a thread of its own."""

    def __init__(
        self,
        program: Program,
        store: Store,
        nodes: Nodes,
        clock: Clock,
        tell: Watcher | None = None,
        journal: Journal | None = None,
        facts: int = FACTS,
        told: Iterable[Fact] | None = None,
    ) -> None:
        """`facts` is how many one relation may have before the pack that derives them is suspended.

        `told` is what the rules know from the start: of the API (`reach`).
        """
        self._told = [*(node.served() for node in nodes.nodes), *(reach() if told is None else told)]
        self.store, self.nodes, self.clock = store, nodes, clock
        self.packs = Packs(program, store, facts)
        program, limits = self.packs.program, self.packs.limits
        self.usage = Usage(store, clock, nodes.nodes[0].name, nodes.readings)
        self._admission = Admission(program, store, clock, limits, self._used)
        self._access: Access | None = None
        self._deciding = threading.Lock()
        self.objects = Objects(store, clock, admit=self._admitted)
        self.objects.computed |= {
            KIND: lambda: components(self._ailment, lambda: store.revision),
            (GROUP, "PodMetrics"): self.usage.pods,
            (GROUP, "NodeMetrics"): self.usage.nodes,
        }
        threads = 0 if nodes.world is not None else 8
        self.brain = Brain(
            program,
            self.objects,
            clock,
            nodes.drivers,
            world=nodes.world,
            threads=threads,
            tell=tell,
            journal=journal,
            limits=limits,
        )
        self.brain.rescue = self._rescue
        self._thread = threading.Thread(target=self.brain.run, name="brain")

    def register(self) -> None:
        """Make the objects that the packs ship where they are missing, and the Node objects; bring these up to date."""
        cpus, memory = self.nodes.capacity
        with self.objects.transaction() as batch:
            for doc in defaults(self.program):
                if batch.find(*identity(doc)[1:]) is None:
                    batch.create(doc)
            for node in self.nodes.nodes:
                doc = machine.node_object(node.name, node.pod_cidr, node.address, cpus, memory, self.nodes.software)
                if batch.find("Node", node.name) is None:
                    batch.create(doc)
                else:
                    status = [(f"/status/{name}", item) for name, item in doc["status"].items()]
                    batch.patch("Node", node.name, [*status, ("/spec/podCIDR", node.pod_cidr)])

    def load(self) -> None:
        """Bring the brain to the store's and the drivers' state, without starting its thread."""
        self.register()
        self.brain.start(self._told)

    def start(self) -> None:
        """Load, and think from now on."""
        self.load()
        self._thread.start()
        self.usage.start()

    @property
    def thinking(self) -> bool:
        """Whether the loop runs."""
        return self._thread.is_alive()

    def _ailment(self) -> str | None:
        return self.brain.halted if self.thinking else "the loop does not run"

    def stop(self) -> None:
        """Stop thinking; everything that runs goes on running."""
        self.usage.stop()
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
            if due is None or due > end or self.brain.halted:
                return
            clock.advance(max(due - clock.now(), 0))

    def adopt(self, engine: Engine) -> None:
        """Go on with an engine of other rules; hold the brain's lock."""
        self._admit(engine.program)
        self.brain.adopt(engine)

    def _rescue(self, engine: Engine, error: Exception, rule: Rule | None) -> Engine | None:
        other = self.packs.suspend(engine, error, rule)
        if other is not None:
            self._admit(other.program)
        return other

    def _admit(self, program: Program) -> None:
        self._admission = Admission(program, self.store, self.clock, self.packs.limits, self._used)

    def _used(self) -> tuple[Fact, ...]:
        return self.usage.facts

    def _admitted(self, t: Transaction, review: Review) -> Document | None:
        """What the rules of admission say of a write; a pack that fails there is accused."""
        admission = self._admission
        try:
            return admission(t, review)
        except FAILURES as error:
            self.brain.accuse(error, admission.working)
            raise ApiError(500, "InternalError", f"the rules of admission failed: {error}") from error

    @property
    def access(self) -> Access:
        """Who may do what, by the rules as they are now."""
        with self._deciding:
            if self._access is None or self._access.program is not self.program:
                if self._access is not None:
                    self._access.close()
                self._access = Access(self.program, self.store)
            return self._access

    @property
    def program(self) -> Program:
        """The rules: those that it was started with, and those of its packs."""
        return self.packs.program

    @property
    def origin(self) -> Origins:
        """Where the fields of stored objects were written. Hold the brain's lock while asking."""
        return Origins.of(lambda: self.brain.engine, self.store.source)


def defaults(program: Program) -> list[dict[str, Any]]:
    """The objects that a program's packs ship: those in `defaults.yaml` beside their rules."""
    files = {Path(name).parent / "defaults.yaml" for name in program.sources}
    return [manifest.doc for manifest in load(sorted(file for file in files if file.is_file()))]
