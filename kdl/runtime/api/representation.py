"""The forms in which clients ask for objects: whole, as rows of a `Table`, or their metadata alone."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson
from starlette.requests import Request
from starlette.responses import Response

from kdl.fact import plain
from kdl.parser.manifest.conversion import restored
from kdl.parser.manifest.kinds import Kind
from kdl.runtime.api.columns import Column, columns_of
from kdl.runtime.api.errors import ApiError
from kdl.runtime.store import Object

_META: Final = "meta.k8s.io/v1"
_FORMS: Final = {"": "", "Table": "Table", "PartialObjectMetadata": "Metadata", "PartialObjectMetadataList": "Metadata"}


class Form(NamedTuple):
    """What a client wants to see of objects of a kind."""

    kind: Kind
    api_version: str
    shape: str
    """``Table``, ``Metadata``, or empty for the objects themselves."""

    include: str
    """What a table's rows carry of their objects: ``Metadata``, ``Object`` or ``None``."""

    @property
    def plain(self) -> bool:
        """Whether objects are shown as they are stored."""
        return not self.shape and self.api_version == self.kind.api_version

    # Documents.

    def item(self, item: Object) -> dict[str, Any]:
        """One object."""
        if self.shape == "Table":
            return self._table([item], {"resourceVersion": str(item.revision)})
        return self._partial(item) if self.shape else self.whole(item)

    def whole(self, item: Object) -> dict[str, Any]:
        """The object in the version asked for."""
        doc = rendered(item)
        return doc if self.api_version == self.kind.api_version else restored(doc, self.kind, self.api_version)

    def list(self, items: Iterable[Object], metadata: Mapping[str, Any]) -> dict[str, Any]:
        """A list of objects; its metadata have the resourceVersion."""
        if self.shape == "Table":
            return self._table(items, metadata)
        if self.shape:
            head = {"kind": "PartialObjectMetadataList", "apiVersion": _META}
            return {**head, "metadata": metadata, "items": [self._partial(item) for item in items]}
        head = {"kind": f"{self.kind.name}List", "apiVersion": self.api_version}
        return {**head, "metadata": metadata, "items": [self.whole(item) for item in items]}

    def bookmark(self, revision: int, initial: bool) -> dict[str, Any]:
        """An object that says only how far a watch has come, and whether all that there was has been told."""
        metadata: dict[str, Any] = {"resourceVersion": str(revision), "creationTimestamp": None}
        if initial:
            metadata["annotations"] = {"k8s.io/initial-events-end": "true"}
        doc = {"kind": self.kind.name, "apiVersion": self.api_version, "metadata": metadata}
        if self.shape == "Table":
            return {
                "kind": "Table",
                "apiVersion": _META,
                "metadata": {"resourceVersion": str(revision)},
                "columnDefinitions": None,
                "rows": [{"cells": [], "object": doc}],
            }
        return {**doc, "kind": "PartialObjectMetadata", "apiVersion": _META} if self.shape else doc

    def _partial(self, item: Object) -> dict[str, Any]:
        metadata = rendered(item)["metadata"]
        return {"kind": "PartialObjectMetadata", "apiVersion": _META, "metadata": metadata}

    def _table(self, items: Iterable[Object], metadata: Mapping[str, Any]) -> dict[str, Any]:
        columns = columns_of(self.kind.name, self.kind.columns if self.kind.schema is not None else None)
        show: Mapping[str, Callable[[Object], Any]] = {
            "Object": self.whole,
            "Metadata": self._partial,
            "None": lambda item: None,
        }
        embed = show[self.include]
        rows = [{"cells": [column.cell(item.doc) for column in columns], "object": embed(item)} for item in items]
        heads = [_head(column) for column in columns]
        return {"kind": "Table", "apiVersion": _META, "metadata": metadata, "columnDefinitions": heads, "rows": rows}


def _head(column: Column) -> dict[str, Any]:
    name = column.title if len(column.title) < 3 else column.title.title()
    format_ = "name" if column.title == "NAME" else ""
    return {"name": name, "type": "string", "format": format_, "description": name, "priority": int(column.wide)}


def rendered(item: Object) -> dict[str, Any]:
    """The object as clients see it: its document with the resourceVersion and with who manages its fields."""
    metadata = {**item.doc.get("metadata", {}), "resourceVersion": str(item.revision)}
    if item.managed:
        metadata["managedFields"] = item.managed
    return {**item.doc, "metadata": metadata}


def form_of(request: Request, kind: Kind, api_version: str) -> Form:
    """The form that a request accepts; `ApiError` 406 if it takes none that is served."""
    include = request.query_params.get("includeObject") or "Metadata"
    if include not in ("Object", "Metadata", "None"):
        raise ApiError(400, "BadRequest", f"includeObject is Object, Metadata or None, not `{include}`")
    for accepted in request.headers.get("accept", "*/*").split(","):
        media, *words = (word.strip() for word in accepted.split(";"))
        wanted = dict(word.partition("=")[::2] for word in words)
        shape = _FORMS.get(wanted.get("as", ""))
        versioned = wanted.get("v", "v1") in ("v1", "v1beta1")
        if media in ("application/json", "application/*", "*/*") and shape is not None and versioned:
            return Form(kind, api_version, shape, include)
    raise ApiError(406, "NotAcceptable", "only the following media types are accepted: application/json")


def encode(doc: Any) -> bytes:
    """A document as JSON."""
    return orjson.dumps(doc, default=plain)


def json(doc: Any, status: int = 200, headers: Mapping[str, str] | None = None) -> Response:
    """A document as an answer."""
    return Response(encode(doc), status, headers, media_type="application/json")
