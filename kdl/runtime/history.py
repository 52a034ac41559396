"""How much containers of each image used over the last month, for rules that estimate what new ones will need.

Kept in the store: for each day and image a histogram of CPU and one of memory, with buckets that are a tenth apart.
"""

from __future__ import annotations

import math
from collections import Counter
from typing import Final

import orjson

from kdl.fact import Fact
from kdl.runtime.clock import Clock
from kdl.runtime.store.interface import Store

USED: Final = "admission.used"
DAYS: Final = (7, 30)
"""The stretches of time, in days up to today, of which rules are told."""

PERCENTILE: Final = 90
STEP: Final = 1.1
UNITS: Final = {"cpu": 1, "memory": 1 << 20}
"""The smallest amount that is told apart from none: a millicore, a mebibyte."""

_DAY: Final = 86_400_000

Day = dict[str, dict[str, Counter[int]]]
"""Of each image and resource: how many measurements fell in which bucket."""


def bucket(resource: str, amount: int) -> int:
    """The smallest bucket that is not below an amount."""
    return max(math.ceil(math.log(amount / UNITS[resource], STEP) - 1e-9), 0) if amount > 0 else 0


def amount(resource: str, bucket: int) -> int:
    """The upper bound of a bucket."""
    return math.ceil(UNITS[resource] * STEP**bucket)


def percentile(counts: Counter[int], percent: int) -> int:
    """The smallest bucket that so many percent of all measurements do not exceed."""
    needed = math.ceil(counts.total() * percent / 100)
    for number in sorted(counts):
        needed -= counts[number]
        if needed <= 0:
            return number
    raise ValueError("no measurements")


class History:
    """What a store's cluster has learned; `keep` makes what is new durable and brings `facts` up to date."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store, self._clock = store, clock
        today = self._today()
        self._days: dict[int, Day] = {}
        for day in range(today - DAYS[-1] + 1, today + 1):
            if text := store.meta(_key(day)):
                self._days[day] = _read(text)
        self.facts = self._facts(today)

    def _today(self) -> int:
        return self._clock.now() // _DAY

    def note(self, image: str, cpu: int, memory: int) -> None:
        """One measurement of a container: millicores, bytes."""
        known = self._days.setdefault(self._today(), {}).setdefault(image, {})
        for resource, used in (("cpu", cpu), ("memory", memory)):
            known.setdefault(resource, Counter())[bucket(resource, used)] += 1

    def keep(self) -> None:
        """Write down today's, and let go of what is too old."""
        today = self._today()
        old = [day for day in self._days if day <= today - DAYS[-1]]
        with self._store.transaction() as t:
            for day in old:
                t.put_meta(_key(day), "")
                del self._days[day]
            for day in (today - 1, today):
                if day in self._days:
                    t.put_meta(_key(day), _written(self._days[day]))
        self.facts = self._facts(today)

    def _facts(self, today: int) -> tuple[Fact, ...]:
        """Of each image, stretch of days and resource: how many measurements, and their 90th percentile."""
        rows = []
        for days in DAYS:
            together: dict[tuple[str, str], Counter[int]] = {}
            for day, images in self._days.items():
                if day > today - days:
                    for image, resources in images.items():
                        for resource, counts in resources.items():
                            together.setdefault((image, resource), Counter()).update(counts)
            for (image, resource), counts in together.items():
                most = amount(resource, percentile(counts, PERCENTILE))
                rows.append(Fact(USED, (image, days, resource, counts.total(), most)))
        return tuple(rows)


def _key(day: int) -> str:
    return f"usage/{day}"


def _written(day: Day) -> str:
    return orjson.dumps(day, option=orjson.OPT_NON_STR_KEYS).decode()


def _read(text: str) -> Day:
    return {
        image: {name: Counter({int(number): n for number, n in counts.items()}) for name, counts in resources.items()}
        for image, resources in orjson.loads(text).items()
    }
