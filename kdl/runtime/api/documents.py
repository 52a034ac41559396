"""What the verbs compute of documents alone: names, ids, preconditions, finalizers, times of conditions."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from kdl.fact import Bool, Document, plain, value
from kdl.parser.manifest.kinds import Kind
from kdl.runtime.api.errors import bad_request
from kdl.runtime.api.patch import find, put

_ALPHABET: Final = "bcdfghjklmnpqrstvwxz2456789"  # Kubernetes': no vowels, so that no words come about
_UNSAID: Final = ("resourceVersion", "managedFields", "selfLink")


def id_of(kind: Kind, doc: Mapping[str, Any]) -> str:
    """The id that a document's metadata give it."""
    metadata = doc["metadata"]
    if not (name := metadata.get("name")):
        raise bad_request("name is required in the object's metadata")
    return f"{metadata['namespace']}/{name}" if kind.namespaced else str(name)


def preconditions(doc: Mapping[str, Any]) -> dict[str, Any]:
    """What a document that replaces another says of it: the arguments of `Objects.patch` and others."""
    metadata = doc.get("metadata")
    if not isinstance(metadata, Mapping):
        return {}
    return {"uid": metadata.get("uid"), "resource_version": metadata.get("resourceVersion")}


def written(doc: Mapping[str, Any]) -> dict[str, Any]:
    """The document as the parser wants it: plain JSON, without what only the store's side knows."""
    values = any(isinstance(item, (Document, tuple, Bool)) for item in doc.values())
    result: dict[str, Any] = plain(value(doc)) if values else dict(doc)
    metadata = result.get("metadata")
    if isinstance(metadata, dict) and any(name in metadata for name in _UNSAID):
        result["metadata"] = {name: item for name, item in metadata.items() if name not in _UNSAID}
    return result


def generated_name(base: str, suffix: str | None) -> str:
    """A name that begins with `base` and ends in the suffix, or at random."""
    end = suffix or "".join(random.choices(_ALPHABET, k=5))
    return base[: 63 - len(end)] + end


def with_propagation(finalizers: Sequence[str], propagation: str | None) -> tuple[str, ...]:
    """The finalizers of an object that is deleted under a propagation policy."""
    if propagation is None:
        return tuple(finalizers)
    kept = tuple(name for name in finalizers if name not in ("orphan", "foregroundDeletion"))
    return kept + {"Orphan": ("orphan",), "Foreground": ("foregroundDeletion",)}.get(propagation, ())


def at(doc: Any, path: str) -> list[Any]:
    """What is at a path that may go through every item of a list (``/spec/ports/*/nodePort``), without the empty."""
    first, *rest = path.split("/*/")
    found = find(doc, first)
    parts = [find(item, f"/{rest[0]}") for item in found or ()] if rest else [found]
    return [part for part in parts if part]


def without(doc: Document, paths: Iterable[str]) -> Document:
    """The document without the fields at these paths, which may go through every item of a list."""
    for path in paths:
        field, *rest = path.split("/*/")
        if rest:
            doc = put(doc, [(field, [put(item, [(f"/{rest[0]}", None)]) for item in find(doc, field) or ()] or None)])
        else:
            doc = put(doc, [(field, None)])
    return doc


def dotted(path: str) -> str:
    """``/spec/containers/*/image`` as people write it: ``spec.containers[*].image``."""
    return path.strip("/").replace("/*/", "[*].").replace("/", ".")


def stamp_conditions(new: Document, old: Document, now: str) -> Document:
    """Conditions without a transition time get it: the old one's where their status is the same, else now."""
    conditions = find(new, "/status/conditions")
    if not isinstance(conditions, tuple) or all("lastTransitionTime" in c for c in conditions):
        return new
    known = {c.get("type"): c for c in find(old, "/status/conditions") or ()}
    stamped = []
    for condition in conditions:
        if "lastTransitionTime" not in condition:
            before = known.get(condition.get("type"), {})
            same = before.get("status") == condition.get("status") and "lastTransitionTime" in before
            since = before["lastTransitionTime"] if same else now
            condition = Document({**condition, "lastTransitionTime": since})
        stamped.append(condition)
    return put(new, [("/status/conditions", stamped)])
