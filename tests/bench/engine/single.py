"""Single questions and answers, each against the time that it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True, slots=True)
class Single:
    """What was asked how often, and the median; seconds."""

    question: str
    wanted: float
    times: tuple[float, ...]

    @property
    def reached(self) -> float:
        """The median."""
        return median(self.times)


def timed(act: Callable[[], object]) -> float:
    """The seconds that something takes."""
    start = time.perf_counter()
    act()
    return time.perf_counter() - start


def singles() -> Iterator[Single]:
    """All of them, one after the other."""
    from tests.bench.engine import decision, questions, startup

    yield from decision.measured()
    yield from questions.measured()
    yield from startup.measured()
