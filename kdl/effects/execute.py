"""Performing operations: routing them to drivers, one at a time for each key, in threads or at once.

An operation is in flight from the moment it is submitted until what it did has been observed; meanwhile it is not
issued again, however often it is derived. Nothing here decides what to do: withheld operations never get here.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Protocol, runtime_checkable

from kdl.effects.driver import Driver, Operation, Outcome
from kdl.fact import Row


@runtime_checkable
class Batch(Protocol):
    """A driver that performs many operations in one go (one commit for many iptables chains)."""

    def perform_all(self, operations: Sequence[Operation]) -> list[Outcome]:
        """Perform them together; one outcome for each operation."""


Done = Callable[[Driver, list[Outcome]], None]

Mark = Callable[[str], None]
"""Told of each place at which a crash would leave one operation done and the next not."""


class Executor:
    """Hands operations to the drivers of their nodes.

    `done` is called with the driver and the outcomes, from whatever thread performed them. Without `threads` everything
    is performed before `submit` returns: for drivers that only touch memory, and for tests. `mark` is told before and
    after each call of a driver.
    """

    def __init__(
        self, drivers: Iterable[Driver], done: Done, threads: int = 0, mark: Mark = lambda place: None
    ) -> None:
        self._routes = {(relation, driver.node): driver for driver in drivers for relation in driver.performs}
        self._done, self._mark = done, mark
        self._pool = ThreadPoolExecutor(threads, "kdl-driver") if threads else None
        self.in_flight: set[str] = set()

    def route(self, relation: str, key: Row) -> Driver | None:
        """The driver that performs a relation's operations on the node that the key begins with."""
        return self._routes.get((relation, str(key[0])))

    def submit(self, operations: Iterable[Operation]) -> list[Operation]:
        """Start those that a driver here performs and that are not in flight; returns what was started, in order."""
        started: dict[int, tuple[Driver, list[Operation]]] = {}
        for operation in operations:
            driver = self.route(operation.relation, operation.key)
            if driver is None or operation.id in self.in_flight:
                continue
            self.in_flight.add(operation.id)
            started.setdefault(id(driver), (driver, []))[1].append(operation)
        for driver, batch in started.values():
            if isinstance(driver, Batch):
                self._run(driver, batch)
            else:
                for operation in batch:
                    self._run(driver, [operation])
        return [operation for _, batch in started.values() for operation in batch]

    def settled(self, operations: Iterable[Operation]) -> None:
        """What the operations did has been observed: they may be issued again."""
        self.in_flight.difference_update(operation.id for operation in operations)

    def close(self) -> None:
        """Wait for what is running and stop the threads."""
        if self._pool is not None:
            self._pool.shutdown(wait=True, cancel_futures=True)

    def _run(self, driver: Driver, batch: list[Operation]) -> None:
        if self._pool is None:
            self._done(driver, self._perform(driver, batch))
        else:
            self._pool.submit(lambda: self._done(driver, self._perform(driver, batch)))

    def _perform(self, driver: Driver, batch: list[Operation]) -> list[Outcome]:
        what = f"{batch[0].relation} {batch[0].verb}" if len(batch) == 1 else f"{len(batch)} {batch[0].relation}"
        self._mark(f"before {what}")
        try:
            if isinstance(driver, Batch):
                return driver.perform_all(batch)
            return [driver.perform(operation) for operation in batch]
        except Exception as error:  # a driver's bug must not lose the operation: it fails, is told and retried
            return [Outcome(operation, f"{type(error).__name__}: {error}") for operation in batch]
        finally:
            self._mark(f"after {what}")
