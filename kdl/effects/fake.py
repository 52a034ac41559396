"""A world in memory: containers, chains and probes of as many nodes as you like, with the time of a given clock.

It implements the drivers' protocol, not their decisions: what runs, crashes and answers probes follows from the images'
behaviour (`World.behave`) and the clock. It ships with kdl: ``kdl up --runtime fake`` and users' tests run on it.
"""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from kdl.effects.driver import Observation, Operation, Outcome
from kdl.fact import FALSE, TRUE, Document, Fact, Row, Value, digest, value


@dataclass(frozen=True, slots=True)
class Behaviour:
    """What a container of an image does. Times are milliseconds after its start; None is never.

    `ready` and `alive` are what its readiness and liveness probes answer; startup probes answer as readiness does.
    """

    exits_after: int | None = None
    exit_code: int = 0
    ready_after: int | None = 0
    alive: bool = True
    refuses: str | None = None
    """An error that starting it fails with, such as a missing image."""


def behaviour_of(config: Document) -> Behaviour:
    """What can be told from a container's command: ``true``, ``false``, ``sleep N`` and ``sh -c "exit N"``."""
    words = [word if isinstance(word, str) else "" for part in ("command", "args") for word in config.get(part, ())]
    if words[:2] == ["sh", "-c"] and len(words) == 3:
        words = words[2].split()
    match words:
        case ["true"]:
            return Behaviour(exits_after=0)
        case ["false"]:
            return Behaviour(exits_after=0, exit_code=1)
        case ["exit", code] if code.isdigit():
            return Behaviour(exits_after=0, exit_code=int(code))
        case ["sleep", seconds] if seconds.isdigit():
            return Behaviour(exits_after=int(seconds) * 1000)
        case _:
            return Behaviour()


@dataclass(slots=True)
class _Sandbox:
    id: str
    ip: str
    hash: str
    created: int
    notes: Value
    running: bool = True


@dataclass(slots=True)
class _Container:
    id: str
    row: Row
    config: Document
    hash: str
    behaviour: Behaviour
    started: int
    exit_code: int | None = None
    finished: int | None = None

    def state(self) -> str:
        return "running" if self.finished is None else "exited"


@dataclass(slots=True)
class _Probe:
    row: Row
    hash: str


@dataclass(slots=True)
class _Node:
    network: int
    addresses: Iterator[int] = field(default_factory=lambda: itertools.count(2))
    free: list[int] = field(default_factory=list)
    sandboxes: dict[str, _Sandbox] = field(default_factory=dict)
    containers: dict[tuple[str, str], _Container] = field(default_factory=dict)
    probes: dict[Row, _Probe] = field(default_factory=dict)
    chains: dict[Row, str] = field(default_factory=dict)
    volumes: dict[Row, tuple[str, int, int]] = field(default_factory=dict)


class World:
    """All nodes of a fake cluster. Not thread-safe: one loop drives it."""

    def __init__(self, now: Callable[[], int]) -> None:
        self._now = now
        self._nodes: dict[str, _Node] = {}
        self._behaviours: dict[str, Behaviour] = {}
        self._ids = itertools.count(1)
        self._alarms: list[tuple[int, str]] = []
        self._touched: dict[str, None] = {}
        self.blind: dict[str, str] = {}
        """Nodes whose drivers cannot see or act, each with the reason."""

    def node(self, name: str, network: int) -> FakeDriver:
        """A node and its driver; its pods get addresses of 10.244.`network`.0/24 (from 256 on: 10.245.0.0/24 …)."""
        self._nodes[name] = _Node(network)
        return FakeDriver(self, name)

    def behave(self, image: str, behaviour: Behaviour) -> None:
        """Containers of the image that are started from now on behave so."""
        self._behaviours[image] = behaviour

    def kill(self, node: str, pod_uid: str, container: str, exit_code: int = 137) -> None:
        """End a container from outside, as an operator or the kernel would."""
        found = self._nodes[node].containers[pod_uid, container]
        found.exit_code, found.finished = exit_code, self._now()
        self.touch(node)

    def lose_sandbox(self, node: str, pod_uid: str) -> None:
        """Remove a pod's sandbox from outside; its containers end with it."""
        self._nodes[node].sandboxes.pop(pod_uid)
        for (uid, name), container in self._nodes[node].containers.items():
            if uid == pod_uid and container.finished is None:
                self.kill(node, uid, name)
        self.touch(node)

    def due(self) -> int | None:
        """The time at which something next happens by itself."""
        return self._alarms[0][0] if self._alarms else None

    def elapse(self) -> None:
        """Let happen what is due by now."""
        while self._alarms and self._alarms[0][0] <= self._now():
            _, name = heapq.heappop(self._alarms)
            for container in self._nodes[name].containers.values():
                after = container.behaviour.exits_after
                if container.finished is None and after is not None and container.started + after <= self._now():
                    container.exit_code, container.finished = container.behaviour.exit_code, container.started + after
            self.touch(name)

    def touch(self, name: str) -> None:
        """The node has something new to observe."""
        self._touched[name] = None

    def touched(self) -> list[str]:
        """The nodes with something new since this was last asked."""
        names = list(self._touched)
        self._touched.clear()
        return names

    # what drivers do

    def observe(self, name: str) -> Observation:
        """All facts of a node, or that it cannot be seen."""
        if name in self.blind:
            return Observation(name, blind=self.blind[name])
        return Observation(name, tuple(self._facts(name, self._nodes[name])))

    def _facts(self, name: str, node: _Node) -> Iterator[Fact]:
        for uid, sandbox in node.sandboxes.items():
            running = TRUE if sandbox.running else FALSE
            row = (name, uid, sandbox.hash, sandbox.id, sandbox.ip, running, sandbox.created, sandbox.notes)
            yield Fact("docker.sandbox", row)
        for (uid, container_name), c in node.containers.items():
            oom = TRUE if c.exit_code == 137 and c.config.get("oom") is TRUE else FALSE
            yield Fact("docker.container", (
                name, uid, container_name, c.hash, c.row[3], c.id, f"fake:{c.config.get('image', '')}", c.state(),
                c.exit_code, oom, c.started, c.finished, c.config.get("sandbox"), c.config.get("notes"),
            ))  # fmt: skip
        for probe in node.probes.values():
            yield self._answer(node, probe)
        for (_, table, chain), chain_hash in node.chains.items():
            yield Fact("iptables.chain", (name, table, chain, chain_hash))
        for key, made in node.volumes.items():
            yield Fact("disk.volume", (*key, *made))

    def _answer(self, node: _Node, probe: _Probe) -> Fact:
        name, uid, container_name, kind, config = probe.row
        assert isinstance(config, Document)
        ok: bool | None = None
        container = node.containers.get((str(uid), str(container_name)))
        if container is not None and container.finished is None and container.id == config.get("container_id"):
            behaviour, elapsed = container.behaviour, self._now() - container.started
            if elapsed >= config.get("initialDelaySeconds", 0) * 1000:
                ready = behaviour.ready_after is not None and elapsed >= behaviour.ready_after
                ok = behaviour.alive if kind == "liveness" else ready
        message = "the image behaves so" if ok is False else ""
        answer = (name, uid, container_name, kind, probe.hash, config.get("container_id"), value(ok), message)
        return Fact("probe.result", answer)

    def perform(self, name: str, operation: Operation) -> str | None:
        """Do it; returns an error or None."""
        if name in self.blind:
            return self.blind[name]
        node = self._nodes[name]
        self.touch(name)
        if operation.relation == "node.sandbox":
            self._sandbox(node, operation)
            return None
        if operation.relation == "node.container":
            return self._container(name, node, operation)
        if operation.relation == "node.stop":
            self.kill(name, str(operation.key[1]), str(operation.key[2]))
            return None
        if operation.relation == "node.probe":
            node.probes.pop(operation.key, None)
            if operation.desired is not None:
                node.probes[operation.key] = _Probe(operation.desired, digest(operation.desired))
                self._probe_alarms(name, node, operation.desired)
            return None
        if operation.relation == "volumes.volume":
            node.volumes.pop(operation.key, None)
            if operation.desired is not None:
                config = operation.desired[3]
                assert isinstance(config, Document)
                node.volumes[operation.key] = digest(operation.desired), self._now(), config["issue"]
            return None
        node.chains.pop(operation.key, None)
        if operation.desired is not None:
            node.chains[operation.key] = digest(operation.desired)
        return None

    def _sandbox(self, node: _Node, operation: Operation) -> None:
        uid = str(operation.key[1])
        old = node.sandboxes.pop(uid, None)
        if old is not None:
            node.free.append(int(old.ip.rsplit(".", 1)[1]))
        if operation.desired is None or old is not None:
            for key in [key for key in node.containers if key[0] == uid]:
                del node.containers[key]
        if operation.desired is not None:
            config = operation.desired[2]
            assert isinstance(config, Document)
            host = node.free.pop(0) if node.free else next(node.addresses)
            ip = f"10.{244 + node.network // 256}.{node.network % 256}.{host}"
            number = f"sandbox-{next(self._ids)}"
            node.sandboxes[uid] = _Sandbox(number, ip, digest(operation.desired), self._now(), config.get("notes"))

    def _container(self, name: str, node: _Node, operation: Operation) -> str | None:
        place = (str(operation.key[1]), str(operation.key[2]))
        if operation.desired is None:
            node.containers.pop(place, None)
            return None
        config = operation.desired[4]
        assert isinstance(config, Document)
        sandbox = node.sandboxes.get(place[0])
        if sandbox is None or sandbox.id != config.get("sandbox"):
            return "its sandbox is gone"
        behaviour = self._behaviours.get(config.get("image", ""), behaviour_of(config))
        if behaviour.refuses is not None:
            return behaviour.refuses
        now = self._now()
        number = f"container-{next(self._ids)}"
        container = _Container(number, operation.desired, config, digest(operation.desired), behaviour, now)
        node.containers[place] = container
        for after in (behaviour.exits_after, behaviour.ready_after):
            if after is not None:
                heapq.heappush(self._alarms, (now + after, name))
        return None

    def _probe_alarms(self, name: str, node: _Node, row: Row) -> None:
        container = node.containers.get((str(row[1]), str(row[2])))
        config = row[4]
        if container is not None and isinstance(config, Document):
            start = container.started + config.get("initialDelaySeconds", 0) * 1000
            if start > self._now():
                heapq.heappush(self._alarms, (start, name))


class FakeDriver:
    """The whole of one fake node as a driver: sandboxes, containers, probes, chains and volumes."""

    name = "fake"
    observes: tuple[str, ...] = ("docker.sandbox", "docker.container", "probe.result", "iptables.chain", "disk.volume")
    performs: tuple[str, ...] = (
        "node.sandbox", "node.container", "node.stop", "node.probe", "network.chain", "volumes.volume",
    )  # fmt: skip

    def __init__(self, world: World, node: str) -> None:
        self.world, self.node = world, node

    def observe(self) -> Observation:
        """All facts of the node."""
        return self.world.observe(self.node)

    def perform(self, operation: Operation) -> Outcome:
        """Do it at once."""
        return Outcome(operation, self.world.perform(self.node, operation))

    def perform_all(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Do them at once, in order."""
        return [self.perform(operation) for operation in operations]

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Nothing to listen to: the loop asks the world what was touched."""
        return lambda: None
