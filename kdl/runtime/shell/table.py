"""Objects as tables of text, in the columns that the API's `Table`s have, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kdl.parser.manifest.kinds import Kind
from kdl.runtime.api.columns import Column, Doc, at, columns_of


def titles(kind: Kind | str, wide: bool = False, namespaces: bool = False) -> list[str]:
    """The head of a kind's table."""
    return ["NAMESPACE"] * namespaces + [column.title for column in _columns(kind, wide)]


def row(kind: Kind | str, doc: Doc, wide: bool = False, namespaces: bool = False) -> list[str]:
    """An object's row."""
    cells = [str(column.cell(doc)) for column in _columns(kind, wide)]
    return [str(at(doc, "metadata.namespace", ""))] * namespaces + cells


def _columns(kind: Kind | str, wide: bool) -> list[Column]:
    if isinstance(kind, str):
        columns = columns_of(kind)
    else:
        columns = columns_of(kind.name, kind.columns if kind.schema is not None else None)
    return [column for column in columns if wide or not column.wide]


def aligned(lines: Sequence[Sequence[str]], least: Iterable[int] = ()) -> list[str]:
    """Cells as lines of aligned columns; `least` gives widths that the columns have at least."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)] if lines else []
    for index, width in enumerate(least):
        widths[index] = max(widths[index], width)
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
