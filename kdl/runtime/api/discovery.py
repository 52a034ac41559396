"""Discovery: what a server says that it serves, at ``/api``, ``/apis`` and below, in its old and aggregated form."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

from kdl.parser.manifest.kinds import Kind
from kdl.runtime.api.paths import SUBRESOURCES, Version

AGGREGATED: Final = "apidiscovery.k8s.io"
"""The group whose `APIGroupDiscoveryList` tells everything at once."""


class Discovery:
    """The documents of a set of served versions of kinds, in the order in which clients shall prefer them."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self._groups: dict[str, dict[str, list[Version]]] = {}
        for version in versions:
            self._groups.setdefault(version.group, {}).setdefault(version.api_version, []).append(version)

    def document(self, path: str) -> dict[str, Any] | None:
        """The document at a path, or None where there is none."""
        match path.strip("/").split("/"):
            case ["api"]:
                addresses: list[Any] = []
                return {"kind": "APIVersions", "versions": ["v1"], "serverAddressByClientCIDRs": addresses}
            case ["apis"]:
                groups = [self._group(group) for group in self._groups if group]
                return {"kind": "APIGroupList", "apiVersion": "v1", "groups": groups}
            case ["apis", group] if group in self._groups and group:
                return {"kind": "APIGroup", "apiVersion": "v1", **self._group(group)}
            case ["api", version]:
                return self._resources("", version)
            case ["apis", group, version]:
                return self._resources(group, f"{group}/{version}")
        return None

    def aggregated(self, path: str, version: str) -> dict[str, Any] | None:
        """The `APIGroupDiscoveryList` at ``/api`` or ``/apis``, in this version of its own group."""
        if (path := path.strip("/")) not in ("api", "apis"):
            return None
        items = [
            {
                "metadata": {"name": group, "creationTimestamp": None} if group else {"creationTimestamp": None},
                "versions": [
                    {
                        "version": api_version.rpartition("/")[2],
                        "resources": [_discovered(served) for served in kinds],
                        "freshness": "Current",
                    }
                    for api_version, kinds in versions.items()
                ],
            }
            for group, versions in self._groups.items()
            if bool(group) == (path == "apis")
        ]
        head = {"kind": "APIGroupDiscoveryList", "apiVersion": f"{AGGREGATED}/{version}"}
        return {**head, "metadata": {}, "items": items}

    def _group(self, group: str) -> dict[str, Any]:
        versions = [{"groupVersion": name, "version": name.rpartition("/")[2]} for name in self._groups[group]]
        return {"name": group, "versions": versions, "preferredVersion": versions[0]}

    def _resources(self, group: str, api_version: str) -> dict[str, Any] | None:
        kinds = self._groups.get(group, {}).get(api_version)
        if not kinds:
            return None
        resources = [item for served in kinds for item in _listed(served)]
        return {"kind": "APIResourceList", "apiVersion": "v1", "groupVersion": api_version, "resources": resources}


def _names(served: Version) -> dict[str, Any]:
    kind = served.kind
    return {
        **({"shortNames": list(kind.short_names)} if kind.short_names and served.preferred else {}),
        **({"categories": list(kind.categories)} if kind.categories and served.preferred else {}),
    }


def _verbs(kind: Kind, subresource: str) -> list[str]:
    return list(SUBRESOURCES[subresource].verbs)


def _listed(served: Version) -> list[dict[str, Any]]:
    """A kind and its subresources as an `APIResourceList` has them."""
    kind = served.kind
    main = {
        "name": kind.plural,
        "singularName": kind.singular,
        "namespaced": kind.namespaced,
        "kind": kind.name,
        "verbs": list(kind.verbs),
        **_names(served),
    }
    parts = [
        {
            "name": f"{kind.plural}/{name}",
            "singularName": "",
            "namespaced": kind.namespaced,
            **_group_version_kind(kind, name),
            "verbs": _verbs(kind, name),
        }
        for name in _subresources(kind)
    ]
    return [main, *parts]


def _subresources(kind: Kind) -> list[str]:
    return sorted(name for name in kind.subresources if name in SUBRESOURCES)


def _group_version_kind(kind: Kind, subresource: str) -> dict[str, str]:
    """What a subresource answers with: its own kind, such as ``autoscaling/v1 Scale``, or the object's."""
    api_version, name = SUBRESOURCES[subresource].answering(kind) or ("", kind.name)
    group, _, version = api_version.rpartition("/")
    return {**({"group": group} if group else {}), **({"version": version} if version else {}), "kind": name}


def _discovered(served: Version) -> dict[str, Any]:
    """A kind and its subresources as an `APIGroupDiscovery` has them."""
    kind = served.kind
    group, _, version = served.api_version.rpartition("/")
    own = {"group": group, "version": version, "kind": kind.name}
    parts = []
    for name in _subresources(kind):
        answers = SUBRESOURCES[name].answers
        said = {**own, "kind": kind.name} if answers is None else {**own, **_group_version_kind(kind, name)}
        parts.append({"subresource": name, "responseKind": said, "verbs": _verbs(kind, name)})
    return {
        "resource": kind.plural,
        "responseKind": own,
        "scope": "Namespaced" if kind.namespaced else "Cluster",
        "singularResource": kind.singular,
        "verbs": list(kind.verbs),
        **_names(served),
        **({"subresources": parts} if parts else {}),
    }
