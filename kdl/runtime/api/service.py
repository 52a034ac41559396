"""Kubernetes' verbs that write objects, without HTTP: create, update, patch, bind, delete; `reading` has the others.

Each verb is one transaction; inside ``with objects.transaction() as batch`` all verbs called on `batch` share one, and
a verb that is refused there leaves no trace in it. What follows from an object is decided by rules, not here.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from typing import Any, Final, Protocol, cast

from kdl.fact import Document, digest, plain, value
from kdl.parser.diagnostic import ManifestError
from kdl.parser.manifest.accept import accept
from kdl.parser.manifest.conversion import Unstorable, convert, fresh
from kdl.parser.manifest.kinds import BUILT_IN, Kind, Kinds, split_api_version
from kdl.parser.manifest.schema import prune
from kdl.parser.quantity import rfc3339
from kdl.runtime.api import errors
from kdl.runtime.api.documents import (
    generated_name,
    id_of,
    preconditions,
    stamp_conditions,
    with_propagation,
    without,
    written,
)
from kdl.runtime.api.gate import SYSTEM, Admit, Review, User, unchanged
from kdl.runtime.api.managed import Entries, Manager, applied, configuration, tracked
from kdl.runtime.api.patch import find, put
from kdl.runtime.api.reading import Reading
from kdl.runtime.api.strategy import forbidden_changes, left_behind, strategy
from kdl.runtime.clock import Clock
from kdl.runtime.store import Change, Key, Object, Source, Store, Transaction

NAMESPACES: Final = ("default", "kube-system")
LONGEST_GRACE: Final = 2**31 - 1
"""Seconds; a time much later could not be written."""

_SYSTEM_FIELDS: Final = (
    "name", "namespace", "uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation",
)  # fmt: skip


class Accept(Protocol):
    """How a document is converted, checked and defaulted: `kdl.parser.manifest.accept.accept`."""

    def __call__(self, doc: Any, *, namespace: str = ..., known: Iterable[Kind] = ...) -> dict[str, Any]: ...


class Objects(Reading):
    """The objects of a cluster, as Kubernetes' API server keeps them. Kinds are given as `Kind` or by name."""

    def __init__(
        self,
        store: Store,
        clock: Clock,
        *,
        accept: Accept = accept,
        admit: Admit = unchanged,
        kinds: Kinds = BUILT_IN,
        new_uid: Callable[[], str] = lambda: str(uuid.uuid4()),
    ) -> None:
        super().__init__(store, kinds)
        self.clock = clock
        self.user = SYSTEM
        """In whose name is written."""
        self.manager: Manager | None = None
        """Who manages the fields that are written; the brain does not care."""
        self.lenient: Callable[[str], None] | None = None
        """If given, unknown fields are dropped and told to it; else they are refused."""
        self._accept = accept
        self._admit = admit
        self._new_uid = new_uid
        self._moment: int | None = None
        for name in NAMESPACES:
            if store.get(Key("", "Namespace", name)) is None:
                self.create({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}})

    def by(self, user: User, manager: str = "", lenient: Callable[[str], None] | None = None) -> Objects:
        """The same objects, written in a user's name and with a manager of fields; see `lenient`."""
        return self._with(user=user, manager=Manager(manager) if manager else None, lenient=lenient)

    def managed_by(self, manager: Manager) -> Objects:
        """The same objects with another manager of fields."""
        return self._with(manager=manager)

    def _with(self, **fields: Any) -> Objects:
        same = Objects.__new__(Objects)
        same.__dict__.update(self.__dict__, **fields)
        return same

    # Transactions.

    @contextmanager
    def transaction(self, now: int | None = None, wait: bool = True) -> Iterator[Objects]:
        """The same objects, with all verbs in one transaction (see `Store.transaction`) and at one time."""
        if self._open is not None:
            yield self
            return
        with self.store.transaction(wait) as open_:
            yield self._with(_open=open_, _moment=self.clock.now() if now is None else now)

    @property
    def changes(self) -> Sequence[Change]:
        """What this transaction wrote so far, in order; a reader may remember how far it came."""
        return self._open.changes if self._open is not None else ()

    def since(self, revision: int) -> Sequence[Change]:
        """In a transaction: all changes after a revision, also those that are not yet durable (`Transaction.since`)."""
        if self._open is None:
            raise RuntimeError("changes that are not yet durable are seen by transactions only")
        return self._open.since(revision)

    @contextmanager
    def _transaction(self) -> Iterator[Transaction]:
        if self._open is not None:
            yield self._open
        else:
            with self.store.transaction() as open_:
                yield open_

    def _now(self) -> int:
        return self.clock.now() if self._moment is None else self._moment

    def _stamp(self, later: int = 0) -> str:
        """The time as Kubernetes writes it in metadata: whole seconds."""
        return rfc3339((self._now() + later) // 1000 * 1000)

    # Documents.

    def _checked(self, doc: Mapping[str, Any], kind: Kind | None, namespace: str | None) -> tuple[Kind, dict[str, Any]]:
        """The document converted, checked and defaulted, with its kind; it must be of `kind` and in `namespace`."""
        wanted = f"{kind.name} " if kind is not None else ""
        given = doc.get("metadata")
        if isinstance(given, Mapping) and namespace and given.get("namespace") not in (None, "", namespace):
            raise errors.bad_request(
                "the namespace of the provided object does not match the namespace sent on the request"
            )
        given_doc = written(doc)
        if self.lenient is not None:
            given_doc = self._pruned(given_doc, self.lenient)
        try:
            checked = self._accept(given_doc, namespace=namespace or "default", known=self.kinds)
        except ManifestError as mistakes:
            name = given.get("name") or given.get("generateName") if isinstance(given, Mapping) else None
            known = kind or self.kinds.named(str(doc.get("kind")))
            if known is None:
                raise errors.bad_request("; ".join(d.message for d in mistakes.diagnostics)) from mistakes
            raise errors.mistaken(known, str(name or ""), mistakes) from mistakes
        found = self.kinds.find(*split_api_version(checked["apiVersion"]), checked["kind"])
        if found is None or (kind is not None and found != kind):
            raise errors.bad_request(f"the object provided is a {checked['kind']}, not a {wanted}as the request says")
        return found, checked

    def _pruned(self, doc: dict[str, Any], tell: Callable[[str], None]) -> dict[str, Any]:
        """The document in its stored version, without the fields that its kind does not have."""
        kind = self.kinds.stored(str(doc.get("apiVersion")), str(doc.get("kind")))
        if kind is None:
            return doc
        try:
            known: dict[str, Any] = fresh(doc)
        except Unstorable:
            return doc
        convert(known, kind)
        for field in prune(known, kind):
            tell(f'unknown field "{field}"')
        return known

    # Writing.

    def create(
        self,
        doc: Mapping[str, Any],
        *,
        kind: Kind | None = None,
        namespace: str | None = None,
        suffix: str | None = None,
        source: Source | None = None,
        dry_run: bool = False,
        entries: Entries | None = None,
    ) -> Object:
        """Add an object. `suffix` ends a generated name (random by default), so that a repeated create finds itself."""
        kind, checked = self._checked(doc, kind, namespace)
        how = strategy(kind.group, kind.name)
        metadata = {name: item for name, item in checked["metadata"].items() if name not in _SYSTEM_FIELDS[2:]}
        if not metadata.get("name"):
            metadata["name"] = generated_name(metadata["generateName"], suffix)
        metadata |= {"uid": self._new_uid(), "creationTimestamp": self._stamp()}
        if "status" in kind.subresources:
            if "spec" in checked:
                metadata["generation"] = 1
            if not how.keeps_status:
                checked.pop("status", None)
        new = put(cast(Document, value({**checked, "metadata": metadata})), how.initial.items())
        new = stamp_conditions(new, Document(), self._stamp())
        name, space = metadata["name"], metadata.get("namespace") if kind.namespaced else None
        key = self.key(kind, f"{space}/{name}" if space else name)
        with self._transaction() as t:
            if t.get(key) is not None:
                raise errors.already_exists(kind, name)
            if space:
                self._check_namespace(t, space)
            new = self._admitted(t, Review("CREATE", self.user, kind, key.id, new, None, dry_run=dry_run))
            if entries is None:
                entries = tracked((), None, new, kind, self.manager, self._stamp())
            if dry_run:
                return Object(key, self.store.revision, new, entries)
            created = _put(t, key, new, entries)
            if source is not None:
                t.put_source(created.uid, source)
            return created

    def _check_namespace(self, t: Transaction, space: str) -> None:
        if t.get(Key("", "Namespace", space)) is None:
            raise errors.not_found(self.kind("Namespace"), space)

    def update(
        self,
        doc: Mapping[str, Any],
        *,
        kind: Kind | None = None,
        id_: str | None = None,
        source: Source | None = None,
        dry_run: bool = False,
        entries: Entries | None = None,
    ) -> Object:
        """Replace an object; with a resourceVersion only if that is its current one. The status is left as it is."""
        namespace = id_.rpartition("/")[0] if id_ else None
        kind, checked = self._checked(self._retyped(doc, kind, id_), kind, namespace)
        key = self.key(kind, id_of(kind, checked))
        if id_ not in (None, key.id):
            raise errors.bad_request(f"the name of the object ({key.id}) does not match the name on the URL ({id_})")
        how = strategy(kind.group, kind.name)
        with self._transaction() as t:
            current = _managed(self._expect(t, kind, key, **preconditions(doc)), doc)
            new = cast(Document, value(checked))
            if "status" in kind.subresources:
                new = put(new, [("/status", current.doc.get("status"))])
            foreign = [path for path, types in how.typed.items() if find(new, "/spec/type") not in types]
            carried = [path for path in how.carried if path not in foreign and find(new, path) is None]
            new = put(new, [(path, find(current.doc, path)) for path in carried])
            if fixed := forbidden_changes(how, current.doc, new):
                raise errors.invalid(kind, key.name, fixed)
            updated = self._replace(t, kind, current, new, dry_run, entries=entries)
            if source is not None and not dry_run and t.get(key) is not None:
                t.put_source(current.uid, source)
            return updated

    def _retyped(self, doc: Mapping[str, Any], kind: Kind | None, id_: str | None) -> Mapping[str, Any]:
        """The document that replaces another, without what it keeps of that one's type; see `Strategy.typed`."""
        if kind is None or id_ is None or not (how := strategy(kind.group, kind.name)).typed:
            return doc
        old = self.find(kind, id_)
        left = left_behind(how, old.doc, doc) if old is not None else []
        return without(cast(Document, value(doc)), left) if left else doc

    def update_status(
        self,
        doc: Mapping[str, Any],
        *,
        kind: Kind | None = None,
        id_: str | None = None,
        dry_run: bool = False,
        entries: Entries | None = None,
    ) -> Object:
        """Replace an object's status; everything else in `doc` but its preconditions is ignored."""
        namespace = id_.rpartition("/")[0] if id_ else None
        kind, checked = self._checked(doc, kind, namespace)
        key = self.key(kind, id_ or id_of(kind, checked))
        with self._transaction() as t:
            current = _managed(self._expect(t, kind, key, **preconditions(doc)), doc)
            new = put(current.doc, [("/status", checked.get("status"))])
            return self._replace(t, kind, current, new, dry_run, subresource="status", entries=entries)

    def apply(
        self,
        config: Mapping[str, Any],
        kind: Kind,
        id_: str,
        *,
        force: bool = False,
        dry_run: bool = False,
        status: bool = False,
        may_create: bool = True,
    ) -> tuple[Object, bool]:
        """Server-side apply: the manager's fields become as `config` says; the object, and whether it is new."""
        assert self.manager is not None
        manager = self.manager._replace(operation="Apply", subresource="status" if status else "")
        wanted = configuration(config, kind, id_, self.kinds, status)
        with self._transaction() as t, self._within(t) as batch:
            current = t.get(self.key(kind, id_))
            uid = wanted["metadata"].get("uid")
            if current is None:
                if status or uid or not may_create:
                    raise errors.not_found(kind, id_.rpartition("/")[2])
                entries = applied(Document(), (), wanted, kind, manager, force, self._stamp()).entries
                return batch.create(
                    wanted, kind=kind, namespace=id_.rpartition("/")[0], dry_run=dry_run, entries=entries
                ), True
            result = applied(current.doc, current.managed, wanted, kind, manager, force, self._stamp())
            write = batch.update_status if status else batch.update
            return write(result.doc, kind=kind, id_=id_, dry_run=dry_run, entries=result.entries), False

    def patch(
        self,
        kind: Kind | str,
        id_: str,
        fields: Iterable[tuple[str, object]],
        *,
        uid: str | None = None,
        resource_version: int | str | None = None,
        dry_run: bool = False,
        part: str = "",
    ) -> Object:
        """Set fields by path (``/spec/replicas``; null removes), the status's too: one write, or none.

        `part` is the subresource through which it is done.
        """
        kind = self.kind(kind)
        fields = list(fields)
        with self._transaction() as t:
            current = self._expect(t, kind, self.key(kind, id_), uid, resource_version)
            new = put(current.doc, fields)
            status = all(path.startswith("/status/") for path, _ in fields)
            if not status and new != current.doc:
                _, checked = self._checked(new, kind, None)
                new = cast(Document, value(checked))
            part = part or ("status" if status else "")
            return self._replace(t, kind, current, new, dry_run, subresource=part)

    def bind(self, id_: str, node: str, *, uid: str | None = None, resource_version: int | str | None = None) -> Object:
        """Give a pod its node, once."""
        kind = self.kind("Pod")
        with self._transaction() as t:
            current = self._expect(t, kind, self.key(kind, id_), uid, resource_version)
            name = current.key.name
            if bound := find(current.doc, "/spec/nodeName"):
                raise errors.conflict(kind, name, f"pod {name} is already assigned to node {bound!r}".replace("'", '"'))
            if find(current.doc, "/metadata/deletionTimestamp"):
                raise errors.conflict(kind, name, f"pod {name} is being deleted, cannot be assigned to a host")
            conditions = [c for c in find(current.doc, "/status/conditions") or () if c.get("type") != "PodScheduled"]
            conditions.append(value({"type": "PodScheduled", "status": "True"}))
            fields = [("/spec/nodeName", node), ("/status/conditions", conditions)]
            return self._replace(t, kind, current, put(current.doc, fields), generation=False, subresource="binding")

    def event(
        self, kind: Kind | str, id_: str, reason: str, message: str, type_: str = "Normal", component: str = "kdl"
    ) -> Object:
        """Tell what happened to an object; telling the same again counts it."""
        about = self.get(kind, id_)
        space = about.key.namespace or "default"
        name = f"{about.key.name}.{digest((about.uid, reason, message, type_))}"
        with self._transaction() as t:
            old = t.get(Key("", "Event", f"{space}/{name}"))
            if old is not None:
                again = [("/count", int(old.doc.get("count", 1)) + 1), ("/lastTimestamp", self._stamp())]
                return _put(t, old.key, put(old.doc, again))
            involved = {
                "apiVersion": about.doc.get("apiVersion"),
                "kind": about.key.kind,
                "name": about.key.name,
                "namespace": about.key.namespace or None,
                "uid": about.uid,
                "resourceVersion": str(about.revision),
            }
            doc = {
                "apiVersion": "v1",
                "kind": "Event",
                "metadata": {"name": name, "namespace": space},
                "involvedObject": {field: item for field, item in involved.items() if item is not None},
                "reason": reason,
                "message": message,
                "type": type_,
                "count": 1,
                "firstTimestamp": self._stamp(),
                "lastTimestamp": self._stamp(),
                "source": {"component": component},
            }
            with self._within(t) as batch:
                return batch.create(doc)

    def delete(
        self,
        kind: Kind | str,
        id_: str,
        *,
        uid: str | None = None,
        resource_version: int | str | None = None,
        grace_seconds: int | None = None,
        propagation: str | None = None,
        dry_run: bool = False,
    ) -> Object:
        """Delete an object, or begin to: it stays, marked, while finalizers hold it or its node's agent has it.

        `propagation` (``Background``, ``Foreground``, ``Orphan``) is kept as Kubernetes does, as a finalizer.
        """
        kind = self.kind(kind)
        if propagation not in (None, "Background", "Foreground", "Orphan"):
            raise errors.bad_request(f"`{propagation}` is no propagationPolicy: Background, Foreground or Orphan")
        if grace_seconds is not None and grace_seconds < 0:
            raise errors.bad_request("gracePeriodSeconds is not negative")
        with self._transaction() as t:
            current = self._expect(t, kind, self.key(kind, id_), uid, resource_version)
            metadata = current.doc["metadata"]
            finalizers = with_propagation(metadata.get("finalizers") or (), propagation)
            new = put(current.doc, [("/metadata/finalizers", finalizers or None)])
            grace = self._grace(kind, current.doc, grace_seconds)
            marks = [
                ("/metadata/deletionTimestamp", self._stamp(grace * 1000)),
                ("/metadata/deletionGracePeriodSeconds", grace),
            ]
            if "deletionTimestamp" not in metadata:
                if "generation" in metadata:
                    marks.append(("/metadata/generation", metadata["generation"] + 1))
                new = put(new, [*marks, *strategy(kind.group, kind.name).deleting.items()])
            elif grace < metadata.get("deletionGracePeriodSeconds", 0):
                new = put(new, marks)
            self._admit(t, Review("DELETE", self.user, kind, current.key.id, None, current.doc, dry_run=dry_run))
            if dry_run:
                return Object(current.key, current.revision, new, current.managed)
            return self._finish(t, current.key, new, current.managed)

    @staticmethod
    def _grace(kind: Kind, doc: Document, asked: int | None) -> int:
        """How many seconds the deletion of this object waits for its node's agent."""
        if not strategy(kind.group, kind.name).graceful or not find(doc, "/spec/nodeName"):
            return 0
        if find(doc, "/status/phase") in ("Succeeded", "Failed"):
            return 0
        own = find(doc, "/spec/terminationGracePeriodSeconds") or 0
        return min(asked if asked is not None else int(own), LONGEST_GRACE)

    def connected(self, kind: Kind | str, id_: str, part: str) -> Object:
        """The object that somebody connects to through a subresource, if rules of admission let them."""
        kind = self.kind(kind)
        with self._transaction() as t:
            current = self._expect(t, kind, self.key(kind, id_))
            self._admit(t, Review("CONNECT", self.user, kind, id_, None, current.doc, part))
            return current

    # What writing has in common.

    @contextmanager
    def _within(self, t: Transaction) -> Iterator[Objects]:
        if self._open is not None:
            yield self
        else:
            yield self._with(_open=t, _moment=self._now())

    def _expect(
        self,
        t: Transaction,
        kind: Kind,
        key: Key,
        uid: str | None = None,
        resource_version: int | str | None = None,
    ) -> Object:
        current = t.get(key)
        if current is None:
            raise errors.not_found(kind, key.name)
        if uid and uid != current.uid:
            why = f"Precondition failed: UID in precondition: {uid}, UID in object meta: {current.uid}"
            raise errors.conflict(kind, key.name, why)
        if resource_version and str(resource_version) != str(current.revision):
            why = "the object has been modified; please apply your changes to the latest version and try again"
            raise errors.conflict(kind, key.name, why)
        return current

    def _replace(
        self,
        t: Transaction,
        kind: Kind,
        current: Object,
        new: Document,
        dry_run: bool = False,
        generation: bool = True,
        subresource: str = "",
        entries: Entries | None = None,
    ) -> Object:
        """Write a new document over the current one: what the system says in metadata stays, the generation counts."""
        before = current.doc["metadata"]
        metadata = {name: item for name, item in new["metadata"].items() if name not in _SYSTEM_FIELDS}
        metadata |= {name: before[name] for name in _SYSTEM_FIELDS if name in before}
        added = set(metadata.get("finalizers") or ()) - set(before.get("finalizers") or ())
        if added and "deletionTimestamp" in before:
            why = f"no new finalizers can be added if the object is being deleted: {', '.join(sorted(added))}"
            raise errors.invalid(kind, current.key.name, [("metadata.finalizers", why)])
        if generation and "generation" in before and new.get("spec") != current.doc.get("spec"):
            metadata["generation"] = before["generation"] + 1
        new = Document({**new, "metadata": before if metadata == before else Document(metadata)})
        new = stamp_conditions(new, current.doc, self._stamp())
        new = self._admitted(
            t, Review("UPDATE", self.user, kind, current.key.id, new, current.doc, subresource, dry_run)
        )
        if entries is None:
            manager = self.manager._replace(subresource=subresource) if self.manager is not None else None
            entries = tracked(current.managed, current.doc, new, kind, manager, self._stamp())
        if dry_run:
            return Object(current.key, current.revision, new, entries)
        return self._finish(t, current.key, new, entries)

    def _admitted(self, t: Transaction, review: Review) -> Document:
        """What is to be stored of a document that is written."""
        admitted = self._admit(t, review)
        assert admitted is not None
        if admitted is review.new:
            return admitted
        return cast(Document, value(self._checked(admitted, review.kind, None)[1]))

    @staticmethod
    def _finish(t: Transaction, key: Key, new: Document, entries: Entries) -> Object:
        """Write the object, or remove it if it is marked for deletion and nothing holds it any more."""
        metadata = new["metadata"]
        held = any(find(new, path) for path in strategy(key.group, key.kind).held_by)
        if "deletionTimestamp" in metadata and not held and metadata.get("deletionGracePeriodSeconds", 0) == 0:
            t.delete(key)
            return Object(key, t.changes[-1].revision, new, entries)
        return _put(t, key, new, entries)


def _put(t: Transaction, key: Key, doc: Document, entries: Entries | None = None) -> Object:
    try:
        return t.put(key, doc, entries)
    except ValueError as error:
        raise errors.bad_request(str(error)) from error


def _managed(current: Object, doc: Mapping[str, Any]) -> Object:
    """The object with the `managedFields` that an update gives it, if it does; an empty one forgets all managers."""
    given = doc["metadata"].get("managedFields")
    if not isinstance(given, (list, tuple)):
        return current
    entries = tuple(entry for entry in given if isinstance(entry, Mapping) and entry.get("fieldsV1"))
    return current if entries == current.managed else replace(current, managed=tuple(plain(value(entries))))
