"""The protocol between the executor and what it drives.

A driver observes and performs; it decides nothing. It is told what to do by an `Operation`, which is one call, a key
and a cause, and it answers with an `Outcome`. Desired values carry a digest that the driver stores with what it makes
(a label, a comment) and reports back when it observes, so that desired and observed compare without knowing how the
world normalises its configuration.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Literal, NamedTuple, Protocol

from kdl.fact import Fact, Row, literal

Verb = Literal["create", "replace", "remove", "run"]


@dataclass(frozen=True, slots=True)
class Cause:
    """Why an operation is done: the rule that derived it (``workloads.dl:33``) and one sentence."""

    rule: str
    sentence: str


def operation_id(relation: str, key: Row) -> str:
    """What `Operation.id` says, for a key that has no operation any more."""
    return f"{relation}:{'/'.join(part if isinstance(part, str) else literal(part) for part in key)}"


@dataclass(frozen=True, slots=True)
class Operation:
    """One thing to do to the world.

    `relation` is the effect relation (``node.container``), `key` the values of its key columns, `desired` the whole
    derived row (None for ``remove``), `observed` the observed row (None for ``create`` and for commands, whose verb
    is ``run``).
    """

    verb: Verb
    relation: str
    key: Row
    desired: Row | None
    observed: Row | None
    cause: Cause

    @property
    def id(self) -> str:
        """Names the operation over its retries: the relation and the key."""
        return operation_id(self.relation, self.key)

    def __str__(self) -> str:
        return f"{self.id}, {self.verb}, {self.cause.sentence}"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How an operation ended: without an error it is done, with one it is retried later by core's backoff rule."""

    operation: Operation
    error: str | None = None


@dataclass(frozen=True, slots=True)
class Observation:
    """What a driver sees of one node: all the facts of its observed relations, or that it cannot see (`blind`).

    A blind driver keeps its last facts and gets no operations: not seeing is not absence.
    """

    node: str
    facts: Iterable[Fact] = field(default_factory=tuple)
    blind: str | None = None


class Reading(NamedTuple):
    """What one run of a container has used: nanoseconds of CPU since it began, and bytes of memory now."""

    pod_uid: str
    container: str
    run: str
    cpu: int
    memory: int


class Driver(Protocol):
    """What the executor needs of a driver."""

    name: str
    """The driver's word in facts and plans: ``docker``, ``iptables``."""

    node: str
    """The node that this instance drives; operations are routed to it by their key's first column."""

    observes: tuple[str, ...]
    """The observed relations that this driver is the source of: ``("docker.sandbox", "docker.container")``."""

    performs: tuple[str, ...]
    """The effect relations whose operations it performs: ``("node.sandbox", "node.container")``."""

    def observe(self) -> Observation:
        """Everything that is there now. Slow is fine; raises nothing: failure to see is `Observation.blind`."""

    def perform(self, operation: Operation) -> Outcome:
        """Do it; raises nothing. Called from worker threads, never twice at once for one key."""

    def listen(self, wake: Callable[[], None]) -> Callable[[], None]:
        """Call ``wake`` (from any thread) whenever something observable may have changed; returns what stops it."""
