"""OpenAPI version 2 as protobuf, in gnostic's messages: the one form in which kubectl reads it.

Only what validation by a client needs is written: the definitions, with their types, references and extensions.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import orjson

ACCEPTED: Final = "application/com.github.proto-openapi.spec.v2@v1.0+protobuf"
"""How clients ask for it, though no media type may have an ``@``."""

MEDIA: Final = ACCEPTED.replace("@", ".")


def document(doc: Mapping[str, Any]) -> bytes:
    """The message ``openapi.v2.Document`` of a document."""
    info = _field(1, doc["info"]["title"]) + _field(2, doc["info"]["version"])
    return _field(1, doc["swagger"]) + _field(2, info) + _field(8, b"") + _field(9, _named(doc["definitions"]))


def _named(schemas: Mapping[str, Any]) -> bytes:
    """``Definitions`` and ``Properties``: schemas by name."""
    return b"".join(_field(1, _field(1, name) + _field(2, _schema(schema))) for name, schema in schemas.items())


def _schema(schema: Mapping[str, Any]) -> bytes:
    parts = [
        _field(number, schema[key])
        for number, key in ((1, "$ref"), (2, "format"), (4, "description"))
        if isinstance(schema.get(key), str)
    ]
    parts += [_field(19, name) for name in schema.get("required", ())]
    additional = schema.get("additionalProperties")
    if isinstance(additional, Mapping):
        parts.append(_field(21, _field(1, _schema(additional))))
    elif additional is not None:
        parts.append(_field(21, _number(2 << 3) + _number(int(bool(additional)))))
    if "type" in schema:
        parts.append(_field(22, _field(1, schema["type"])))
    if isinstance(schema.get("items"), Mapping):
        parts.append(_field(23, _field(1, _schema(schema["items"]))))
    if schema.get("properties"):
        parts.append(_field(25, _named(schema["properties"])))
    parts += [_field(31, item) for item in _extensions(schema)]
    return b"".join(parts)


def _extensions(schema: Mapping[str, Any]) -> Iterable[bytes]:
    for name, item in schema.items():
        if name.startswith("x-"):
            yield _field(1, name) + _field(2, _field(2, orjson.dumps(item)))


def _field(number: int, data: str | bytes) -> bytes:
    """A field whose value has a length."""
    raw = data.encode() if isinstance(data, str) else data
    return _number(number << 3 | 2) + _number(len(raw)) + raw


def _number(value: int) -> bytes:
    made = bytearray()
    while value > 127:
        made.append(value & 127 | 128)
        value >>= 7
    made.append(value)
    return bytes(made)
