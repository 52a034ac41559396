"""Objects in Kubernetes' protobuf form → the JSON that they mean. Current kubectl sends the built-in kinds so.

``wire.json`` has the numbers: type → number → the field's name in JSON and its type, after ``*`` for a list, ``%`` for
a map from text, and ``?`` where JSON leaves the field out when it is zero. It is read out of kubectl itself
(``tests/conformance/wire.py``), for Kubernetes publishes its schemas without them.
"""

from __future__ import annotations

import struct
from base64 import b64encode
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Final, NamedTuple

import orjson

from kdl.parser.manifest.documents import MAX_DEPTH
from kdl.parser.manifest.structure import definition_names

MAGIC: Final = b"k8s\0"
_OPTIONS: Final = "io.k8s.apimachinery.pkg.apis.meta.v1.DeleteOptions"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5


class Misread(ValueError):
    """The bytes are no such object."""


class _Field(NamedTuple):
    name: str
    type: str
    omitted: bool
    """Whether JSON leaves out a zero."""


def decoded(data: bytes) -> dict[str, Any]:
    """The object in an envelope of Kubernetes' own; `Misread` if it is none."""
    if not data.startswith(MAGIC):
        raise Misread("a protobuf body begins with `k8s` and a zero byte")
    envelope = {number: item for number, _, item in _parts(memoryview(data)[4:])}
    head = {number: _text(item) for number, _, item in _parts(_view(envelope.get(1, b"")))}
    api_version, kind = head.get(1, ""), head.get(2, "")
    group, _, version = api_version.rpartition("/")
    name = _OPTIONS if kind == "DeleteOptions" else definition_names().get((group, version, kind))
    if name not in _types():
        raise Misread(f"{kind} of {api_version} is not read as protobuf: send JSON")
    return {"apiVersion": api_version, "kind": kind, **_message(_view(envelope.get(2, b"")), name, 0)}


@cache
def _types() -> dict[str, dict[int, _Field]]:
    raw = orjson.loads((Path(__file__).parent / "wire.json").read_bytes())
    return {
        name: {
            int(number): _Field(field, type_.removeprefix("?"), type_.startswith("?"))
            for number, (field, type_) in fields.items()
        }
        for name, fields in raw.items()
    }


def _parts(data: memoryview) -> Iterator[tuple[int, int, Any]]:
    """The fields of a message: number, wire type, and the value as it is written."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _number(data, at)
        wire = tag & 7
        value: Any
        if wire == _VARINT:
            value, at = _number(data, at)
        elif wire == _BYTES:
            size, at = _number(data, at)
            value, at = data[at : at + size], at + size
        elif wire in (_FIXED64, _FIXED32):
            size = 8 if wire == _FIXED64 else 4
            value, at = data[at : at + size], at + size
        else:
            raise Misread(f"a field has the wire type {wire}")
        if at > end:
            raise Misread("the message ends within a field")
        yield tag >> 3, wire, value


def _number(data: memoryview, at: int) -> tuple[int, int]:
    value = shift = 0
    while at < len(data) and shift < 70:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value & 0xFFFF_FFFF_FFFF_FFFF, at
    raise Misread("a number does not end")


def _message(data: memoryview, name: str, depth: int) -> dict[str, Any]:
    if depth > MAX_DEPTH:
        raise Misread(f"values nest more than {MAX_DEPTH} deep")
    fields = _types().get(name, {})
    found: dict[str, Any] = {}
    for number, _, item in _parts(data):
        field = fields.get(number)
        if field is None:
            continue
        if field.type.startswith("*"):
            found.setdefault(field.name, []).append(_value(item, field.type[1:], depth))
        elif field.type.startswith("%"):
            key, value = _entry(item, field.type[1:], depth)
            found.setdefault(field.name, {})[key] = value
        else:
            value = _value(item, field.type, depth)
            if not field.name:
                found.update(value)
            elif value is not None and not (field.omitted and value in ("", 0, False)):
                found[field.name] = value
    return found


def _entry(data: Any, type_: str, depth: int) -> tuple[str, Any]:
    """One entry of a map; a list as its value is a message of its own."""
    key, value = "", None
    for number, _, item in _parts(_view(data)):
        if number == 1:
            key = _text(item)
        elif number == 2 and type_.startswith("*"):
            value = [_value(inner, type_[1:], depth) for _, _, inner in _parts(_view(item))]
        elif number == 2:
            value = _value(item, type_, depth)
    return key, "" if value is None and type_ in ("string", "bytes") else value


def _value(item: Any, type_: str, depth: int) -> Any:
    match type_:
        case "string":
            return _text(item)
        case "int":
            number = _int(item)
            return number - 2**64 if number >= 2**63 else number
        case "bool":
            return bool(_int(item))
        case "bytes":
            return b64encode(_view(item)).decode()
        case "double" | "float":
            return struct.unpack("<d" if type_ == "double" else "<f", _view(item))[0]
    special = _SPECIAL.get(type_.rpartition(".")[2]) if ".apimachinery." in type_ else None
    if special is not None:
        return special({number: inner for number, _, inner in _parts(_view(item))})
    return _message(_view(item), type_, depth + 1)


def _view(item: Any) -> memoryview:
    if isinstance(item, int):
        raise Misread("a number stands where bytes are expected")
    return memoryview(item)


def _text(item: Any) -> str:
    try:
        return bytes(_view(item)).decode()
    except UnicodeDecodeError:
        raise Misread("a text is not UTF-8") from None


def _int(item: Any) -> int:
    if not isinstance(item, int):
        raise Misread("bytes stand where a number is expected")
    return item


# Types that JSON writes otherwise.


def _quantity(parts: dict[int, Any]) -> str:
    return _text(parts.get(1, b"0"))


def _time(parts: dict[int, Any], micro: bool = False) -> str | None:
    if not parts:
        return None
    seconds = _int(parts.get(1, 0))
    if seconds >= 2**63:
        seconds -= 2**64
    try:
        moment = datetime(1970, 1, 1, tzinfo=UTC) + timedelta(
            seconds=seconds, microseconds=_int(parts.get(2, 0)) // 1000
        )
    except OverflowError:
        raise Misread("a time lies outside of the calendar") from None
    text = moment.strftime("%Y-%m-%dT%H:%M:%S")
    return f"{text}.{moment.microsecond:06}Z" if micro else f"{text}Z"


def _int_or_string(parts: dict[int, Any]) -> int | str:
    if _int(parts.get(1, 0)) == 1:
        return _text(parts.get(3, b""))
    number = _int(parts.get(2, 0))
    return number - 2**64 if number >= 2**63 else number


def _json(parts: dict[int, Any]) -> Any:
    try:
        return orjson.loads(_view(parts.get(1, b"null")))
    except ValueError as error:
        raise Misread(f"an embedded object is not JSON: {error}") from None


_SPECIAL: Final[dict[str, Callable[[dict[int, Any]], Any]]] = {
    "Quantity": _quantity,
    "Time": _time,
    "MicroTime": lambda parts: _time(parts, micro=True),
    "IntOrString": _int_or_string,
    "FieldsV1": _json,
    "RawExtension": _json,
}
