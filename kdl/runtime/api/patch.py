"""Changes to documents: single fields by path, merge patches (RFC 7386) and JSON patches (RFC 6902).

Unchanged parts of an immutable document are shared between the old and the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, cast

from kdl.fact import Document, Value, value
from kdl.runtime.api.errors import ApiError, bad_request


def steps(path: str) -> list[str]:
    """The members that a JSON pointer goes through; ``~1`` stands for a slash and ``~0`` for a tilde."""
    if path == "":
        return []
    if not path.startswith("/"):
        raise bad_request(f"`{path}` is not a path such as /spec/replicas")
    return [step.replace("~1", "/").replace("~0", "~") for step in path[1:].split("/")]


def find(doc: Any, path: str) -> Any:
    """What is at a path; None where nothing is."""
    for step in steps(path):
        if isinstance(doc, Mapping):
            doc = doc.get(step)
        elif isinstance(doc, Sequence) and not isinstance(doc, str) and step.isdigit() and int(step) < len(doc):
            doc = doc[int(step)]
        else:
            return None
    return doc


def put(doc: Document, fields: Iterable[tuple[str, object]]) -> Document:
    """The document with the fields at these paths set, or removed where the value is null."""
    for path, item in fields:
        if not (parts := steps(path)):
            raise bad_request("a path names a field: `/` and a member at least")
        doc = cast(Document, _put(doc, parts, value(item), path))
    return doc


def _put(doc: Value, path: Sequence[str], item: Value, whole: str) -> Value:
    step, rest = path[0], path[1:]
    if isinstance(doc, tuple):
        at = len(doc) if step == "-" else int(step) if step.isdigit() else -1
        if not 0 <= at <= len(doc):
            raise bad_request(f"`{whole}` goes through a list that has no item {step}")
        new = _put(doc[at] if at < len(doc) else None, rest, item, whole) if rest else item
        return (*doc[:at], *(() if new is None and not rest else (new,)), *doc[at + 1 :])
    if doc is not None and not isinstance(doc, Document):
        raise bad_request(f"`{whole}` goes through a value that has no members")
    members: dict[str, Any] = dict(doc or {})
    old = members.get(step)
    if rest and old is None and item is None:
        return doc if doc is not None else Document()
    new = _put(old, rest, item, whole) if rest else item
    if new is old and step in members:
        return doc
    if new is None:
        if step not in members:
            return doc if doc is not None else Document()
        del members[step]
    else:
        members[step] = new
    return Document(members)


def merge(doc: Any, patch: Any) -> Any:
    """RFC 7386: members of the patch replace the document's, null removes, all else stays."""
    if not isinstance(patch, Mapping):
        return patch
    merged = dict(doc) if isinstance(doc, Mapping) else {}
    for name, item in patch.items():
        if item is None:
            merged.pop(name, None)
        else:
            merged[name] = merge(merged.get(name), item)
    return merged


def json_patch(doc: Any, operations: Any) -> Any:
    """RFC 6902, on plain JSON; `ApiError` 422 when a test fails or a path is not there."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    for operation in operations:
        if not isinstance(operation, Mapping) or not isinstance(operation.get("path"), str):
            raise bad_request("an operation of a JSON patch has `op` and `path`")
        doc = _operate(doc, operation)
    return doc


def _operate(doc: Any, operation: Mapping[str, Any]) -> Any:
    path = steps(operation["path"])
    match operation.get("op"):
        case "add":
            return _edit(doc, path, "add", operation.get("value"))
        case "remove":
            return _edit(doc, path, "remove", None)
        case "replace":
            return _edit(doc, path, "replace", operation.get("value"))
        case "test":
            if value(_at(doc, path)) != value(operation.get("value")):
                raise ApiError(422, "Invalid", f"the test of `{operation['path']}` failed")
            return doc
        case "move" | "copy" as op:
            start = steps(str(operation.get("from", "")))
            item = _at(doc, start)
            return _edit(_edit(doc, start, "remove", None) if op == "move" else doc, path, "add", item)
        case other:
            raise bad_request(f"`{other}` is not an operation of a JSON patch")


def _at(doc: Any, path: Sequence[str]) -> Any:
    for step in path:
        doc = doc[_index(doc, step, path)]
    return doc


def _index(doc: Any, step: str, path: Sequence[str], more: int = 0) -> Any:
    if isinstance(doc, dict) and (step in doc or more):
        return step
    if isinstance(doc, list):
        at = len(doc) if step == "-" else int(step) if step.isdigit() else -1
        if 0 <= at < len(doc) + more:
            return at
    raise ApiError(422, "Invalid", f"the patch's path `/{'/'.join(path)}` does not exist")


def _edit(doc: Any, path: Sequence[str], how: str, item: Any) -> Any:
    if not path:
        return item
    step, rest = path[0], path[1:]
    at = _index(doc, step, path, more=1 if how == "add" and not rest else 0)
    copy = doc.copy()
    if rest:
        copy[at] = _edit(doc[at], rest, how, item)
    elif how == "remove":
        del copy[at]
    elif how == "add" and isinstance(copy, list):
        copy.insert(at, item)
    else:
        copy[at] = item
    return copy
