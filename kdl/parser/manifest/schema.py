"""Strict validation against the schemas of the Kubernetes API, the latest that the package `kubernetes-validate` ships.

One error per mistake: a value of the wrong type is not looked into, an unknown field gets a suggestion, and the checks
that Kubernetes makes beyond its schemas (`constraints` for one field, `checks` for fields together) run only where the
types below hold. A definition of the schema is turned into a `Shape` when an object first needs it.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from collections.abc import Callable, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path as File
from typing import Any, Final, TypeAlias

import orjson

from kdl.parser import quantity
from kdl.parser.manifest.checks import CHECKS
from kdl.parser.manifest.constraints import CONSTRAINTS, Constraint, Within
from kdl.parser.manifest.kinds import Kind
from kdl.parser.manifest.problem import VALUE, Path, Report, did_you_mean, field

_NOUNS: Final = {
    "object": "a mapping",
    "array": "a list",
    "string": "a string",
    "integer": "an integer",
    "number": "a number",
    "boolean": "`true` or `false`",
    "quantity": "a quantity such as `500m` or `2Gi`",
    "int-or-string": "an integer or a string",
    "date-time": "a time such as `2026-01-31T12:00:00Z`",
    "byte": "base64 text",
}
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
_LIMITS: Final = {"int32": 2**31, "int64": 2**63}


_Around: TypeAlias = "tuple[tuple[Shape, int], ...]"
"""The mappings around a value, each with the length of its path."""


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
    )

    def __init__(self, name: str, raw: Mapping[str, Any], constraint: Constraint | None = None) -> None:
        self.name = name
        self.raw: Mapping[str, Any] | None = raw
        self.constraint = constraint
        self.checks: tuple[Callable[[Any, Path, Report], None], ...] = CHECKS.get(name, ())
        self.kind = _kind_of(name, raw)
        self.limit = _LIMITS.get(raw.get("format", ""), 2**63)
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
def _definitions() -> dict[str, Any]:
    """All definitions by short name (``core.v1.Pod``), those of kinds that newer releases dropped included."""
    package = find_spec("kubernetes_validate")
    assert package is not None, "kubernetes-validate is a dependency"
    assert package.submodule_search_locations is not None
    schemas = File(package.submodule_search_locations[0]) / "kubernetes-json-schema"
    latest = max(schemas.glob("v*-local-strict"), key=lambda folder: _release(folder.name))
    shipped = orjson.loads((latest / "_definitions.json").read_bytes())["$defs"]
    older = orjson.loads((File(__file__).parent / "older.json").read_bytes())["$defs"]
    return {_short(name): definition for name, definition in {**older, **shipped}.items()}


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


def _look_into(shape: Shape) -> None:
    raw = shape.raw
    assert raw is not None
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


def _shape_of_kind(kind: Kind) -> Shape:
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


def check(doc: dict[str, Any], kind: Kind, report: Report) -> None:
    """Report every mistake in an object of this kind that shows without looking at other objects."""
    _walk(doc, _shape_of_kind(kind), (), report, ())


def properties(kind: Kind) -> tuple[str, ...]:
    """The names of the fields at the top of an object of this kind."""
    shape = _shape_of_kind(kind)
    if shape.raw is not None:
        _look_into(shape)
    return tuple(shape.properties)


def _walk(value: Any, shape: Shape, path: Path, report: Report, outer: _Around) -> None:
    broken = report.broken
    kind = shape.kind
    if kind == "object" or kind == "schema-or-bool":
        if type(value) is bool and kind == "schema-or-bool":
            return
        if type(value) is not dict:
            _wrong_type(value, "object", path, report)
            return
        if shape.raw is not None:
            _look_into(shape)
        known = shape.properties
        inside = (*outer, (shape, len(path)))
        for key, member in value.items():
            inner = known.get(key)
            if inner is None:
                additional = shape.additional
                if additional is False:
                    _unknown(key, path, report, inside)
                    continue
                if additional is True:
                    continue
                assert isinstance(additional, Shape)
                inner = additional
            _walk(member, inner, (*path, key), report, inside)
            if inner.kind == "quantity" and type(member) is not str:
                value[key] = str(member)  # a quantity is text, as in Go
        for key in shape.required:
            if key not in value and path[:1] != ("status",):  # a status is written piece by piece
                _missing(key, value, path, report)
    elif kind == "array":
        if type(value) is not list:
            _wrong_type(value, kind, path, report)
            return
        if shape.raw is not None:
            _look_into(shape)
        if shape.items is not None:
            for index, item in enumerate(value):
                _walk(item, shape.items, (*path, index), report, outer)
    elif kind != "any" and not _fits(value, shape, path, report):
        return
    if report.broken == broken:
        if shape.constraint is not None and (complaint := shape.constraint(value)) is not None:
            at, at_key = path, False
            if isinstance(complaint, Within):
                at, at_key = (*path, complaint.step), complaint.at_key
                complaint = complaint.complaint
            code, message, help = complaint
            report.broken += 1  # what is checked of several fields together relies on each of them
            report(code, at, f"`{field(at)}` {message}", help, at_key=at_key)
        else:
            for judge in shape.checks:
                judge(value, path, report)


def _fits(value: Any, shape: Shape, path: Path, report: Report) -> bool:
    """Whether a scalar has the type that the schema wants; reports if not."""
    kind, type_ = shape.kind, type(value)
    if kind == "string":
        fits = type_ is str
    elif kind == "integer":
        fits = type_ is int
    elif kind == "boolean":
        fits = type_ is bool
    elif kind == "number":
        fits = type_ is int or type_ is float
    elif kind == "int-or-string":
        fits = type_ is int or type_ is str
    elif kind == "quantity":
        fits = type_ is int or type_ is float or type_ is str
    else:
        fits = type_ is str
    if not fits:
        _wrong_type(value, kind, path, report)
        return False
    complaint = _misread(value, shape)
    if complaint is not None:
        code, message, help = complaint
        report.broken += 1
        report(code, path, f"`{field(path)}` {message}", help)
        return False
    return True


def _misread(value: Any, shape: Shape) -> tuple[str, str, str] | None:
    """What is wrong with a scalar of the right type."""
    kind = shape.kind
    if kind == "integer" and not -shape.limit <= value < shape.limit:
        return "KDL519", f"is {value}, which does not fit into {shape.limit.bit_length()} bits", ""
    if kind == "quantity":
        try:
            if abs(quantity.quantity(str(value))) >= _LIMITS["int64"]:
                return "KDL519", f"is `{value}`, more than any resource has", ""
        except ValueError:
            return "KDL516", f"is `{value}`, which is no quantity", _quantity_help(str(value))
    elif kind == "date-time":
        try:
            quantity.time(value)
        except ValueError as error:
            return "KDL512", f"is no time: {error}", ""
    elif kind == "byte":
        try:
            b64decode("".join(value.split()), validate=True)
        except (binascii.Error, ValueError):
            return "KDL512", "is not base64 text", "encode the value, or write it in clear under `stringData`"
    elif (words := (shape.raw or {}).get("enum")) and value not in words and shape.name == "":
        return "KDL513", f"is `{value}`", f"write one of {', '.join(map(str, words))}"
    return None


def _quantity_help(text: str) -> str:
    for wrong, right in (("MB", "M"), ("GB", "G"), ("KB", "k"), ("kB", "k"), ("mb", "M"), ("gb", "G"), ("KiB", "Ki"),
                         ("MiB", "Mi"), ("GiB", "Gi"), ("mi", "Mi"), ("gi", "Gi"), ("ki", "Ki"), ("K", "k"), ("g", "G"),
                         ("cpu", ""), ("cores", ""), ("B", "")):  # fmt: skip
        if text.endswith(wrong):
            better = text.removesuffix(wrong).strip() + right
            try:
                quantity.quantity(better)
            except ValueError:
                break
            return f"did you mean `{better}`?"
    return "quantities look like `500m`, `1.5`, `64Mi`, `2Gi` or `1e3`"


def _wrong_type(value: Any, kind: str, path: Path, report: Report) -> None:
    report.broken += 1
    help = ""
    if kind in ("string", "date-time", "byte") and isinstance(value, (bool, int, float)):
        help = f'write it in quotes: `"{VALUE}"`'
    elif kind in ("integer", "number") and isinstance(value, str) and value.removeprefix("-").isdecimal():
        help = f"write it without quotes: `{value}`"
    elif kind == "boolean" and isinstance(value, str) and value.lower() in ("true", "false", "yes", "no"):
        help = f"write it without quotes: `{'true' if value.lower() in ('true', 'yes') else 'false'}`"
    elif kind == "array" and value is not None:
        help = "begin each item of the list with `- `"
    elif kind == "object" and isinstance(value, list):
        help = "remove the `- `: this is one mapping, not a list"
    message = f"`{field(path)}` must be {_NOUNS[kind]}, but is {_found(value)}"
    report("KDL512", path, message, help, value=_written(value))


def _found(value: Any) -> str:
    if value is None:
        return "empty"
    for types, noun in ((bool, "the boolean"), ((int, float), "the number"), (str, "the string")):
        if isinstance(value, types):
            return f"{noun} `{VALUE}`"
    return "a list" if isinstance(value, list) else "a mapping"


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 40 else f'"{value[:37]}..."'
    return str(value) if isinstance(value, (int, float)) else ""


def _missing(key: str, value: dict[str, Any], path: Path, report: Report) -> None:
    report.broken += 1
    if any(problem.code == "KDL510" and f"`{key}`?" in problem.help and problem.path[:-1] == path
           for problem in report.problems):  # fmt: skip
        return  # the misspelt field has been told already
    where = f" in `{field(path)}`" if path else ""
    report("KDL511", path, f"the field `{key}` is missing{where}", f"add `{key}:`", at_key=True)


def _unknown(key: str, path: Path, report: Report, shapes: _Around) -> None:
    report.broken += 1
    *outer, (shape, _) = shapes
    help = _home(key, path, outer) or _inner_home(key, shape) or did_you_mean(key, shape.properties)
    if not help:
        fields = ", ".join(f"`{name}`" for name in sorted(shape.properties)[:12])
        help = f"known fields: {fields}{', …' if len(shape.properties) > 12 else ''}"
    where = f" in `{field(path)}`" if path else ""
    report("KDL510", (*path, key), f"unknown field `{key}`{where}", help, at_key=True)


def _home(key: str, path: Path, outer: list[tuple[Shape, int]]) -> str:
    """Where further out a field of this name is known."""
    for shape, depth in reversed(outer):
        if key in shape.properties:
            return (
                f"`{key}` belongs to `{field(path[:depth])}`: indent it less"
                if depth
                else f"`{key}` belongs at the top"
            )
    return ""


def _inner_home(key: str, shape: Shape) -> str:
    """Where one step further in a field of this name is known."""
    for name, inner in shape.properties.items():
        if inner.raw is not None:
            _look_into(inner)
        place = f"inside `{name}`"
        if inner.items is not None:
            inner, place = inner.items, f"to an item of `{name}`"
            if inner.raw is not None:
                _look_into(inner)
        if name != "status" and key in inner.properties:
            return f"`{key}` belongs {place}"
    return ""
