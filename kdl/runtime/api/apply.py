"""Three-way merge: what was applied before × what is applied now × what there is → what there shall be.

Fields that the earlier manifest had and the new one lacks go; fields that others set stay. Lists of things with a key
of their own merge by it, other lists are replaced whole. It is what ``kubectl apply`` does on the client's side, and
it uses the same annotation, so that both work on one object.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, Final

import orjson

LAST_APPLIED: Final = "kubectl.kubernetes.io/last-applied-configuration"

_KEYS: Final[Mapping[str, tuple[str, ...]]] = {
    "containers": ("name",),
    "initContainers": ("name",),
    "ephemeralContainers": ("name",),
    "volumes": ("name",),
    "env": ("name",),
    "imagePullSecrets": ("name",),
    "secrets": ("name",),
    "volumeMounts": ("mountPath",),
    "volumeDevices": ("devicePath",),
    "ports": ("containerPort", "port", "protocol"),
    "hostAliases": ("ip",),
    "topologySpreadConstraints": ("topologyKey", "whenUnsatisfiable"),
    "ownerReferences": ("uid",),
    "conditions": ("type",),
}
"""Lists that merge: field → what tells their items apart."""


def with_last_applied(doc: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest with the annotation that the next apply merges by."""
    applied = without_last_applied(doc)
    text = orjson.dumps(applied, option=orjson.OPT_SORT_KEYS | orjson.OPT_APPEND_NEWLINE).decode()
    applied["metadata"].setdefault("annotations", {})[LAST_APPLIED] = text
    return applied


def without_last_applied(doc: Mapping[str, Any]) -> dict[str, Any]:
    """A copy of the manifest without that annotation."""
    plain: dict[str, Any] = copy.deepcopy(dict(doc))
    if (plain["metadata"].get("annotations") or {}).pop(LAST_APPLIED, None) and not plain["metadata"]["annotations"]:
        del plain["metadata"]["annotations"]
    return plain


def merged(doc: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    """What to write to apply the manifest `doc` over the `live` object."""
    text = (live["metadata"].get("annotations") or {}).get(LAST_APPLIED)
    before = orjson.loads(text) if text else {}
    new = with_last_applied(doc)
    return _objects(before if isinstance(before, dict) else {}, new, live)


def _objects(before: Mapping[str, Any], new: Mapping[str, Any], live: Mapping[str, Any]) -> dict[str, Any]:
    result = {name: item for name, item in live.items() if name in new or name not in before}
    for name, item in new.items():
        result[name] = _value(name, before.get(name), item, live.get(name))
    return result


def _value(field: str, before: Any, new: Any, live: Any) -> Any:
    if isinstance(new, dict) and isinstance(live, dict):
        return _objects(before if isinstance(before, dict) else {}, new, live)
    if isinstance(new, list) and isinstance(live, list):
        if field == "finalizers":
            dropped = set(before or ()) - set(new)
            return [*dict.fromkeys(item for item in [*live, *new] if item not in dropped)]
        key = _KEYS.get(field)
        if key is not None:
            parts = [_by_key(items, key) for items in (before or [], new, live)]
            if all(part is not None for part in parts):
                return _lists(field, *(part or {} for part in parts))
    return new


def _by_key(items: Any, key: tuple[str, ...]) -> dict[tuple[Any, ...], Any] | None:
    """The items by their key; None if they do not all have one of their own."""
    if not isinstance(items, list) or not all(isinstance(item, dict) for item in items):
        return None
    default = {"protocol": "TCP"}
    keyed = {tuple(str(item.get(part, default.get(part))) for part in key): item for item in items}
    return keyed if len(keyed) == len(items) else None


def _lists(
    field: str,
    before: Mapping[tuple[Any, ...], Any],
    new: Mapping[tuple[Any, ...], Any],
    live: Mapping[tuple[Any, ...], Any],
) -> list[Any]:
    """Items in the new order, then those that others added."""
    ours = [_value(field, before.get(key), item, live.get(key)) for key, item in new.items()]
    theirs = [item for key, item in live.items() if key not in new and key not in before]
    return ours + theirs
