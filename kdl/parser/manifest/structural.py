"""What the schema of a custom kind says beyond the shape of values: defaults, limits of values, and alternatives.

`kdl.parser.manifest.schema` has seen to types, required and unknown fields before. Rules in CEL
(``x-kubernetes-validations``) are not evaluated: write them as rules of a pack.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator, Mapping
from decimal import Decimal
from typing import Any, Final

import re2

from kdl.parser.manifest.problem import Path, Report, field

Schema = Mapping[str, Any]


def set_defaults(value: Any, schema: Schema) -> None:
    """Fill in, in place, what is left out and has a default."""
    if isinstance(value, dict):
        for name, inner in schema.get("properties", {}).items():
            if name not in value and isinstance(inner, Mapping) and inner.get("default") is not None:
                value[name] = copy.deepcopy(inner["default"])
            if name in value:
                set_defaults(value[name], inner)
        additional = schema.get("additionalProperties")
        if isinstance(additional, Mapping):
            for name, member in value.items():
                if name not in schema.get("properties", {}):
                    set_defaults(member, additional)
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for item in value:
            set_defaults(item, schema["items"])


def check(value: Any, schema: Schema, report: Report, path: Path = ()) -> None:
    """Report every value that breaks a limit of the schema."""
    for complaint in _complaints(value, schema):
        report("KDL519" if _is_number(value) else "KDL514", path, f"`{field(path)}` {complaint}")
    if isinstance(value, dict):
        properties, additional = schema.get("properties", {}), schema.get("additionalProperties")
        for name, member in value.items():
            inner = properties.get(name, additional)
            if isinstance(inner, Mapping):
                check(member, inner, report, (*path, name))
    elif isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        for index, item in enumerate(value):
            check(item, schema["items"], report, (*path, index))


def _complaints(value: Any, schema: Schema) -> Iterator[str]:
    for keyword, limit in schema.items():
        judge = _JUDGES.get(keyword)
        if judge is not None and (complaint := judge(value, limit)) is not None:
            yield complaint
    if _is_number(value):
        yield from _bounds(value, schema)
    for keyword in ("anyOf", "oneOf"):
        if keyword in schema:
            good, count = sum(_fits(value, one) for one in schema[keyword]), len(schema[keyword])
            if not good or (good > 1 and keyword == "oneOf"):
                wanted = "exactly one" if keyword == "oneOf" else "at least one"
                yield f"fits {good} of the {count} alternatives of its schema, but must fit {wanted}"
    for one in schema.get("allOf", ()):
        yield from _complaints(value, one)
    if "not" in schema and _fits(value, schema["not"]):
        yield "is what its schema excludes"


def _bounds(value: Any, schema: Schema) -> Iterator[str]:
    least, most, step = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if least is not None and (value < least or (schema.get("exclusiveMinimum") and value == least)):
        yield f"is {value}, less than the least allowed, {least}"
    if most is not None and (value > most or (schema.get("exclusiveMaximum") and value == most)):
        yield f"is {value}, more than the most allowed, {most}"
    if step and Decimal(str(value)) % Decimal(str(step)):
        yield f"is {value}, no multiple of {step}"


def _fits(value: Any, schema: Schema) -> bool:
    """Whether a value satisfies a schema by itself: types and required members included."""
    kinds = {"object": dict, "array": list, "string": str, "boolean": bool}
    wanted = schema.get("type")
    if wanted in kinds and not isinstance(value, kinds[wanted]):
        return False
    if wanted in ("integer", "number") and (not _is_number(value) or (wanted == "integer" and value != int(value))):
        return False
    if "enum" in schema and value not in schema["enum"]:
        return False
    if isinstance(value, dict) and not set(schema.get("required", ())) <= set(value):
        return False
    if any(True for _ in _complaints(value, schema)):
        return False
    if isinstance(value, dict):
        inner = schema.get("properties", {})
        return all(_fits(member, inner[name]) for name, member in value.items() if isinstance(inner.get(name), Mapping))
    if isinstance(value, list) and isinstance(schema.get("items"), Mapping):
        return all(_fits(item, schema["items"]) for item in value)
    return True


def _is_number(value: Any) -> bool:
    return isinstance(value, (int, float)) and not isinstance(value, bool)


def _pattern(value: Any, pattern: str) -> str | None:
    if not isinstance(value, str):
        return None
    try:
        return None if re2.search(pattern, value) else f"does not match the pattern `{pattern}`"
    except re2.error:
        return None  # what Go accepts and RE2 does not is nothing that a value could be blamed for


def _unique(value: Any, wanted: bool) -> str | None:
    if not wanted or not isinstance(value, list):
        return None
    double = any(item in value[:index] for index, item in enumerate(value))
    return "has an item twice" if double else None


def _least(type_: type, noun: str) -> Callable[[Any, int], str | None]:
    def judge(value: Any, limit: int) -> str | None:
        if not isinstance(value, type_) or len(value) >= limit:  # type: ignore[arg-type]
            return None
        return f"has {len(value)} {noun}, fewer than {limit}"  # type: ignore[arg-type]

    return judge


def _most(type_: type, noun: str) -> Callable[[Any, int], str | None]:
    def judge(value: Any, limit: int) -> str | None:
        if not isinstance(value, type_) or len(value) <= limit:  # type: ignore[arg-type]
            return None
        return f"has {len(value)} {noun}, more than {limit}"  # type: ignore[arg-type]

    return judge


_JUDGES: Final[Mapping[str, Callable[[Any, Any], str | None]]] = {
    "pattern": _pattern,
    "uniqueItems": _unique,
    "minLength": _least(str, "characters"),
    "maxLength": _most(str, "characters"),
    "minItems": _least(list, "items"),
    "maxItems": _most(list, "items"),
    "minProperties": _least(dict, "members"),
    "maxProperties": _most(dict, "members"),
}
"""Keyword → what is wrong with a value, given the keyword's argument."""
