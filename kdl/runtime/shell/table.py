"""Objects as tables of text, in the columns that the API's `Table`s have, too."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from kdl.runtime.api.columns import Column, Doc, at, columns_of


def titles(kind: str, wide: bool = False, namespaces: bool = False) -> list[str]:
    """The head of a kind's table."""
    return ["NAMESPACE"] * namespaces + [column.title for column in _columns(kind, wide)]


def row(kind: str, doc: Doc, wide: bool = False, namespaces: bool = False) -> list[str]:
    """An object's row."""
    cells = [str(column.cell(doc)) for column in _columns(kind, wide)]
    return [str(at(doc, "metadata.namespace", ""))] * namespaces + cells


def _columns(kind: str, wide: bool) -> list[Column]:
    return [column for column in columns_of(kind) if wide or not column.wide]


def aligned(lines: Sequence[Sequence[str]], least: Iterable[int] = ()) -> list[str]:
    """Cells as lines of aligned columns; `least` gives widths that the columns have at least."""
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)] if lines else []
    for index, width in enumerate(least):
        widths[index] = max(widths[index], width)
    return ["   ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip() for line in lines]
