"""Docker's events: a wake-up whenever something of ours started or ended, and when the daemon comes or goes."""

from __future__ import annotations

import threading
from collections.abc import Callable
from contextlib import closing, suppress
from typing import Any

from kdl.effects.docker import names as label
from kdl.effects.docker.connection import FAILURES, Connection
from kdl.effects.docker.names import Names

EVENTS = ["start", "die", "oom", "destroy", "pause", "unpause"]
"""What can change a fact. Probes' exec events are not among them, or every probe would be a look around."""

RETRY, PULSE = 0.3, 2.0
"""Seconds between attempts to reach the daemon, and between questions whether it still answers."""


class Listener:
    """Two daemon threads: one reads the events, one asks now and then whether anybody is there.

    The stream of a frozen daemon is as silent as that of an idle one: only the second thread finds out.
    """

    def __init__(
        self, connection: Connection, names: Names, changed: Callable[[str | None], None], wake: Callable[[], None]
    ) -> None:
        self._connection, self._names = connection, names
        self._changed, self._wake = changed, wake
        self._stopping = threading.Event()
        self._stream: Any = None
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=run, name=f"kdl-docker-{run.__name__.strip('_')}", daemon=True)
            for run in (self._events, self._pulse)
        ]
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End both threads."""
        self._stopping.set()
        with self._lock:
            if self._stream is not None:
                with suppress(*FAILURES):
                    self._stream.close()
        for thread in self._threads:
            thread.join(PULSE + 5)

    def _events(self) -> None:
        filters = {**self._names.filter(), "type": "container", "event": EVENTS}
        filters["label"] = [f"{label.CLUSTER}={self._names.cluster}"]
        while not self._stopping.is_set():
            # a stream that breaks off ends in whatever error its decoder was at
            with suppress(Exception), closing(self._connection.endless()) as client:
                stream = client.events(decode=True, filters=filters)
                with self._lock:
                    self._stream = stream
                if self._stopping.is_set():
                    return
                self._changed(None)  # whatever happened before the stream began
                self._wake()
                for event in stream:
                    self._changed(event.get("id"))
                    self._wake()
            if not self._stopping.is_set():
                self._wake()
                self._stopping.wait(RETRY)

    def _pulse(self) -> None:
        answers = True
        while not self._stopping.wait(PULSE):
            try:
                self._connection.looking().ping()
                answering = True
            except FAILURES:
                answering = False
            if answering != answers:
                answers = answering
                self._wake()
