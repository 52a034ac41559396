"""URL paths ↔ kinds, objects and subresources: a table read from the kinds."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Final, NamedTuple

from kdl.parser.manifest.kinds import Kind, Kinds


class Version(NamedTuple):
    """A kind as it is served under one `apiVersion`; the preferred one is that in which it is stored."""

    kind: Kind
    api_version: str

    @property
    def group(self) -> str:
        """The group of this version, which older versions of a kind do not share with it."""
        return self.api_version.rpartition("/")[0]

    @property
    def preferred(self) -> bool:
        """Whether objects are stored in this version."""
        return self.api_version == self.kind.api_version


class Subresource(NamedTuple):
    """What can be done under an object's own path, and which kind answers there if it is not the object's."""

    verbs: tuple[str, ...]
    answers: tuple[str, str] | None = None
    """Its `apiVersion` and name, in which ``{kind}`` is the object's kind."""
    deep: bool = False
    """Whether paths go on below it."""

    def answering(self, kind: Kind) -> tuple[str, str] | None:
        """The `apiVersion` and the name of the kind that answers under objects of a kind, if not that one."""
        return (self.answers[0], self.answers[1].format(kind=kind.name)) if self.answers is not None else None


SUBRESOURCES: Final[Mapping[str, Subresource]] = {
    "status": Subresource(("get", "patch", "update")),
    "scale": Subresource(("get", "patch", "update"), ("autoscaling/v1", "Scale")),
    "log": Subresource(("get",)),
    "exec": Subresource(("create", "get"), ("v1", "PodExecOptions")),
    "attach": Subresource(("create", "get"), ("v1", "PodAttachOptions")),
    "portforward": Subresource(("create", "get"), ("v1", "PodPortForwardOptions")),
    "proxy": Subresource(("create", "delete", "get", "patch", "update"), ("v1", "{kind}ProxyOptions"), deep=True),
    "binding": Subresource(("create",), ("v1", "Binding")),
    "eviction": Subresource(("create",), ("policy/v1", "Eviction")),
    "finalize": Subresource(("update",)),
    "token": Subresource(("create",), ("authentication.k8s.io/v1", "TokenRequest")),
}
"""The subresources that are served."""

_DEEP: Final = frozenset(name for name, subresource in SUBRESOURCES.items() if subresource.deep)


def versions_of(kinds: Kinds) -> list[Version]:
    """Every version of every kind: the stored ones, then the older ones, whose groups come after all others."""
    stored = [Version(kind, kind.api_version) for kind in kinds]
    older = [Version(kind, api_version) for kind in kinds for api_version in kinds.older(kind)]
    return stored + older


@dataclass(frozen=True, slots=True)
class Target:
    """What a path names: a collection (no name), an object, or a subresource of one."""

    kind: Kind
    api_version: str
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
    """The paths of a set of versions."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self._by_plural = {(version.api_version, version.kind.plural): version.kind for version in versions}

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
        if kind is None or bool(namespace) > kind.namespaced:
            return None
        if len(more) > 1 and not (more[0] in kind.subresources and more[0] in _DEEP):
            return None
        if kind.namespaced and name and not namespace:
            return None
        return Target(kind, api_version, namespace, name, more[0] if more else "")
