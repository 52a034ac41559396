"""The store's side of the `api` effect relations: each command becomes a write in the tick's transaction.

Commands on one existing object become one write. A command is dropped if its object has changed since the rules saw it:
the change is on its way to the engine, and if the command is still wanted then, it is derived anew.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any, Final

from kdl.effects.driver import Operation, Outcome
from kdl.fact import Document
from kdl.rules.builtin import BUILTINS
from kdl.runtime.api.errors import ApiError
from kdl.runtime.api.service import Objects

FIELDS: Final = {"api.patch": "", "api.write_status": "/status/"}
"""The commands that set a field of an object, with what goes before their field to make it a path."""

MOVED: Final = "the object has changed since; to be derived anew"

ATTEMPTS: Final = 8
"""How many names are tried for an object whose name is generated, as in Kubernetes."""

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Commands:
    """Performs commands on the objects of a batch. `seen` gives the revision of an object that the rules know."""

    seen: Callable[[str, str, str], int]

    def perform(self, batch: Objects, operations: Iterable[Operation]) -> Iterator[Outcome]:
        """The outcomes, in any order; an outcome with the error `MOVED` is no failure."""
        fields: dict[tuple[str, str], list[Operation]] = {}
        for operation in operations:
            if operation.relation in FIELDS:
                fields.setdefault((str(operation.key[0]), str(operation.key[1])), []).append(operation)
            else:
                yield from self._outcome([operation], partial(VERBS[operation.relation], self, batch, operation))
        for at, group in fields.items():
            yield from self._outcome(group, partial(self._set, batch, at, group))

    @staticmethod
    def _outcome(operations: list[Operation], act: Callable[[], str | None]) -> list[Outcome]:
        try:
            error = act()
        except ApiError as refusal:
            error = refusal.message
        except _ODD as odd:
            log.warning("%s cannot be done", operations[0].id, exc_info=True)
            error = f"these values cannot be written: {odd}"
        return [Outcome(operation, error) for operation in operations]

    def _current(self, batch: Objects, kind_name: str, id_: str) -> bool:
        """Whether the object is as the rules know it, but for this batch's own writes."""
        kind = batch.kind(kind_name)
        key = batch.key(kind, id_)
        found = batch.find(kind, id_)
        if found is None:
            return False
        before = next((change.previous for change in batch.changes if change.object.key == key), found)
        return before is None or before.revision == self.seen(*key)

    def _set(self, batch: Objects, at: tuple[str, str], operations: list[Operation]) -> str | None:
        if not self._current(batch, *at):
            return MOVED
        batch.patch(*at, [_assignment(operation) for operation in operations])
        return None

    def _create(self, batch: Objects, operation: Operation) -> str | None:
        kind, key, doc = _row(operation)
        owners = doc.get("metadata", {}).get("ownerReferences", ())
        seed = (owners[0].get("uid") if owners else None, key)
        for attempt in range(ATTEMPTS):
            suffix = BUILTINS["digest10"].function(seed if attempt == 0 else (*seed, attempt))[:5]
            try:
                batch.create(doc, suffix=suffix)
                return None
            except ApiError as refusal:
                if refusal.reason != "AlreadyExists":
                    raise
                there = refusal.details["name"]
                if _is_made_from(batch, kind, there, doc):  # the command is repeated: before, kdl was killed
                    return None
        return f"{ATTEMPTS} names for it are taken, the last is {there}"

    def _delete(self, batch: Objects, operation: Operation) -> str | None:
        kind, id_, _ = _row(operation)
        found = batch.find(kind, id_)
        if found is not None and "deletionTimestamp" not in found.doc["metadata"]:
            batch.delete(kind, id_, uid=found.uid)
        return None

    def _remove(self, batch: Objects, operation: Operation) -> str | None:
        kind, id_, uid = _row(operation)
        found = batch.find(kind, id_)
        if found is not None and found.uid == uid:
            batch.delete(kind, id_, uid=uid, grace_seconds=0)
        return None

    def _bind(self, batch: Objects, operation: Operation) -> str | None:
        pod, node = _row(operation)
        if not self._current(batch, "Pod", pod):
            return MOVED
        batch.bind(pod, node)
        return None

    def _event(self, batch: Objects, operation: Operation) -> str | None:
        kind, id_, reason, message, type_ = _row(operation)
        if batch.find(kind, id_) is not None:
            batch.event(kind, id_, reason, message, type_)
        return None


_ODD: Final = (ArithmeticError, AttributeError, LookupError, RecursionError, TypeError, ValueError)
"""What comes of values that no document can have where a rule puts them: that operation fails, the loop goes on."""


def _row(operation: Operation) -> tuple[Any, ...]:
    assert operation.desired is not None
    return operation.desired


def _is_made_from(batch: Objects, kind: str, name: str, doc: Document) -> bool:
    """Whether the object of this name is what the document was, or is to be, made of; one with a name of its own is."""
    wanted = doc["metadata"]
    if "name" in wanted:
        return True
    space = wanted.get("namespace")
    found = batch.find(kind, f"{space}/{name}" if space else name)
    assert found is not None
    there = found.doc["metadata"]
    annotations, owners = there.get("annotations", {}), {owner["uid"] for owner in there.get("ownerReferences", ())}
    return all(annotations.get(key) == text for key, text in wanted.get("annotations", {}).items()) and all(
        owner["uid"] in owners for owner in wanted.get("ownerReferences", ())
    )


def _assignment(operation: Operation) -> tuple[str, object]:
    _, _, field, value = _row(operation)
    prefix = FIELDS[operation.relation]
    return (prefix + field.replace(".", "/") if prefix else field), value


VERBS: Final[dict[str, Callable[[Commands, Objects, Operation], str | None]]] = {
    "api.create": Commands._create,
    "api.delete": Commands._delete,
    "api.remove": Commands._remove,
    "api.bind": Commands._bind,
    "api.event": Commands._event,
}

COMMANDS: Final = frozenset({*VERBS, *FIELDS})
"""The effect relations that are performed in here."""
