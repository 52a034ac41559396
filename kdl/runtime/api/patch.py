"""Changes to documents: single fields by path, merge patches (RFC 7386) and JSON patches (RFC 6902).

Unchanged parts of an immutable document are shared between the old and the new one.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from typing import Any, Final, cast

import orjson

from kdl.fact import Document, Value, value
from kdl.runtime.api.errors import ApiError, bad_request

MOST_OPERATIONS: Final = 10_000
MOST_COPIED: Final = 3 * 1024 * 1024
"""Kubernetes' limits for a JSON patch."""


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
        elif isinstance(doc, Sequence) and not isinstance(doc, str) and 0 <= (at := _place(step)) < len(doc):
            doc = doc[at]
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
        at = len(doc) if step == "-" else _place(step)
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
    """RFC 6902, on plain JSON, which it changes; `ApiError` 422 when a test fails or a path is not there."""
    if not isinstance(operations, list):
        raise bad_request("a JSON patch is a list of operations")
    if len(operations) > MOST_OPERATIONS:
        text = f"The allowed maximum operations in a JSON patch is {MOST_OPERATIONS}, got {len(operations)}"
        raise ApiError(413, "RequestEntityTooLarge", text)
    copied = 0
    for operation in operations:
        if not isinstance(operation, Mapping) or not isinstance(operation.get("path"), str):
            raise bad_request("an operation of a JSON patch has `op` and `path`")
        if operation.get("op") == "copy":
            copied += _size(_at(doc, _from(operation)))
            if copied > MOST_COPIED:
                text = f"the copies that a JSON patch makes are larger than the limit of {MOST_COPIED} bytes"
                raise ApiError(413, "RequestEntityTooLarge", text)
        doc = _operate(doc, operation)
    return doc


def _operate(doc: Any, operation: Mapping[str, Any]) -> Any:
    path = steps(operation["path"])
    match operation.get("op"):
        case "add" | "replace" | "remove" as op:
            return _edit(doc, path, op, operation.get("value"))
        case "test":
            if not _same(_at(doc, path), operation.get("value")):
                raise ApiError(422, "Invalid", f"the test of `{operation['path']}` failed")
            return doc
        case "copy":
            return _edit(doc, path, "add", deepcopy(_at(doc, _from(operation))))
        case "move":
            start = _from(operation)
            item = _at(doc, start)
            return _edit(_edit(doc, start, "remove", None), path, "add", item)
        case other:
            raise bad_request(f"`{other}` is not an operation of a JSON patch")


def _size(item: Any) -> int:
    try:
        return len(orjson.dumps(item))
    except orjson.JSONEncodeError as error:
        raise bad_request(f"what is copied cannot be written: {error}") from None


def _same(one: Any, other: Any) -> bool:
    """Equality of plain JSON, where true is not 1."""
    if isinstance(one, dict):
        return isinstance(other, dict) and one.keys() == other.keys() and all(_same(one[k], other[k]) for k in one)
    if isinstance(one, list):
        return isinstance(other, list) and len(one) == len(other) and all(map(_same, one, other))
    return isinstance(one, bool) is isinstance(other, bool) and bool(one == other)


def _from(operation: Mapping[str, Any]) -> list[str]:
    return steps(str(operation.get("from", "")))


def _at(doc: Any, path: Sequence[str]) -> Any:
    for step in path:
        doc = doc[_index(doc, step, path)]
    return doc


def _index(doc: Any, step: str, path: Sequence[str], more: int = 0) -> Any:
    if isinstance(doc, dict) and (step in doc or more):
        return step
    if isinstance(doc, list):
        at = len(doc) if step == "-" else _place(step)
        if 0 <= at < len(doc) + more:
            return at
    raise ApiError(422, "Invalid", f"the patch's path `/{'/'.join(path)}` does not exist")


def _place(step: str) -> int:
    """The place in a list that a step of a path names; -1 for none."""
    return int(step) if step.isascii() and step.isdigit() and len(step) < 10 else -1


def _edit(doc: Any, path: Sequence[str], how: str, item: Any) -> Any:
    if not path:
        return item
    inner, last = _at(doc, path[:-1]), path[-1]
    at = _index(inner, last, path, more=1 if how == "add" else 0)
    if how == "remove":
        del inner[at]
    elif how == "add" and isinstance(inner, list):
        inner.insert(at, item)
    else:
        inner[at] = item
    return doc
