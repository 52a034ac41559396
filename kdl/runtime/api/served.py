"""What a server serves now: the built-in kinds, and those that CustomResourceDefinitions in its store bring."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from functools import cached_property
from typing import Any, Final

from kdl.fact import plain
from kdl.parser.manifest.kinds import BUILT_IN, Kind, Kinds
from kdl.runtime.api.discovery import Discovery
from kdl.runtime.api.openapi import OpenApi
from kdl.runtime.api.paths import Paths, versions_of
from kdl.runtime.store import Change, Object, Store

_DEFINITION: Final = ("apiextensions.k8s.io", "CustomResourceDefinition")


class Catalogue:
    """A fixed set of kinds with everything that is computed of it, each when first asked for."""

    def __init__(self, custom: Sequence[Kind] = (), builtin: Kinds = BUILT_IN) -> None:
        self.custom = tuple(custom)
        """The kinds beyond the built-in ones."""
        self.kinds = builtin.with_known(custom)

    @cached_property
    def paths(self) -> Paths:
        """The paths of these kinds."""
        return Paths(versions_of(self.kinds))

    @cached_property
    def discovery(self) -> Discovery:
        """The discovery documents of these kinds."""
        return Discovery(versions_of(self.kinds))

    @cached_property
    def openapi(self) -> OpenApi:
        """The OpenAPI documents of these kinds."""
        return OpenApi(versions_of(self.kinds))


class Served:
    """The current catalogue. A definition counts once it is durable, from the next request on."""

    def __init__(self, store: Store, builtin: Kinds = BUILT_IN) -> None:
        self._builtin = builtin
        self._lock = threading.Lock()
        self._custom: dict[str, list[Kind]] = {}
        items, revision = store.snapshot(*_DEFINITION)
        for item in items:
            self._custom[item.key.id] = _kinds_of(item)
        self.now = self._catalogue()
        """What is served now."""
        store.subscribe(self._heard, revision, _DEFINITION)

    def _catalogue(self) -> Catalogue:
        return Catalogue([kind for kinds in self._custom.values() for kind in kinds], self._builtin)

    def _heard(self, changes: Sequence[Change]) -> None:
        with self._lock:
            for change in changes:
                if change.type == "DELETED":
                    self._custom.pop(change.object.key.id, None)
                elif change.previous is None or change.previous.doc.get("spec") != change.object.doc.get("spec"):
                    self._custom[change.object.key.id] = _kinds_of(change.object)
                else:
                    continue
                self.now = self._catalogue()


def _kinds_of(item: Object) -> list[Kind]:
    from kdl.parser.manifest.definition import kinds_of  # brings pydantic in, which others need not wait for

    definition: dict[str, Any] = plain(item.doc)
    return kinds_of(definition)
