"""Strict validation: an object against the shape of its kind, every mistake with one error that says how to mend it.

A value of the wrong type is not looked into, an unknown field gets a suggestion, and what is demanded beyond types
(`constraints` of one field, `checks` of fields together) is asked only where the types below hold.
"""

from __future__ import annotations

import binascii
from base64 import b64decode
from typing import Any, Final, TypeAlias

from kdl.parser import quantity
from kdl.parser.manifest.formats import Within
from kdl.parser.manifest.kinds import Kind
from kdl.parser.manifest.problem import VALUE, Path, Report, did_you_mean, field
from kdl.parser.manifest.shape import LIMITS, Shape, look_into, shape_of_kind

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
_Around: TypeAlias = "tuple[tuple[Shape, int], ...]"
"""The mappings around a value, each with the length of its path."""


def check(doc: dict[str, Any], kind: Kind, report: Report) -> None:
    """Report every mistake in an object of this kind that shows without looking at other objects."""
    _walk(doc, shape_of_kind(kind), (), report, ())


def prune(doc: dict[str, Any], kind: Kind) -> list[str]:
    """Take out, in place, the fields that the kind does not have; their names as people write them."""
    found: list[str] = []
    _prune(doc, shape_of_kind(kind), (), found)
    return found


def _prune(value: Any, shape: Shape, path: Path, found: list[str]) -> None:
    if shape.raw is not None:
        look_into(shape)
    if type(value) is dict:
        for key in list(value):
            inner = shape.properties.get(key, shape.additional)
            if inner is False:
                del value[key]
                found.append(field((*path, key)))
            elif isinstance(inner, Shape):
                _prune(value[key], inner, (*path, key), found)
    elif type(value) is list and shape.items is not None:
        for index, item in enumerate(value):
            _prune(item, shape.items, (*path, index), found)


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
            look_into(shape)
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
            look_into(shape)
        if shape.items is not None:
            for index, item in enumerate(value):
                _walk(item, shape.items, (*path, index), report, outer)
    elif kind == "string" and type(value) is str and not shape.words:
        pass  # the most frequent case, made fast
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
            if abs(quantity.quantity(str(value))) >= LIMITS["int64"]:
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
    elif shape.words and value not in shape.words:
        return "KDL513", f"is `{value}`", f"write one of {', '.join(map(str, shape.words))}"
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
            look_into(inner)
        place = f"inside `{name}`"
        if inner.items is not None:
            inner, place = inner.items, f"to an item of `{name}`"
            if inner.raw is not None:
                look_into(inner)
        if name != "status" and key in inner.properties:
            return f"`{key}` belongs {place}"
    return ""
