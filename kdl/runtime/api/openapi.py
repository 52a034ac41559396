"""OpenAPI: what clients validate by, and what `kubectl explain` tells, made of the schemas that objects are checked by.

Version 3 has one document for each group and version, version 2 has one for all. Documents are made when first asked
for, and stay.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from functools import cached_property
from hashlib import sha256
from typing import Any, Final, NamedTuple

import orjson

from kdl.parser.manifest.kinds import Kind
from kdl.parser.manifest.shape import definitions
from kdl.parser.manifest.structure import METADATA, definition_names
from kdl.runtime.api import gnostic
from kdl.runtime.api.paths import SUBRESOURCES, Version

_LIST_METADATA: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.ListMeta"
_OPTIONS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_PATCHES: Final = ("json-patch+json", "merge-patch+json", "strategic-merge-patch+json", "apply-patch+yaml")
_INFO: Final = {"title": "Kubernetes", "version": "v1.37.0"}
_SCALARS: Final[dict[str, dict[str, Any]]] = {
    "IntOrString": {"oneOf": [{"type": "integer"}, {"type": "string"}], "format": "int-or-string"},
    "Quantity": {"oneOf": [{"type": "string"}, {"type": "number"}]},
}


class Sent(NamedTuple):
    """A document as it is sent."""

    body: bytes
    digest: str
    media: str = "application/json"


class OpenApi:
    """The documents of a set of versions of kinds."""

    def __init__(self, versions: Iterable[Version]) -> None:
        self._groups: dict[str, list[Version]] = {}
        for version in versions:
            self._groups.setdefault(_path(version.api_version), []).append(version)
        self._made: dict[tuple[str, str], Sent] = {}

    def document(self, path: str, protobuf: bool = False) -> Sent | None:
        """The document at a path; only that of version 2 is there as protobuf."""
        name = path.strip("/").removeprefix("openapi/")
        media = gnostic.MEDIA if protobuf and name == "v2" else "application/json"
        if (name, media) not in self._made:
            document = self._document(name)
            if document is None:
                return None
            body = gnostic.document(document) if media == gnostic.MEDIA else orjson.dumps(document)
            self._made[name, media] = Sent(body, sha256(body).hexdigest().upper(), media)
        return self._made[name, media]

    def _document(self, name: str) -> dict[str, Any] | None:
        if name == "v2":
            return self._all
        if name == "v3":
            return {"paths": {path: {"serverRelativeURL": self._address(path)} for path in self._groups}}
        version, _, group = name.partition("/")
        if version == "v3" and group in self._groups:
            return _third(group, self._groups[group])
        return None

    def _address(self, path: str) -> str:
        return f"/openapi/v3/{path}?hash={sum(_fingerprint(version.kind) for version in self._groups[path]) % 2**64:X}"

    @cached_property
    def _all(self) -> dict[str, Any]:
        """The document of version 2."""
        versions = [version for group in self._groups.values() for version in group]
        schemas = _schemas(versions)
        paths = dict(item for version in versions for item in _paths(version))
        return {
            "swagger": "2.0",
            "info": _INFO,
            "paths": {path: _second(operations) for path, operations in paths.items()},
            "definitions": {name: _second_schema(schema) for name, schema in schemas.items()},
        }


def _path(api_version: str) -> str:
    return f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"


def _fingerprint(kind: Kind) -> int:
    """A number that changes with a kind and its schema."""
    text = orjson.dumps([str(kind), kind.schema], option=orjson.OPT_SORT_KEYS)
    return int.from_bytes(sha256(text).digest()[:8])


def _third(group: str, versions: list[Version]) -> dict[str, Any]:
    paths = dict(item for version in versions for item in _paths(version))
    return {"openapi": "3.0.0", "info": _INFO, "paths": paths, "components": {"schemas": _schemas(versions)}}


# Schemas.


def name_of(version: Version) -> str:
    """The name of a kind's schema."""
    kind = version.kind
    group, _, number = version.api_version.rpartition("/")
    if kind.schema is not None:
        reverse = ".".join(reversed(group.split(".")))
        return f"{reverse}.{number}.{kind.name}"
    own = definition_names().get((group, number, kind.name))
    return own or definition_names().get((kind.group, kind.version, kind.name)) or f"dev.kdl.{number}.{kind.name}"


def _schemas(versions: Iterable[Version]) -> dict[str, Any]:
    found: dict[str, Any] = {}
    waiting = [METADATA, _LIST_METADATA, _OPTIONS]
    for version in versions:
        name = name_of(version)
        found[name] = _object(version)
        found[f"{name}List"] = _list(version, name)
        waiting += _references(found[name])
    while waiting:
        name = waiting.pop()
        if name not in found and name in definitions():
            found[name] = _published(definitions()[name], name)
            waiting += _references(found[name])
    return found


def _object(version: Version) -> dict[str, Any]:
    kind = version.kind
    group, _, number = version.api_version.rpartition("/")
    means = [{"group": group, "kind": kind.name, "version": number}]
    if kind.schema is None:
        schema = dict(_published(definitions().get(name_of(version), {"type": "object"}), ""))
        schema["x-kubernetes-group-version-kind"] = means
        return schema
    pod = definitions()["io.k8s.api.core.v1.Pod"]["properties"]
    head = {field: _published(pod[field], "") for field in ("apiVersion", "kind", "metadata")}
    properties = {**head, **{k: v for k, v in kind.schema.get("properties", {}).items() if k not in head}}
    return {"type": "object", **kind.schema, "properties": properties, "x-kubernetes-group-version-kind": means}


def _list(version: Version, name: str) -> dict[str, Any]:
    kind = version.kind
    group, _, number = version.api_version.rpartition("/")
    return {
        "description": f"{kind.name}List is a list of {kind.name}",
        "type": "object",
        "required": ["items"],
        "properties": {
            "apiVersion": {"type": "string"},
            "kind": {"type": "string"},
            "metadata": {"$ref": f"#/components/schemas/{_LIST_METADATA}"},
            "items": {"type": "array", "items": {"$ref": f"#/components/schemas/{name}"}},
        },
        "x-kubernetes-group-version-kind": [{"group": group, "kind": f"{kind.name}List", "version": number}],
    }


def _published(raw: Any, name: str) -> Any:
    """A shipped definition as OpenAPI has it: null is no type, what is not known is not forbidden."""
    scalar = _SCALARS.get(name.rpartition(".")[2])
    if scalar is not None:
        described: dict[str, Any] = {"description": raw["description"]} if "description" in raw else {}
        return described | scalar
    if isinstance(raw, list):
        return [_published(item, "") for item in raw]
    if not isinstance(raw, dict):
        return raw
    made: dict[str, Any] = {}
    for key, item in raw.items():
        if key == "type" and isinstance(item, list):
            made[key] = next(word for word in item if word != "null")
        elif key == "$ref":
            made[key] = "#/components/schemas/" + item.rpartition("/")[2]
        elif key == "additionalProperties" and item is False:
            continue
        elif key == "enum":
            if words := [word for word in item if word is not None]:
                made[key] = words
        elif key == "properties":
            made[key] = {field: _published(inner, "") for field, inner in item.items()}
            for field in ("apiVersion", "kind"):
                if "enum" in made[key].get(field, {}):
                    del made[key][field]["enum"]
        else:
            made[key] = _published(item, "") if isinstance(item, (dict, list)) else item
    if "$ref" in made and len(made) > 1:
        made = {"allOf": [{"$ref": made.pop("$ref")}], **made}
    return made


def _references(schema: Any) -> Iterator[str]:
    if isinstance(schema, Mapping):
        for key, item in schema.items():
            if key == "$ref" and isinstance(item, str):
                yield item.rpartition("/")[2]
            else:
                yield from _references(item)
    elif isinstance(schema, list):
        for item in schema:
            yield from _references(item)


def _second_schema(schema: Any) -> Any:
    """A schema as version 2 has it, which knows no ``oneOf``, and describes references where they are."""
    if isinstance(schema, list):
        return [_second_schema(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "oneOf" in schema:
        return {"type": "string", **{key: item for key, item in schema.items() if key in ("description", "format")}}
    made: dict[str, Any] = {}
    for key, item in schema.items():
        if key == "properties":
            made[key] = {name: _second_schema(inner) for name, inner in item.items()}
        elif key == "$ref":
            made[key] = item.replace("#/components/schemas/", "#/definitions/")
        elif key == "allOf" and len(item) == 1 and "$ref" in item[0]:
            made |= _second_schema(item[0])
        else:
            made[key] = _second_schema(item)
    return made


# Paths.


def _paths(version: Version) -> Iterator[tuple[str, dict[str, Any]]]:
    kind = version.kind
    base = f"/{_path(version.api_version)}"
    space = "/namespaces/{namespace}" if kind.namespaced else ""
    collection = f"{base}{space}/{kind.plural}"
    parameters = [_parameter("namespace", "path")] if space else []
    if space and "list" in kind.verbs:
        yield f"{base}/{kind.plural}", {"get": _operation(version, "list", ())}
    methods = {"get": "list", "post": "create", "delete": "deletecollection"}
    operations = {how: _operation(version, verb, parameters) for how, verb in methods.items() if verb in kind.verbs}
    if operations:
        yield collection, operations
    named = [*parameters, _parameter("name", "path")]
    methods = {"get": "get", "put": "update", "patch": "patch", "delete": "delete"}
    operations = {how: _operation(version, verb, named) for how, verb in methods.items() if verb in kind.verbs}
    if operations:
        yield f"{collection}/{{name}}", operations
    for part in kind.subresources:
        if part in ("status", "scale"):
            words = {"get": "get", "put": "update", "patch": "patch"}
            yield (
                f"{collection}/{{name}}/{part}",
                {how: _operation(version, v, named, part) for how, v in words.items()},
            )
        elif part in SUBRESOURCES and SUBRESOURCES[part].deep:
            for place, below, ending in (("query", "", ""), ("path", "/{path}", "WithPath")):
                parameters = [*named, _parameter("path", place)]
                yield f"{collection}/{{name}}/{part}{below}", _connections(version, part, parameters, ending)


def _parameter(name: str, place: str, type_: str = "string") -> dict[str, Any]:
    return {"name": name, "in": place, "required": place == "path", "schema": {"type": type_, "uniqueItems": True}}


_QUERY: Final = {
    "list": ("labelSelector", "fieldSelector", "continue", "limit", "resourceVersion", "resourceVersionMatch", "watch"),
    "get": (),
    "create": ("dryRun", "fieldManager", "fieldValidation"),
    "update": ("dryRun", "fieldManager", "fieldValidation"),
    "patch": ("dryRun", "fieldManager", "fieldValidation", "force"),
    "delete": ("dryRun", "gracePeriodSeconds", "propagationPolicy", "orphanDependents"),
    "deletecollection": ("dryRun", "labelSelector", "fieldSelector", "gracePeriodSeconds", "propagationPolicy"),
}
_TYPES: Final = {
    "limit": "integer",
    "gracePeriodSeconds": "integer",
    "watch": "boolean",
    "force": "boolean",
    "orphanDependents": "boolean",
}


def _operation(
    version: Version, verb: str, parameters: Iterable[dict[str, Any]], subresource: str = ""
) -> dict[str, Any]:
    kind = version.kind
    group, _, number = version.api_version.rpartition("/")
    means = {"group": group, "kind": kind.name, "version": number}
    name = name_of(version)
    if subresource == "scale":
        api_version, scale = SUBRESOURCES["scale"].answers or ("", "")
        scale_group, _, scale_number = api_version.rpartition("/")
        means = {"group": scale_group, "kind": scale, "version": scale_number}
        name = "io.k8s.api.autoscaling.v1.Scale"
    answer = {"$ref": f"#/components/schemas/{name}List" if verb == "list" else f"#/components/schemas/{name}"}
    said: dict[str, Any] = {
        "tags": [f"{group.split('.')[0] or 'core'}_{number}"],
        "operationId": f"{verb}{group.replace('.', '').title()}{number.title()}{kind.name}{subresource.title()}",
        "parameters": [*parameters, *(_parameter(word, "query", _TYPES.get(word, "string")) for word in _QUERY[verb])],
        "responses": {
            "201" if verb == "create" else "200": {
                "description": "OK",
                "content": {"application/json": {"schema": answer}},
            }
        },
        "x-kubernetes-action": {"update": "put", "create": "post"}.get(verb, verb),
        "x-kubernetes-group-version-kind": means,
    }
    if verb in ("create", "update"):
        said["requestBody"] = {"content": {"application/json": {"schema": answer}}, "required": True}
    elif verb == "patch":
        types = _PATCHES if kind.schema is None else [media for media in _PATCHES if "strategic" not in media]
        said["requestBody"] = {
            "content": {f"application/{media}": {"schema": {"type": "object"}} for media in types},
            "required": True,
        }
    elif verb == "delete":
        said["requestBody"] = {
            "content": {"application/json": {"schema": {"$ref": f"#/components/schemas/{_OPTIONS}"}}}
        }
    return said


def _connections(
    version: Version, subresource: str, parameters: Iterable[dict[str, Any]], ending: str
) -> dict[str, Any]:
    """The operations of a subresource where something else answers, whatever it is asked."""
    kind = version.kind
    group, _, number = version.api_version.rpartition("/")
    api_version, options = SUBRESOURCES[subresource].answering(kind) or (version.api_version, kind.name)
    options_group, _, options_number = api_version.rpartition("/")
    called = f"{kind.name}{subresource.title()}{ending}"
    return {
        method: {
            "tags": [f"{group.split('.')[0] or 'core'}_{number}"],
            "operationId": f"connect{group.replace('.', '').title()}{number.title()}{method.title()}{called}",
            "parameters": list(parameters),
            "responses": {"200": {"description": "OK", "content": {"*/*": {"schema": {"type": "string"}}}}},
            "x-kubernetes-action": "connect",
            "x-kubernetes-group-version-kind": {"group": options_group, "kind": options, "version": options_number},
        }
        for method in ("get", "put", "post", "delete", "options", "head", "patch")
    }


def _second(operations: Mapping[str, Any]) -> dict[str, Any]:
    """The operations of a path as version 2 has them."""
    made = {}
    for method, operation in operations.items():
        second = {key: item for key, item in operation.items() if key not in ("parameters", "requestBody", "responses")}
        second["parameters"] = [
            {**{key: item for key, item in parameter.items() if key != "schema"}, **parameter["schema"]}
            for parameter in operation["parameters"]
        ]
        body = operation.get("requestBody")
        if body is not None:
            second["consumes"] = list(body["content"])
            schema = next(iter(body["content"].values()))["schema"]
            second["parameters"].append({"name": "body", "in": "body", "schema": _second_schema(schema)})
        ((code, answer),) = operation["responses"].items()
        ((media, content),) = answer["content"].items()
        second["produces"] = [media]
        second["responses"] = {
            code: {"description": answer["description"], "schema": _second_schema(content["schema"])}
        }
        made[method] = second
    return made
