"""The schemas of the Kubernetes API as `Shape`s, made from a definition when an object first needs it.

The definitions are the latest that the package `kubernetes-validate` ships, and those in ``older.json`` of kinds that
newer releases dropped. A shape also carries what `constraints` and `checks` demand of its values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path as File
from typing import Any, Final

import orjson

from kdl.parser.manifest.checks import CHECKS
from kdl.parser.manifest.constraints import CONSTRAINTS
from kdl.parser.manifest.formats import Constraint
from kdl.parser.manifest.kinds import Kind
from kdl.parser.manifest.problem import Path, Report

_NAMED: Final = {"Quantity": "quantity", "IntOrString": "int-or-string"}
_DEFAULTED: Final = {"rbac.v1.RoleRef.apiGroup"}
"""Fields that the schema calls required although the API server fills them in."""
_REQUIRED: Final = {
    "apps.v1.ReplicaSetSpec": ("template",),
    "batch.v1.Job": ("spec",),
    "batch.v1.JobTemplateSpec": ("spec",),
    "core.v1.PersistentVolume": ("spec",),
    "core.v1.PersistentVolumeClaim": ("spec",),
    "core.v1.Pod": ("spec",),
    "core.v1.PodTemplate": ("template",),
    "core.v1.PodTemplateSpec": ("spec",),
    "core.v1.ReplicationController": ("spec",),
    "core.v1.Service": ("spec",),
    "networking.v1.Ingress": ("spec",),
}
"""Fields that the API server requires although the schema does not."""
_A_SCHEMA: Final = "apiextensions.v1.JSONSchemaProps"
LIMITS: Final = {"int32": 2**31, "int64": 2**63}


class Shape:
    """What a value must look like: a schema's node, its references resolved when first looked into."""

    __slots__ = (
        "additional",
        "checks",
        "constraint",
        "items",
        "kind",
        "limit",
        "name",
        "properties",
        "raw",
        "required",
        "words",
    )

    def __init__(self, name: str, raw: Mapping[str, Any], constraint: Constraint | None = None) -> None:
        self.name = name
        self.raw: Mapping[str, Any] | None = raw
        self.constraint = constraint
        self.checks: tuple[Callable[[Any, Path, Report], None], ...] = CHECKS.get(name, ())
        self.kind = _kind_of(name, raw)
        self.limit = LIMITS.get(raw.get("format", ""), 2**63)
        self.words: tuple[Any, ...] = tuple(raw.get("enum", ()))
        self.required: tuple[str, ...] = ()
        self.properties: dict[str, Shape] = {}
        self.additional: Shape | bool = True
        self.items: Shape | None = None


def _kind_of(name: str, raw: Mapping[str, Any]) -> str:
    if short := _NAMED.get(name.rpartition(".")[2]):
        return short
    if raw.get("x-kubernetes-int-or-string"):
        return "int-or-string"
    types = raw.get("type", "any")
    kind = next((t for t in types if t != "null"), "any") if isinstance(types, list) else types
    return raw["format"] if kind == "string" and raw.get("format") in ("date-time", "byte") else str(kind)


@cache
def definitions() -> dict[str, Any]:
    """All definitions by full name, those of kinds that newer releases dropped included."""
    package = find_spec("kubernetes_validate")
    assert package is not None, "kubernetes-validate is a dependency"
    assert package.submodule_search_locations is not None
    schemas = File(package.submodule_search_locations[0]) / "kubernetes-json-schema"
    latest = max(schemas.glob("v*-local-strict"), key=lambda folder: _release(folder.name))
    shipped = orjson.loads((latest / "_definitions.json").read_bytes())["$defs"]
    older = orjson.loads((File(__file__).parent / "older.json").read_bytes())["$defs"]
    return {**older, **shipped}


@cache
def _definitions() -> dict[str, Any]:
    """All definitions by short name (``core.v1.Pod``)."""
    return {_short(name): definition for name, definition in definitions().items()}


def _release(folder: str) -> tuple[int, ...]:
    return tuple(int(part) for part in folder[1:].split("-")[0].split("."))


def _short(name: str) -> str:
    return ".".join(name.rsplit(".", 3)[-3:])


@cache
def _shape(name: str) -> Shape:
    return Shape(name, _definitions()[name])


def _of(raw: Mapping[str, Any], constraint: Constraint | None = None) -> Shape:
    """The shape of a schema node; shared between uses of a definition unless one of them is constrained."""
    if "$ref" in raw:
        name = _short(raw["$ref"].rpartition("/")[2])
        if name in (f"{_A_SCHEMA}OrArray", f"{_A_SCHEMA}OrBool"):  # a custom kind's schema has one schema for its items
            shape = Shape(_A_SCHEMA, _definitions()[_A_SCHEMA])
            shape.kind = "schema-or-bool" if name.endswith("Bool") else "object"
            return shape
        return Shape(name, _definitions()[name], constraint) if constraint else _shape(name)
    return Shape("", raw, constraint)


def look_into(shape: Shape) -> None:
    """Resolve a shape's references; threads that come at the same time do it each, and all end with the same."""
    raw = shape.raw
    if raw is None:
        return  # another thread was done between the caller's look at `raw` and this one
    shape.properties = {
        key: _of(inner, CONSTRAINTS.get(f"{shape.name}.{key}")) for key, inner in raw.get("properties", {}).items()
    }
    required = (*raw.get("required", ()), *_REQUIRED.get(shape.name, ()))
    shape.required = tuple(key for key in required if f"{shape.name}.{key}" not in _DEFAULTED)
    additional = raw.get("additionalProperties", "properties" not in raw)
    if raw.get("x-kubernetes-preserve-unknown-fields"):
        additional = True
    shape.additional = _of(additional) if isinstance(additional, dict) else bool(additional)
    shape.items = _of(raw["items"]) if "items" in raw else None
    shape.raw = None


def shape_of_kind(kind: Kind) -> Shape:
    if kind.schema is None:
        return _built_in(kind)
    schema, shape = _CUSTOM.get(kind, (None, None))
    if shape is None or schema is not kind.schema:
        shape = _custom(kind.schema)
        _CUSTOM[kind] = kind.schema, shape
    return shape


_CUSTOM: Final[dict[Kind, tuple[Mapping[str, Any], Shape]]] = {}
"""The shape of each custom kind with the schema that it came from: a definition may be replaced."""


@cache
def _built_in(kind: Kind) -> Shape:
    for name in (f"{kind.group.split('.')[0] or 'core'}.{kind.version}.{kind.name}", f"core.v1.{kind.name}"):
        if name in _definitions():
            return _shape(name)
    return _custom({"type": "object", "x-kubernetes-preserve-unknown-fields": True})


def _custom(schema: Mapping[str, Any]) -> Shape:
    """A custom kind's shape: its own schema, with the metadata that every object has."""
    properties = {
        **schema.get("properties", {}),
        "apiVersion": {"type": "string"},
        "kind": {"type": "string"},
        "metadata": {"$ref": "#/$defs/io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"},
    }
    keep = schema.get("x-kubernetes-preserve-unknown-fields", "properties" not in schema)
    return Shape("", {**schema, "type": "object", "properties": properties, "additionalProperties": bool(keep)})
