"""Probes on their periods: a driver whose desired state is which probes go on, and that observes what they found.

Thresholds are applied in here, as a kubelet's workers do, so that a fact changes only when a probe's verdict does. What
a verdict means is for rules to say.
"""

from __future__ import annotations

import heapq
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from kdl.effects.driver import Observation, Operation, Outcome
from kdl.fact import Document, Fact, Row, digest, value

Probe = Callable[[Document], tuple[bool, str]]
"""Probes once, after a node.probe's config; whether it succeeded, and else what was wrong. Bounded in time."""

WORKERS = 8
"""Probes that may be going on at once; each is bounded by its own timeout."""


@dataclass(slots=True)
class _Going:
    """One probe that goes on: how often in a row it has come out the same, and its verdict so far."""

    row: Row
    hash: str
    ok: bool = False
    streak: int = 0
    verdict: bool | None = None
    message: str = ""

    @property
    def config(self) -> Document:
        config = self.row[4]
        assert isinstance(config, Document)
        return config

    def answer(self) -> Row:
        """The row of `probe.result`."""
        instance = self.config.get("container_id", "")
        return (*self.row[:4], self.hash, instance, value(self.verdict), self.message)

    def take(self, ok: bool, message: str) -> bool:
        """One more outcome; whether the verdict changed."""
        self.streak = self.streak + 1 if ok == self.ok else 1
        self.ok = ok
        needed = self.config.get("successThreshold", 1) if ok else self.config.get("failureThreshold", 3)
        if self.streak < needed or self.verdict == ok:
            return False
        self.verdict, self.message = ok, message
        return True


class Prober:
    """The driver of one node's probes."""

    name = "prober"
    observes: tuple[str, ...] = ("probe.result",)
    performs: tuple[str, ...] = ("node.probe",)

    def __init__(self, node: str, probe: Probe, now: Callable[[], float] = time.monotonic) -> None:
        self.node = node
        self._probe, self._now = probe, now
        self._going: dict[Row, _Going] = {}
        self._due: list[tuple[float, int, Row, _Going]] = []
        self._count = 0
        self._changed = threading.Condition()
        self._stopping = False
        self._wake: Callable[[], None] = lambda: None

    def observe(self) -> Observation:
        """The verdicts of all probes that go on; null for those not decided yet."""
        with self._changed:
            facts = [Fact("probe.result", going.answer()) for going in self._going.values()]
        return Observation(self.node, facts)

    def perform(self, operation: Operation) -> Outcome:
        """Begin, replace or end a probe."""
        with self._changed:
            self._going.pop(operation.key, None)
            if operation.desired is not None:
                going = _Going(operation.desired, digest(operation.desired))
                self._going[operation.key] = going
                self._plan(operation.key, going, going.config.get("initialDelaySeconds", 0))
                self._changed.notify()
        return Outcome(operation)

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Probe from now on, and call `wake` at each new verdict; returns what stops it."""
        self._wake = wake
        thread = threading.Thread(target=self._run, name="kdl-prober")
        thread.start()

        def stop() -> None:
            with self._changed:
                self._stopping = True
                self._changed.notify()
            thread.join()

        return stop

    def _plan(self, key: Row, going: _Going, delay: float) -> None:
        self._count += 1
        heapq.heappush(self._due, (self._now() + delay, self._count, key, going))

    def _run(self) -> None:
        with ThreadPoolExecutor(WORKERS, "kdl-probe") as pool:
            while True:
                with self._changed:
                    while not self._stopping and (not self._due or self._due[0][0] > self._now()):
                        self._changed.wait(self._due[0][0] - self._now() if self._due else None)
                    if self._stopping:
                        return
                    _, _, key, going = heapq.heappop(self._due)
                if self._going.get(key) is going:
                    pool.submit(self._once, key, going)

    def _once(self, key: Row, going: _Going) -> None:
        ok, message = self._probe(going.config)
        with self._changed:
            if self._going.get(key) is not going or self._stopping:
                return
            changed = going.take(ok, message)
            self._plan(key, going, going.config.get("periodSeconds", 10))
            self._changed.notify()
        if changed:
            self._wake()
