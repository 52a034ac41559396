"""Where time comes from: the one place that reads the machine's clock. Times are milliseconds since the Unix epoch."""

from __future__ import annotations

import threading
import time
from typing import Protocol


class Clock(Protocol):
    """A clock that never goes back."""

    def now(self) -> int:
        """Milliseconds since the Unix epoch."""


class SystemClock:
    """The wall clock, which stands still while the machine's own is behind its last reading."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        with self._lock:
            self._last = max(self._last, time.time_ns() // 1_000_000)
            return self._last


class VirtualClock:
    """A clock that moves only when told to."""

    def __init__(self, now: int = 1_767_225_600_000) -> None:  # 2026-01-01T00:00:00Z
        self._now = now

    def now(self) -> int:
        """Milliseconds since the Unix epoch."""
        return self._now

    def advance(self, milliseconds: int) -> None:
        """Let time pass; `ValueError` if it is to go back."""
        if milliseconds < 0:
            raise ValueError(f"a clock does not go back by {-milliseconds} ms")
        self._now += milliseconds
