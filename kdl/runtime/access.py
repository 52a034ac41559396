"""May they? The rules of the access pack, asked in an engine of the API server's own, which the store's watch feeds.

A decision is a fact about a request: the request goes in, the answer is read, and the request goes out again.
"""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

from kdl.fact import Fact, Row, plain
from kdl.parser import syntax as s
from kdl.rules.engine import Engine
from kdl.rules.program import Program, restricted
from kdl.runtime.api.gate import Action, User, Verdict
from kdl.runtime.objects import OBJECT, ObjectFacts
from kdl.runtime.store.interface import Change, Store

ALLOW, REQUEST, PATH_REQUEST = "access.allow", "access.request", "access.path_request"
DENIED, NEAREST, ASKED, LISTED = "denials.denied", "denials.nearest", "reviews.asked", "reviews.listed"

MOST_DECIDED: Final = 10_000
"""How many decisions are remembered."""

_ID: Final = "request"
"""Decisions are made one after the other, so that one id serves them all."""


class Access:
    """Decisions about requests. Any thread may ask."""

    def __init__(self, program: Program, store: Store) -> None:
        self.program = program
        self._lock = threading.Lock()
        self._engine = Engine(restricted(program, {ALLOW, REQUEST, PATH_REQUEST, NEAREST, DENIED, ASKED, LISTED}))
        self._kinds = kinds_read(self._engine.program)
        self._known = ObjectFacts()
        self._changes: deque[Change] = deque()
        self._decided: dict[tuple[str, tuple[str, ...], Action], Verdict] = {}
        """What was decided since the last change; cleared before the change is taken from `_changes`."""
        items, revision = store.snapshot()
        self._engine.apply(insert=self._known.load(filter(self._reads, items)), trusted=True)
        self.close = store.subscribe(self._heard, revision)

    def __call__(self, user: User, action: Action) -> Verdict:
        """Whether the user may do it; see `kdl.runtime.api.gate.Authorize`."""
        asked = (user.name, user.groups, action)
        decided = self._decided.get(asked)
        if decided is not None and not self._changes:
            return decided
        request = request_fact(_ID, user, action)
        with self._lock, self._asking(request):
            verdict = self._decide(request.row, action)
            if len(self._decided) >= MOST_DECIDED:
                self._decided.clear()
            self._decided[asked] = verdict
            return verdict

    def _decide(self, row: Row, action: Action) -> Verdict:
        reasons = [str(found[1]) for found in self._engine.lookup(ALLOW, {0: _ID})]
        if reasons:
            return Verdict(True, min(reasons))
        return Verdict(False, "" if action.path else self._nearest(row))

    def _nearest(self, row: Row) -> str:
        """What a refused request came closest to."""
        with self._asking(Fact(DENIED, row)):
            return next((str(found[1]) for found in self._engine.lookup(NEAREST, {0: _ID})), "")

    def rules(self, user: User, namespace: str) -> list[dict[str, Any]]:
        """The rules of all roles that count for the user in a namespace, each once."""
        with self._lock, self._asking(Fact(ASKED, (_ID, user.name, user.groups, namespace))):
            rows = sorted(self._engine.lookup(LISTED, {0: _ID}), key=lambda row: (str(row[1]), str(row[2])))
            return [plain(text) for text in dict.fromkeys(row[3] for row in rows)]

    @contextmanager
    def _asking(self, question: Fact) -> Iterator[None]:
        """Inside the block the question is a fact, and all that the store has told so far is known."""
        if self._changes:
            self._decided.clear()
            changes = [self._changes.popleft() for _ in range(len(self._changes))]
            self._engine.apply(*self._known.take(changes), trusted=True)
        with self._engine.supposing([question]):
            yield

    def _heard(self, changes: Sequence[Change]) -> None:
        self._changes.extend([change for change in changes if self._reads(change.object)])

    def _reads(self, item: Any) -> bool:
        return self._kinds is None or item.key[:2] in self._kinds


def request_fact(id_: str, user: User, action: Action) -> Fact:
    """The fact that a request is."""
    if action.path:
        return Fact(PATH_REQUEST, (id_, user.name, user.groups, action.verb, action.path))
    resource = f"{action.resource}/{action.subresource}" if action.subresource else action.resource
    where = (action.group, resource, action.subresource, action.namespace, action.name)
    return Fact(REQUEST, (id_, user.name, user.groups, action.verb, *where))


def action_from(verb: str, resource: str, namespace: str, name: str) -> Action:
    """An action as people write it, with resources such as `pods`, `pods/log`, `deployments.apps/scale`."""
    whole, _, subresource = resource.partition("/")
    plural, _, group = whole.partition(".")
    return Action(verb, group, plural, subresource, namespace, name)


def kinds_read(program: Program) -> frozenset[tuple[str, str]] | None:
    """The (group, kind) of the objects that a program's rules can read, None for all."""
    found = set()
    for rule in program.rules:
        for node in s.walk(rule):
            if isinstance(node, s.Atom) and node.relation == OBJECT:
                named = [argument.value for argument in node.arguments[:2]]
                if not all(isinstance(value, s.Constant) for value in named):
                    return None
                found.add(tuple(str(value.value) for value in named if isinstance(value, s.Constant)))
    return frozenset((group, kind) for group, kind in found)
