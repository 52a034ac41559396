"""Looking at one driver's world whenever something may have changed there.

What a driver did is settled only by an observation made after it: outcomes are handed on with the first one that is.
"""

from __future__ import annotations

import threading
from collections.abc import Callable

from kdl.effects.driver import Driver, Observation, Outcome

Report = Callable[[Driver, Observation, list[Outcome]], None]

PERIOD = 15.0
"""Seconds after which a driver is looked at although nothing woke it: drift is found so."""


class Observer:
    """Looks at a driver: in a thread of its own when woken and now and then, or only when told to (`look`)."""

    def __init__(self, driver: Driver, report: Report, threaded: bool) -> None:
        self.driver = driver
        self._report = report
        self._lock = threading.Lock()
        self._outcomes: list[Outcome] = []
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name=f"observe-{driver.name}") if threaded else None
        self._unlisten: Callable[[], None] = lambda: None

    def start(self) -> None:
        """The first look, and then the thread."""
        self.look()
        if self._thread is not None:
            self._unlisten = self.driver.listen(self._wake.set)
            self._thread.start()

    def stop(self) -> None:
        """End the thread and stop listening."""
        self._stopping = True
        self._wake.set()
        self._unlisten()
        if self._thread is not None and self._thread.is_alive():
            self._thread.join()

    def after(self, outcomes: list[Outcome]) -> None:
        """Operations have ended; they are settled by the next look."""
        with self._lock:
            self._outcomes.extend(outcomes)
        if self._thread is None:
            self.look()
        else:
            self._wake.set()

    def look(self) -> None:
        """Observe, and report it with the outcomes that came before."""
        with self._lock:
            outcomes, self._outcomes = self._outcomes, []
        self._report(self.driver, self.driver.observe(), outcomes)

    def _run(self) -> None:
        while not self._stopping:
            self._wake.wait(PERIOD)
            self._wake.clear()
            if not self._stopping:
                self.look()
