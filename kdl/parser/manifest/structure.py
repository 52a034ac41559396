"""How the values of a kind merge: which lists are maps or sets, by what keys, and which values are replaced whole.

Read from the schema's ``x-kubernetes-*`` extensions. A value of which no schema tells merges as JSON does: maps member
by member, lists whole.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cache
from typing import Any, Final

from kdl.parser.manifest.kinds import Kind
from kdl.parser.manifest.shape import definitions

METADATA: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"


class Structure:
    """One node of a schema; its members are found when first asked for."""

    __slots__ = ("_item", "_members", "_raw", "atomic", "keys", "list_type", "patch_key", "patch_strategies")

    def __init__(self, raw: Mapping[str, Any]) -> None:
        self._raw = raw
        self._members: dict[str, Structure] = {}
        self._item: Structure | None = None
        self.list_type: str = raw.get("x-kubernetes-list-type", "atomic")
        """``atomic``, ``set`` or ``map``."""
        self.keys: tuple[str, ...] = tuple(raw.get("x-kubernetes-list-map-keys", ()))
        """What tells the items of a ``map`` apart."""
        self.patch_key: str | None = raw.get("x-kubernetes-patch-merge-key")
        """What tells the items apart for a strategic merge patch."""
        self.patch_strategies = frozenset(str(raw.get("x-kubernetes-patch-strategy", "")).split(","))
        self.atomic: bool = raw.get("x-kubernetes-map-type") == "atomic"
        """The map is replaced whole."""

    def member(self, name: str) -> Structure:
        """The node of a map's member."""
        found = self._members.get(name)
        if found is None:
            raw = self._raw.get("properties", {}).get(name)
            if raw is None:
                additional = self._raw.get("additionalProperties")
                raw = additional if isinstance(additional, Mapping) else {}
            found = self._members[name] = _node(raw)
        return found

    @property
    def item(self) -> Structure:
        """The node of a list's items."""
        if self._item is None:
            self._item = _node(self._raw.get("items", {}))
        return self._item


ANYTHING: Final = Structure({})


def _node(raw: Mapping[str, Any]) -> Structure:
    if not raw:
        return ANYTHING
    reference = raw.get("$ref")
    if reference is None:
        return Structure(raw)
    own = {key: item for key, item in raw.items() if key.startswith("x-")}
    name = str(reference).rpartition("/")[2]
    return Structure({**definitions()[name], **own}) if own else _defined(name)


@cache
def _defined(name: str) -> Structure:
    return Structure(definitions()[name])


@cache
def definition_names() -> Mapping[tuple[str, str, str], str]:
    """Group, version and kind → the full name of its definition."""
    return {
        (it["group"], it["version"], it["kind"]): name
        for name, definition in definitions().items()
        for it in definition.get("x-kubernetes-group-version-kind", ())
    }


def structure_of(kind: Kind) -> Structure:
    """The structure of a kind's objects."""
    if kind.schema is not None:
        properties = {**kind.schema.get("properties", {}), "metadata": {"$ref": f"#/$defs/{METADATA}"}}
        return Structure({**kind.schema, "properties": properties})
    name = definition_names().get((kind.group, kind.version, kind.name))
    return _defined(name) if name is not None else ANYTHING
