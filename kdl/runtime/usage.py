"""What pods and nodes use: measured every so often, shown as ``metrics.k8s.io``, and remembered by image for rules.

Amounts of CPU are averages between two measurements, as kubelet and metrics-server have them.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, NamedTuple, cast

from kdl.effects.driver import Reading
from kdl.fact import Document, Fact, value
from kdl.parser.quantity import rfc3339
from kdl.runtime import machine
from kdl.runtime.clock import Clock
from kdl.runtime.history import History
from kdl.runtime.store.interface import Key, Object, Store

GROUP: Final = "metrics.k8s.io"
PERIOD: Final = 15.0
"""Seconds from one measurement to the next: metrics-server's."""

FIRST: Final = 3.0
"""Seconds from the first to the second, so that there is something to show soon."""

KEPT: Final = 60.0
"""Seconds after which what was learned is written down, and told to rules."""


class Amount(NamedTuple):
    """What was used over a window that ended at a time: billionths of a core, bytes; milliseconds."""

    cpu: int
    memory: int
    window: int
    until: int

    def said(self) -> dict[str, str]:
        """As Kubernetes writes it."""
        return {"cpu": f"{self.cpu}n", "memory": f"{self.memory >> 10}Ki"}

    def when(self) -> dict[str, str]:
        """The time and the window."""
        return {"timestamp": rfc3339(self.until // 1000 * 1000), "window": f"{self.window / 1000:g}s"}


@dataclass(slots=True)
class Meter:
    """Turns readings that only grow into amounts: those of one thing are comparable as long as its run is the same."""

    before: dict[Any, tuple[float, str, int]] = field(default_factory=dict)

    def amounts(self, readings: Mapping[Any, tuple[str, int, int]], at: float, now: int) -> dict[Any, Amount]:
        """What each used since the last time, for those that were there then. Readings are run, CPU, memory."""
        found = {}
        for key, (run, cpu, memory) in readings.items():
            then, same, used = self.before.get(key, (at, "", 0))
            if same == run and at > then and cpu >= used:
                found[key] = Amount(int((cpu - used) / (at - then)), memory, int((at - then) * 1000), now)
        self.before = {key: (at, run, cpu) for key, (run, cpu, _) in readings.items()}
        return found


class Usage:
    """Measures in a thread of its own, from `start` to `stop`. Without `readings` nothing is ever known."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        node: str,
        readings: Callable[[], list[Reading]] | None,
        elapsed: Callable[[], float] = time.monotonic,
    ) -> None:
        """`elapsed` tells seconds that never jump."""
        self._store, self._clock, self._node, self._readings = store, clock, node, readings
        self._elapsed = elapsed
        self._containers, self._machine = Meter(), Meter()
        self._amounts: dict[tuple[str, str], Amount] = {}
        self._whole: Amount | None = None
        self._history = History(store, clock)
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="usage")

    @property
    def facts(self) -> tuple[Fact, ...]:
        """What containers of each image were seen to use; another tuple when more is known."""
        return self._history.facts

    def start(self) -> None:
        """Measure from now on."""
        if self._readings is not None:
            self._thread.start()

    def stop(self) -> None:
        """Measure no more; what was learned is kept."""
        self._over.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        pause, kept = FIRST, self._elapsed()
        self.measure()
        while not self._over.wait(pause):
            self.measure()
            pause = PERIOD
            if self._elapsed() - kept > KEPT:
                self.keep()
                kept = self._elapsed()
        self.keep()

    def keep(self) -> None:
        """Make durable what was learned, and `facts` say it."""
        self._history.keep()

    def measure(self) -> None:
        """Look once at what is used."""
        if self._readings is None:
            return
        found = self._readings()
        at, now = self._elapsed(), self._clock.now()
        read = {(item.pod_uid, item.container): (item.run, item.cpu, item.memory) for item in found}
        self._amounts = self._containers.amounts(read, at, now)
        self._whole = self._machine.amounts({self._node: ("", *machine.used())}, at, now).get(self._node)
        for pod in self._pods():
            for container in pod.doc["spec"].get("containers", ()):
                if (amount := self._amounts.get((pod.uid, container["name"]))) is not None:
                    self._history.note(container["image"], amount.cpu // 1_000_000, amount.memory)

    def _pods(self) -> list[Object]:
        return self._store.snapshot("", "Pod")[0]

    def pods(self) -> list[Object]:
        """A `PodMetrics` for each pod of which something is known."""
        return list(self._pod_metrics())

    def _pod_metrics(self) -> Iterator[Object]:
        amounts = self._amounts
        for pod in self._pods():
            names = [container["name"] for container in pod.doc["spec"].get("containers", ())]
            known = {name: amount for name in names if (amount := amounts.get((pod.uid, name))) is not None}
            if known:
                containers = [{"name": name, "usage": amount.said()} for name, amount in known.items()]
                when = min(known.values(), key=lambda amount: amount.window).when()
                yield self._metrics(pod, "PodMetrics", {**when, "containers": containers})

    def nodes(self) -> list[Object]:
        """The `NodeMetrics` of this machine's node."""
        node, whole = self._store.get(Key("", "Node", self._node)), self._whole
        if node is None or whole is None:
            return []
        return [self._metrics(node, "NodeMetrics", {**whole.when(), "usage": whole.said()})]

    def _metrics(self, about: Object, kind: str, body: dict[str, Any]) -> Object:
        known = about.doc["metadata"]
        metadata = {name: known[name] for name in ("name", "namespace", "labels") if name in known}
        metadata["creationTimestamp"] = body["timestamp"]
        doc = {"apiVersion": f"{GROUP}/v1beta1", "kind": kind, "metadata": metadata, **body}
        return Object(Key(GROUP, kind, about.key.id), about.revision, cast(Document, value(doc)))
