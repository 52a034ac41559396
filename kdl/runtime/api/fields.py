"""Sets of an object's fields, as ``metadata.managedFields`` has them: which fields there are, and which have changed.

A field is a path of steps in Kubernetes' notation: ``f:spec``, ``k:{"name":"web"}`` for the item of a list with keys,
``v:"x"`` for the item of a set. Only ends of paths and items of keyed lists are members.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final, TypeAlias

import orjson

from kdl.fact import Document, plain
from kdl.parser.manifest.structure import Structure

Field: TypeAlias = tuple[str, ...]
Fields: TypeAlias = frozenset[Field]

NONE: Final[Fields] = frozenset()
_DEFAULTS: Final = {"protocol": "TCP"}
"""What a key of a list's items is where it is left out."""


def items_by_key(items: Iterable[Any], structure: Structure) -> dict[str, Any] | None:
    """The items of a list by their step; None where the list is replaced whole, or where keys are missing or double."""
    found: dict[str, Any] = {}
    count = 0
    for item in items:
        if structure.list_type == "set" and not isinstance(item, (Mapping, list, tuple)):
            step = "v:" + _json(item)
        elif structure.list_type == "map" and isinstance(item, Mapping):
            keys = {key: item.get(key, _DEFAULTS.get(key)) for key in structure.keys}
            keys = {key: part for key, part in keys.items() if part is not None}
            if not keys:
                return None
            step = "k:" + _json(keys)
        else:
            return None
        found[step] = item
        count += 1
    return found if len(found) == count else None


def _json(item: Any) -> str:
    try:
        return orjson.dumps(item, default=plain, option=orjson.OPT_SORT_KEYS).decode()
    except TypeError:  # a number beyond 64 bits, which is refused when the object is checked
        return json.dumps(plain(item), sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def fields_of(value: Any, structure: Structure) -> Fields:
    """All fields of a value."""
    return frozenset(_fields(value, structure, ()))


def _fields(value: Any, structure: Structure, path: Field) -> Iterator[Field]:
    if isinstance(value, Mapping) and value and not structure.atomic:
        for key, member in value.items():
            yield from _fields(member, structure.member(key), (*path, f"f:{key}"))
        return
    if isinstance(value, (list, tuple)) and value and structure.list_type != "atomic":
        keyed = items_by_key(value, structure)
        if keyed is not None:
            for step, item in keyed.items():
                yield (*path, step)
                if structure.list_type == "map":
                    yield from _fields(item, structure.item, (*path, step))
            return
    if path:
        yield path


def compare(old: Any, new: Any, structure: Structure) -> tuple[Fields, Fields]:
    """The fields that were added or have another value, and those that are gone."""
    changed: set[Field] = set()
    removed: set[Field] = set()
    _compare(old, new, structure, (), changed, removed)
    return frozenset(changed), frozenset(removed)


def _compare(old: Any, new: Any, structure: Structure, path: Field, changed: set[Field], removed: set[Field]) -> None:
    if old is new or old == new:
        return
    if new is None:
        removed.update(_fields(old, structure, path))
    elif old is None:
        changed.update(_fields(new, structure, path))
    elif isinstance(old, Mapping) and isinstance(new, Mapping) and not structure.atomic:
        if path and not old:  # an empty map is itself a field
            removed.add(path)
        if path and not new:
            changed.add(path)
        for key in {**old, **new}:
            _compare(old.get(key), new.get(key), structure.member(key), (*path, f"f:{key}"), changed, removed)
    else:
        before, after = (
            items_by_key(value, structure) if isinstance(value, (list, tuple)) else None for value in (old, new)
        )
        if before is None or after is None or structure.list_type == "atomic":
            changed.add(path)
            removed.update(_fields(old, structure, path))
            removed.discard(path)
            changed.update(_fields(new, structure, path))
            return
        for step in {**before, **after}:
            at = (*path, step)
            if step not in after:
                removed.add(at)
            elif step not in before:
                changed.add(at)
            if structure.list_type == "map":
                _compare(before.get(step), after.get(step), structure.item, at, changed, removed)


def encoded(fields: Iterable[Field]) -> dict[str, Any]:
    """The set as ``fieldsV1``."""
    root: dict[str, Any] = {}
    for path in sorted(fields):
        node = root
        for step in path:
            node = node.setdefault(step, {})
        node["."] = {}
    return _without_lone_dots(root)


def _without_lone_dots(node: dict[str, Any]) -> dict[str, Any]:
    return {} if node.keys() == {"."} else {step: _without_lone_dots(inner) for step, inner in node.items()}


def decoded(node: Mapping[str, Any]) -> Fields:
    """The set that ``fieldsV1`` says."""
    return frozenset(_decoded(node, ()))


def _decoded(node: Mapping[str, Any], path: Field) -> Iterator[Field]:
    if path and (not node or "." in node):
        yield path
    for step, inner in node.items():
        if step != "." and isinstance(inner, Mapping):
            yield from _decoded(inner, (*path, step))


def without_fields(value: Any, gone: Fields, structure: Structure, path: Field = ()) -> Any:
    """The value without these fields; None where nothing is left of it."""
    if path in gone and not (isinstance(value, Mapping) and path and path[-1].startswith("k:")):
        return None
    if isinstance(value, Mapping) and not structure.atomic:
        kept = {
            key: without_fields(member, gone, structure.member(key), (*path, f"f:{key}"))
            for key, member in value.items()
        }
        left = {key: member for key, member in kept.items() if member is not None}
        return Document(left) if left or not value else None
    if isinstance(value, (list, tuple)):
        keyed = items_by_key(value, structure)
        if keyed is not None:
            left_items = []
            for step, item in keyed.items():
                at = (*path, step)
                if at in gone:
                    continue
                left_items.append(
                    without_fields(item, gone, structure.item, at) if structure.list_type == "map" else item
                )
            return tuple(left_items) if left_items or not value else None
    return value


def dotted(path: Field) -> str:
    """The field as Kubernetes' messages write it: ``.spec.containers[name="web"].image``."""
    text = ""
    for step in path:
        kind, _, rest = step.partition(":")
        if kind == "f":
            text += f".{rest}"
        elif kind == "k":
            keys = orjson.loads(rest)
            text += "[" + ",".join(f"{key}={_json(item)}" for key, item in keys.items()) + "]"
        else:
            text += f"[={rest}]"
    return text
