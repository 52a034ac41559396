"""Who manages which fields of an object: ``metadata.managedFields``, and server-side apply, which goes by it.

Entries are kept as clients see them. What the brain writes is its own business as long as nobody manages the object;
from then on its changes take fields away from their managers like everybody's, but for the status.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

from kdl.fact import Document, value
from kdl.parser.manifest.conversion import Unstorable, convert, fresh
from kdl.parser.manifest.kinds import Kind, Kinds
from kdl.parser.manifest.structure import Structure, structure_of
from kdl.runtime.api.errors import ApiError, bad_request
from kdl.runtime.api.fields import (
    Fields,
    compare,
    decoded,
    dotted,
    encoded,
    fields_of,
    items_by_key,
    without_fields,
)

Entry: TypeAlias = Mapping[str, Any]
Entries: TypeAlias = tuple[Entry, ...]

_MANAGED_METADATA: Final = frozenset({"f:annotations", "f:labels", "f:finalizers", "f:ownerReferences"})


class Manager(NamedTuple):
    """Who writes: a name, in which way (``Apply`` or ``Update``), and through which subresource."""

    name: str
    operation: str = "Update"
    subresource: str = ""

    def entry(self, fields: Fields, api_version: str, time: str) -> Entry:
        """The manager's entry for these fields."""
        return {
            "manager": self.name,
            "operation": self.operation,
            "apiVersion": api_version,
            "time": time,
            "fieldsType": "FieldsV1",
            "fieldsV1": encoded(fields),
            **({"subresource": self.subresource} if self.subresource else {}),
        }


def manager_of(entry: Entry) -> Manager:
    """Whose entry it is."""
    return Manager(str(entry.get("manager")), str(entry.get("operation")), str(entry.get("subresource", "")))


def manageable(fields: Fields) -> Fields:
    """The fields without those that belong to the system: what names the object, and most of its metadata."""
    return frozenset(
        path
        for path in fields
        if path[0] not in ("f:apiVersion", "f:kind")
        and (path[0] != "f:metadata" or (len(path) > 1 and path[1] in _MANAGED_METADATA))
    )


def tracked(
    entries: Entries, old: Document | None, new: Document, kind: Kind, manager: Manager | None, time: str
) -> Entries:
    """The entries after a manager has changed an object from `old` to `new`; without a manager, after the brain has."""
    if manager is None and not entries:
        return ()
    structure = structure_of(kind)
    if old is None:
        changed, removed = fields_of(new, structure), frozenset[tuple[str, ...]]()
    else:
        changed, removed = compare(old, new, structure)
    changed, removed = manageable(changed), manageable(removed)
    if manager is None:
        changed, removed = (
            frozenset(path for path in fields if path[0] != "f:status") for fields in (changed, removed)
        )
    if not changed and not removed:
        return entries
    kept: list[Entry] = []
    mine: Fields = changed
    for entry in entries:
        had = decoded(entry.get("fieldsV1", {}))
        if manager is not None and manager_of(entry) == manager:
            mine = (had - removed) | changed
            continue
        left = had - changed - removed
        if left:
            kept.append(entry if left == had else {**entry, "fieldsV1": encoded(left)})
    if manager is not None and mine:
        kept.append(manager.entry(mine, kind.api_version, time))
    return tuple(kept)


# Server-side apply.


def configuration(config: Mapping[str, Any], kind: Kind, id_: str, kinds: Kinds, status: bool) -> Document:
    """What a manager's configuration says in the kind's stored version, of the part that is to be applied."""
    if not isinstance(config.get("metadata", {}), Mapping) or not config.get("apiVersion") or not config.get("kind"):
        raise bad_request("what is applied is an object with `apiVersion`, `kind` and `metadata`")
    if kinds.stored(str(config["apiVersion"]), str(config["kind"])) != kind:
        raise bad_request(f"what is applied is a {config['kind']}, not a {kind.name} as the request says")
    try:
        doc: dict[str, Any] = fresh(config)
    except Unstorable as error:
        raise bad_request(error.message) from None
    convert(doc, kind)
    metadata = doc.setdefault("metadata", {})
    if metadata.get("managedFields"):
        raise bad_request("metadata.managedFields must be nil")
    namespace, _, name = id_.rpartition("/")
    if metadata.setdefault("name", name) != name or (
        namespace and metadata.setdefault("namespace", namespace) != namespace
    ):
        raise bad_request("the name of the object does not match the name on the URL")
    if status:
        doc = {key: item for key, item in doc.items() if key in ("apiVersion", "kind", "status")}
        doc["metadata"] = {key: item for key, item in metadata.items() if key in ("name", "namespace", "uid")}
    elif "status" in kind.subresources:
        doc.pop("status", None)
    found = value(doc)
    assert isinstance(found, Document)
    return found


class Applied(NamedTuple):
    """What applying makes of an object, and who manages it then."""

    doc: Document
    entries: Entries


def applied(
    live: Document, entries: Entries, config: Document, kind: Kind, manager: Manager, force: bool, time: str
) -> Applied:
    """Merge what a manager wants into an object; `ApiError` 409 where others want the same fields otherwise."""
    structure = structure_of(kind)
    wanted = manageable(fields_of(config, structure))
    merged: Document = _merged(live, config, structure)
    before: Fields = frozenset()
    others: list[Entry] = []
    for entry in entries:
        if manager_of(entry) == manager:
            before = decoded(entry.get("fieldsV1", {}))
        else:
            others.append(entry)
    elsewhere = frozenset(path for entry in others for path in decoded(entry.get("fieldsV1", {})))
    gone = before - wanted - elsewhere
    if gone:
        merged = without_fields(merged, gone, structure) or Document()
    taken = manageable(compare(live, merged, structure)[0]) & wanted
    conflicts = [(entry, taken & decoded(entry.get("fieldsV1", {}))) for entry in others]
    if not force and any(fields for _, fields in conflicts):
        raise _conflict([(entry, fields) for entry, fields in conflicts if fields])
    kept = [
        {**entry, "fieldsV1": encoded(decoded(entry["fieldsV1"]) - fields)} if fields else entry
        for entry, fields in conflicts
    ]
    own = manager.entry(wanted, kind.api_version, time)
    same = next((entry for entry in entries if manager_of(entry) == manager), None)
    if same is not None and before == wanted:
        own = same  # applying the same again writes nothing, not even a time
    return Applied(merged, (*(entry for entry in kept if entry.get("fieldsV1")), own))


def _merged(live: Any, config: Any, structure: Structure) -> Any:
    if isinstance(live, Mapping) and isinstance(config, Mapping) and not structure.atomic:
        members = dict(live)
        for key, item in config.items():
            members[key] = _merged(live.get(key), item, structure.member(key))
        return Document(members)
    if isinstance(live, (list, tuple)) and isinstance(config, (list, tuple)) and structure.list_type != "atomic":
        old, new = items_by_key(live, structure), items_by_key(config, structure)
        if old is not None and new is not None:
            first = [_merged(old.get(step), item, structure.item) for step, item in new.items()]
            return (*first, *(item for step, item in old.items() if step not in new))
    return config


def _conflict(conflicts: Sequence[tuple[Entry, Fields]]) -> ApiError:
    causes = []
    said = []
    for entry, fields in conflicts:
        manager = manager_of(entry)
        using = "" if manager.operation == "Apply" else f" using {entry.get('apiVersion')}"
        whose = f'conflict with "{manager.name}"'
        if manager.subresource:
            whose += f' with subresource "{manager.subresource}"'
        paths = sorted(dotted(path) for path in fields)
        causes += [{"reason": "FieldManagerConflict", "message": whose + using, "field": path} for path in paths]
        said.append(f"{whose}{using}: " + ", ".join(paths))
    count = len(causes)
    text = said[0].split(": ", 1)
    if count == 1:
        message = f"Apply failed with 1 conflict: {text[0]}: {text[1]}"
    else:
        lines = [f"{whose}:\n" + "\n".join(f"- {path}" for path in paths) for whose, paths in _grouped(causes).items()]
        message = f"Apply failed with {count} conflicts: conflicts with " + "\nconflicts with ".join(
            line.removeprefix("conflict with ") for line in lines
        )
    return ApiError(409, "Conflict", message, {"causes": causes})


def _grouped(causes: Sequence[Mapping[str, str]]) -> dict[str, list[str]]:
    groups: dict[str, list[str]] = {}
    for cause in causes:
        groups.setdefault(cause["message"], []).append(cause["field"])
    return groups
