"""URL paths ↔ kinds and objects, and discovery: what a server says that it serves. A table read from the kinds."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from kdl.parser.manifest.kinds import Kind


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: a collection (no name), an object, or a subresource of one."""

    kind: Kind
    namespace: str
    name: str
    subresource: str

    @property
    def id(self) -> str:
        """The id of the object."""
        return f"{self.namespace}/{self.name}" if self.kind.namespaced else self.name


def path_of(kind: Kind, namespace: str | None = None, name: str = "", subresource: str = "") -> str:
    """The path of a collection, an object or a subresource."""
    parts = [f"apis/{kind.api_version}" if kind.group else f"api/{kind.version}"]
    if kind.namespaced and namespace:
        parts += ["namespaces", namespace]
    return "/" + "/".join(filter(None, [*parts, kind.plural, name, subresource]))


class Paths:
    """The paths of a set of kinds."""

    def __init__(self, kinds: Iterable[Kind]) -> None:
        self._kinds = tuple(kinds)
        self._by_plural = {(kind.api_version, kind.plural): kind for kind in self._kinds}

    def resolve(self, path: str) -> Target | None:
        """What a path names, or None if it names nothing of these kinds."""
        match path.strip("/").split("/"):
            case ["api", version, *rest] if rest:
                return self._target(version, rest)
            case ["apis", group, version, *rest] if rest:
                return self._target(f"{group}/{version}", rest)
        return None

    def _target(self, api_version: str, rest: list[str]) -> Target | None:
        namespace = ""
        if rest[0] == "namespaces" and len(rest) > 2 and (api_version, rest[2]) in self._by_plural:
            _, namespace, *rest = rest
        plural, name, *more = *rest, *([""] * (2 - len(rest)))
        kind = self._by_plural.get((api_version, plural))
        if kind is None or len(more) > 1 or bool(namespace) > kind.namespaced:
            return None
        if kind.namespaced and name and not namespace:
            return None
        return Target(kind, namespace, name, more[0] if more else "")

    def discovery(self, path: str) -> dict[str, Any] | None:
        """The document with which a server answers ``/api``, ``/apis`` and the groups and versions below."""
        match path.strip("/").split("/"):
            case ["api"]:
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": []}
            case ["apis"]:
                groups = [self._group(group) for group in dict.fromkeys(kind.group for kind in self._kinds) if group]
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
            case ["apis", group] if group and any(kind.group == group for kind in self._kinds):
                return {"kind": "APIGroup", "apiVersion": "v1", **self._group(group)}
            case ["api", version]:
                return self._resources(version)
            case ["apis", group, version]:
                return self._resources(f"{group}/{version}")
        return None

    def _group(self, group: str) -> dict[str, Any]:
        names = dict.fromkeys(kind.version for kind in self._kinds if kind.group == group)
        versions = [{"groupVersion": f"{group}/{version}", "version": version} for version in names]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _resources(self, api_version: str) -> dict[str, Any] | None:
        kinds = [kind for kind in self._kinds if kind.api_version == api_version]
        if not kinds:
            return None
        resources = [item for kind in kinds for item in _resources_of(kind)]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources}


def _resources_of(kind: Kind) -> list[dict[str, Any]]:
    main = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": list(kind.verbs),
        **({"shortNames": list(kind.short_names)} if kind.short_names else {}),
        **({"categories": list(kind.categories)} if kind.categories else {}),
    }
    status = {
        "name": f"{kind.plural}/status",
        "singularName": "",
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": ["get", "patch", "update"],
    }
    return [main, status] if "status" in kind.subresources else [main]
