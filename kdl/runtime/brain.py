"""The loop: what is heard becomes facts, what the rules then want becomes operations, what those did is heard.

One thread runs it. A tick takes what was heard, applies it to the engine as one delta, and executes what the settled
engine derives: commands on objects at once, inside a store transaction whose changes are the next tick's delta, and
operations on nodes after that transaction is durable. Nothing is done for a node before its drivers have observed it.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

from kdl.effects.diff import Comparison, Conflict, Difference, Effect, Key
from kdl.effects.driver import Cause, Driver, Observation, Operation, Outcome, operation_id
from kdl.effects.execute import Executor
from kdl.effects.plan import order
from kdl.fact import Delta, Fact
from kdl.parser.syntax import Rule
from kdl.rules.engine import Engine, LimitExceeded, Limits
from kdl.rules.explain import reason
from kdl.rules.program import Program, label
from kdl.runtime.api.service import Objects
from kdl.runtime.clock import Clock
from kdl.runtime.commands import COMMANDS, MOVED, Commands
from kdl.runtime.fault import point
from kdl.runtime.intake import Intake
from kdl.runtime.journal import Journal
from kdl.runtime.objects import ObjectFacts
from kdl.runtime.observer import Observer
from kdl.runtime.seal import Seal
from kdl.runtime.store.interface import Change
from kdl.runtime.turns import Turns

FAILED, WITHHELD, BLIND = "core.failed", "core.withheld", "core.blind"

RESYNC = 60.0
"""Seconds after which everything that is wanted and not there is looked at again, though nothing woke the loop."""

PAUSE = 1.0
"""Seconds at least between two tries to give the rules what they failed on."""

BUDGET, WINDOW = 60, 60_000
"""A command may be derived and done so often in so many milliseconds; beyond, it counts as failed, and rests."""

EXPLAINED = 100
"""Where a tick starts more operations than this, they go without a cause: nobody reads that many lines."""

BURST = 50
"""How many ticks may pass before what they wrote is made durable and intake from outside is heard again."""


class World(Protocol):
    """What drivers in memory share: nodes that change by themselves, and are asked about it rather than listened to."""

    def touched(self) -> list[str]:
        """The nodes with something new to observe."""

    def elapse(self) -> None:
        """Let happen what is due."""

    def due(self) -> int | None:
        """When something next happens."""


def effects_of(program: Program) -> list[Effect]:
    """The effect relations of a program, as the comparison wants them."""
    found = []
    for relation in program.relations.values():
        if not relation.effect:
            continue
        if relation.observes is None:
            found.append(Effect(relation.name, relation.key))
            continue
        observed = program.relations[relation.observes]
        key = tuple(observed.position(relation.columns[index].name) for index in relation.key)
        found.append(Effect(relation.name, relation.key, observed.name, key, observed.position("hash")))
    return found


@dataclass(slots=True)
class Failures:
    """Operations whose last try failed, as `core.failed` facts: how often in a row, when, and with what error."""

    known: dict[str, Fact] = field(default_factory=dict)

    def note(self, operation: Operation, error: str, now: int) -> tuple[list[Fact], list[Fact]]:
        """One more failure; the facts to insert and to remove."""
        old = self.forget(operation.id)
        times = old[0].row[1] if old else 0
        assert isinstance(times, int)
        new = Fact(FAILED, (operation.id, times + 1, now, error))
        self.known[operation.id] = new
        return [new], old

    def forget(self, operation: str) -> list[Fact]:
        """It worked, or nobody wants it any more; the facts to remove."""
        old = self.known.pop(operation, None)
        return [old] if old is not None else []


@dataclass(slots=True)
class Budget:
    """How often each command was done lately."""

    spent: dict[str, deque[int]] = field(default_factory=dict)

    def exceeded(self, operation: str, now: int) -> bool:
        """Count one more; whether it is one too many."""
        times = self.spent.setdefault(operation, deque(maxlen=BUDGET))
        runaway = len(times) == BUDGET and now - times[0] < WINDOW
        times.append(now)
        return runaway

    def forget(self, before: int) -> None:
        """Let go of what was last done before a time."""
        self.spent = {name: times for name, times in self.spent.items() if times[-1] >= before}


def _conflict(key: Key, conflict: Conflict) -> str:
    return f"{len(conflict.rows)} different values are derived for {operation_id(*key)}; none is done"


Watcher = Callable[[Operation, str | None], None]
"""Told of each operation when it starts (error None) and when it fails (with the error)."""


Rescue = Callable[[Engine, Exception, Rule | None], Engine | None]
"""An engine without the pack of a rule that failed with an error; None if there is no pack to blame."""

FAILURES: Final = (LimitExceeded, ArithmeticError, MemoryError, RecursionError)
"""What rules may fail with; everything else is a bug of kdl."""


class Brain:
    """One engine, the store it commands and the nodes it drives.

    With `threads` node operations and observations run beside the loop; without, everything happens inside `tick`,
    which is what tests and the fake runtime want.
    """

    def __init__(
        self,
        program: Program,
        objects: Objects,
        clock: Clock,
        drivers: Iterable[Driver] = (),
        *,
        world: World | None = None,
        threads: int = 0,
        tell: Watcher | None = None,
        journal: Journal | None = None,
        limits: Limits | None = None,
    ) -> None:
        self.engine = Engine(program, limits=limits)
        self.intake = Intake()
        self.comparison = Comparison(effects_of(program))
        self.drivers = tuple(drivers)
        self.ticks = 0
        self.lock = Turns()
        """Held during a tick; whoever asks the engine from another thread holds it meanwhile."""
        self.stuck: dict[Key, str] = {}
        """Conflicts and runaway commands, each with what is wrong; told once, kept for whoever asks."""
        self.halted: str | None = None
        """Why the rules cannot take in what was heard, if they cannot: nothing is decided or done meanwhile."""
        self.rescue: Rescue = lambda engine, error, rule: None
        """Finds an engine without the rules that failed."""
        self._accused: tuple[Exception, Rule | None] | None = None
        self._objects, self._clock, self._world, self._watcher = objects, clock, world, tell
        self._store, self._journal = objects.store, journal
        self._known = ObjectFacts(Seal.of(objects.store))
        self._commands = Commands(self._known.seen)
        self._changes: deque[Change] = deque()
        self._resynced = clock.now()
        self._explain = False
        self._pause = PAUSE
        self._failures = Failures()
        self._budget = Budget()
        self._candidates: set[Key] = set()
        self._blind: set[tuple[str, str]] = set()
        self._outcomes: deque[Outcome] = deque()
        self._observers = {
            id(driver): Observer(driver, self._observed, threaded=threads > 0) for driver in self.drivers
        }
        self._nodes: dict[str, list[Observer]] = {}
        for observer in self._observers.values():
            self._nodes.setdefault(observer.driver.node, []).append(observer)
        self._executor = Executor(
            self.drivers, lambda driver, outcomes: self._observers[id(driver)].after(outcomes), threads, point
        )
        self._stopping = threading.Event()
        self._unsubscribe: Callable[[], None] = lambda: None

    def problems(self) -> list[str]:
        """What is wrong and does not mend itself, in sentences. Hold the lock."""
        halted = [] if self.halted is None else [f"nothing new is decided: {self.halted}"]
        return [*halted, *sorted(self.stuck.values())]

    # --- start and end ---

    def start(self, facts: Iterable[Fact] = ()) -> None:
        """Load the store and observe every driver once; nothing is done before the first tick has settled both."""
        items, revision = self._store.snapshot()
        self.intake.change(self._known.load(items))
        self.intake.change(facts)
        self._unsubscribe = self._store.subscribe(self._heard, revision)
        for observer in self._observers.values():
            observer.start()

    def close(self) -> None:
        """Stop hearing and driving; nothing that runs is touched."""
        self._stopping.set()
        self.intake.wake.set()
        self._unsubscribe()
        self._executor.close()
        for observer in self._observers.values():
            observer.stop()
        self._store.flush()
        if self._journal is not None:
            with self.lock:  # a tick that has begun is recorded first
                self._journal.close()

    # --- hearing ---

    def _heard(self, changes: Sequence[Change]) -> None:
        """Changes of the store, on whatever thread made them durable."""
        self._changes.extend(changes)
        self.intake.wake.set()

    def _observed(self, driver: Driver, observation: Observation, outcomes: list[Outcome]) -> None:
        """What a driver sees after these outcomes, on the observer's thread."""
        source = (driver.name, observation.node)
        if observation.blind is None:
            self.intake.say(source, observation.facts)
        blind = [Fact(BLIND, (driver.name, observation.node, observation.blind))] if observation.blind else []
        self.intake.say((*source, BLIND), blind)
        self._outcomes.extend(outcomes)
        self.intake.wake.set()

    # --- the loop ---

    def run(self) -> None:
        """Tick until closed, asleep while there is nothing to do."""
        while not self._stopping.is_set():
            self.settle()
            if self.halted is not None:
                self._stopping.wait(self._pause)
            self.intake.wake.wait(self._rest())

    def _rest(self) -> float:
        """Seconds until something is due by itself, or may have mended itself."""
        due = self.due() if self.halted is None else None
        wait = (due - self._clock.now()) / 1000 if due is not None else RESYNC
        return min(max(wait, 0.0), RESYNC)

    def due(self) -> int | None:
        """The time that a rule, or a world in memory, waits for next."""
        times = [t for t in (self.engine.due(), self._world.due() if self._world else None) if t is not None]
        return min(times, default=None)

    def settle(self, ticks: int = BURST) -> int:
        """Tick until nothing follows, at most so often, then make durable what was written; how many ticks it took."""
        count = 0
        while count < ticks and not self._stopping.is_set() and self.tick():
            count += 1
        self._store.flush()
        return count

    def tick(self) -> bool:
        """One delta through the engine and what follows from it; whether anything happened."""
        with self.lock:
            return self._tick()

    def _tick(self) -> bool:
        self.ticks += 1
        self._look()
        now = self._clock.now()
        insert, remove = self._take(now)
        delta = self._apply(insert, remove, now)
        if delta is None:
            return False
        self._follow(delta)
        operations = self._ready()
        commands = [operation for operation in operations if operation.relation in COMMANDS]
        others = [operation for operation in operations if operation.relation not in COMMANDS]
        if commands:
            self._command(commands, now)
        if others:
            self._store.flush()
            for operation in self._executor.submit(others):
                self._tell(operation, None)
        return bool(delta or operations)

    def _apply(self, insert: list[Fact], remove: list[Fact], now: int) -> Delta | None:
        """Give the engine a delta; if rules fail on it, give it to one without the pack that has them.

        None if they are no pack's: then all is as before, and the loop is halted.
        """
        while True:
            if self._accused is None:
                if self._journal is not None:
                    self._journal.record(self.engine, now, insert, remove)
                try:
                    delta = self.engine.apply(insert, remove, now=now, trusted=True)
                except FAILURES as failure:
                    error: Exception = failure
                    rule = self.engine.working
                    if self._journal is not None:
                        self._journal.retract()
                else:
                    self.halted = None
                    return delta
            else:
                error, rule = self._accused
            other = self.rescue(self.engine, error, rule)
            if other is not None:
                self.adopt(other)
            elif self._accused is None:
                self._halt(insert, remove, now, str(error) or type(error).__name__)
                return None
            self._accused = None

    def _halt(self, insert: list[Fact], remove: list[Fact], now: int, why: str) -> None:
        """Keep what the engine refused until something else is heard: together they may pass."""
        self.intake.again(insert, remove)
        self.halted = why
        self._pause = min(max((self._clock.now() - now) / 1000, PAUSE), RESYNC)

    def accuse(self, error: Exception, rule: Rule | None) -> None:
        """Rules failed elsewhere, on what they were asked about an incoming object: the next tick sees to it."""
        self._accused = (error, rule)
        self.intake.wake.set()

    def adopt(self, engine: Engine) -> None:
        """Go on with an engine of other rules over the same base facts; the lock is held meanwhile."""
        before, self.engine = self.comparison, engine
        self.comparison = Comparison(effects_of(engine.program))
        self.comparison.reset({name: engine.facts(name) for name in self.comparison.relations})
        for key in before.differences.keys() - self.comparison.differences.keys():
            self.intake.change(remove=self._failures.forget(operation_id(*key)))
        self.stuck = {key: text for key, text in self.stuck.items() if key in self.comparison.differences}
        self.stuck.update((key, _conflict(key, rows)) for key, rows in self.comparison.conflicts.items())
        self._candidates.update(self.comparison.differences)
        self._blind = {(str(row[0]), str(row[1])) for row in engine.facts(BLIND)}
        self.intake.wake.set()

    def _look(self) -> None:
        """Let a world in memory go on, and look at the nodes it touched."""
        if self._world is not None:
            self._world.elapse()
            for node in self._world.touched():
                for observer in self._nodes[node]:
                    observer.look()

    def _take(self, now: int) -> tuple[list[Fact], list[Fact]]:
        """Everything heard since the last tick, as facts to insert and to remove."""
        settled = []
        while self._outcomes:
            outcome = self._outcomes.popleft()
            settled.append(outcome.operation)
            self._note(outcome, now)
        self._executor.settled(settled)
        self._candidates.update((operation.relation, operation.key) for operation in settled)
        changes = []
        while self._changes:
            changes.append(self._changes.popleft())
        self.intake.change(*self._known.take(changes))
        if now - self._resynced > RESYNC * 1000:
            self._resynced = now
            self._candidates.update(self.comparison.differences)
            self._budget.forget(now - WINDOW)
        return self.intake.take()

    def _note(self, outcome: Outcome, now: int) -> None:
        operation = outcome.operation
        if outcome.error is None:
            self.intake.change(remove=self._failures.forget(operation.id))
        else:
            self.intake.change(*self._failures.note(operation, outcome.error, now))
            self._tell(operation, outcome.error)

    def _follow(self, delta: Delta) -> None:
        """Bring differences, failures and candidates up to date."""
        touched = self.comparison.update(delta)
        self._candidates.update(touched)
        for key in touched:
            if key in self.comparison.conflicts:
                self.stuck[key] = _conflict(key, self.comparison.conflicts[key])
            else:
                self.stuck.pop(key, None)
            if key not in self.comparison.differences:
                self.intake.change(remove=self._failures.forget(operation_id(*key)))
        if freed := {str(row[0]) for row in delta.removed.get(WITHHELD, ())}:
            self._candidates.update(key for key in self.comparison.differences if operation_id(*key) in freed)
        if BLIND in delta.removed or BLIND in delta.added:
            self._blind = {(str(row[0]), str(row[1])) for row in self.engine.facts(BLIND)}
            self._candidates.update(self.comparison.differences)

    def _ready(self) -> list[Operation]:
        """The operations to start now: differences that are not in flight, withheld or on a node nobody sees."""
        found = []
        for key in self._candidates:
            difference = self.comparison.differences.get(key)
            if difference is None:
                continue
            name = operation_id(*key)
            if name in self._executor.in_flight or self.engine.holds(WITHHELD, (name,)):
                continue
            if difference.relation not in COMMANDS:
                driver = self._executor.route(difference.relation, difference.key)
                if driver is None or (driver.name, driver.node) in self._blind:
                    continue
            found.append(difference)
        self._candidates.clear()
        self._explain = self._watcher is not None and len(found) <= EXPLAINED
        return order(found, self._cause)

    def _cause(self, difference: Difference) -> Cause:
        """The rule that derives what is wanted, and its sentence."""
        if difference.desired is None:
            return Cause("", "no rule wants it any more")
        if not self._explain:
            return Cause("", "")
        found = reason(self.engine, Fact(difference.relation, difference.desired))
        return Cause(label(found[0]), found[1]) if found is not None else Cause("", "")

    def _tell(self, operation: Operation, error: str | None) -> None:
        if self._watcher is not None:
            self._watcher(operation, error)

    def _command(self, operations: list[Operation], now: int) -> None:
        """Perform commands on objects; what they change is the next tick's delta."""
        outcomes = []
        allowed = []
        for operation in operations:
            if self._budget.exceeded(operation.id, now):
                outcomes.append(Outcome(operation, f"done {BUDGET} times within {WINDOW // 1000} s: slowed down"))
            else:
                allowed.append(operation)
        point("before commands")
        with self._objects.transaction(now, wait=False) as batch:
            outcomes += self._commands.perform(batch, allowed)
            self._changes.extend(batch.changes)
        point("after commands")
        for outcome in outcomes:
            if outcome.error == MOVED:
                self._candidates.add((outcome.operation.relation, outcome.operation.key))
                continue
            self._tell(outcome.operation, None)
            self._note(outcome, now)
        self.intake.wake.set()
