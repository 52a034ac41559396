"""Strategic merge patches: merge patches that know by the schema which lists merge, and by what key.

Besides values a patch has directives: ``$patch`` (``delete``, ``replace``, ``merge``), ``$retainKeys``,
``$setElementOrder/LIST`` and ``$deleteFromPrimitiveList/LIST``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from kdl.parser.manifest.structure import Structure
from kdl.runtime.api.errors import bad_request

_ORDER: Final = "$setElementOrder/"
_DROP: Final = "$deleteFromPrimitiveList/"


def strategic_merge(doc: Any, patch: Any, structure: Structure) -> Any:
    """The document with the patch merged into it; `ApiError` 400 for a directive that nobody knows."""
    if not isinstance(patch, Mapping):
        return patch
    how = patch.get("$patch")
    if how == "replace":
        return _stripped({name: item for name, item in patch.items() if name != "$patch"})
    if how == "delete":
        return {}
    if how not in (None, "merge"):
        raise bad_request(f"invalid value for $patch: `{how}`")
    merged = dict(doc) if isinstance(doc, Mapping) else {}
    if (kept := patch.get("$retainKeys")) is not None:
        merged = {name: item for name, item in merged.items() if name in _listed(kept, "$retainKeys")}
    for name in list(patch):
        if name.startswith(_DROP):
            dropped = _listed(patch[name], name)
            field = name.removeprefix(_DROP)
            if isinstance(merged.get(field), list):
                merged[field] = [item for item in merged[field] if item not in dropped]
    for name, item in patch.items():
        if name.startswith("$"):
            continue
        member = structure.member(name)
        if item is None:
            merged.pop(name, None)
        elif isinstance(item, list) and "merge" in member.patch_strategies:
            order = patch.get(_ORDER + name)
            merged[name] = _lists(merged.get(name), item, member, order, name)
        elif isinstance(item, Mapping) and "replace" not in member.patch_strategies:
            merged[name] = strategic_merge(merged.get(name), item, member)
        else:
            merged[name] = _stripped(item)
    for name in patch:
        field = name.removeprefix(_ORDER)
        if name.startswith(_ORDER) and field not in patch and isinstance(merged.get(field), list):
            member = structure.member(field)
            merged[field] = _ordered(merged[field], _listed(patch[name], name), _key_of(member, field))
    return merged


def _lists(old: Any, patch: list[Any], structure: Structure, order: Any, name: str) -> list[Any]:
    if any(isinstance(item, Mapping) and item.get("$patch") == "replace" for item in patch):
        return [_stripped(item) for item in patch if not (isinstance(item, Mapping) and "$patch" in item)]
    key_of = _key_of(structure, name)
    found: dict[Any, Any] = {}
    for item in old if isinstance(old, list) else ():
        found[key_of(item)] = item
    for item in patch:
        key = key_of(item)
        if isinstance(item, Mapping):
            if item.get("$patch") == "delete":
                found.pop(key, None)
                continue
            found[key] = strategic_merge(found.get(key), item, structure.item)
        else:
            found[key] = item
    merged = list(found.values())
    return merged if order is None else _ordered(merged, _listed(order, _ORDER + name), key_of)


def _key_of(structure: Structure, name: str) -> Callable[[Any], Any]:
    """What tells the items of a list apart; `ApiError` 400 for an item that does not have such a value."""

    def key(item: Any) -> Any:
        if not isinstance(item, Mapping):
            return item if isinstance(item, (str, int)) else repr(item)
        if structure.patch_key is None or structure.patch_key not in item:
            raise bad_request(f"map: {dict(item)} does not contain declared merge key: {structure.patch_key or name}")
        found = item[structure.patch_key]
        if isinstance(found, (Mapping, list)):
            raise bad_request(f"the merge key {structure.patch_key} of `{name}` is a single value in each item")
        return found

    return key


def _ordered(items: list[Any], order: Iterable[Any], key_of: Callable[[Any], Any]) -> list[Any]:
    """The items in the order given; those of which it says nothing keep their place after the one before them."""
    rank = {key_of(item): position for position, item in enumerate(order)}
    ranked = []
    last = -1
    for place, item in enumerate(items):
        last = rank.get(key_of(item), last)
        ranked.append((last, key_of(item) not in rank, place, item))
    return [item for *_, item in sorted(ranked, key=lambda one: one[:3])]


def _listed(item: Any, name: str) -> list[Any]:
    if not isinstance(item, list):
        raise bad_request(f"`{name}` is a list")
    return item


def _stripped(item: Any) -> Any:
    """A value that replaces another, without directives and nulls."""
    if isinstance(item, Mapping):
        return {
            name: _stripped(inner) for name, inner in item.items() if not name.startswith("$") and inner is not None
        }
    return [_stripped(inner) for inner in item] if isinstance(item, list) else item
