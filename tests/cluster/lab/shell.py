"""Running system commands."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable


class Failed(Exception):
    """A command ended badly; says which, and what it printed."""


def run(*argv: str, check: bool = True, timeout: float = 60) -> str:
    """What a command prints."""
    done = subprocess.run(argv, capture_output=True, text=True, timeout=timeout, stdin=subprocess.DEVNULL)
    if check and done.returncode != 0:
        raise Failed(f"{' '.join(argv)}: {done.returncode}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def wait(condition: Callable[[], object], what: str, seconds: float = 20, every: float = 0.02) -> None:
    """Wait until something holds; raises `Failed` when it does not in time."""
    end = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > end:
            raise Failed(f"{what}: not within {seconds:g} s")
        time.sleep(every)
