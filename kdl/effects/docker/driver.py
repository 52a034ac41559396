"""The driver of one node's containers."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from kdl.effects.contents import Contents
from kdl.effects.docker import logs
from kdl.effects.docker.connection import FAILURES, Connect, Connection, connect_to, line
from kdl.effects.docker.events import Listener
from kdl.effects.docker.execution import execute
from kdl.effects.docker.images import remove_pause
from kdl.effects.docker.inventory import Inventory, listed
from kdl.effects.docker.lifecycle import Lifecycle
from kdl.effects.docker.names import CLUSTER, Names
from kdl.effects.docker.network import remove_networks
from kdl.effects.docker.streams import Streams
from kdl.effects.docker.usage import readings
from kdl.effects.driver import Observation, Operation, Outcome, Reading
from kdl.fact import Row


class DockerDriver:
    """Sandboxes and containers of one node of one cluster, given by its uid.

    `address` is the node's own: pods in the host's network have it too. `connect` says where Docker is (`connect_to`).
    `volumes` is the folder in which each pod has one for its volumes; `contents` has what environments only name.
    """

    name = "docker"
    observes: tuple[str, ...] = ("docker.sandbox", "docker.container")
    performs: tuple[str, ...] = ("node.sandbox", "node.container", "node.stop")

    def __init__(
        self,
        node: str,
        cluster: str,
        pod_cidr: str,
        address: str = "",
        connect: Connect | None = None,
        volumes: Path = Path("/"),
        contents: Contents | None = None,
    ) -> None:
        self.node = node
        self.names = Names(cluster, node)
        self._connection = Connection(connect or connect_to())
        self._inventory = Inventory(self.names, address)
        self._lifecycle = Lifecycle(self.names, pod_cidr, volumes, contents or Contents({}))
        self._lock = threading.Lock()
        self._making: list[Row] = []

    # the protocol

    def observe(self) -> Observation:
        """What is there now; blind within seconds if Docker does not answer."""
        with self._lock:
            making = set(self._making)
        try:
            return Observation(self.node, self._inventory.facts(self._connection.looking(), making))
        except FAILURES as error:
            return Observation(self.node, blind=f"Docker does not answer: {line(error)}")

    def perform(self, operation: Operation) -> Outcome:
        """Do it; what went wrong is the outcome's error, for whatever reason."""
        key = operation.key[1:]
        with self._lock:
            self._making.append(key)
        try:
            self._perform(operation)
        except Exception as error:
            return Outcome(operation, line(error) or type(error).__name__)
        finally:
            with self._lock:
                self._making.remove(key)
        return Outcome(operation)

    def _perform(self, operation: Operation) -> None:
        client, row = self._connection.acting(), operation.desired
        uid = str(operation.key[1])
        match operation.relation, operation.verb:
            case "node.sandbox", "remove":
                self._lifecycle.remove_sandbox(client, uid)
            case "node.sandbox", verb:
                assert row is not None
                if verb == "replace":
                    self._lifecycle.remove_sandbox(client, uid)
                self._lifecycle.make_sandbox(client, row)
            case "node.container", "remove":
                self._lifecycle.remove_container(client, uid, str(operation.key[2]))
            case "node.container", _:
                assert row is not None
                self._lifecycle.make_container(client, row)
            case "node.stop", _:
                assert row is not None
                self._lifecycle.stop_container(client, uid, str(row[2]), str(row[3]), int(str(row[5])))
            case relation, _:
                raise ValueError(f"the docker driver performs no `{relation}`")

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Wake at every event of ours and when the daemon stops or starts answering."""
        return Listener(self._connection, self.names, self._inventory.forget, wake).stop

    # beside the loop

    def version(self) -> str:
        """The daemon's version; raises one of `FAILURES` if it does not answer."""
        return str(self._connection.looking().version()["Version"])

    def execute(self, container_id: str, argv: Sequence[str], timeout: float) -> tuple[int, str]:
        """Run a command in a container: its exit code and output. Raises `TimeoutError`, or one of `FAILURES`."""
        return execute(self._connection.acting(), container_id, argv, timeout)

    def logs(self, pod_uid: str, container: str, **options: Any) -> Iterator[bytes]:
        """What a container has printed; the options are those of `kdl.effects.docker.logs.read`."""
        return logs.read(self._connection, self.names, pod_uid, container, **options)

    def readings(self) -> list[Reading]:
        """What its running containers use; nothing is known while Docker does not answer."""
        try:
            client = self._connection.looking()
            return list(readings(client, listed(client, self.names.filter())))
        except FAILURES:
            return []

    @property
    def streams(self) -> Streams:
        """What can be opened in its containers."""
        return Streams(self._connection, self.names)

    def cleanup(self) -> None:
        """Remove everything of the cluster at once: containers, network, the pause image if nobody else uses it."""
        client = self._connection.acting()
        everything = listed(client, {"label": [f"{CLUSTER}={self.names.cluster}"]})
        for item in sorted(everything, key=lambda item: item.role == "sandbox"):
            self._lifecycle.discard(client, item)
        remove_networks(client, self.names)
        remove_pause(client)
