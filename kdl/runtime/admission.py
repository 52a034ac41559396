"""Is a write admitted, and what is changed in it first? The rules of the admission packs, inside its transaction.

They run in an engine of their own, cut down to what their answers can follow from. It knows what earlier transactions
and this one wrote, durable or not, so that what is counted (a quota) is counted one write after the other. The incoming
object is put in as if it were stored, with the request beside it; what is to be set is set, the denials are read, and
both are taken out again.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Sequence
from typing import Final

from kdl.fact import Document, Fact, Row
from kdl.parser.syntax import Rule
from kdl.rules.engine import Engine, Limits
from kdl.rules.program import Program, restricted
from kdl.runtime.api import errors
from kdl.runtime.api.gate import Review
from kdl.runtime.api.patch import put
from kdl.runtime.clock import Clock
from kdl.runtime.history import USED
from kdl.runtime.objects import OBJECT, fact_of
from kdl.runtime.store.interface import Change, Gone, Key, Object, Store, Transaction

REQUEST, SET = "admission.request", "admission.set"
DENY = "admission.deny"
DENY_OTHER: Final = {"DELETE": "admission.deny_deletion", "CONNECT": "admission.deny_connection"}
"""What is asked where nothing is to be stored."""

ROUNDS: Final = 20
"""How often the rules may set something before it is taken for a quarrel between two of them."""


class Admission:
    """The answers of a program's rules; see `kdl.runtime.api.gate.Admit`."""

    def __init__(
        self,
        program: Program,
        store: Store,
        clock: Clock,
        limits: Limits | None = None,
        used: Callable[[], tuple[Fact, ...]] = tuple,
    ) -> None:
        """`used` gives what is known of usage: another tuple when it has changed."""
        self._lock = threading.Lock()
        self._store, self._clock = store, clock
        self._engine: Engine | None = None
        asked = {SET, DENY, *DENY_OTHER.values()} & program.relations.keys()
        if not any(program.rules_of[name] for name in asked):
            return
        inputs = {REQUEST, OBJECT, USED} & program.relations.keys()
        self._engine = Engine(restricted(program, asked | inputs), limits=limits)
        self._used = used
        self._told: tuple[Fact, ...] = ()
        items, self._settled = store.snapshot()
        self._taken: list[Change] = []
        """What the engine knows that was not durable yet."""
        self._transaction: Transaction | None = None
        self._seen = 0
        """The transaction that was followed last, and how many of its changes."""
        self._engine.apply(insert=map(fact_of, items), trusted=True)

    @property
    def working(self) -> Rule | None:
        """The rule that was run last."""
        return self._engine.working if self._engine is not None else None

    def __call__(self, t: Transaction, review: Review) -> Document | None:
        """The object as it is to be stored, None where nothing is; `ApiError` 403 if a rule refuses it."""
        if self._engine is None or (review.operation == "UPDATE" and _status_alone(review)):
            return review.new
        with self._lock:
            self._follow(self._engine, t)
            if review.new is None:
                self._judged(self._engine, review)
                return None
            return self._admitted(self._engine, review, review.new)

    def _follow(self, engine: Engine, t: Transaction) -> None:
        """Bring the engine to what this transaction sees; what a dropped one wrote is taken back."""
        now = max(self._clock.now(), engine.now)
        if (used := self._used()) is not self._told and USED in engine.program.relations:
            there, then = set(used), set(self._told)
            engine.apply(there - then, then - there, trusted=True)
            self._told = used
        if t is self._transaction:  # no other one runs meanwhile: what is new is its own
            new = t.changes[self._seen :]
            removed, inserted = _net(new)
            if inserted or removed or now > engine.now:
                engine.apply(inserted, removed, now=now, trusted=True)
            self._taken += new
            self._seen = len(t.changes)
            return
        try:
            changes = t.since(self._settled)
        except Gone:  # so much was written since an object was last reviewed
            self._start_over(engine)
            changes = t.since(self._settled)
        known = len(self._taken)
        if len(changes) < known or any(a is not b for a, b in zip(self._taken, changes, strict=False)):
            gone, come = _net(self._taken)
            engine.apply(gone, come, trusted=True)
            known = 0
        removed, inserted = _net(changes[known:])
        if inserted or removed or now > engine.now:
            engine.apply(inserted, removed, now=now, trusted=True)
        durable = self._store.revision
        self._settled = max([self._settled, *(c.revision for c in changes if c.revision <= durable)])
        self._taken = [change for change in changes if change.revision > self._settled]
        self._transaction, self._seen = t, len(t.changes)

    def _start_over(self, engine: Engine) -> None:
        """Bring the engine to what is durable now."""
        items, self._settled = self._store.snapshot()
        there, then = {fact_of(item) for item in items}, {Fact(OBJECT, row) for row in engine.facts(OBJECT)}
        engine.apply(there - then, then - there, trusted=True)
        self._taken = []

    def _admitted(self, engine: Engine, review: Review, new: Document) -> Document:
        key = Key(review.kind.group, review.kind.name, review.id)
        before = [_fact(key, review.old)] if review.old is not None else []
        with engine.supposing([_request(review)]):
            stale = _reasons(engine, DENY, key) if before else set()
            for _ in range(ROUNDS):
                with engine.supposing([_fact(key, new)], before):
                    fields = {str(row[2]): row[3] for row in sorted(_rows(engine, SET, key), key=repr, reverse=True)}
                    changed = put(new, fields.items())
                    if changed == new:
                        self._refuse(review, _reasons(engine, DENY, key) - stale)
                        return new
                new = changed
        quarrel = f"rules of `admission.set` do not come to rest on {', '.join(fields)}"
        raise errors.ApiError(500, "InternalError", f"{review.kind.name} {review.id}: {quarrel}")

    def _judged(self, engine: Engine, review: Review) -> None:
        relation, key = DENY_OTHER[review.operation], Key(review.kind.group, review.kind.name, review.id)
        with engine.supposing([_request(review)]):
            self._refuse(review, _reasons(engine, relation, key))

    @staticmethod
    def _refuse(review: Review, reasons: Iterable[str]) -> None:
        if told := sorted(reasons):
            error = errors.forbidden(review.kind, Key("", "", review.id).name, "; ".join(told))
            error.details["causes"] = [{"reason": "Forbidden", "message": text} for text in told]
            raise error


def _status_alone(review: Review) -> bool:
    """Whether a write changes nothing but what the cluster says of the object itself."""
    new, old = review.new or Document(), review.old or Document()
    names = (new.keys() | old.keys()) - {"status"}
    return all(new.get(name) == old.get(name) for name in names)


def _request(review: Review) -> Fact:
    user = review.user
    return Fact(
        REQUEST,
        (review.operation, review.kind.name, review.id, review.subresource, user.name, user.groups, review.old),
    )


def _fact(key: Key, doc: Document) -> Fact:
    return fact_of(Object(key, 0, doc))


def _rows(engine: Engine, relation: str, key: Key) -> list[Row]:
    if relation not in engine.program.relations:
        return []
    return list(engine.lookup(relation, {0: key.kind, 1: key.id}))


def _reasons(engine: Engine, relation: str, key: Key) -> set[str]:
    return {str(row[2]) for row in _rows(engine, relation, key)}


def _net(changes: Sequence[Change]) -> tuple[list[Fact], list[Fact]]:
    """The facts of what was before some changes and is no longer, and of what is there after them and was not."""
    first: dict[Key, Object | None] = {}
    last: dict[Key, Object | None] = {}
    for change in changes:
        first.setdefault(change.object.key, change.previous)
        last[change.object.key] = None if change.type == "DELETED" else change.object
    before = {key: item and fact_of(item) for key, item in first.items()}
    after = {key: item and fact_of(item) for key, item in last.items()}
    gone = [fact for key, fact in before.items() if fact and fact != after[key]]
    return gone, [fact for key, fact in after.items() if fact and fact != before[key]]
