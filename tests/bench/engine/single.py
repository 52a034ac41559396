"""Single questions and answers, each against the processor time that it may take."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from statistics import median, quantiles


@dataclass(frozen=True, slots=True)
class Single:
    """What was asked how often; what the median may be and was, and 99 of 100; seconds."""

    question: str
    wanted: float
    reached: float
    most: float
    times: int


def single(question: str, wanted: float, times: Sequence[float]) -> Single:
    """Of all its times."""
    return Single(question, wanted, median(times), quantiles(times, n=100, method="inclusive")[98], len(times))


def timed(act: Callable[[], object]) -> float:
    """The seconds of processor time that something takes."""
    start = time.process_time()
    act()
    return time.process_time() - start


def singles() -> Iterator[Single]:
    """All of them, one after the other."""
    from tests.bench.engine import decision, questions, startup

    yield from decision.measured()
    yield from questions.measured()
    yield from startup.measured()
