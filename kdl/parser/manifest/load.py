"""Files, folders and standard input → manifests: objects as they are stored, each with the place it was written at.

All mistakes of all files are told at once. Definitions of custom kinds make these kinds known to the whole load,
wherever they stand in it.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from kdl.parser.diagnostic import Diagnostic, ManifestError, Note
from kdl.parser.manifest.accept import understand
from kdl.parser.manifest.documents import Unreadable, documents
from kdl.parser.manifest.kinds import BUILT_IN, Kind, Kinds, identity
from kdl.parser.manifest.origin import Origin
from kdl.parser.manifest.problem import SECRET, Report, secret

__all__ = ["Manifest", "Origin", "load", "loads"]

_SUFFIXES: Final = (".yaml", ".yml", ".json")
_DEFINITION: Final = "CustomResourceDefinition"


@dataclass(frozen=True, slots=True)
class Manifest:
    """An object as it is stored, and where it was written."""

    doc: dict[str, Any]
    origin: Origin
    written: dict[str, Any]
    """The object as the manifest has it: not converted, without defaults. What is applied."""


def load(paths: Iterable[Path | str], *, namespace: str = "default", known: Iterable[Kind] = ()) -> list[Manifest]:
    """The manifests in files, folders (their own .yaml, .yml and .json files) and, for ``-``, standard input.

    Objects without a namespace get the given one; `known` are custom kinds. Raises `ManifestError`.
    """
    texts: dict[str, str] = {}
    mistakes: list[Diagnostic] = []
    for path in paths:
        try:
            for file in _files(path):
                texts[file] = sys.stdin.buffer.read().decode() if file == _STDIN else Path(file).read_bytes().decode()
        except OSError as error:
            mistakes.append(Diagnostic("KDL501", f"cannot read `{path}`: {(error.strerror or str(error)).lower()}"))
        except UnicodeDecodeError as error:
            mistakes.append(Diagnostic("KDL501", f"cannot read `{path}`: it is not UTF-8 text ({error.reason})"))
        except ValueError as error:
            mistakes.append(Diagnostic("KDL501", f"cannot read `{path}`: {error}"))
    return _load(texts, mistakes, namespace, known)


def loads(text: str, file: str = "<text>", *, namespace: str = "default", known: Iterable[Kind] = ()) -> list[Manifest]:
    """The manifests in a text; `file` is what errors call it. Raises `ManifestError`."""
    return _load({file: text}, [], namespace, known)


_STDIN: Final = "<stdin>"


def _files(path: Path | str) -> list[str]:
    if str(path) == "-":
        return [_STDIN]
    folder = Path(path)
    if not folder.is_dir():
        return [str(path)]
    files = sorted(str(file) for file in folder.iterdir() if file.suffix in _SUFFIXES and file.is_file())
    if not files:
        raise ValueError("the folder has no .yaml, .yml or .json file")
    return files


def _load(texts: dict[str, str], mistakes: list[Diagnostic], namespace: str, known: Iterable[Kind]) -> list[Manifest]:
    written: list[tuple[Any, Origin]] = []
    unreadable: set[str] = set()
    for file, text in texts.items():
        lines = text.removeprefix("\ufeff")
        try:
            for document in documents(text, file):
                written += _objects(document.value, file, lines[document.start : document.end], document.line)
        except Unreadable as error:
            mistakes.append(error.diagnostic)
            unreadable.add(file)
    kinds = BUILT_IN.with_known(known)
    if any(isinstance(doc, dict) and doc.get("kind") == _DEFINITION for doc, _ in written):
        kinds = _with_definitions(written, kinds)
    found: dict[tuple[str, str, str], Manifest] = {}
    for doc, origin in written:
        report = Report()
        accepted, origin.moved = understand(doc, report, namespace=namespace, kinds=kinds)
        if accepted is not None and "name" not in accepted["metadata"]:
            report("KDL511", ("metadata",), "the field `name` is missing in `metadata`",
                   "`generateName` is for objects made through the API", at_key=True)  # fmt: skip
        mistakes += [problem.diagnostic(doc, origin) for problem in report.problems]
        if accepted is None or report.problems:
            continue
        key = identity(accepted)
        if key in found:
            mistakes.append(_twice(key, origin, found[key].origin))
        else:
            found[key] = Manifest(accepted, origin, doc)
    if mistakes:
        raise ManifestError(mistakes, _without_secrets(texts, written, unreadable))
    return list(found.values())


def _objects(value: Any, file: str, text: str, line: int) -> list[tuple[Any, Origin]]:
    """The object in a document, or the objects in a list of them."""
    if not isinstance(value, dict) or not str(value.get("kind")).endswith("List") or "items" not in value:
        return [(value, Origin(file, text, line))]
    items = value["items"] if isinstance(value["items"], list) else [] if value["items"] is None else [value["items"]]
    inherited = {} if value["kind"] == "List" else {
        "apiVersion": value.get("apiVersion"),
        "kind": str(value["kind"]).removesuffix("List"),
    }  # fmt: skip
    found: list[tuple[Any, Origin]] = []
    for index, item in enumerate(items):
        if isinstance(item, dict):
            item = {**inherited, **item}
            if str(item.get("kind")) == "List":
                found += _nested(item, file, text, line, f"/items/{index}")
                continue
        found.append((item, Origin(file, text, line, f"/items/{index}")))
    return found


def _nested(value: dict[str, Any], file: str, text: str, line: int, prefix: str) -> list[tuple[Any, Origin]]:
    items = value.get("items")
    return [
        (item, Origin(file, text, line, f"{prefix}/items/{index}"))
        for index, item in enumerate(items if isinstance(items, list) else [])
    ]


def _with_definitions(written: list[tuple[Any, Origin]], kinds: Kinds) -> Kinds:
    from kdl.parser.manifest.definition import kinds_of  # brings pydantic in, which others need not wait for

    for doc, _ in written:
        if isinstance(doc, dict) and doc.get("kind") == _DEFINITION:
            definition, _ = understand(doc, Report(), namespace="", kinds=kinds)
            if definition is not None:
                kinds = kinds.with_known(kinds_of(definition))
    return kinds


def _twice(key: tuple[str, str, str], origin: Origin, first: Origin) -> Diagnostic:
    _, kind, name = key
    return Diagnostic(
        "KDL524",
        f"{kind} `{name}` is written twice",
        origin.span("/metadata/name"),
        notes=(Note("the first one", first.span("/metadata/name")),),
        help="remove one of them, or give it another name",
    )


def _without_secrets(texts: dict[str, str], written: list[tuple[Any, Origin]], unreadable: set[str]) -> dict[str, str]:
    """The texts as errors may quote them: without the values of Secrets, or empty where those cannot be told."""
    texts = {file: "" if file in unreadable and "Secret" in text else text for file, text in texts.items()}
    for doc, origin in written:
        if isinstance(doc, dict) and doc.get("kind") == "Secret" and texts[origin.file]:
            texts[origin.file] = _hidden(texts[origin.file], origin)
    return texts


def _hidden(text: str, origin: Origin) -> str:
    lines = text.splitlines()
    values = {
        pointer: span for pointer, (_, span) in origin.places.items() if secret({"kind": "Secret"}, _steps(pointer))
    }
    if not values and len(origin.places) <= 1:
        return ""
    for pointer, span in reversed(values.items()):
        if not any(other.startswith(pointer + "/") for other in values):
            lines[span.line - 1] = lines[span.line - 1][: span.column - 1] + SECRET
            for number in range(span.line, min(span.end_line - (span.end_column == 1), len(lines))):
                lines[number] = ""
    return "\n".join(lines)


def _steps(pointer: str) -> tuple[str, ...]:
    return tuple(pointer.split("/")[1:])
