"""Fault points for crash tests: named places at which the process can be made to die as if its power were cut.

With ``KDL_FAULT=N`` in the environment the process kills itself with SIGKILL at the N-th point that it reaches, from 1;
with ``KDL_FAULT_LOG=FILE`` it appends the name of every point it reaches, so that a test can count them first. Without
either, a point costs one test of a flag.
"""

from __future__ import annotations

import os
import signal
import threading

_lock = threading.Lock()
_reached = 0


def _point(name: str) -> None:
    global _reached
    with _lock:
        _reached += 1
        if path := os.environ.get("KDL_FAULT_LOG"):
            with open(path, "a", encoding="utf-8") as log:
                log.write(f"{name}\n")
        if os.environ.get("KDL_FAULT") == str(_reached):
            os.kill(os.getpid(), signal.SIGKILL)


_armed = "KDL_FAULT" in os.environ or "KDL_FAULT_LOG" in os.environ


def point(name: str) -> None:
    """A place between two steps that a crash may separate."""
    if _armed:
        _point(name)
